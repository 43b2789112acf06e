"""From distances to an anomaly map and an image score (section 3.3). Pure functions.

Nothing but the image and the model enters a score: no scaling over a test set, no best epoch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.config import Score
from core.opencv import cv2


class Scored(NamedTuple):
    """The result for one image.

    Attributes:
        anomaly_map: (crop height, crop width) float32.
        score: Its maximum over what is inspected.
    """

    anomaly_map: NDArray[np.float32]
    score: float


def patch_scores(squared_distances: Tensor, score: Score, radii: Tensor | None = None) -> Tensor:
    """The anomaly score of every patch.

    Args:
        squared_distances: (n, K), ascending, not negative; K = 1 is enough where the score has no certainty.
        score: Nearest distance (equation 4), that times its certainty (equation 5), its excess over `radii`, or the
            tangent to a sphere of that radius.
        radii: (n,) centre radius of the nearest centre; for `Score.EXCESS` and `Score.TANGENT` alone.

    Returns:
        (n,) float32, in units of feature distance, >= 0.
    """
    if score is Score.CERTAINTY:
        distances = root(squared_distances.clamp(min=0))
        return functional.softmin(distances, dim=1)[:, 0] * distances[:, 0]
    if radii is None and score is not Score.NEAREST:
        raise ValueError("the score is measured from the centres' radii")
    if squared_distances.device.type != "cpu":
        found: Tensor = _of_nearest(squared_distances[:, 0], score, radii, Tensor.sqrt)
        return found
    # The same numbers in half of the time: on a CPU torch's calls take longer than what they compute here.
    around = None if radii is None else radii.numpy()
    return torch.from_numpy(_of_nearest(squared_distances.numpy()[:, 0], score, around, np.sqrt))


def _of_nearest(squared: Any, score: Score, radii: Any, sqrt: Callable[[Any], Any]) -> Any:
    """From (n,) squared distances to scores, both tensors or arrays."""
    nearest = sqrt(squared.clip(min=0))
    if score is Score.NEAREST:
        return nearest
    excess = (nearest - radii).clip(min=0)
    return excess if score is Score.EXCESS else sqrt(excess * (nearest + radii))


def root(values: Tensor) -> Tensor:
    """Square roots, the same numbers as torch's.

    Torch wakes all its threads for 2,000 roots, and these then spin for milliseconds in the way of whoever computes
    next, which on a CPU is OpenVINO with threads of its own. (So it does for `x[rows]`, not for `x.index_select`.)
    """
    return torch.from_numpy(np.sqrt(values.numpy())) if values.device.type == "cpu" else values.sqrt()


def anomaly_map(
    grid: NDArray[np.float32],
    valid: NDArray[np.bool_],
    inspected: NDArray[np.bool_],
    cell: int,
    sigma: float,
) -> NDArray[np.float32]:
    """Patch scores as a map at the resolution of the network's input.

    Bilinear upsampling, then a Gaussian with reflecting border, as `scipy.ndimage.gaussian_filter`. Cells that hold
    padding or lie outside the regions of interest weigh nothing in either.

    Args:
        grid: (h, w) scores of the patches.
        valid: (h, w) patches that count.
        inspected: (crop height, crop width) pixels that count.
        cell: Pixels per patch.
        sigma: Standard deviation in pixels; 0: no smoothing.

    Returns:
        (crop height, crop width) float32; 0 where not inspected.
    """
    height, width = inspected.shape
    rows, columns = -(-height // cell), -(-width // cell)  # the cells that hold any of the crop
    grid, valid = grid[:rows, :columns], valid[:rows, :columns]
    whole = bool(valid.all())
    values = _spread(grid if whole else np.where(valid, grid, np.float32(0)), cell, (height, width), sigma)
    if not whole:
        weights = _spread(valid.astype(np.float32), cell, (height, width), sigma)
        values = np.divide(values, weights, out=np.zeros_like(values), where=weights > 1e-6)
    return values if inspected.all() else np.where(inspected, values, np.float32(0))


def _spread(grid: NDArray[np.float32], cell: int, shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Upsample by `cell`, cut to `shape`, smooth."""
    rows, columns = grid.shape
    size = (columns * cell, rows * cell)
    large: NDArray[Any] = np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR))[: shape[0], : shape[1]]
    if sigma > 0:
        taps = 2 * int(4.0 * sigma + 0.5) + 1
        large = np.asarray(cv2.GaussianBlur(large, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT))
    return np.ascontiguousarray(large, dtype=np.float32)


def image_score(values: NDArray[np.float32], inspected: NDArray[np.bool_]) -> float:
    """The image's anomaly score: the maximum of its map over what is inspected."""
    return float(values.max() if inspected.all() else values[inspected].max(initial=0.0))
