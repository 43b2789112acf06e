"""The shape of the good patches around each centre, measured after the training: an ellipsoid."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from core.memory_bank import GLOBAL_SAMPLE, Described
from core.neighbours import CANDIDATES, Ellipsoids, nearest_centres, nearest_ellipsoid

_SAMPLE = 120_000_000
"""Numbers in the patches whose spread is measured: 680,000 patches of 176 channels."""
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
    """Of every centre; on the CPU. What the axes mean says `core.neighbours.Ellipsoids`.

    Attributes:
        axes: (M, A, D') float32, the directions in which the good patches vary most. Of half precision, in which they
            are kept in a file: they are by far its largest part.
        radii: (M,) float32 mean distance of the good patches nearest to the ellipsoid.
    """

    axes: Tensor
    radii: Tensor


class _Sample(NamedTuple):
    """Some good patches.

    Attributes:
        steps: (n, D') float16, from the nearest centre to the patch.
        rows: (n, `CANDIDATES`) nearest centres.
    """

    steps: Tensor
    rows: Tensor


@torch.no_grad()
def centre_shapes(images: Iterable[Described], count: int, bank: Tensor, axes: int, seed: int) -> Shapes:
    """Measure the good patches around each centre.

    The covariance of those nearest to a centre is drawn to the common one, as by `_PRIOR_SPREAD` more patches: few
    patches say little. A step in its largest directions, the axes, counts as against the mean variance of the others
    (probabilistic principal components); what remains is in the same unit as before.

    Args:
        images: Under the trained descriptor.
        count: How many there are.
        bank: (M, D') centres.
        axes: A, at most D' - 1 are found.
        seed: Draws the patches.
    """
    sample = _sample(images, count, bank, seed)
    found = _axes(_groups(sample, len(bank)), min(axes, bank.shape[1] - 1))
    return Shapes(found.cpu(), _radii(sample, Ellipsoids(bank, found)))


def _sample(images: Iterable[Described], count: int, bank: Tensor, seed: int) -> _Sample:
    generator = torch.Generator().manual_seed(seed)
    quota = -(-_SAMPLE // (bank.shape[1] * count))
    steps, rows = [], []
    for phi, valid in images:
        own = phi[valid]
        drawn = own[torch.randperm(len(own), generator=generator)[:quota].to(own.device)]
        near = nearest_centres(drawn, bank, min(CANDIDATES, len(bank)))[1]
        steps.append((drawn - bank[near[:, 0]]).half())
        rows.append(near)
    return _Sample(torch.cat(steps), torch.cat(rows))


def _groups(sample: _Sample, centres: int) -> tuple[Tensor, ...]:
    """The steps from each centre."""
    nearest = sample.rows[:, 0]
    sizes = torch.bincount(nearest, minlength=centres)
    return torch.split(sample.steps[nearest.argsort(stable=True)], sizes.tolist())


def _axes(groups: tuple[Tensor, ...], axes: int) -> Tensor:
    """(M, axes, D') from the steps from each centre to its patches."""
    channels = groups[0].shape[1]
    total = torch.zeros(channels, channels, device=groups[0].device)
    for group in groups:
        values = group.float()
        total += values.T @ values
    common = total / sum(len(group) for group in groups)
    floor = (_FLOOR * common.trace() / channels).clamp(min=1e-30)
    start = torch.linalg.eigh(common).eigenvectors[:, -min(axes + _SPARE, channels) :]
    found = []
    step = max(1, _AT_ONCE // channels**2)
    for begin in range(0, len(groups), step):
        spreads = torch.stack([_spread(group, common) for group in groups[begin : begin + step]])
        variances, directions = _largest(spreads, start, axes)  # (m, axes), (m, D', axes)
        rest = spreads.diagonal(dim1=1, dim2=2).sum(dim=1) - variances.sum(dim=1)
        others = (rest / (channels - axes)).clamp(min=0.0)[:, None] + floor
        uncounted = (1.0 - others / (variances + floor)).clamp(min=0.0)
        found.append((directions * uncounted.sqrt()[:, None]).transpose(1, 2))
    return torch.cat(found).half().float().contiguous()


def _radii(sample: _Sample, shapes: Ellipsoids) -> Tensor:
    """(M,) mean distances of patches to their nearest ellipsoids."""
    every = slice(None, None, max(1, len(sample.steps) // GLOBAL_SAMPLE))
    steps, rows = sample.steps[every], sample.rows[every]
    squared, nearest = nearest_ellipsoid(shapes.centres[rows[:, 0]] + steps.float(), shapes, rows)
    lengths, own = squared[:, 0].sqrt().cpu(), nearest[:, 0].cpu()  # where sums have the same order every time
    sizes = torch.bincount(own, minlength=len(shapes.centres))
    sums = lengths.new_zeros(len(shapes.centres)).index_add_(0, own, lengths)
    return (sums + _PRIOR_RADIUS * lengths.mean()) / (sizes + _PRIOR_RADIUS)


def _spread(group: Tensor, common: Tensor) -> Tensor:
    """(D', D') covariance of the patches of one centre about their mean, drawn to the common one."""
    values = group.float()
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
