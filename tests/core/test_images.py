"""What the pixels of any file become: the rules at the top of core.images."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps

from core.errors import ImageError
from core.images import decode_image, read_image, read_mask, read_size, read_thumbnail
from core.opencv import cv2

Pixels = NDArray[Any]


@pytest.fixture
def colours() -> NDArray[np.uint16]:
    """(6, 7, 3) uint16: every value differs from its neighbours."""
    return np.random.default_rng(0).integers(0, 65536, (6, 7, 3), dtype=np.uint16)


def to_8_bits(values: Pixels) -> NDArray[np.uint8]:
    """The rule for 16 bits, slowly."""
    return np.round(values.astype(np.float64) / 257).astype(np.uint8)


def grey(values: Pixels) -> Pixels:
    return np.stack([values] * 3, axis=2)


def on_black(rgba: Pixels) -> NDArray[np.int64]:
    return np.round(rgba[..., :3] / 255 * rgba[..., 3:]).astype(np.int64)


def saved(path: Path, pixels: Pixels, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def saved_with_opencv(path: Path, rgb: Pixels) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, rgb[..., ::-1] if rgb.ndim == 3 else rgb)[1].tobytes())
    return path


def saved_tiff(path: Path, pixels: Pixels, order: Literal["<", ">"] = "<", **tags: int) -> Path:
    """An uncompressed TIFF of one strip (or one per plane) with exactly these tags, for what no library writes."""
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    code = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    planes = [pixels[..., c] for c in range(samples)] if tags.get("planar") == 2 else [pixels]
    strips = [np.ascontiguousarray(p.astype(p.dtype.newbyteorder(order))).tobytes() for p in planes]
    offsets = [8 + sum(len(strip) for strip in strips[:i]) for i in range(len(strips))]
    entries: dict[int, tuple[int, list[int]]] = {
        256: (3, [pixels.shape[1]]),
        257: (3, [pixels.shape[0]]),
        258: (3, [pixels.dtype.itemsize * 8] * samples),
        259: (3, [1]),
        262: (3, [tags.get("photometric", 1 if samples < 3 else 2)]),
        273: (4, offsets),
        274: (3, [tags.get("orientation", 1)]),
        277: (3, [samples]),
        278: (3, [pixels.shape[0]]),
        279: (4, [len(strip) for strip in strips]),
        284: (3, [tags.get("planar", 1)]),
        339: (3, [code] * samples),
    }
    if "extra" in tags:
        entries[338] = (3, [tags["extra"]])
    start = 8 + sum(len(strip) for strip in strips)
    position = start + 2 + 12 * len(entries) + 4
    directory, outside = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, outside = struct.pack(order + "I", position + len(outside)), outside + packed
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    path.write_bytes(head + b"".join(strips) + directory + bytes(4) + outside)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def saved_png(path: Path, pixels: Pixels, colour_type: int, extra: bytes = b"") -> Path:
    """A 16-bit PNG of any colour type."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_that_eight_bit_colour_is_kept_as_it_is(tmp_path: Path, colours: Pixels, suffix: str) -> None:
    pixels = (colours >> 8).astype(np.uint8)
    path = saved(tmp_path / f"ä ö 部品{suffix}", pixels, **({"lossless": True} if suffix == ".webp" else {}))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pixels)
    assert read_size(path) == (6, 7)


def test_that_a_jpeg_is_decoded_close_to_what_was_saved(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    pixels = np.stack([ramp, ramp.T, 255 - ramp], axis=2)
    image = read_image(saved(tmp_path / "a.JPG", pixels, format="jpeg", quality=95))
    assert np.abs(image.astype(int) - pixels).mean() < 2  # red and blue in their places


def test_that_grey_palette_and_bilevel_files_become_rgb(tmp_path: Path, colours: Pixels) -> None:
    levels = (colours[..., 0] >> 8).astype(np.uint8)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "grey.png", levels)), grey(levels))
    palette = Image.fromarray((colours >> 8).astype(np.uint8)).quantize(8)
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "p.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(read_image(tmp_path / "p.gif"), np.asarray(palette.convert("RGB")))
    Image.fromarray(levels > 127).save(tmp_path / "one.png")
    np.testing.assert_array_equal(read_image(tmp_path / "one.png"), grey((levels > 127) * np.uint8(255)))


