"""Two kernels in Triton, where it is there and works; each has a plain counterpart in torch that gives the same.

Triton comes with torch on Linux and asks for a C compiler once. Without either the plain counterparts take their place.
"""

import logging
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_LOG = logging.getLogger(__name__)
HIGH = -(1 << 13)
"""The bits of a float32 that TF32 keeps."""


def split(rows: Tensor) -> Tensor:
    """Numbers split for TF32, ``x = high + low``: the high parts, the low parts, the high parts again.

    Args:
        rows: (b, h, w, c) float32, contiguous.

    Returns:
        (b, h, w, 3 c) float32.
    """
    triton_kernels = _usable(rows.is_cuda)
    return split_plainly(rows) if triton_kernels is None else triton_kernels.split(rows)  # type: ignore[no-any-return]


def split_plainly(rows: Tensor) -> Tensor:
    """`split` in torch."""
    channels = rows.shape[3]
    parts = rows.new_empty(*rows.shape[:3], 3 * channels)
    high, low, again = parts.split(channels, dim=3)
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
    triton_kernels = _usable(queries.is_cuda)
    if triton_kernels is None:
        return squared_distances_plainly(queries, bank, rows)
    return triton_kernels.squared_distances(queries, bank, rows)  # type: ignore[no-any-return]


def squared_distances_plainly(queries: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """`squared_distances` in torch."""
    return (queries[:, None] - bank[rows]).square().sum(dim=2)


@lru_cache(maxsize=2)
def _usable(cuda: bool) -> Any:
    """The module with the kernels, or None where they cannot run or do not give what torch gives."""
    if not cuda:
        return None
    try:
        from core.cuda import triton_kernels

        queries, bank = torch.randn(5, 300, device="cuda"), torch.randn(7, 300, device="cuda")
        rows = torch.randint(0, 7, (5, 2), device="cuda")
        found, right = (
            triton_kernels.squared_distances(queries, bank, rows),
            squared_distances_plainly(queries, bank, rows),
        )
        parts = queries.view(1, 1, 5, 300)
        same = torch.equal(triton_kernels.split(parts), split_plainly(parts)) and torch.allclose(
            found, right, rtol=1e-5
        )
    except Exception as error:  # noqa: BLE001  a missing compiler, another driver: Triton has many ways to fail
        _LOG.warning("Without Triton some steps on the graphics card take longer: %s", error)
        return None
    if not same:
        _LOG.warning("Triton does not compute what torch computes, and is left out.")
    return triton_kernels if same else None
