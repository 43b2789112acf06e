"""From patch scores to anomaly maps as two products with matrices; the numbers are those of `core.scoring`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.opencv import cv2


class MapMaker:
    """Upsampling, cutting and smoothing are linear and act on each axis alone: a matrix for rows, one for columns.

    The matrices come from the functions that `core.scoring.anomaly_map` calls.
    """

    def __init__(
        self, valid: NDArray[np.bool_], inspected: NDArray[np.bool_], cell: int, sigma: float, device: torch.device
    ) -> None:
        """For all images of one size.

        Args:
            valid: (h, w) patches that count.
            inspected: (crop height, crop width) pixels that count.
            cell: Pixels per patch.
            sigma: Standard deviation of the Gaussian in pixels; 0: no smoothing.
            device: Where to compute.
        """
        height, width = inspected.shape
        grid = -(-height // cell), -(-width // cell)  # the cells that hold any of the crop
        self._down = torch.from_numpy(_along(grid[0], height, cell, sigma)).to(device)  # (height, rows)
        self._across = (
            torch.from_numpy(_along(grid[1], width, cell, sigma)).to(device).T.contiguous()
        )  # (columns, width)
        self._grid = grid
        counted = valid[: grid[0], : grid[1]]
        self._counted: Tensor | None = None
        self._factor: Tensor | None = None
        if not counted.all():
            self._counted = torch.from_numpy(counted).to(device)
            weights = self._spread(self._counted.float())
            self._factor = torch.where(weights > 1e-6, 1.0 / weights, 0.0)
        if not inspected.all():
            seen = torch.from_numpy(inspected).to(device).float()
            self._factor = seen if self._factor is None else self._factor * seen

    def __call__(self, grids: Tensor) -> Tensor:
        """The maps of a batch.

        Args:
            grids: (b, h, w) scores of the patches, >= 0.

        Returns:
            (b, crop height, crop width) float32; 0 where not inspected.
        """
        inside = grids[:, : self._grid[0], : self._grid[1]]
        if self._counted is not None:
            inside = torch.where(self._counted, inside, 0.0)
        maps = self._spread(inside)
        return maps if self._factor is None else maps.mul_(self._factor)

    def _spread(self, grids: Tensor) -> Tensor:
        return self._down @ (grids @ self._across)


def _along(cells: int, length: int, cell: int, sigma: float) -> NDArray[np.float32]:
    """(length, cells): what each cell adds to each pixel along one axis."""
    eye = np.eye(cells, dtype=np.float32)
    large = np.asarray(cv2.resize(eye, (cells, cells * cell), interpolation=cv2.INTER_LINEAR), np.float32)
    large = np.ascontiguousarray(large.reshape(cells * cell, cells)[:length])
    if sigma > 0:
        taps = 2 * int(4.0 * sigma + 0.5) + 1
        kernel = cv2.getGaussianKernel(taps, sigma, cv2.CV_32F)
        large = np.asarray(
            cv2.sepFilter2D(large, cv2.CV_32F, np.ones(1, np.float32), kernel, borderType=cv2.BORDER_REFLECT)
        )
    return np.ascontiguousarray(large.reshape(length, cells), np.float32)
