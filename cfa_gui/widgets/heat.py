"""From a map of numbers to pixels."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from cfa_gui import theme

LARGEST_SIDE = 1536
"""A map is thinned to this side before it is coloured; it is smooth, and nothing is lost to the eye."""
FLOOR, TOP = 0.32, 0.75
"""Shares of the colour range: clear below the first, fully opaque above the second; the same in files and reports."""


def thinned(values: NDArray[np.float32], largest: int = LARGEST_SIDE) -> NDArray[np.float32]:
    """Every n-th cell, so that no side is above `largest`."""
    step = max(1, -(-max(values.shape) // largest))
    return values[::step, ::step]


def lookup(name: str) -> NDArray[np.uint8]:
    """(256, 4) RGBA, premultiplied: the colours of a map, clear at the low end."""
    share = np.linspace(0.0, 1.0, 256)
    ramp = np.clip((share - FLOOR) / (TOP - FLOOR), 0.0, 1.0)
    alpha = ramp * ramp * (3 - 2 * ramp)
    table = np.empty((256, 4), np.uint8)
    table[:, :3] = np.rint(theme.colour_map(name) * alpha[:, None])
    table[:, 3] = np.rint(alpha * 255)
    return table


def indices(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Places in a lookup table, (h, w): 0 at or below `low` and where NaN, 255 at or above `high`; see `RatioSpan`."""
    inside = np.clip(np.nan_to_num(values, nan=low), np.float32(low), np.float32(high))
    scaled = np.log(inside / np.float32(low)) * np.float32(255 / np.log(high / low))
    places: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return places


def heat_image(values: NDArray[np.float32], low: float, high: float, name: str) -> QImage:
    """The map in colour, as clear as it is cold; owns its pixels."""
    pixels = lookup(name)[indices(thinned(values), low, high)]
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, width * 4, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()


def mask_image(mask: NDArray[np.bool_], rgba: tuple[int, int, int, int]) -> QImage:
    """A tint where the mask is true; owns its pixels."""
    step = max(1, -(-max(mask.shape) // LARGEST_SIDE))
    small = mask[::step, ::step]
    pixels = np.zeros((*small.shape, 4), np.uint8)
    pixels[small] = [round(part * rgba[3] / 255) for part in rgba[:3]] + [rgba[3]]
    height, width = small.shape
    image = QImage(pixels.tobytes(), width, height, width * 4, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()
