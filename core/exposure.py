"""What the same part looks like under other light."""

import numpy as np
from numpy.typing import NDArray


def exposures(canvas: NDArray[np.uint8], share: float) -> list[NDArray[np.uint8]]:
    """The picture as it is and, where the light may vary, at both ends of how dark and how bright it may become.

    Args:
        canvas: (H, W, 3) uint8.
        share: By how much the light may vary either way, 0..0.5; pixel values are proportional to it up to 255.
    """
    if share == 0:
        return [canvas]
    values = canvas.astype(np.float32)
    ends = [np.clip(np.rint(values * (1 + change)), 0, 255).astype(np.uint8) for change in (-share, share)]
    return [canvas, *ends]


def how_many(share: float) -> int:
    """How many `exposures` gives for that share."""
    return 1 if share == 0 else 3
