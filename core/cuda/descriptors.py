"""Descriptors of a batch of images, in the basis of `core.folding` in which they cost least."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

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
        self._places: dict[tuple[int, int], Tensor] = {}

    def __call__(self, pooled: Sequence[Tensor]) -> Tensor:
        """Describe every patch.

        Args:
            pooled: One (b, channels, h_l, w_l) float32 map per level, finest first, not scaled.

        Returns:
            (b, h, w, r) float32.
        """
        finest, *coarse = [level.permute(0, 2, 3, 1) for level in pooled]
        grid = (int(finest.shape[1]), int(finest.shape[2]))
        found: Tensor | None = None
        for level, weight in reversed(list(zip(coarse, self._weights[1:], strict=True))):  # the widest comes first
            part = (level @ weight).permute(0, 3, 1, 2)  # (b, r_l, h_l, w_l), the channels of a patch side by side
            large = functional.interpolate(part, size=grid, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
            if found is None:
                found = functional.pad(large, (0, self._width - large.shape[3])).contiguous()
            else:
                found[..., : large.shape[3]] += large
        if found is None:
            raise ValueError("the pyramid has one level alone")
        first = self._weights[0][:-CONSTANTS]
        found[..., : first.shape[1]] += (finest @ first).add_(self._constant(grid))
        return found

    def _constant(self, grid: tuple[int, int]) -> Tensor:
        """What is the same for every image, (h, w, r_0)."""
        if grid not in self._places:
            if len(self._places) == _PLACES:
                self._places.clear()
            device = self._weights[0].device
            rows, columns = coordinate_channels(grid, device)
            places = torch.stack((rows, columns, torch.ones(grid, device=device)), dim=2)
            self._places[grid] = places @ self._weights[0][-CONSTANTS:]
        return self._places[grid]


_PLACES = 16
"""Grids whose constants are kept."""
