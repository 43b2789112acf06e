"""Three ways to model the memory bank C from the untrained descriptors of the good images."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.cuda.clustering import lloyd
from core.errors import DatasetError
from core.neighbours import nearest_centres

GLOBAL_SAMPLE = 120_000
"""Patches that the `global` bank is clustered from."""
_EXACT_LIMIT = 8_000_000
"""Points times centres up to which K-means runs to convergence."""
_LLOYD_ITERATIONS = 100
_KMEANS_BATCH = 8192
_KMEANS_PASSES = 4
_PRIOR_PATCHES = 10


def _silent(done: int, total: int) -> None:
    """Nobody listens."""


class Described(NamedTuple):
    """The untrained descriptors of one image.

    Attributes:
        phi: (h, w, D').
        valid: (h, w) bool; False for padding and what is not inspected.
    """

    phi: Tensor
    valid: Tensor


def mean_bank(
    images: Iterable[Described], ratio: int, seed: int, minimum: int, report: Callable[[int, int], None] = _silent
) -> Tensor:
    """The mean descriptor at each position over all images (authors' program), then K-means to T / ratio centres.

    Assumes parts that lie alike. Images of several grid shapes are averaged on their common top-left positions.

    Args:
        images: In any order.
        ratio: gamma_c.
        seed: Of K-means.
        minimum: The least number of centres (K + J).
        report: Told of K-means as `k_means` does.

    Returns:
        (M, D') float32.
    """
    total: Tensor | None = None
    counts: Tensor | None = None
    for phi, valid in images:
        if total is None or counts is None:
            total, counts = torch.zeros_like(phi), torch.zeros_like(phi[..., :1])
        total, counts = _grown(total, phi.shape), _grown(counts, phi.shape)
        weight = valid[..., None].to(phi.dtype)
        total[: phi.shape[0], : phi.shape[1]] += phi * weight
        counts[: phi.shape[0], : phi.shape[1]] += weight
    if total is None or counts is None:
        raise DatasetError("There is no image to build the memory bank from.")
    seen = counts[..., 0] > 0
    means = total[seen] / counts[seen]
    return means if ratio == 1 else k_means(means, _size(len(means), ratio, minimum), seed, report)


def _grown(values: Tensor, shape: torch.Size) -> Tensor:
    """Zero-padded at the bottom and right so that `shape` fits in."""
    rows, columns = max(values.shape[0], shape[0]), max(values.shape[1], shape[1])
    if (rows, columns) == tuple(values.shape[:2]):
        return values
    grown = values.new_zeros(rows, columns, values.shape[2])
    grown[: values.shape[0], : values.shape[1]] = values
    return grown


def ema_bank(images: Iterable[Described], ratio: int, beta: float, seed: int, minimum: int) -> Tensor:
    """Algorithm 1 of the paper: K-means on the first image, then an exponential moving average over the others.

    For each image every centre takes, in centre order, its nearest patch that no other centre has taken yet.

    Args:
        images: In the order in which they are averaged.
        ratio: gamma_c.
        beta: Share of the new patch.
        seed: Of K-means.
        minimum: The least number of centres (K + J).

    Returns:
        (M, D') float32.
    """
    bank: Tensor | None = None
    for phi, valid in images:
        patches = phi[valid]
        if bank is None:
            bank = k_means(patches, _size(len(patches), ratio, minimum), seed) if ratio > 1 else patches.clone()
        else:
            taken = assign_each_once(bank, patches)
            bank[: len(taken)] = torch.lerp(bank[: len(taken)], patches[taken], beta)
    if bank is None:
        raise DatasetError("There is no image to build the memory bank from.")
    return bank


def assign_each_once(bank: Tensor, patches: Tensor) -> Tensor:
    """For every centre in turn, its nearest patch among those not yet taken.

    Args:
        bank: (M, D').
        patches: (T, D').

    Returns:
        (min(M, T),) int64 rows of `patches`, no row twice.
    """
    distances = torch.cdist(bank, patches).cpu().numpy()  # (M, T)
    count = min(distances.shape)
    chosen = np.empty(count, dtype=np.int64)
    free = np.zeros(distances.shape[1], dtype=distances.dtype)
    for centre in range(count):
        row = int(np.argmin(distances[centre] + free))
        chosen[centre] = row
        free[row] = np.inf
    return torch.from_numpy(chosen).to(patches.device)


def global_bank(
    images: Iterable[Described],
    count: int,
    ratio: int,
    seed: int,
    minimum: int,
    report: Callable[[int, int], None] = _silent,
) -> Tensor:
    """Mini-batch K-means over a sample of the patches of all positions of all images; needs no alignment.

    Args:
        images: `count` images.
        count: How many images there are.
        ratio: gamma_c; the bank holds T / ratio centres, T being the images' median number of patches.
        seed: Of the sample and of K-means.
        minimum: The least number of centres (K + J).
        report: Told of K-means as `k_means` does.

    Returns:
        (M, D') float32.
    """
    generator = torch.Generator().manual_seed(seed)
    quota = -(-GLOBAL_SAMPLE // max(count, 1))
    sample, sizes = [], []
    for phi, valid in images:
        patches = phi[valid]
        sizes.append(len(patches))
        order = torch.randperm(len(patches), generator=generator)[:quota]
        sample.append(patches[order.to(patches.device)])
    if not sample:
        raise DatasetError("There is no image to build the memory bank from.")
    return k_means(torch.cat(sample), _size(int(np.median(sizes)), ratio, minimum), seed, report)


def _size(patches: int, ratio: int, minimum: int) -> int:
    return max(patches // ratio, minimum)


def k_means(points: Tensor, count: int, seed: int, report: Callable[[int, int], None] = _silent) -> Tensor:
    """Centres of K-means (scikit-learn): to convergence for few points, in mini-batches for many.

    On a CUDA device the points stay there, and all of them move the centres in every iteration.

    Args:
        points: (n, D').
        count: Number of centres; at most n are made.
        seed: Of the start and of the batches.
        report: Told of the mini-batches or iterations done and of how many there are at most, 0 and 0 where unknown;
            may raise to cancel.

    Returns:
        (min(count, n), D') float32 on the device of `points`.
    """
    if points.device.type == "cuda":
        return lloyd(points.detach(), min(count, len(points)), seed, report)
    from sklearn.cluster import KMeans, MiniBatchKMeans  # type: ignore[import-untyped]  # slow to import
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn depends on it

    values = points.detach().cpu().numpy()
    count = min(count, len(values))
    if len(values) * count <= _EXACT_LIMIT:
        report(0, 0)
        with threadpool_limits(1, user_api="blas"):  # its thousands of small products cost ten times as much on two
            model = KMeans(count, n_init=1, max_iter=_LLOYD_ITERATIONS, random_state=seed).fit(values)
    else:
        random = np.random.default_rng(seed)
        start = values[random.permutation(len(values))[:count]]
        model = MiniBatchKMeans(
            count, init=start, n_init=1, batch_size=_KMEANS_BATCH, random_state=seed, compute_labels=False
        )
        total = _KMEANS_PASSES * -(-len(values) // _KMEANS_BATCH)
        report(0, total)
        for done, rows in enumerate(_batches(len(values), random), start=1):
            model.partial_fit(values[rows])
            report(done, total)
    return torch.from_numpy(model.cluster_centers_.astype(np.float32)).to(points.device)


def _batches(points: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows of the mini-batches of several shuffled passes."""
    for _ in range(_KMEANS_PASSES):
        order = random.permutation(points)
        for begin in range(0, points, _KMEANS_BATCH):
            yield order[begin : begin + _KMEANS_BATCH]


def mean_nearest_squared(patches: Tensor, bank: Tensor) -> float:
    """Mean squared distance from a patch to its nearest centre."""
    return float(nearest_centres(patches, bank, 1)[0].mean())


@torch.no_grad()
def centre_radii(images: Iterable[Described], count: int, bank: Tensor, seed: int) -> Tensor:
    """The radius of each centre's own hypersphere: the mean distance of the good patches nearest to it.

    Few patches say little: each mean is drawn to that of all patches, as by `_PRIOR_PATCHES` more that lie so far.

    Args:
        images: Under the trained descriptor.
        count: How many there are.
        bank: (M, D') centres.
        seed: Draws the patches.

    Returns:
        (M,) float32, on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    quota = -(-GLOBAL_SAMPLE // count)
    counts, sums = torch.zeros(len(bank)), torch.zeros(len(bank))
    for phi, valid in images:
        patches = phi[valid]
        drawn = torch.randperm(len(patches), generator=generator)[:quota].to(patches.device)
        distances, rows = (found[:, 0].cpu() for found in nearest_centres(patches[drawn], bank, 1))
        counts.index_add_(0, rows, torch.ones_like(distances))
        sums.index_add_(0, rows, distances.sqrt())
    mean = sums.sum() / counts.sum()
    return (sums + _PRIOR_PATCHES * mean) / (counts + _PRIOR_PATCHES)
