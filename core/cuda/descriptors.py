"""Descriptors of a batch of images, in the basis of `core.folding` in which they cost least."""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.cuda.upsampling import mixing
from core.descriptor import coordinate_channels
from core.folding import CONSTANTS, FoldedSearch


class FoldedDescriptor:
    """From pooled maps to rotated descriptors, float32 throughout; their distances are those of the plain ones."""

    def __init__(self, folded: FoldedSearch, device: torch.device) -> None:
        """Take the matrices.

        Args:
            folded: Its `centres` are what the descriptors are to be compared with.
            device: Where to compute.
        """
        self._weights = [torch.from_numpy(part).to(device) for part in folded.weights]
        self._width = folded.centres.shape[1]

    def __call__(self, pooled: Sequence[Tensor]) -> Tensor:
        """Describe every patch.

        Args:
            pooled: One (b, channels, h_l, w_l) float32 map per level, finest first, not scaled.

        Returns:
            (b, h, w, r) float32.
        """
        finest, *coarse = [level.permute(0, 2, 3, 1) for level in pooled]
        b, height, width = finest.shape[:3]
        found = finest.new_zeros(b * height, width, self._width)
        for level, weight in zip(coarse, self._weights[1:], strict=True):
            part = level @ weight  # (b, h_l, w_l, r_l)
            rows, columns, channels = part.shape[1:]
            tall = mixing(height, rows, part.device) @ part.reshape(b, rows, columns * channels)
            across = mixing(width, columns, part.device).expand(b * height, width, columns)
            found[..., :channels].baddbmm_(across, tall.view(b * height, columns, channels))
        first = self._weights[0][:-CONSTANTS]
        patches = found.view(b, height * width, self._width)[..., : first.shape[1]]
        patches += self._constant((height, width)).flatten(0, 1)
        found.view(-1, self._width)[:, : first.shape[1]].addmm_(finest.reshape(-1, finest.shape[3]), first)
        return found.view(b, height, width, self._width)

    def _constant(self, grid: tuple[int, int]) -> Tensor:
        """What is the same for every image, (h, w, r_0)."""
        weight = self._weights[0][-CONSTANTS:]
        rows, columns = coordinate_channels(grid, weight.device)
        return torch.stack((rows, columns, torch.ones_like(rows)), dim=2) @ weight
