"""Files that are no image, or half of one: an ImageError that names the file, says what is wrong and what to do."""

import io
import os
import random
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageError
from core.image_decoding import MAX_PIXELS
from core.images import decode_image, read_image, read_mask, read_size, read_thumbnail
from core.opencv import cv2

READERS: list[Callable[[Path], Any]] = [read_image, read_mask, read_size, lambda path: read_thumbnail(path, 16)]


def encoded(kind: str, **options: Any) -> bytes:
    """A 40 × 30 picture of noise, so that every part of the file matters."""
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def deep(suffix: str, dtype: type[Any]) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(dtype)
    plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else []  # OpenCV 4 compresses floats with loss
    return bytes(cv2.imencode(suffix, pixels, plain)[1].tobytes())


SEEDS = {
    "png": encoded("png"),
    "jpeg": encoded("jpeg", quality=90),
    "progressive": encoded("jpeg", progressive=True),
    "tiff": encoded("tiff"),
    "lzw": encoded("tiff", compression="tiff_lzw"),
    "bmp": encoded("bmp"),
    "gif": encoded("gif"),
    "webp": encoded("webp", lossless=True),
    "ppm": encoded("ppm"),
    "png16": deep(".png", np.uint16),
    "tiff16": deep(".tif", np.uint16),
    "float": deep(".tif", np.float32),
}


def big_png(width: int, height: int) -> bytes:
    """A PNG of that size whose pixels are missing: only its header can be read."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 1000) + b"IDAT"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"name,score\npart 1,0.5\n" * 50, "is no picture of a known kind"),
        (b"\x89PNG\r\n\x1a\n", "its beginning is damaged"),
        (b"II*\0\xff\xff\xff\x7f", "is damaged"),
        (b"\xff\xd8\xff\xe0", "is"),
        (bytes(4000), "is no picture of a known kind"),
    ],
)
def test_that_a_file_that_is_no_image_is_named_with_a_remedy(
    tmp_path: Path, reader: Callable[[Path], Any], content: bytes, words: str
) -> None:
    path = tmp_path / "part ü.png"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        reader(path)
    message = str(caught.value)
    assert "part ü.png" in message
    assert words in message
    assert message.endswith(".")
    assert message.count(". ") >= 1  # a second sentence says what to do


@pytest.mark.parametrize("kind", SEEDS)
def test_that_a_truncated_file_is_refused_and_never_half_shown(tmp_path: Path, kind: str) -> None:
    data = SEEDS[kind]
    decode_image(data, "whole")
    path = tmp_path / f"cut.{kind}"
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageError, match=r"cut\."):
            read_image(path)


@pytest.mark.parametrize("kind", SEEDS)
def test_that_damaged_bytes_raise_nothing_but_image_errors(tmp_path: Path, kind: str) -> None:
    chance = random.Random(zlib.crc32(kind.encode()))
    path = tmp_path / "hostile"
    for _ in range(60):
        data = bytearray(SEEDS[kind])
        for _ in range(chance.choice([1, 3, 20])):
            data[chance.randrange(min(len(data), chance.choice([100, len(data)])))] = chance.choice([0, 1, 127, 255])
        path.write_bytes(data)
        for reader in READERS:
            try:
                reader(path)
            except ImageError as error:
                assert "hostile" in str(error)


@pytest.mark.parametrize("size", [(20001, 10000), (15000, 14000), (60000, 60000), (2**31 - 1, 2**31 - 1)])
def test_that_too_many_pixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "big.png"
    path.write_bytes(big_png(*size))
    for reader in READERS:
        with pytest.raises(ImageError, match=r"big\.png is too large.*200 megapixels"):
            reader(path)


def test_that_a_large_header_within_the_bound_warns_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(big_png(20000, 10000))
    assert read_size(path) == (10000, 20000)
    assert MAX_PIXELS == 20000 * 10000


def test_that_a_tiff_of_unknown_kind_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "five.tif"
    Image.new("L", (2, 2)).save(path)
    data = bytearray(path.read_bytes())
    tag = data.index(struct.pack("<HHI", 258, 3, 1))
    data[tag + 8] = 24
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"five\.tif is a TIFF that cannot be read \(1 channel of 24 bits\)"):
        read_image(path)


@pytest.mark.parametrize("values", [[-0.5, 1.0], [0.0, 70000.0], [-3, 200]])
def test_that_numbers_of_unknown_scale_are_refused(tmp_path: Path, values: list[float]) -> None:
    path = tmp_path / "odd.tif"
    Image.fromarray(np.array([values], np.float32)).save(path)
    with pytest.raises(ImageError, match=rf"odd\.tif holds numbers from {min(values):g} to {max(values):g}"):
        read_image(path)


@pytest.mark.parametrize("reader", READERS)
def test_that_a_folder_and_a_vanished_file_are_told_apart(tmp_path: Path, reader: Callable[[Path], Any]) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"folder\.png is a folder"):
        reader(tmp_path / "folder.png")
    with pytest.raises(ImageError, match=r"gone\.png is not there"):
        reader(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="cannot be read"):
        reader(tmp_path / ("x" * 5000 + ".png"))
    with pytest.raises(ImageError, match="null"):
        reader(tmp_path / "nul\0.png")


def test_that_a_forbidden_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(SEEDS["png"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"secret\.png may not be read"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a Unix thing")
def test_that_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not an ordinary file"):
        read_image(tmp_path / "pipe.png")


def test_that_running_out_of_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(ImageError, match="does not fit into memory"):
        decode_image(SEEDS["png"], "huge.png")


def test_that_an_odd_name_stays_on_one_printable_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "line\nbreak\x1b[31m\udcff.png")
    assert str(caught.value).isprintable()


def test_that_eps_is_not_handed_to_another_program() -> None:
    with pytest.raises(ImageError, match="no picture of a known kind"):
        decode_image(encoded("eps"), "a.eps")


def test_that_a_cameras_corrupt_metadata_does_not_warn(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"  # says it holds several pictures, and does not
    exif = Image.Exif()
    exif[0x010F] = "Maker" * 20
    data = bytearray(encoded("jpeg", exif=exif))
    app2 = b"MPF\0" + b"II*\0" + struct.pack("<IHHHI", 8, 1, 0xB001, 4, 99999)
    data[2:2] = b"\xff\xe2" + struct.pack(">H", len(app2) + 2) + app2
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (30, 40, 3)
        with pytest.raises(UserWarning, match="still on"):
            warnings.warn("still on", stacklevel=1)


def test_that_threads_read_side_by_side_and_leave_the_warnings_as_they_were() -> None:
    before = list(warnings.filters)
    images: list[Any] = []

    def read() -> None:
        images.extend(decode_image(SEEDS[kind], kind) for kind in SEEDS for _ in range(5))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 4 * 5 * len(SEEDS)
    assert warnings.filters == before
