"""The kernels of `core.cuda.kernels` in Triton. Imported only where Triton is wanted."""

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

_BLOCK = 1024
_TILE = 2048
"""Numbers of a centre's axes that one program holds at once."""

# Types in the signature of a kernel would be read by Triton; names in capitals are constants when it is compiled.
# ruff: noqa: N803


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _split(x, out, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    value = tl.load(x + at, mask=inside)
    high = (value.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
    to = out + at + 2 * CHANNELS * (at // CHANNELS)
    tl.store(to, high, mask=inside)
    tl.store(to + CHANNELS, value - high, mask=inside)
    tl.store(to + 2 * CHANNELS, high, mask=inside)


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _squared_distances(  # type: ignore[no-untyped-def]
    queries, bank, rows, out, WIDTH: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr
):
    query = tl.program_id(0).to(tl.int64)
    for k in tl.static_range(COUNT):
        row = tl.load(rows + query * COUNT + k)
        total = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, WIDTH, BLOCK):
            at = start + tl.arange(0, BLOCK)
            inside = at < WIDTH
            apart = tl.load(queries + query * WIDTH + at, mask=inside, other=0.0)
            apart -= tl.load(bank + row * WIDTH + at, mask=inside, other=0.0)
            total += apart * apart
        tl.store(out + query * COUNT + k, tl.sum(total))


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _ellipsoid_distances(  # type: ignore[no-untyped-def]
    queries,
    foot,
    centres,
    feet,
    axes,
    rows,
    out,
    WIDTH: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    COUNT: tl.constexpr,
    AXES: tl.constexpr,
    LANES: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64)
    query, row = pair // COUNT, tl.load(rows + pair)
    squares = tl.zeros((WIDE,), tl.float32)
    for start in range(0, WIDTH, WIDE):
        at = start + tl.arange(0, WIDE)
        apart = tl.load(queries + query * WIDTH + at, mask=at < WIDTH, other=0.0)
        apart -= tl.load(centres + row * WIDTH + at, mask=at < WIDTH, other=0.0)
        squares += apart * apart
    axis = tl.arange(0, LANES)[:, None]
    total = tl.zeros((LANES, BLOCK), tl.float32)
    for start in range(0, DIRECTIONS, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < DIRECTIONS
        apart = tl.load(foot + query * DIRECTIONS + at, mask=inside, other=0.0)
        apart -= tl.load(feet + row * DIRECTIONS + at, mask=inside, other=0.0)
        held = (axis < AXES) & inside[None, :]
        total += tl.load(axes + (row * AXES + axis) * DIRECTIONS + at[None, :], mask=held, other=0.0) * apart[None, :]
    along = tl.sum(total, axis=1)
    tl.store(out + pair, tl.maximum(tl.sum(squares) - tl.sum(along * along), 0.0))


def split(rows: Tensor) -> Tensor:
    """See `core.cuda.kernels.split`."""
    channels = rows.shape[3]
    out = rows.new_empty(*rows.shape[:3], 3 * channels)
    count = rows.numel()
    _split[(triton.cdiv(count, _BLOCK),)](rows, out, count, CHANNELS=channels, BLOCK=_BLOCK)
    return out


def squared_distances(queries: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """See `core.cuda.kernels.squared_distances`."""
    queries, bank, rows = queries.contiguous(), bank.contiguous(), rows.contiguous()
    count, width = rows.shape[1], queries.shape[1]
    out = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    block = min(_BLOCK, triton.next_power_of_2(width))
    warps = 4 if block >= 512 else 1
    _squared_distances[(len(queries),)](
        queries, bank, rows, out, WIDTH=width, COUNT=count, BLOCK=block, num_warps=warps
    )
    return out


def ellipsoid_distances(
    queries: Tensor, foot: Tensor, centres: Tensor, feet: Tensor, axes: Tensor, rows: Tensor
) -> Tensor:
    """See `core.cuda.kernels.ellipsoid_distances`."""
    given = [part.contiguous() for part in (queries, foot, centres, feet, axes, rows)]
    count, directions = axes.shape[1:]
    out = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    lanes = triton.next_power_of_2(count)
    _ellipsoid_distances[(rows.numel(),)](
        *(*given, out),
        WIDTH=queries.shape[1],
        DIRECTIONS=directions,
        COUNT=rows.shape[1],
        AXES=count,
        LANES=lanes,
        WIDE=min(_BLOCK, triton.next_power_of_2(queries.shape[1])),
        BLOCK=max(16, min(_TILE // lanes, triton.next_power_of_2(directions))),
        num_warps=4,
    )
    return out
