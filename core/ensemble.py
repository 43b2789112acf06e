"""CFA++ (section 4.2): members that see the picture at different scales, and the mean of their maps.

Each member is a model of its own. Its maps are divided by its unit, the median score of good images, so that all have
one scale; nothing of a test set enters.
"""

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.geometry import Geometry
from core.opencv import cv2
from core.scoring import Scored, image_score

Places = tuple[Geometry, ...]
"""Where an image lies on the input of each member."""
Canvases = tuple[NDArray[np.uint8], ...]
"""The (H, W, 3) uint8 RGB input of each member."""
LEAST_SHARE = 1e-3
"""Of a pixel that must have been inspected for its mean to count."""


def unit_of(scores: Sequence[float]) -> float:
    """What a member's maps are divided by: the median of its scores of good images, or 1 where that says nothing."""
    median = statistics.median(scores) if scores else 0.0
    return median if median > 0 else 1.0


def combined(found: Sequence[Scored], places: Sequence[Geometry], units: Sequence[float]) -> Scored:
    """The result of all members for one image.

    Args:
        found: Of each member; the first one's scale is the coarsest.
        places: Where the image lay on the input of each; all see the same part of it.
        units: From `unit_of`, of each; not looked at where there is one member.

    Returns:
        Their mean in units of a usual good image's score, on the grid of the first, and its maximum; the very result
        of the member where there is only one.
    """
    if len(found) == 1:
        return found[0]
    inspected = places[0].inspected
    maps = [
        on_grid(one.anomaly_map, place.inspected, inspected.shape) / np.float32(unit)
        for one, place, unit in zip(found, places, units, strict=True)
    ]
    values = np.asarray(sum(maps[1:], start=maps[0]) / np.float32(len(maps)), np.float32)
    if not inspected.all():
        values = np.where(inspected, values, np.float32(0))
    return Scored(values, image_score(values, inspected))


def on_grid(values: NDArray[np.float32], inspected: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map on a coarser grid over the same part of the picture: each pixel the mean of what was inspected of it.

    Args:
        values: (height, width) float32, 0 where not inspected.
        inspected: (height, width) bool.
        shape: Height and width of the grid.

    Returns:
        Of that shape; 0 where nothing was inspected.
    """
    if values.shape == shape:
        return values
    size = shape[1], shape[0]
    coarse = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
    if inspected.all():
        return coarse
    share = np.asarray(cv2.resize(inspected.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    return np.divide(coarse, share, out=np.zeros_like(coarse), where=share > LEAST_SHARE)
