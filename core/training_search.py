"""The search of a training step: distances of patches to their nearest centres, with gradient to the descriptor."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from core.compiled_network import checked, largest_difference
from core.config import DescriptorStart
from core.cuda.training import DeviceSearch
from core.descriptor import Descriptor
from core.level_distances import LevelDistances
from core.neighbours import distances_to_nearest

_UPSAMPLING = 48
"""Multiplications that take as long as to upsample a product, less what autograd takes for whole descriptors."""
_PROBE = (8, 12)
"""Grid on which the compiled search is held against the plain one."""


class TrainingSearch(Protocol):
    """Finds the nearest centres of the patches of a batch."""

    def __call__(self, pyramid: Sequence[Tensor], descriptor: Descriptor, valid: Tensor) -> Tensor:
        """Squared distances, ascending, differentiable in the descriptor.

        Args:
            pyramid: Pooled and scaled (b, channels, h_l, w_l) maps.
            descriptor: As it stands.
            valid: (b, h, w) bool on the CPU, the patches that count.

        Returns:
            (n, count) for the n valid patches.
        """


def training_search(channels: Sequence[int], bank: Tensor, count: int, patches: int) -> TrainingSearch:
    """The fastest search for a bank; all give the same.

    Args:
        channels: Of each level of the pyramid.
        bank: (M, D') centres, fixed.
        count: How many centres for each patch.
        patches: Of a whole batch, about.
    """
    if bank.device.type == "cuda":
        return DeviceSearch(bank, count)
    plain = _Plain(bank, count)
    if not _pays(channels, bank.shape[1], patches):
        return plain

    def difference(candidate: TrainingSearch) -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            pyramid = [torch.randn(2, size, *(side >> i for side in _PROBE)) for i, size in enumerate(channels)]
            descriptor = Descriptor(channels, bank.shape[1], DescriptorStart.ORTHOGONAL)
            valid = torch.rand(2, *_PROBE) < 0.9
        return largest_difference([plain(pyramid, descriptor, valid)], [candidate(pyramid, descriptor, valid)])

    return checked(lambda: _ByLevels(channels, bank, count, plain), difference, "the search of the training") or plain


def _pays(channels: Sequence[int], width: int, patches: int) -> bool:
    """Whether products level by level cost less than those of whole descriptors, though made anew for each batch."""
    per_product = sum(size / 4**level for level, size in enumerate(channels)) + _UPSAMPLING
    return bool(per_product + (sum(channels) + 3) * width / patches < width)


class _Plain:
    """Whole descriptors against the bank."""

    def __init__(self, bank: Tensor, count: int) -> None:
        self._bank, self._count = bank, count

    def __call__(self, pyramid: Sequence[Tensor], descriptor: Descriptor, valid: Tensor) -> Tensor:
        return distances_to_nearest(_patches(descriptor(pyramid), valid), self._bank, self._count)


class _ByLevels:
    """Each level against the bank, at its own resolution."""

    def __init__(self, channels: Sequence[int], bank: Tensor, count: int, plain: TrainingSearch) -> None:
        self._plain = plain
        self._distances = LevelDistances(channels, bank, count)

    def __call__(self, pyramid: Sequence[Tensor], descriptor: Descriptor, valid: Tensor) -> Tensor:
        if 2 * int(valid.sum()) < valid.numel():  # it would search all others, too
            return self._plain(pyramid, descriptor, valid)
        return self._distances(pyramid, descriptor.weight, descriptor.bias, valid)


def _patches(phi: Tensor, valid: Tensor) -> Tensor:
    """(n, D') of the valid ones of (b, D', h, w) descriptors."""
    rows = phi.permute(0, 2, 3, 1)
    return rows.flatten(0, 2) if bool(valid.all()) else rows[valid]
