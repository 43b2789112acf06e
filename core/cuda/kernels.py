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


def squares_along(queries: Tensor, bank: Tensor, axes: Tensor, rows: Tensor) -> Tensor:
    """How much of a squared distance lies along the axes of a chosen centre.

    Args:
        queries: (n, D') float32.
        bank: (M, D') float32.
        axes: (M, A, D') float32, A > 0.
        rows: (n,) int64.

    Returns:
        (n,) float32: the sum of the squares of ``axes[row] (query - bank[row])``.
    """
    fast = triton_kernels(cuda=queries.is_cuda)
    found: Tensor = (squares_along_plainly if fast is None else fast.squares_along)(queries, bank, axes, rows)
    return found


def squares_along_plainly(queries: Tensor, bank: Tensor, axes: Tensor, rows: Tensor) -> Tensor:
    """`squares_along` in torch, tile by tile: the axes of all queries at once would be large."""
    found = queries.new_empty(len(queries))
    for start in range(0, len(queries), _TILE):
        part = slice(start, start + _TILE)
        along = torch.einsum("nad,nd->na", axes[rows[part]], queries[part] - bank[rows[part]])
        torch.sum(along.square(), dim=1, out=found[part])
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
    queries, bank, axes = (torch.randn(shape, generator=generator) for shape in ((5, 300), (7, 300), (7, 3, 300)))
    rows = torch.randint(0, 7, (5, 2), generator=generator)
    queries, bank, axes, rows = (values.to(device) for values in (queries, bank, axes, rows))
    pairs = [
        (module.squared_distances(queries, bank, rows), squared_distances_plainly(queries, bank, rows)),
        (module.squares_along(queries, bank, axes, rows[:, 0]), squares_along_plainly(queries, bank, axes, rows[:, 0])),
    ]
    parts = queries.view(1, 1, 5, 300)
    return torch.equal(module.split(parts), split_plainly(parts)) and all(
        torch.allclose(found, right, rtol=1e-4, atol=1e-6) for found, right in pairs
    )
