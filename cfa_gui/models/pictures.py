"""A picture with its truth, as the canvas shows it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PictureKey:
    """Which files a picture comes from.

    Attributes:
        path: The image.
        mask: Its ground truth, if any.
    """

    path: Path
    mask: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What the canvas shows of one image.

    Attributes:
        path: The file.
        pixels: (H, W, 3) RGB uint8.
        truth: (H, W) bool, true on a defect; None where nobody drew it.
    """

    path: Path
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None
