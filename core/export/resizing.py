"""Pillow's resize as tensor operations that every runtime has, for pictures of any size.

Pillow resizes bytes in two passes, along the rows and then down the columns. In each a pixel is a weighted sum of its
neighbours, the weights rounded to 22 bits, the sum rounded to a byte. The same is done here by products of matrices
whose entries follow from the sizes within the graph. Every number on the way is whole and fits into float32, so that
the result is Pillow's to the bit; only Lanczos weights are as good as the runtime's sine.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.export.lengths import count_to, divide
from core.placement import Filter

_WEIGHT_BITS = 22
"""Fraction bits of Pillow's weights (32 - 8 - 2)."""
_LONG_DIVISION = (8, 7, 7)
"""They are computed a few bits at a time, for some runtimes have no whole numbers above 2^31."""
_HALF = 1 << (_WEIGHT_BITS // 2)
"""A weight is taken apart into two whole numbers of 11 bits, so that float32 adds up bytes times either exactly."""
_REACH = {Filter.BILINEAR: 1, Filter.LANCZOS: 3}
"""Half the width of a filter, in pixels of the coarser picture."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a resize, computed in blocks of neighbouring pixels: each needs a short piece of the source alone.

    Attributes:
        source: Pixels before; int64 scalar.
        resized: Pixels after; int64 scalar.
        wanted: (n,) int64, ascending: which pixels after are computed; n is a multiple of `block`.
        kind: The filter.
        block: Pixels after in a block.
        precision: Of Lanczos weights before they are rounded: float64, or float32 where a runtime has no more.
    """

    source: Tensor
    resized: Tensor
    wanted: Tensor
    kind: Filter
    block: int
    precision: torch.dtype

    def columns(self) -> Tensor:
        """Which pixels before the blocks need, (blocks, span) int64."""
        coarser = torch.maximum(self.source, self.resized)  # over `resized`: pixels before for one after, at least 1
        reach = divide(_REACH[self.kind] * coarser, self.resized)[0] + 1
        span = divide((self.block - 1) * self.source, self.resized)[0] + 2 * reach + 3
        span = torch.minimum(span, self.source)
        centres = divide((2 * self.wanted.reshape(-1, self.block)[:, 0] + 1) * self.source, 2 * self.resized)[0]
        first = torch.minimum((centres - reach - 1).clamp(min=0), self.source - span)
        return first[:, None] + count_to(span)

    def weights(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The weights times 2^22, as high · 2^11 + low; both (blocks, block, span) float32, whole numbers."""
        wanted = self.wanted.reshape(-1, self.block, 1)
        # the distance of two pixels' centres times 2 · source · resized
        away = (2 * columns[:, None, :] + 1) * self.resized - (2 * wanted + 1) * self.source
        whole = self._bilinear(away) if self.kind is Filter.BILINEAR else self._lanczos(away)
        high = torch.floor(whole / _HALF + 0.5)
        return high, whole - high * _HALF

    def _bilinear(self, away: Tensor) -> Tensor:
        share = (2 * torch.maximum(self.source, self.resized) - away.abs()).clamp(min=0)
        total = share.sum(dim=2, keepdim=True)
        weight = torch.zeros_like(share)
        for bits in _LONG_DIVISION:
            digit, share = divide(share * (1 << bits), total)
            weight = weight * (1 << bits) + digit
        return (weight + (2 * share >= total).long()).float()

    def _lanczos(self, away: Tensor) -> Tensor:
        coarser = (2 * torch.maximum(self.source, self.resized)).to(self.precision)
        far = away.abs().to(self.precision) / coarser
        angle = math.pi * torch.where(far == 0, torch.ones_like(far), far)
        value = (angle.sin() / angle) * ((angle / 3).sin() / (angle / 3))
        value = torch.where(far < 3, torch.where(far == 0, torch.ones_like(far), value), torch.zeros_like(far))
        value = value / value.sum(dim=2, keepdim=True) * float(1 << _WEIGHT_BITS)
        return torch.where(value < 0, (value - 0.5).ceil(), (value + 0.5).floor()).float()


def _to_bytes(high: Tensor, low: Tensor) -> Tensor:
    """Round (high · 2^11 + low) / 2^22 half up, as Pillow does, and keep it within 0..255."""
    return ((high + (low / _HALF).floor() + _HALF / 2) / _HALF).floor().clamp(0.0, 255.0)


def resize(picture: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Resize a picture.

    Args:
        picture: (H, W, 3) uint8.
        rows: Which rows are wanted, n.
        columns: Which columns are wanted, m.

    Returns:
        (n, m, 3) float32, whole numbers in 0..255.
    """
    wanted = columns.columns()  # (blocks, span)
    pieces = picture.index_select(1, wanted.flatten()).reshape(picture.shape[0], wanted.shape[0], -1)
    high, low = (_of_three(half) for half in columns.weights(wanted))
    pieces = pieces.permute(1, 0, 2).float()  # (blocks, H, span * 3)
    narrow = _to_bytes(pieces @ high, pieces @ low).permute(1, 0, 2)  # (H, blocks, block * 3)
    narrow = narrow.reshape(picture.shape[0], -1)
    wanted = rows.columns()
    high, low = rows.weights(wanted)
    pieces = narrow.index_select(0, wanted.flatten()).reshape(wanted.shape[0], wanted.shape[1], -1)
    return _to_bytes(high @ pieces, low @ pieces).reshape(rows.wanted.shape[0], -1, 3)


def _of_three(weights: Tensor) -> Tensor:
    """Weights (blocks, block, span) of one channel as those of three side by side: (blocks, span * 3, block * 3)."""
    wide = weights.permute(0, 2, 1)[:, :, None, :, None] * torch.eye(3)[None, None, :, None, :]
    return wide.reshape(weights.shape[0], -1, 3 * weights.shape[1])
