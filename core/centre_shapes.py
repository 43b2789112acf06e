"""Place and shape of the good patches around each centre, measured after the training: an ellipsoid."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from core.memory_bank import GLOBAL_SAMPLE, Described
from core.neighbours import CANDIDATES, Ellipsoids, ellipsoids, nearest_centres, nearest_ellipsoid

_SAMPLE = 120_000_000
"""Numbers in the patches whose spread is measured: 680,000 patches of 176 channels."""
DIRECTIONS = 192
"""Common directions, those of the largest variance around all centres, of which the axes of each are made."""
_AT_ONCE = 4_000_000
"""Numbers in the covariances that are held at once."""
_GROUPS = 256
"""Looked at between two reports."""
_PATCHES = 8192
"""Of which the distances are measured at once."""
_PRIOR_SPREAD = 30
"""Patches for which the common spread of all centres counts in each centre's own."""
_PRIOR_RADIUS = 10
"""Patches for which the mean of all counts in each centre's own radius."""
_SPARE = 8
_ITERATIONS = 12
_SHARE = 0.5
"""Of the mean squared distance, which lies within the radius: all of it would make every average patch faultless."""
_FLOOR = 0.3
"""Of the mean variance: added to every variance, so that no direction is taken for one without any."""


class Shapes(NamedTuple):
    """Of every centre; on the CPU. What axes and basis mean says `core.neighbours.Ellipsoids`.

    Attributes:
        centres: (M, D') float32, each in the middle of the good patches nearest to it.
        axes: (M, A, R) float32, the directions in which the good patches vary most. Of half precision, in which they
            are kept in a file: they are by far its largest part.
        basis: (R, D') float32.
        radii: (M,) float32, squared half of the mean squared distance of the good patches nearest to the ellipsoid.
    """

    centres: Tensor
    axes: Tensor
    basis: Tensor
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
def centre_shapes(
    images: Iterable[Described],
    count: int,
    bank: Tensor,
    axes: int,
    seed: int,
    report: Callable[[int], None] = lambda _done: None,
) -> Shapes:
    """Measure the good patches around each centre.

    The bank was made before the training, which moves the patches: each centre is first brought to the mean of those
    nearest to it. Their covariance is drawn to the common one, as by `_PRIOR_SPREAD` more patches: few patches say
    little. A step in its largest directions, the axes, counts as against the mean variance of the others (probabilistic
    principal components); what remains is in the same unit as before.

    Args:
        images: Under the trained descriptor.
        count: How many there are.
        bank: (M, D') centres.
        axes: A, at most D' - 1 are found.
        seed: Draws the patches.
        report: Told now and then how many centres have axes, all of them again and again in the end; may raise to
            cancel.
    """
    centres, sample = _centred(_sample(images, count, bank, seed), bank, report)
    found, basis = _axes(_groups(sample, len(bank)), min(axes, bank.shape[1] - 1), report)
    radii = _radii(sample, ellipsoids(centres, found, basis), lambda: report(len(bank)))
    return Shapes(centres.cpu(), found.cpu(), basis.cpu(), radii)


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


def _centred(sample: _Sample, bank: Tensor, report: Callable[[int], None]) -> tuple[Tensor, _Sample]:
    """The centres where the means of their patches are, and the sample seen from there."""
    groups = _told(_groups(sample, len(bank)), report)
    means = torch.stack([group.float().mean(dim=0) if len(group) else torch.zeros_like(bank[0]) for group in groups])
    return bank + means, sample._replace(steps=sample.steps - means.half()[sample.rows[:, 0]])


def _groups(sample: _Sample, centres: int) -> tuple[Tensor, ...]:
    """The steps from each centre."""
    nearest = sample.rows[:, 0]
    sizes = torch.bincount(nearest, minlength=centres)
    return torch.split(sample.steps[nearest.argsort(stable=True)], sizes.tolist())


