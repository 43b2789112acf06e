"""The numbers in an image file, upright; `core.images` makes a picture of them, and a sentence of every error.

Pillow decodes. OpenCV helps with what Pillow cuts to 8 bits (16-bit colour) or does not know (float colour, double
precision).
"""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from core.errors import ImageError

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused before decoding."""

TOO_LARGE = f"more than {MAX_PIXELS // 1_000_000} megapixels. Save a smaller version, or cut it into tiles."

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
"""Pillow's other decoders are left out: some start other programs (EPS), none is a camera's."""

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _EXTRA = 256, 257, 258, 262, 274, 277, 284, 338
_WHITE_IS_ZERO, _SEPARATE_PLANES, _PLAIN_ALPHA = 0, 2, 2

_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (-1, False), 7: (-1, True), 8: (1, False)}
"""EXIF orientation → (quarter turns to the left, mirror left-right before turning)."""

_FROM_12_BITS: NDArray[np.uint16] = ((np.arange(65536) % 4096 * 65535 + 2047) // 4095).astype(np.uint16)

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own bound warns from 89 megapixels on and refuses from 179


def decode(file: BinaryIO, name: str, draft: int | None = None) -> NDArray[Any]:
    """The numbers in a file, upright, as its format means them.

    Args:
        file: At its start; it can be sought.
        name: What errors call it.
        draft: Where the format can (JPEG), decode smaller, but both sides at least this many pixels.

    Returns:
        (H, W), (H, W, 3) RGB or (H, W, 4) RGB and alpha; uint8 or uint16 on their full scale, or another type whose
        full scale is not known.

    Raises:
        ImageError: It is too large or of a kind that cannot be read.
        Exception: Whatever Pillow and OpenCV raise on damaged bytes.
    """
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        return _decode_other_tiff(file, name)
    _require_bounded(*image.size, name)
    if draft is not None:
        image.draft(None, (draft, draft))
    deep_colour = image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in image.tile)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        image.load()
        values = _all_bits(image, file) if deep_colour else _values(image)
        return _turned(values, image.getexif().get(_ORIENTATION, 1))
    if _in_deep_planes(image.tag_v2):
        raise _unreadable_tiff(image.tag_v2, name)
    image.load()  # turns it, too
    return _all_bits(image, file)[..., : len(image.getbands())] if deep_colour else _values(image)


def decode_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """(H, W) of what `decode` would return, from the header alone; raises the same."""
    tags: TiffImagePlugin.ImageFileDirectory_v2 | None = None
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        tags = _tiff_tags(file)
    else:
        width, height, orientation = *image.size, 1
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tags = image.tag_v2
        else:
            orientation = _header_orientation(image, file)
    if tags is not None:
        width, height, orientation = int(tags[_WIDTH]), int(tags[_HEIGHT]), tags.get(_ORIENTATION, 1)
    _require_bounded(width, height, name)
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def _require_bounded(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({width} × {height}). Save it again, or remove it.")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} is too large: {width} × {height} pixels, {TOO_LARGE}")


def _values(image: Image.Image) -> NDArray[Any]:
    """A loaded image that Pillow has in full."""
    if image.mode == "F":
        return np.array(image)
    if image.mode.startswith("I"):
        return _integers(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return np.array(ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"))
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
        return np.array(image if image.mode == "RGBA" else image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _integers(image: Image.Image) -> NDArray[Any]:
    """One channel of 12 or 16 bits: uint16 on the full scale. Of another integer type: int32, scale unknown."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if image.mode == "I" and tags:
        return np.array(image)
    values = np.array(image).astype(np.uint16)
    if tags.get(_BITS) == (12,):
        values = _FROM_12_BITS[values]
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 65535 - values
    if isinstance(transparent := image.info.get("transparency"), int):
        values[values == transparent] = 0
    return values


def _all_bits(image: Image.Image, file: BinaryIO) -> NDArray[Any]:
    """16-bit colour: Pillow has cut it to its high bytes; OpenCV has all bits, but misreads some layouts.

    So OpenCV's numbers are taken where their high bytes are Pillow's.
    """
    high_bytes = np.array(image)
    values = _decode_with_opencv(file)
    channels = high_bytes.shape[2]
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[2] < channels:
        return high_bytes
    return values if np.array_equal(values[..., :channels] >> 8, high_bytes) else high_bytes


def _decode_with_opencv(file: BinaryIO) -> NDArray[Any] | None:
    """(H, W), (H, W, 3) RGB or (H, W, 4) RGBA in the file's number type; None where OpenCV cannot."""
    from core.opencv import cv2

    file.seek(0)
    try:
        values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if values is None or values.ndim == 2:
        return values
    return values[..., [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] in (3, 4) else None


def _tiff_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The tags of a TIFF's first page; UnidentifiedImageError if the file is not a TIFF."""
    file.seek(0)
    header = file.read(16)
    if header[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise UnidentifiedImageError
    tags = TiffImagePlugin.ImageFileDirectory_v2(header if b"+" in header[2:4] else header[:8])
    file.seek(tags.next)
    tags.load(file)
    return tags


def _in_deep_planes(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """More than 8 bits with each channel in a plane of its own: both decoders return garbage."""
    return tags.get(_PLANAR) == _SEPARATE_PLANES and tags.get(_SAMPLES, 1) > 1 and max(tags.get(_BITS, (1,))) > 8


def _unreadable_tiff(tags: TiffImagePlugin.ImageFileDirectory_v2, name: str) -> ImageError:
    samples, bits = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,)))
    planes = ", each in a plane of its own" if tags.get(_PLANAR) == _SEPARATE_PLANES and samples > 1 else ""
    what = f"{samples} channel{'s' * (samples > 1)} of {bits} bits{planes}"
    return ImageError(f"{name} is a TIFF that cannot be read ({what}). Save it with 8 or 16 bits, grey or RGB.")


def _decode_other_tiff(file: BinaryIO, name: str) -> NDArray[Any]:
    """A TIFF of a kind that Pillow does not know: float colour, double precision, 32-bit colour, inverted 16 bits."""
    tags = _tiff_tags(file)
    _require_bounded(int(tags[_WIDTH]), int(tags[_HEIGHT]), name)
    samples = tags.get(_SAMPLES, 1)
    values = None if _in_deep_planes(tags) else _decode_with_opencv(file)
    if values is None or samples != (1 if values.ndim == 2 else values.shape[2]):
        raise _unreadable_tiff(tags, name)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and values.dtype == np.uint16:
        values = 65535 - values
    if samples == 4 and tags.get(_EXTRA) != (_PLAIN_ALPHA,):
        values = values[..., :3]  # premultiplied, or something else than alpha
    return values


def _header_orientation(image: Image.Image, file: BinaryIO) -> Any:
    """EXIF orientation without decoding; a PNG may carry its EXIF behind the pixels."""
    if image.format != "PNG" or "exif" in image.info:
        return image.getexif().get(_ORIENTATION, 1)
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            exif = Image.Exif()
            exif.load(b"Exif\0\0" + file.read(length))
            return exif.get(_ORIENTATION, 1)
        file.seek(length + 4, io.SEEK_CUR)
    return 1


def _turned(values: NDArray[Any], orientation: Any) -> NDArray[Any]:
    quarters, mirrored = _TURNS.get(orientation, (0, False))
    return np.rot90(values[:, ::-1] if mirrored else values, quarters)