def test_that_a_single_pixel_is_an_image(tmp_path: Path) -> None:
    path = saved(tmp_path / "1.png", np.full((1, 1), 7, np.uint8))
    np.testing.assert_array_equal(read_image(path), [[[7, 7, 7]]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("inverted", [False, True])
def test_that_sixteen_bit_grey_is_divided_by_257_and_rounded(
    tmp_path: Path, colours: Pixels, order: Literal["<", ">"], inverted: bool
) -> None:
    values = colours[..., 0]
    path = saved_tiff(tmp_path / "g.tif", values, order, photometric=0 if inverted else 1)
    np.testing.assert_array_equal(read_image(path), grey(to_8_bits(65535 - values if inverted else values)))
    np.testing.assert_array_equal(read_image(saved(tmp_path / "g.png", values)), grey(to_8_bits(values)))


def test_that_sixteen_bit_ends_and_ties_are_exact() -> None:
    values = np.array([[0, 128, 129, 256, 385, 386, 65406, 65407, 65535]], np.uint16)
    data = io.BytesIO()
    Image.fromarray(values).save(data, "png")
    expected = [0, 0, 1, 1, 1, 2, 254, 255, 255]
    assert decode_image(data.getvalue(), "x")[0, :, 0].tolist() == expected


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_that_sixteen_bit_colour_is_rounded_and_not_cut(tmp_path: Path, colours: Pixels, suffix: str) -> None:
    image = read_image(saved_with_opencv(tmp_path / f"c{suffix}", colours))
    np.testing.assert_array_equal(image, to_8_bits(colours))
    assert (image != colours >> 8).any()  # which is what Pillow alone returns


def test_that_ten_bits_in_a_sixteen_bit_file_stay_dark(tmp_path: Path) -> None:
    assert read_image(saved(tmp_path / "10.png", np.full((2, 2), 1023, np.uint16))).max() == 4


def test_that_a_pgm_has_its_own_maximum_as_full_scale(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n2 1\n1023\n" + np.array([1023, 512], ">u2").tobytes())
    assert read_image(tmp_path / "a.pgm")[0, :, 0].tolist() == [255, 128]


def test_that_alpha_is_composited_on_black(tmp_path: Path, colours: Pixels) -> None:
    rgba = np.dstack([colours, colours[..., 1]])
    eight = (rgba >> 8).astype(np.uint8)
    la = Image.fromarray(eight[..., :2].copy(), "LA")
    la.save(tmp_path / "la.png")
    expected_grey = grey(np.round(eight[..., 0] / 255 * eight[..., 1]))
    for path, expected in (
        (saved(tmp_path / "8.png", eight), on_black(eight)),
        (saved_png(tmp_path / "16.png", rgba, 6), on_black(to_8_bits(rgba))),
        (saved_tiff(tmp_path / "16.tif", rgba, extra=2), on_black(to_8_bits(rgba))),
        (saved_tiff(tmp_path / "f.tif", (rgba / 65535).astype(np.float32), extra=2), on_black(to_8_bits(rgba))),
        (tmp_path / "la.png", expected_grey),
    ):
        assert np.abs(read_image(path).astype(int) - expected).max() <= 1, path.name


def test_that_a_fourth_channel_that_is_no_alpha_is_dropped(tmp_path: Path, colours: Pixels) -> None:
    infrared = np.dstack([colours, colours[::-1, :, 0]])
    np.testing.assert_array_equal(read_image(saved_tiff(tmp_path / "a.tif", infrared, extra=0)), to_8_bits(colours))
    single = (infrared / 65535).astype(np.float32)
    np.testing.assert_array_equal(read_image(saved_tiff(tmp_path / "f.tif", single, extra=0)), to_8_bits(colours))


def test_that_premultiplied_alpha_is_not_applied_twice(tmp_path: Path) -> None:
    premultiplied = np.full((2, 2, 4), (50, 100, 20, 128), np.uint8)
    for pixels in (premultiplied, premultiplied.astype(np.uint16) * 257):
        image = read_image(saved_tiff(tmp_path / "a.tif", pixels, extra=1))
        assert np.abs(image.astype(int) - [50, 100, 20]).max() <= 1


def test_that_a_transparent_colour_becomes_black(tmp_path: Path, colours: Pixels) -> None:
    levels = colours[..., 0]
    key = chunk(b"tRNS", struct.pack(">H", levels[2, 3]))
    image = read_image(saved_png(tmp_path / "g.png", levels, 0, key))
    expected = to_8_bits(np.where(levels == levels[2, 3], 0, levels))
    np.testing.assert_array_equal(image, grey(expected))
    key = chunk(b"tRNS", struct.pack(">HHH", *colours[1, 1]))
    image = read_image(saved_png(tmp_path / "c.png", colours, 2, key))
    assert image[1, 1].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(image[2:], to_8_bits(colours)[2:])


def test_that_cmyk_and_lab_become_rgb(tmp_path: Path) -> None:
    rgb = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    cmyk = Image.fromarray(rgb).convert("CMYK")
    cmyk.save(tmp_path / "adobe.jpg", quality=100)  # stored inverted, as Adobe does
    cmyk.save(tmp_path / "cmyk.tif")
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(rgb), *profiles, outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    for name in ("adobe.jpg", "cmyk.tif", "lab.tif"):
        assert np.abs(read_image(tmp_path / name).astype(int) - rgb).max() <= 4, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_that_numbers_without_a_scale_are_read_by_their_range(
    tmp_path: Path, colours: Pixels, dtype: type[Any], channels: int, order: Literal["<", ">"]
) -> None:
    if dtype is np.uint32 and cv2.__version__.startswith("4."):
        pytest.skip("OpenCV 4 knows no unsigned 32-bit numbers; such files are refused")
    values = colours if channels == 3 else colours[..., 0]
    expected = to_8_bits(values)
    wide = saved_tiff(tmp_path / "wide.tif", values.astype(dtype), order)
    np.testing.assert_array_equal(read_image(wide), expected if channels == 3 else grey(expected))
    narrow = saved_tiff(tmp_path / "narrow.tif", expected.astype(dtype), order)
    np.testing.assert_array_equal(read_image(narrow), expected if channels == 3 else grey(expected))
    if np.dtype(dtype).kind == "f":
        shares = saved_tiff(tmp_path / "shares.tif", (expected / 255).astype(dtype), order)
        np.testing.assert_array_equal(read_image(shares), expected if channels == 3 else grey(expected))


def test_that_deep_colour_in_separate_planes_is_refused_as_the_decoders_garble_it(
    tmp_path: Path, colours: Pixels
) -> None:
    for dtype in (np.uint16, np.float32):
        with pytest.raises(ImageError, match=r"p\.tif is a TIFF .* each in a plane of its own"):
            read_image(saved_tiff(tmp_path / "p.tif", colours.astype(dtype), planar=2))
    eight = to_8_bits(colours)
    np.testing.assert_array_equal(read_image(saved_tiff(tmp_path / "8.tif", eight, planar=2)), eight)


def test_that_nan_and_infinity_become_black(tmp_path: Path) -> None:
    values = np.array([[0.5, np.nan, np.inf, -np.inf, 1.0]], np.float32)
    assert read_image(saved(tmp_path / "n.tif", values))[0, :, 0].tolist() == [128, 0, 0, 0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_that_orientation_is_applied_to_every_kind_of_file(tmp_path: Path, colours: Pixels, orientation: int) -> None:
    eight = to_8_bits(colours)
    exif = Image.Exif()
    exif[274] = orientation
    early = saved(tmp_path / "early.png", eight, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(early)))
    data = early.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    (tmp_path / "late.png").write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    saved(tmp_path / "a.webp", eight, exif=exif, lossless=True)
    saved_tiff(tmp_path / "8.tif", eight, orientation=orientation)
    saved_tiff(tmp_path / "16.tif", colours, orientation=orientation)
    saved_tiff(tmp_path / "f.tif", (eight / 255).astype(np.float32), orientation=orientation)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    for path in files:
        np.testing.assert_array_equal(read_image(path), expected, err_msg=path.name)
        assert read_size(path) == expected.shape[:2], path.name


def test_that_a_rotated_jpeg_is_upright_with_its_size_and_thumbnail(tmp_path: Path) -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, :100] = 255
    exif = Image.Exif()
    exif[274] = 6  # the camera stood on its side: turn right
    path = saved(tmp_path / "a.jpg", pixels, exif=exif)
    assert read_size(path) == (400, 200)
    image = read_image(path)
    assert image.shape == (400, 200, 3)
    assert image[:90].min() > 200
    assert image[110:].max() < 50
    thumbnail = read_thumbnail(path, 40)
    assert thumbnail.shape == (40, 20, 3)
    assert thumbnail[:8].min() > 200
    assert thumbnail[12:].max() < 50


def test_that_only_the_first_frame_counts(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (3, 2), colour) for colour in ("red", "blue"))
    for suffix in (".gif", ".tif", ".webp", ".png"):
        path = tmp_path / f"a{suffix}"
        first.save(path, save_all=True, append_images=[second], lossless=True)
        assert read_image(path)[0, 0].tolist() == [255, 0, 0], suffix


def test_that_a_mask_is_true_where_it_is_not_black(tmp_path: Path) -> None:
    marked = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    transparent = np.dstack([np.full((2, 3, 3), 255, np.uint8), marked * np.uint8(255)])
    for name, pixels in {
        "255.png": marked * np.uint8(255),
        "1.png": marked,
        "16.png": marked.astype(np.uint16),
        "float.tif": np.where(marked, np.float32(0.001), np.float32(np.nan)),
        "blue.png": np.dstack([0 * marked, 0 * marked, marked]),
        "alpha.png": transparent,
    }.items():
        mask = read_mask(saved(tmp_path / name, pixels))
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(mask, marked.astype(bool), err_msg=name)


@pytest.mark.parametrize(("size", "side", "expected"), [((600, 960), 64, (40, 64)), ((30, 20), 64, (30, 20))])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_that_a_thumbnail_keeps_the_aspect_and_never_grows(
    tmp_path: Path, size: tuple[int, int], side: int, expected: tuple[int, int], suffix: str
) -> None:
    left = np.zeros((*size, 3), np.uint8)
    left[:, : size[1] // 2] = (0, 200, 100)
    thumbnail = read_thumbnail(saved(tmp_path / f"a{suffix}", left), side)
    assert thumbnail.shape == (*expected, 3)
    assert thumbnail.dtype == np.uint8
    assert np.abs(thumbnail[5, 3].astype(int) - (0, 200, 100)).max() < 12
    assert thumbnail[5, -3].max() < 12


def test_that_a_jpegs_thumbnail_is_decoded_at_reduced_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def spy(image: ImageFile.ImageFile) -> Any:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", spy)
    assert read_thumbnail(saved(tmp_path / "a.jpg", np.zeros((800, 800, 3), np.uint8)), 100).shape == (100, 100, 3)
    assert decoded
    assert max(decoded) == (100, 100)


def test_that_importing_opencv_leaves_qts_environment_alone() -> None:
    code = (
        "import os; os.environ['QT_QPA_FONTDIR'] = '/mine'; from core.opencv import cv2; "
        "print(os.environ.get('QT_QPA_PLATFORM_PLUGIN_PATH'), os.environ['QT_QPA_FONTDIR'])"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "/mine"]
