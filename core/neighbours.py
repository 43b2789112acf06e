"""Nearest centres of many descriptors, tile by tile: the whole distance matrix never exists."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.cuda.kernels import ellipsoid_distances
from core.cuda.search import HalfSearch
from core.openvino_runtime import CompiledModel, load_openvino

QUERY_TILE = 784
BANK_TILE = 1024


@torch.no_grad()
def nearest_centres(queries: Tensor, bank: Tensor, count: int, *, plain: bool = False) -> tuple[Tensor, Tensor]:
    """The nearest centres of every query, on a CPU by OpenVINO where that is installed, on a card as `HalfSearch` does.

    Ranks by ``|c|^2 - 2 q.c``, which orders as the squared distance does, and adds ``|q|^2`` to the winners alone.

    Args:
        queries: (n, D') descriptors.
        bank: (M, D') centres, M >= count.
        count: How many centres for each query.
        plain: By torch in any case; OpenVINO keeps a copy of the bank for each of its threads.

    Returns:
        Squared Euclidean distances (n, count), ascending and not negative, and the centres' rows (n, count) int64.
    """
    if len(bank) < count:
        raise ValueError(f"the bank holds {len(bank)} centres, fewer than the {count} asked for")
    if queries.is_cuda:
        return HalfSearch(bank, count)(queries)
    norms = bank.square().sum(dim=1)  # (M,)
    search = None if plain else _compiled_search(count)
    ranks = queries.new_empty(len(queries), count)
    rows = torch.empty(len(queries), count, dtype=torch.int64, device=queries.device)
    for start in range(0, len(queries), QUERY_TILE):
        tile, part = queries[start : start + QUERY_TILE], slice(start, start + QUERY_TILE)
        if search is None:
            ranks[part], rows[part] = _search_tile(tile, bank, norms, count)
        else:  # into numpy: between two calls torch's threads would be in the way
            ranks.numpy()[part], rows.numpy()[part] = search([values.numpy() for values in (tile, bank, norms)])
    if count == 1:  # without the cancellation of large norms
        return (queries - bank[rows[:, 0]]).square().sum(dim=1, keepdim=True), rows
    return ranks.add_(queries.square().sum(dim=1, keepdim=True)).clamp_(min=0.0), rows


def _search_tile(tile: Tensor, bank: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Running top-k of one tile of queries over all tiles of the bank."""
    best: Tensor | None = None
    best_rows: Tensor | None = None
    for start in range(0, len(bank), BANK_TILE):
        part = bank[start : start + BANK_TILE]
        ranks = torch.addmm(norms[start : start + BANK_TILE], tile, part.T, alpha=-2.0)  # (n, tile)
        if count == 1:  # a tenth of the time of topk
            values, rows = ranks.min(dim=1, keepdim=True)
        else:
            values, rows = ranks.topk(min(count, len(part)), dim=1, largest=False, sorted=True)
        rows = rows + start
        if best is not None and best_rows is not None:
            values = torch.cat((best, values), dim=1)
            rows = torch.cat((best_rows, rows), dim=1)
            values, order = values.topk(min(count, values.shape[1]), dim=1, largest=False, sorted=True)
            rows = rows.gather(1, order)
        best, best_rows = values, rows
    if best is None or best_rows is None:
        raise ValueError("the bank is empty")
    return best, best_rows


@lru_cache(maxsize=8)
def _compiled_search(count: int) -> CompiledModel | None:
    """What `_search_tile` computes, as a model of (n, D') queries, (M, D') bank and (M,) norms; None: no OpenVINO."""
    try:
        openvino = load_openvino()
    except ImportError:
        return None
    ops = openvino.opset13
    queries, bank = (ops.parameter([-1, -1], np.float32) for _ in range(2))
    norms = ops.parameter([-1], np.float32)
    products = ops.matmul(queries, bank, transpose_a=False, transpose_b=True)
    ranks = ops.add(ops.multiply(products, ops.constant(np.float32(-2))), norms)
    found = ops.topk(ranks, ops.constant(np.int32(count)), axis=1, mode="min", sort="value", index_element_type="i64")
    return CompiledModel(openvino.Model([found.output(0), found.output(1)], [queries, bank, norms]))


class Ellipsoids(NamedTuple):
    """The shapes of the centres.

    Attributes:
        centres: (M, D').
        axes: (M, A, R) orthogonal directions of each centre in the basis, no longer than 1: a step along one of length
            a counts 1 - a² of its square.
        basis: (R, D') orthonormal directions.
        feet: (M, R) the centres in the basis.
    """

    centres: Tensor
    axes: Tensor
    basis: Tensor
    feet: Tensor


def ellipsoids(centres: Tensor, axes: Tensor, basis: Tensor) -> Ellipsoids:
    """The same with the feet that belong to them."""
    return Ellipsoids(centres, axes, basis, centres @ basis.T)


CANDIDATES = 3
"""Centres nearest by plain distance, among which the one is that is nearest by its ellipsoid."""


@torch.no_grad()
def nearest_ellipsoid(queries: Tensor, shapes: Ellipsoids, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of some centres of every query, the one that is nearest when the centres' axes count.

    Args:
        queries: (n, D').
        shapes: Of all centres.
        rows: (n, k) rows of those to choose from.

    Returns:
        Squared distances (n, 1), not negative, and rows (n, 1).
    """
    foot = queries @ shapes.basis.T
    counted = ellipsoid_distances(queries, foot, shapes.centres, shapes.feet, shapes.axes, rows)
    distances, best = counted.min(dim=1, keepdim=True)
    return distances, rows.gather(1, best)


class _DistancesToCentres(torch.autograd.Function):
    """Squared distances to known centres, with gradient to the queries and without gathering the centres."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, bank: Tensor, distances: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(queries, bank, rows)
        return distances.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        queries, bank, rows = ctx.saved_tensors
        (weights,) = gradients  # (n, k); d|q - c_k|^2 / dq = 2 (q - c_k)
        centres = functional.embedding_bag(rows, bank, mode="sum", per_sample_weights=weights)  # (n, D')
        gradient = (queries * weights.sum(dim=1, keepdim=True)).sub_(centres).mul_(2.0)
        return gradient, None, None, None


def distances_to_nearest(queries: Tensor, bank: Tensor, count: int) -> Tensor:
    """As `nearest_centres`, the distances alone, differentiable in the queries; the search itself needs no gradient.

    Args:
        queries: (n, D').
        bank: (M, D') without gradient.
        count: How many centres.

    Returns:
        (n, count) squared distances, ascending.
    """
    return distances_to_known(queries, bank, *nearest_centres(queries.detach(), bank, count))


def distances_to_known(queries: Tensor, bank: Tensor, distances: Tensor, rows: Tensor) -> Tensor:
    """Distances that a search has found, made differentiable in the queries.

    Args:
        queries: (n, D').
        bank: (M, D') without gradient.
        distances: (n, count) squared distances to the centres `rows`.
        rows: (n, count) int64.
    """
    result: Tensor = _DistancesToCentres.apply(queries, bank, distances, rows)
    return result
