"""Any file a camera or a customer produces → (H, W, 3) uint8 RGB.

The rules, the same for every file of a kind and never dependent on a scale found in the picture, but for the last one:

- 8 bits: as they are. 1, 2 and 4 bits, palettes: the colours they stand for. CMYK, YCbCr and CIE Lab: converted to RGB.
- 16 bits: value / 257, rounded; full scale is 65535. A camera that stores 10 or 12 bits in a 16-bit file therefore
  gives a dark picture: let it write 8 bits, or fill the 16. (A TIFF that says it has 12 bits, or a PGM that names its
  maximum, has that as full scale.) 16-bit CMYK and 16-bit premultiplied alpha keep the high byte, at most one level off
  the rule.
- Alpha is composited on black. EXIF and TIFF orientation is applied. Colour profiles are not. Of several pages or
  frames the first counts.
- Floats, and integers that are signed or longer than 16 bits, say nothing about their full scale: NaN and infinity
  become 0, then floats within [0, 1] are taken times 255, numbers within [0, 255] as they are, within [0, 65535] / 257;
  rounded. Anything else is refused.
- More than 200 megapixels are refused before decoding.
"""

import io
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from core.errors import ImageError
from core.image_decoding import TOO_LARGE, decode, decode_size

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif"}
    | {".pgm", ".ppm", ".pbm", ".pnm"}
)
"""Suffixes, lower case with the dot, that a folder is searched for. What a file is, its content decides."""

_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    SystemError,
    BufferError,
    MemoryError,
    Image.DecompressionBombError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
)
"""What the file system and Pillow are known to raise on missing files and damaged bytes."""

_FROM_16_BITS: NDArray[np.uint8] = ((np.arange(65536) + 128) // 257).astype(np.uint8)


def read_image(path: Path) -> NDArray[np.uint8]:
    """The picture in a file, by the rules at the top of this module.

    Returns:
        (H, W, 3) uint8, RGB, [0, 255], turned as EXIF says; writable.

    Raises:
        ImageError: The file is missing, not readable, not a picture, damaged, or too large; the text names it.
    """
    with _opened(path) as (file, name):
        return _to_rgb(decode(file, name), name)


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """As `read_image`, from the bytes of a file; `name` is what errors call it."""
    with _reported(shown(name)):
        _require_content(len(data), shown(name))
        return _to_rgb(decode(io.BytesIO(data), shown(name)), shown(name))


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """As `read_size`, from the bytes of a file; `name` is what errors call it."""
    with _reported(shown(name)):
        _require_content(len(data), shown(name))
        return decode_size(io.BytesIO(data), shown(name))


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A ground-truth mask: (H, W) bool, True where the picture is neither black nor transparent.

    Any number above 0 counts, whatever its scale: a 16-bit mask of 0 and 1 is a mask.

    Raises:
        ImageError: As `read_image`.
    """
    with _opened(path) as (file, name):
        values = decode(file, name)
    marked = np.asarray(np.isfinite(values) & (values != 0), np.bool_)
    if marked.ndim == 2:
        return marked
    coloured = np.asarray(marked[..., :3].any(axis=2), np.bool_)
    return coloured & marked[..., 3] if marked.shape[2] == 4 else coloured


def read_thumbnail(path: Path, side: int) -> NDArray[np.uint8]:
    """A small version: (h, w, 3) uint8, RGB, aspect kept, longest side at most `side` pixels; never enlarged.

    A JPEG is decoded at a reduced size, so its thumbnail costs a fraction of the picture.

    Raises:
        ImageError: As `read_image`.
    """
    with _opened(path) as (file, name):
        image = Image.fromarray(_to_rgb(decode(file, name, draft=side), name))
        scale = side / max(image.size)
        if scale >= 1.0:
            return np.array(image)
        width, height = (max(1, round(length * scale)) for length in image.size)
        return np.array(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0))


def read_size(path: Path) -> tuple[int, int]:
    """(H, W) in pixels as `read_image` would return them, from the file's header alone.

    Raises:
        ImageError: The file is missing, not readable, not a picture, or too large.
    """
    with _opened(path) as (file, name):
        return decode_size(file, name)


class _Quiet:
    """Warnings off while any thread is inside; `warnings.catch_warnings` alone is not safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The open file and the name for messages; inside, every failure to read or decode becomes an ImageError."""
    name = shown(path)
    with _reported(name):
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name} is a folder, not a picture. Choose a file inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is not an ordinary file. Choose a picture.")
        _require_content(status.st_size, name)
        with path.open("rb") as file:
            yield file, name


@contextmanager
def _reported(name: str) -> Iterator[None]:
    try:
        with _quiet:
            yield
    except _ERRORS as error:
        raise ImageError(f"{name} {_complaint(error)}") from error


def _complaint(error: BaseException) -> str:
    """What is wrong and what to do, for any of `_ERRORS`."""
    reason = " ".join(str(error).split())[:120]
    match error:
        case FileNotFoundError():
            return "is not there (any more). Check the path, or open its folder again."
        case PermissionError():
            return "may not be read, or another program holds it. Ask for the right to read it, or copy it elsewhere."
        case UnidentifiedImageError():
            kinds = "PNG, JPEG, TIFF, BMP, WebP, GIF or PGM/PPM"
            return f"is no picture of a known kind, or its beginning is damaged. Save it as {kinds}, or remove it."
        case OSError(errno=int(), strerror=strerror):
            return f"cannot be read ({strerror}). Check the drive or the network, and try again."
        case Image.DecompressionBombError():
            return f"is too large: {TOO_LARGE}"
        case MemoryError():
            return "does not fit into memory. Close other programs, or save it smaller."
        case _:
            detail = f" ({reason})" if " " in reason else ""  # KeyError and its like say no more than a number
            return f"is damaged or incomplete{detail}. Copy or save it again, or remove it."


def shown(name: str | Path) -> str:
    """A file's name fit for one line of a message: no line breaks, no bytes that cannot be printed."""
    return "".join(character if character.isprintable() else "�" for character in str(name))


def _require_content(size: int, name: str) -> None:
    if size == 0:
        raise ImageError(f"{name} is empty (0 bytes). Copy it again from where it came, or remove it.")


def _to_rgb(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    levels = _to_8_bits(values, name)
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    elif levels.shape[2] == 4:
        picture = Image.fromarray(np.ascontiguousarray(levels))
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        levels = np.array(Image.alpha_composite(black, picture).convert("RGB"))
    return np.ascontiguousarray(levels)


def _to_8_bits(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype == np.uint16:
        return np.asarray(_FROM_16_BITS[values], np.uint8)
    numbers: NDArray[np.float64] = values.astype(np.float64)
    numbers[~np.isfinite(numbers)] = 0.0
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 65535:
        span = f"from {low:.6g} to {high:.6g}"
        raise ImageError(f"{name} holds numbers {span}, whose scale is unknown. Save it with 0 to 255, or 0 to 65535.")
    factor = 255.0 if high <= 1 and values.dtype.kind == "f" else 1.0 if high <= 255 else 1 / 257
    return np.rint(numbers * factor).astype(np.uint8)
