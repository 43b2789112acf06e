"""Where a picture lies on the network's input, there and back.

Coordinates are continuous pixels: pixel (row i, column j) covers [i, i+1) × [j, j+1), its centre at (i + 0.5, j + 0.5).
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.config import Preprocessing, Region, Resizing, StrideFit
from core.errors import ImageError

MAX_ELONGATION_WHOLE = 4
"""The long side of a whole picture becomes at most this many times the image size."""

MAX_ELONGATION_CROP = 64
"""R+C refuses pictures whose long side would become more than this many times the image size."""


class Filter(Enum):
    """How pixels are averaged when a picture is resized; both are Pillow's, antialiased, on uint8."""

    BILINEAR = Image.Resampling.BILINEAR
    LANCZOS = Image.Resampling.LANCZOS
    """What the authors' program uses."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Source picture → resized → crop → canvas; all in pixels, (height, width).

    Attributes:
        source: The picture, upright.
        resized: The whole picture after resizing, in whole pixels: the scales of the two axes may differ a little.
        crop: (top, left, height, width) within `resized` of what is inspected.
        canvas: The network's input, a multiple of the coarsest stride. The crop lies at its top left; what is right of
            it and below repeats its edge.
        resampling: The filter of the resizing.
    """

    source: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int, int, int]
    canvas: tuple[int, int]
    resampling: Filter = Filter.BILINEAR

    def canvas_to_source(self, y: float, x: float) -> tuple[float, float]:
        """A point of the canvas, in continuous pixels of the source."""
        top, left, _, _ = self.crop
        return (y + top) * self.source[0] / self.resized[0], (x + left) * self.source[1] / self.resized[1]

    def source_to_canvas(self, y: float, x: float) -> tuple[float, float]:
        """A point of the source, in continuous pixels of the canvas; the inverse of `canvas_to_source`."""
        top, left, _, _ = self.crop
        return y * self.resized[0] / self.source[0] - top, x * self.resized[1] / self.source[1] - left

    def map_to_source(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """An anomaly map on the source picture's pixels.

        Args:
            values: (crop height, crop width) float32.

        Returns:
            (H, W) float32, bilinear; NaN where the picture is not inspected (outside an R+C crop).

        Raises:
            ValueError: The map has another shape.
        """
        from core.opencv import cv2

        top, left, height, width = self.crop
        if values.shape != (height, width):
            raise ValueError(f"the map is {values.shape}, the crop {(height, width)}")
        below, right = self.resized[0] - top - height, self.resized[1] - left - width
        whole = np.pad(values, ((top, below), (left, right)), mode="edge")
        mapped = np.asarray(
            cv2.resize(whole, (self.source[1], self.source[0]), interpolation=cv2.INTER_LINEAR), np.float32
        )
        if top or left or below or right:
            rows = (np.arange(self.source[0]) + 0.5) * self.resized[0] / self.source[0]
            columns = (np.arange(self.source[1]) + 0.5) * self.resized[1] / self.source[1]
            mapped[(rows < top) | (rows >= top + height)] = np.nan
            mapped[:, (columns < left) | (columns >= left + width)] = np.nan
        return mapped

    def mask_to_crop(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A ground-truth mask on the crop's pixels, nearest neighbour (the paper's protocol).

        Args:
            mask: (H, W) bool, on the source's pixels.

        Returns:
            (crop height, crop width) bool.

        Raises:
            ValueError: The mask is not of the source's size.
        """
        if mask.shape != self.source:
            raise ValueError(f"the mask is {mask.shape}, the picture {self.source}")
        top, left, height, width = self.crop
        rows = (top + np.arange(height) + 0.5) * self.source[0] / self.resized[0]
        columns = (left + np.arange(width) + 0.5) * self.source[1] / self.resized[1]
        return mask[np.ix_(rows.astype(np.intp), columns.astype(np.intp))]


def place(source: tuple[int, int], preprocessing: Preprocessing, stride: int) -> Placement:
    """Where a picture of that size goes.

    - Whole: aspect kept, area about image_size²; a very long picture is scaled so that its long side is 4 × image_size.
      With `StrideFit.ROUNDED` each side then goes to the nearest multiple of the stride.
    - R: image_size × image_size.
    - R+C: short side to image_size, then the central crop, rounded as torchvision's Resize and CenterCrop do.

    Args:
        source: (H, W) in pixels.
        preprocessing: Resizing and sizes; its regions play no part here.
        stride: The coarsest stride of the network in pixels; the canvas is a multiple of it.

    Raises:
        ImageError: The picture is too elongated for R+C.
    """
    size = preprocessing.image_size
    if preprocessing.resizing is Resizing.WHOLE:
        resized = _whole(source, size)
        if preprocessing.stride_fit is StrideFit.ROUNDED:
            resized = _rounded(resized[0], stride), _rounded(resized[1], stride)
        crop, resampling = (0, 0, *resized), Filter.BILINEAR
    elif preprocessing.resizing is Resizing.SQUARE:
        resized = (size, size)
        crop, resampling = (0, 0, *resized), Filter.LANCZOS
    else:
        resized = _short_side_to(source, size)
        side = preprocessing.crop_size
        top, left = (round((length - side) / 2) for length in resized)
        crop, resampling = (top, left, side, side), Filter.LANCZOS
    height, width = (-(-length // stride) * stride for length in crop[2:])
    return Placement(source, resized, crop, (height, width), resampling)


def apply(image: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """The network's input.

    Args:
        image: (H, W, 3) uint8 RGB, of the placement's source size.
        placement: From `place`.

    Returns:
        (canvas H, canvas W, 3) uint8 RGB.

    Raises:
        ValueError: The image has another shape.
    """
    return cut(resized(image, placement), placement)


def resized(image: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """The whole picture in the size that the placement resizes it to; see `apply`.

    Raises:
        ValueError: The image has another shape.
    """
    if image.shape != (*placement.source, 3):
        raise ValueError(f"the image is {image.shape}, the placement is for {(*placement.source, 3)}")
    if placement.resized == placement.source:
        return image
    return np.array(_resize(Image.fromarray(image), placement.resized, placement.resampling))


def cut(picture: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """The crop of a resized picture on the canvas; see `apply`."""
    from core.opencv import cv2

    top, left, height, width = placement.crop
    crop = picture[top : top + height, left : left + width]
    below, right = placement.canvas[0] - height, placement.canvas[1] - width
    return np.asarray(cv2.copyMakeBorder(crop, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _resize(picture: Image.Image, size: tuple[int, int], resampling: Filter) -> Image.Image:
    """Along the rows first, then down the columns.

    Between the two every pixel is rounded, so the order matters, and Pillow from 13 on chooses it by the sizes. A score
    must not depend on Pillow's version.
    """
    narrow = picture.resize((size[1], picture.height), resampling.value)
    return narrow.resize((size[1], size[0]), resampling.value)


def valid_cells(placement: Placement, cell: int, regions: tuple[Region, ...]) -> NDArray[np.bool_]:
    """The cells of a feature grid that count.

    Cell i covers canvas pixels [cell·i, cell·(i+1)). It counts if it holds any pixel of the crop and its centre,
    moved into the crop where it lies beyond, is inspected: inside a region of interest, if there is any, and in no
    ignored region. A polygon that crosses itself is inside where it winds an odd number of times.

    Args:
        placement: From `place`.
        cell: Canvas pixels per cell; divides the canvas.
        regions: Regions of interest and ignored regions; empty: everything counts.

    Returns:
        (canvas H / cell, canvas W / cell) bool; all False if the regions leave nothing.
    """
    _, _, height, width = placement.crop
    rows, columns = np.arange(placement.canvas[0] // cell), np.arange(placement.canvas[1] // cell)
    inside = np.outer(rows * cell < height, columns * cell < width)
    y, x = np.minimum((rows + 0.5) * cell, height - 0.5), np.minimum((columns + 0.5) * cell, width - 0.5)
    return inside & _inspected(placement, y, x, regions)


def inspected_pixels(placement: Placement, regions: tuple[Region, ...]) -> NDArray[np.bool_]:
    """(crop height, crop width) bool: pixels of the crop whose centre is inspected; see `valid_cells`."""
    _, _, height, width = placement.crop
    return _inspected(placement, np.arange(height) + 0.5, np.arange(width) + 0.5, regions)


def _whole(source: tuple[int, int], size: int) -> tuple[int, int]:
    scale = min(size / math.sqrt(source[0] * source[1]), MAX_ELONGATION_WHOLE * size / max(source))
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))


def _rounded(length: int, stride: int) -> int:
    """The nearest multiple of the stride, half of it upwards, at least one."""
    return max(1, (length + stride // 2) // stride) * stride


def _short_side_to(source: tuple[int, int], size: int) -> tuple[int, int]:
    short, long = min(source), max(source)
    new_long = int(size * long / short)
    if new_long > MAX_ELONGATION_CROP * size:
        raise ImageError(
            f"A picture of {source[1]} × {source[0]} pixels is too elongated for R+C, which would see next to nothing "
            "of it. Inspect the whole picture instead."
        )
    return (size, new_long) if source[0] <= source[1] else (new_long, size)


def _inspected(
    placement: Placement, y: NDArray[np.floating], x: NDArray[np.floating], regions: tuple[Region, ...]
) -> NDArray[np.bool_]:
    """(len(y), len(x)) bool for the grid of those canvas coordinates."""
    top, left, _, _ = placement.crop
    shares_y, shares_x = (y + top) / placement.resized[0], (x + left) / placement.resized[1]
    wanted = [_inside(region, shares_y, shares_x) for region in regions if not region.ignored]
    unwanted = [_inside(region, shares_y, shares_x) for region in regions if region.ignored]
    everywhere = np.ones((len(y), len(x)), np.bool_)
    inspected = np.logical_or.reduce(wanted) if wanted else everywhere
    return inspected & ~np.logical_or.reduce(unwanted) if unwanted else inspected


def _inside(region: Region, y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Even-odd rule for the grid of points y × x: a point is inside if a ray to the right crosses the outline oddly."""
    inside = np.zeros((len(y), len(x)), np.bool_)
    for (x_a, y_a), (x_b, y_b) in zip(region.points, (*region.points[1:], region.points[0]), strict=True):
        rows = np.flatnonzero((y_a <= y) != (y_b <= y))
        if len(rows):
            crossing = x_a + (y[rows] - y_a) * (x_b - x_a) / (y_b - y_a)
            inside[rows] ^= x[None, :] < crossing[:, None]
    return inside
