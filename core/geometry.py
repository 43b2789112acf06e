"""What follows from an image's size and the settings alone."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.config import Config
from core.errors import DatasetError
from core.placement import Placement, inspected_pixels, place, valid_cells


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Where an image lies on the network's input, and what of it counts.

    Attributes:
        placement: Where the image lies on the network's input.
        valid: (h, w) bool, patches that count.
        inspected: (crop height, crop width) bool, pixels that count.
    """

    placement: Placement
    valid: NDArray[np.bool_]
    inspected: NDArray[np.bool_]


@lru_cache(maxsize=64)
def geometry(source: tuple[int, int], config: Config, stride: int, cell: int) -> Geometry:
    """The geometry of an image of that size.

    Args:
        source: (height, width) in pixels.
        config: The model's settings.
        stride: The network's input is a multiple of this.
        cell: Pixels of the network's input per patch.

    Raises:
        DatasetError: The regions leave nothing to inspect.
    """
    placement = place(source, config.preprocessing, stride)
    valid = valid_cells(placement, cell, config.preprocessing.regions)
    inspected = inspected_pixels(placement, config.preprocessing.regions)
    if not valid.any() or not inspected.any():
        raise DatasetError("The regions drawn leave nothing to inspect. Make the region of interest larger.")
    return Geometry(placement, valid, inspected)
