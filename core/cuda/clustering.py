"""K-means on a device, where scikit-learn on the CPU would take longer than the rest of a training."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from core.cuda.search import HalfSearch

_ITERATIONS = 25
_SETTLED = 1e-4
"""Share by which the mean squared distance falls at least, or the centres stay."""


@torch.no_grad()
def lloyd(points: Tensor, count: int, seed: int, report: Callable[[int, int], None]) -> Tensor:
    """Centres by Lloyd's iterations; the same points and seed give the same centres, bit for bit, on one device.

    A centre that nothing is nearest to goes to where a point lies farthest from every centre.

    Args:
        points: (n, D') float32.
        count: Number of centres, at most n.
        seed: Of the points that are the first centres.
        report: Told of iterations done and of the most there may be; may raise to cancel.

    Returns:
        (count, D') float32.
    """
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    centres = points[order[:count].to(points.device)].clone()
    before = torch.inf
    for done in range(_ITERATIONS):
        report(done, _ITERATIONS)
        distances, rows = (found[:, 0] for found in HalfSearch(centres, 1)(points))
        mean = float(distances.mean())
        if before - mean <= _SETTLED * mean:
            break
        before = mean
        centres = _means(points, distances, rows, centres)
    report(_ITERATIONS, _ITERATIONS)
    return centres


def _means(points: Tensor, distances: Tensor, rows: Tensor, centres: Tensor) -> Tensor:
    """The mean of the points of each centre, summed in one order whatever the device does at once."""
    ordered, order = rows.sort(stable=True)
    starts = torch.searchsorted(ordered, torch.arange(len(centres), device=rows.device))
    means = functional.embedding_bag(order, points, starts, mode="mean")
    empty = torch.bincount(rows, minlength=len(centres)) == 0
    lost = int(empty.sum())
    if lost:
        means[empty] = points[distances.topk(lost).indices]
    return means
