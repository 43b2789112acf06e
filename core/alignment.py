"""How much the place of a patch tells of what it looks like: much where parts lie alike, little in a texture."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

_CELLS = 16
"""Rows and columns into which every picture is divided, whatever its size."""
_COVERED = 0.5
"""Of a cell's patches that must be valid, for it to take part."""


@torch.no_grad()
def told_by_position(pictures: Iterable[tuple[Sequence[Tensor], Tensor]]) -> float:
    """The correlation ratio of features and position, adjusted for the number of pictures (Kelley's epsilon).

    Its square is the share of the variance of features, over all cells of all pictures, that is between cells and not
    between pictures at one cell.

    Args:
        pictures: Of each the pooled and scaled (1, channels, h_l, w_l) levels, finest first, and its
            (h, w) bool mask of valid patches.

    Returns:
        0..1; 1 where a single picture leaves it open.
    """
    counts = torch.zeros(_CELLS, _CELLS, dtype=torch.float64)
    sums, squares = torch.zeros(1, dtype=torch.float64), torch.zeros_like(counts)
    for levels, valid in pictures:
        covered, means = _cells(levels, valid)
        counts += covered
        sums = sums + means * covered
        squares += means.square().sum(dim=0) * covered
    seen, cells = counts.sum(), (counts > 0).sum()
    if seen <= cells:  # no cell twice
        return 1.0
    within = (squares - sums.square().sum(dim=0) / counts.clamp(min=1)).sum() / (seen - cells)
    total = (squares.sum() - sums.sum(dim=(1, 2)).square().sum() / seen) / (seen - 1)
    return float((1.0 - within / total.clamp(min=1e-30)).clamp(0.0, 1.0).sqrt())


def _cells(levels: Sequence[Tensor], valid: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells of a picture count, (cells, cells) of 0 and 1, and their mean features (channels, cells, cells)."""
    mask = valid.to(levels[0].device, torch.float32)[None, None]
    means = []
    for level in levels:
        weight = functional.adaptive_avg_pool2d(mask, (level.shape[2], level.shape[3]))
        covered = functional.adaptive_avg_pool2d(weight, _CELLS)
        mean = functional.adaptive_avg_pool2d(level.float() * weight, _CELLS) / covered.clamp(min=1e-6)
        means.append(mean[0].double().cpu())
    share = functional.adaptive_avg_pool2d(mask, _CELLS)[0, 0].cpu()
    return (share >= _COVERED).double(), torch.cat(means)
