"""Kernels in Triton, where it is there and works; each has a plain counterpart in torch that gives the same.

Triton comes with torch on Linux and asks for a C compiler once. Without either the plain counterparts take their place.
"""

import logging
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

_LOG = logging.getLogger(__name__)
_TILE = 784
HIGH = -(1 << 13)
"""The bits of a float32 that TF32 keeps."""


def split(rows: Tensor) -> Tensor:
    """Numbers split for TF32, ``x = high + low``: the high parts, the low parts, the high parts again.

    Args:
        rows: (b, h, w, c) float32, contiguous.

    Returns:
        (b, h, w, 3 c) float32.
    """
    fast = triton_kernels(cuda=rows.is_cuda)
    parts: Tensor = split_plainly(rows) if fast is None else fast.split(rows)
    return parts


def split_plainly(rows: Tensor) -> Tensor:
    """`split` in torch."""
    channels = rows.shape[3]
    parts = rows.new_empty(*rows.shape[:3], 3 * channels)
    high, low, again = torch.split(parts, channels, dim=3)
    torch.bitwise_and(rows.view(torch.int32), HIGH, out=high.view(torch.int32))
    torch.sub(rows, high, out=low)
    again.copy_(high)
    return parts


def squared_distances(queries: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """Squared distances to chosen centres, by subtraction.

    Args:
        queries: (n, D') float32.
        bank: (M, D') float32.
        rows: (n, k) int64.

    Returns:
        (n, k) float32.
    """
    fast = triton_kernels(cuda=queries.is_cuda)
    found: Tensor = (squared_distances_plainly if fast is None else fast.squared_distances)(queries, bank, rows)
    return found


def squared_distances_plainly(queries: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """`squared_distances` in torch."""
    return (queries[:, None] - bank[rows]).square().sum(dim=2)


def ellipsoid_distances(
    queries: Tensor, foot: Tensor, centres: Tensor, feet: Tensor, axes: Tensor, rows: Tensor
) -> Tensor:
    """Squared distances to chosen centres, their axes counted; see `core.neighbours.Ellipsoids`.

    Args:
        queries: (n, D') float32.
        foot: (n, R) float32, the queries in the basis of the axes.
        centres: (M, D') float32.
        feet: (M, R) float32, the centres in that basis.
        axes: (M, A, R) float32, A > 0.
        rows: (n, k) int64.

    Returns:
        (n, k) float32, not negative.
    """
    fast = triton_kernels(cuda=queries.is_cuda)
    measure = ellipsoid_distances_plainly if fast is None else fast.ellipsoid_distances
    found: Tensor = measure(queries, foot, centres, feet, axes, rows)
    return found


def ellipsoid_distances_plainly(
    queries: Tensor, foot: Tensor, centres: Tensor, feet: Tensor, axes: Tensor, rows: Tensor
) -> Tensor:
    """`ellipsoid_distances` in torch, tile by tile: the axes of all queries at once would be large."""
    found = queries.new_empty(rows.shape)
    tile = max(1, _TILE // rows.shape[1])
    for start in range(0, len(queries), tile):
        part = slice(start, start + tile)
        own = rows[part]
        apart = queries[part, None] - centres[own]  # (tile, k, D')
        along = (axes[own] @ (foot[part, None] - feet[own])[..., None]).square().sum(dim=(2, 3))
        found[part] = (apart.square().sum(dim=2) - along).clamp_(min=0.0)
    return found


@lru_cache(maxsize=2)
def triton_kernels(*, cuda: bool) -> ModuleType | None:
    """The module with the kernels, or None where they cannot run or do not give what torch gives."""
    if not cuda:
        return None
    try:
        from core.cuda import triton_kernels as module

        same = agree(module, torch.device("cuda"))
    except Exception as error:  # noqa: BLE001  a missing compiler, another driver: Triton has many ways to fail
        _LOG.warning("Without Triton some steps on the graphics card take longer: %s", error)
        return None
    if not same:
        _LOG.warning("Triton does not compute what torch computes, and is left out.")
    return module if same else None


def agree(module: ModuleType, device: torch.device) -> bool:
    """Whether the kernels give on a small case what their plain counterparts give."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 300), (5, 40), (7, 300), (7, 40), (7, 3, 40))
    queries, foot, bank, feet, axes = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    rows = torch.randint(0, 7, (5, 2), generator=generator).to(device)
    given = (queries, foot, bank, feet, axes / 30, rows)
    pairs = [
        (module.squared_distances(queries, bank, rows), squared_distances_plainly(queries, bank, rows)),
        (module.ellipsoid_distances(*given), ellipsoid_distances_plainly(*given)),
    ]
    parts = queries.view(1, 1, 5, 300)
    return torch.equal(module.split(parts), split_plainly(parts)) and all(
        torch.allclose(found, right, rtol=1e-4, atol=1e-6) for found, right in pairs
    )
