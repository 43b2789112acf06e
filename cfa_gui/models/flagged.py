"""From a map to what is drawn and listed: place on the picture, flagged regions in its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.placement import Placement
from core.regions import flagged_regions

_MOST = 200


def map_rectangle(placement: Placement) -> tuple[int, int, int, int]:
    """Where an anomaly map lies on its picture: (top, left, height, width) in pixels of the picture."""
    _, _, height, width = placement.crop
    top, left = placement.canvas_to_source(0.0, 0.0)
    bottom, right = placement.canvas_to_source(float(height), float(width))
    return round(top), round(left), round(bottom - top), round(right - left)


@dataclass(frozen=True, slots=True)
class ListedRegion:
    """One flagged region, in pixels of the picture.

    Attributes:
        box: (top, left, height, width).
        area: Pixels.
        peak: Highest value of the map in it.
    """

    box: tuple[float, float, float, float]
    area: float
    peak: float


def listed_regions(
    values: NDArray[np.float32], placement: Placement, threshold: float, minimum_area: int = 1
) -> tuple[ListedRegion, ...]:
    """The flagged regions of a map, highest peak first; at most 200.

    Args:
        values: (h, w) anomaly map.
        placement: Where it lies.
        threshold: A score.
        minimum_area: Of a region, in pixels of the map.
    """
    listed = []
    for region in flagged_regions(values, threshold, minimum_area)[:_MOST]:
        top, left, height, width = region.bounding_box
        y0, x0 = placement.canvas_to_source(float(top), float(left))
        y1, x1 = placement.canvas_to_source(float(top + height), float(left + width))
        ratio = (y1 - y0) * (x1 - x0) / (height * width)
        listed.append(ListedRegion((y0, x0, y1 - y0, x1 - x0), region.area * ratio, region.peak))
    return tuple(listed)
