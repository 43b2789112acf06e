"""The shape of the good patches around each centre, measured after the training: axes and radius of an ellipsoid."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from core.memory_bank import Described
from core.neighbours import distances_less_axes, nearest_centres

_SAMPLE = 120_000_000
"""Numbers in the patches that are looked at: 680,000 patches of 176 channels."""
_AT_ONCE = 16_000_000
"""Numbers in the covariances that are held at once."""
_PRIOR_SPREAD = 30
"""Patches for which the common spread of all centres counts in each centre's own."""
_PRIOR_RADIUS = 10
"""Patches for which the mean radius counts in each centre's own."""
_FLOOR = 0.3
"""Of the mean variance: added to every variance, so that no direction is taken for one without any."""
_SPARE = 8
_ITERATIONS = 12


class Shapes(NamedTuple):
    """Of every centre; on the CPU.

    Attributes:
        axes: (M, A, D') float32, orthogonal directions of largest spread, as long as the share of a step along them
            that does not count; see `core.neighbours.distances_less_axes`.
        radii: (M,) float32 mean distance of the good patches nearest to the centre, less what lies along its axes.
    """

    axes: Tensor
    radii: Tensor


@torch.no_grad()
def centre_shapes(images: Iterable[Described], count: int, bank: Tensor, axes: int, seed: int) -> Shapes:
    """Measure the good patches around each centre.

    The covariance of those nearest to a centre is drawn to the common one, as by `_PRIOR_SPREAD` more patches: few
    patches say little. Along its largest directions the distance counts as against the mean variance of the others
    (probabilistic principal components); what remains is in the same unit as before.

    Args:
        images: Under the trained descriptor.
        count: How many there are.
        bank: (M, D') centres.
        axes: A, at most D' - 1 are found.
        seed: Draws the patches.
    """
    patches, rows, distances = _sample(images, count, bank, seed)
    order = rows.argsort(stable=True)
    patches, rows, distances = patches[order], rows[order], distances[order]
    sizes = torch.bincount(rows, minlength=len(bank))
    each = sizes.tolist()
    groups = torch.split(patches, each)
    found = _axes(groups, bank, min(axes, bank.shape[1] - 1))
    lessened = [
        distances_less_axes(group.float(), bank, found, own[:, None], of[:, None])[:, 0]
        for group, own, of in zip(groups, torch.split(distances, each), torch.split(rows, each), strict=True)
    ]
    lengths, rows, sizes = (values.cpu() for values in (torch.cat(lessened).sqrt(), rows, sizes))
    sums = torch.zeros(len(bank)).index_add_(0, rows, lengths)  # on the CPU in the same order every time
    radii = (sums + _PRIOR_RADIUS * lengths.mean()) / (sizes + _PRIOR_RADIUS)
    return Shapes(found.cpu(), radii)


def _sample(images: Iterable[Described], count: int, bank: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Patches (n, D') in half precision, their nearest centres (n,) and squared distances (n,)."""
    generator = torch.Generator().manual_seed(seed)
    quota = -(-_SAMPLE // (bank.shape[1] * count))
    patches, rows, distances = [], [], []
    for phi, valid in images:
        own = phi[valid]
        drawn = own[torch.randperm(len(own), generator=generator)[:quota].to(own.device)]
        near, row = nearest_centres(drawn, bank, 1)
        patches.append(drawn.half())
        rows.append(row[:, 0])
        distances.append(near[:, 0])
    return torch.cat(patches), torch.cat(rows), torch.cat(distances)


def _axes(groups: tuple[Tensor, ...], bank: Tensor, axes: int) -> Tensor:
    """(M, axes, D') from the patches of each centre."""
    channels = bank.shape[1]
    total = bank.new_zeros(channels, channels)
    for group, centre in zip(groups, bank, strict=True):
        apart = group.float() - centre
        total += apart.T @ apart
    common = total / sum(len(group) for group in groups)
    floor = _FLOOR * common.trace() / channels
    start = torch.linalg.eigh(common).eigenvectors[:, -(axes + _SPARE) :]
    found = []
    step = max(1, _AT_ONCE // channels**2)
    for begin in range(0, len(bank), step):
        part = slice(begin, begin + step)
        spreads = torch.stack([_spread(g, c, common) for g, c in zip(groups[part], bank[part], strict=True)])
        variances, directions = _largest(spreads, start, axes)  # (m, axes), (m, D', axes)
        rest = spreads.diagonal(dim1=1, dim2=2).sum(dim=1) - variances.sum(dim=1)
        others = (rest / (channels - axes)).clamp(min=0.0)[:, None] + floor
        uncounted = (1.0 - others / (variances + floor).clamp(min=1e-30)).clamp(min=0.0)
        found.append((directions * uncounted.sqrt()[:, None]).transpose(1, 2))
    return torch.cat(found).contiguous()


def _spread(group: Tensor, centre: Tensor, common: Tensor) -> Tensor:
    """(D', D') covariance of the patches of one centre about their mean, drawn to the common one."""
    values = group.float() - centre
    if len(values) > 1:
        values = values - values.mean(dim=0)
    return (values.T @ values + _PRIOR_SPREAD * common) / (len(values) + _PRIOR_SPREAD)


def _largest(matrices: Tensor, start: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues (m, count) of (m, D', D') matrices and their vectors (m, D', count).

    By orthogonal iteration from common vectors: a hundredth of the time of all eigenvalues.
    """
    vectors = start.expand(len(matrices), *start.shape)
    for _ in range(_ITERATIONS):
        vectors = torch.linalg.qr(matrices @ vectors).Q
    values, turns = torch.linalg.eigh(vectors.transpose(1, 2) @ matrices @ vectors)
    return values[:, -count:].clamp(min=0.0), (vectors @ turns)[:, :, -count:]