def _told(groups: tuple[Tensor, ...], report: Callable[[int], None]) -> Iterator[Tensor]:
    """The groups, and a word now and then that no centre has axes yet."""
    for number, group in enumerate(groups):
        if number % _GROUPS == 0:
            report(0)
        yield group


def _axes(groups: tuple[Tensor, ...], axes: int, report: Callable[[int], None]) -> tuple[Tensor, Tensor]:
    """(M, axes, R) axes and their (R, D') basis, from the steps from each centre to its patches."""
    channels = groups[0].shape[1]
    total = torch.zeros(channels, channels, device=groups[0].device)
    for group in _told(groups, report):
        values = group.float()
        total += values.T @ values
    common = total / sum(len(group) for group in groups)
    mean = common.trace() / channels
    floor = (_FLOOR * mean).clamp(min=1e-30)
    basis = torch.linalg.eigh(common).eigenvectors[:, -max(axes, DIRECTIONS) :].T.contiguous()
    among = basis @ common @ basis.T
    found = []
    step = max(1, _AT_ONCE // len(basis) ** 2)
    for begin in range(0, len(groups), step):
        spreads = [_spread(group, basis, among, mean * channels) for group in groups[begin : begin + step]]
        matrices, totals = (torch.stack(part) for part in zip(*spreads, strict=True))
        variances, directions = _largest(matrices, axes)  # (m, axes), (m, R, axes)
        others = ((totals - variances.sum(dim=1)) / (channels - axes)).clamp(min=0.0)[:, None] + floor
        uncounted = (1.0 - others / (variances + floor)).clamp(min=0.0)
        found.append((directions * uncounted.sqrt()[:, None]).transpose(1, 2))
        report(min(begin + step, len(groups)))
    return torch.cat(found).half().float().contiguous(), basis


def _radii(sample: _Sample, shapes: Ellipsoids, report: Callable[[], None]) -> Tensor:
    """(M,), squared half of the mean squared distances of patches to their nearest ellipsoids."""
    every = slice(None, None, max(1, len(sample.steps) // GLOBAL_SAMPLE))
    steps, rows = sample.steps[every], sample.rows[every]
    found = []
    for some, near in zip(torch.split(steps, _PATCHES), torch.split(rows, _PATCHES), strict=True):
        report()
        found.append(nearest_ellipsoid(shapes.centres[near[:, 0]] + some.float(), shapes, near))
    # on the CPU, where sums have the same order every time
    values, own = (torch.cat(part)[:, 0].cpu() for part in zip(*found, strict=True))
    sizes = torch.bincount(own, minlength=len(shapes.centres))
    sums = values.new_zeros(len(shapes.centres)).index_add_(0, own, values)
    return (_SHARE * (sums + _PRIOR_RADIUS * values.mean()) / (sizes + _PRIOR_RADIUS)).sqrt()


def _spread(group: Tensor, basis: Tensor, among: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Of the patches of one centre about their mean, each drawn to what is common (`among` and `total`).

    Returns:
        (R, R) covariance in the basis, and the sum of the variances of all channels.
    """
    values = group.float()
    if len(values) > 1:
        values = values - values.mean(dim=0)
    inside, patches = values @ basis.T, len(values) + _PRIOR_SPREAD
    return (inside.T @ inside + _PRIOR_SPREAD * among) / patches, (
        values.square().sum() + _PRIOR_SPREAD * total
    ) / patches


def _largest(matrices: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues (m, count) of (m, R, R) matrices, ascending, and their vectors (m, R, count).

    By orthogonal iteration from the last directions of the basis: a hundredth of the time of all eigenvalues.
    """
    size = matrices.shape[1]
    vectors = torch.eye(size, device=matrices.device)[:, -min(count + _SPARE, size) :].expand(len(matrices), -1, -1)
    for _ in range(_ITERATIONS):
        vectors = torch.linalg.qr(matrices @ vectors).Q
    values, turns = torch.linalg.eigh(vectors.transpose(1, 2) @ matrices @ vectors)
    return values[:, -count:].clamp(min=0.0), (vectors @ turns)[:, :, -count:]
