"""The loop over the rows of the grid that finds nearest centres, as a graph of OpenVINO operations.

What the coarser levels contribute is computed at their own resolution; each row of the grid mixes the two rows of each
coarser level between which it lies, so that nothing of the size of patches times centres ever exists.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.descriptor import coordinate_channels
from core.openvino_runtime import load_openvino
from core.search_loop import SearchLoop

_BLOCK = 32
"""Centres of which first the best alone is looked at, where several are asked for."""
_AT_HAND = 2048
"""Centres whose ranks are at hand at once, at most: more take more memory and are not faster."""
_FEW = 3000
"""Centres times how many are asked for: fewer are looked through once for each."""
_FAR = np.float32(1e30)
_FAR_END = 2**31 - 1
Grids = tuple[tuple[int, int], ...]
"""(h_l, w_l) of each level, finest first."""


@lru_cache(maxsize=32)
def tables(images: int, grids: Grids, step: int, *, carried: bool) -> tuple[NDArray[Any], ...]:
    """What the loop needs to know of a grid, in the order of `SearchGraph.tables`.

    Args:
        images: b.
        grids: (h_l, w_l) of each level, finest first.
        step: Rows that are done at once. The last row comes again until their number n is a multiple of it.
        carried: Whether what coarser levels contribute is carried; see `SearchGraph`.

    Returns:
        The rows to look at, (n,) int32. Constants (n, w, 3): row, column, 1. Weights along a row (1, w, sum of w_l).
        For each coarser level, if carried, the rows that come new at each turn, (n * h_l / h,) int32; the rows above
        and below each row of the grid, (n,) int32, among all of the level or those at hand; and the share (n, 1, 1) of
        the one below.
    """
    grid = grids[0]
    rows, columns = coordinate_channels(grid, torch.device("cpu"))
    count = images * grid[0]
    looked_at = torch.arange(-(-count // step) * step).clamp_(max=count - 1)
    constants = torch.stack((rows, columns, torch.ones(grid)), dim=2)[looked_at % grid[0]]
    along = torch.cat([upsampling(grid[1], level[1]) for level in grids[1:]], dim=1)[None]
    found = [looked_at.int().numpy(), constants.numpy(), along.numpy()]
    turns = torch.arange(len(looked_at) // step)
    for level in grids[1:]:
        down = upsampling(grid[0], level[0])
        above = (down > 0).int().argmax(dim=1)
        below = (above + 1).clamp(max=level[0] - 1)
        share = torch.where(below > above, down.gather(1, below[:, None])[:, 0], 0.0)
        offsets = looked_at // grid[0] * level[0]
        if carried:
            # A turn needs its own rows of this level, the one before them and the one after. The first two of these the
            # turn before it has left; before the first turn row 0 stands for both.
            new = step * level[0] // grid[0]
            coming = turns[:, None] * new + torch.arange(1, new + 1)
            found.append(coming.clamp_(max=images * level[0] - 1).flatten().int().numpy())
            offsets = offsets - (turns * new - 1).repeat_interleave(step)
        found += [(offsets + part[looked_at % grid[0]]).int().numpy() for part in (above, below)]
        found.append(share[looked_at % grid[0]].view(-1, 1, 1).numpy())
    return tuple(found)


@lru_cache(maxsize=32)
def strips(images: int, grids: Grids, step: int, count: int) -> tuple[tuple[NDArray[Any], ...], ...]:
    """The tables of up to `count` loops that share the rows of the grid, as many each, nothing being carried.

    Args:
        images: See `tables`.
        grids: See `tables`.
        step: See `tables`.
        count: At most; fewer where there are few rows.
    """
    size = step * -(-images * grids[0][0] // (step * count))
    whole = tables(images, grids, size, carried=False)
    rows = len(whole[0])
    return tuple(
        tuple(table[start : start + size] if len(table) == rows else table for table in whole)
        for start in range(0, rows, size)
    )


@lru_cache(maxsize=32)
def upsampling(size: int, coarse: int) -> Tensor:
    """(size, coarse) weights by which bilinear upsampling mixes what lies along one axis."""
    eye = torch.eye(coarse)[None]
    return functional.interpolate(eye, size=size, mode="linear", align_corners=False)[0].T.contiguous()


def ranges(centres: int) -> list[int]:
    """Where to divide the columns of so many centres into ranges, if at all, each of which is at hand at once."""
    count = -(-centres // _AT_HAND)
    return list(range(width := -(-centres // (count * _BLOCK)) * _BLOCK, centres, width))


class _Rows(NamedTuple):
    """The rows of a coarser level above and below each row of the grid that is done at once, as nodes.

    Attributes:
        values: (rows, w_l, columns) products to mix, one for each matrix.
        above: (step,) int32.
        below: (step,) int32.
        share: (step, 1, 1), of the row below.
    """

    values: Sequence[Any]
    above: Any
    below: Any
    share: Any


class SearchGraph:
    """Builds the loop.

    What the coarser levels contribute is made for the whole picture before the loop, or, carried, as the loop goes
    along: each turn makes the rows that come new and hands the last two on to the next. That needs less memory where
    there are many columns, since a loop copies what it shares; but each turn reads the levels' matrices once more.

    Attributes:
        openvino: The package.
        count: How many centres are looked for.
        tables: The parameters that `tables` fills, in order.
    """

    def __init__(self, count: int, step: int, carried: Sequence[int] = ()) -> None:
        """An empty graph.

        Args:
            count: How many centres are looked for.
            step: Rows that are done at once.
            carried: Rows of the grid to each row of every coarser level, of which the step is a multiple, where what
                these contribute is carried.

        Raises:
            ImportError: OpenVINO is not installed.
        """
        self.openvino = load_openvino()
        self.ops = self.openvino.opset13
        self.tables: list[Any] = []
        self.count, self._step, self._carried = count, step, carried

    def over_rows(
        self,
        maps: Sequence[Any],
        matrices: Sequence[Sequence[Any]],
        row: Callable[[Sequence[Any]], Sequence[Any]],
        plain: int | None = None,
    ) -> list[Any]:
        """Apply matrices to each level, add up the upsampled products, and do something with each row of the sums.

        Args:
            maps: Nodes (b, h_l, w_l, channels), finest first.
            matrices: For each level the same number of (channels, columns) matrices, arrays or nodes; those of the
                finest level also weigh the constants. Those of a finer level may have fewer columns than those of a
                coarser one: the rest is 0. None for a matrix where a coarser level's map is its product already.
            row: From nodes (step, w, columns), one for each matrix, to outputs (step, w, anything).
            plain: If given, of the last matrix's sums these first columns are wanted as they are, (step, w, plain), and
                of the others the squared lengths alone, (step, w, 1): one node for these, and behind it one for those,
                if any.

        Returns:
            Outputs of all rows, (n, w, anything), of which the last may be of a row that came again; see `tables`.
        """
        looked_at = self.parameter(-1, kind=np.int32)
        constants, along = self.parameter(-1, -1, 3), self.parameter(1, -1, -1)
        self.tables = [looked_at, constants, along]
        loop = SearchLoop(self.openvino)
        rows = self.ops.gather(self._in_rows(maps[0]), looked_at, self.scalar(0))
        finest = self.ops.concat([loop.sliced(rows, self._step), loop.sliced(constants, self._step)], 2)
        weights = loop.shared(along)
        coarse = []
        for level, (values, of_level) in enumerate(zip(maps[1:], matrices[1:], strict=True)):
            flat = self._in_rows(values)
            products = self._carry(loop, level, flat, of_level) if self._carried else self._share(loop, flat, of_level)
            mixing = [self.parameter(-1, kind=np.int32), self.parameter(-1, kind=np.int32), self.parameter(-1, 1, 1)]
            self.tables += mixing
            coarse.append(_Rows(products, *(loop.sliced(part, self._step) for part in mixing)))
        sums, last = [], len(matrices[0]) - 1
        for index, matrix in enumerate(matrices[0]):
            fine, pieces = self._product_inside(loop, finest, matrix), self._pieces(weights, coarse, index)
            measured = plain is not None and index == last
            sums += self._lengths(fine, pieces, plain or 0) if measured else [self._sum(fine, pieces)]
        return loop.close(row(sums), self._step)

    def smallest_of_all(self, in_ranges: Sequence[Any]) -> tuple[Any, Any]:
        """The same as `smallest`, of ranks that come range by range."""
        ops, start, found = self.ops, 0, []
        for ranks in in_ranges:
            values, places = self.smallest(ranks)
            found.append((values, ops.add(places, self.scalar(start)).output(0) if start else places))
            start += last_axis(ranks)
        if len(found) == 1:
            return found[0]
        values, places = (ops.concat(list(of_all), 2) for of_all in zip(*found, strict=True))
        best = self._top(values, 2, self.count)
        return best.output(0), ops.gather_elements(places, best.output(1), 2).output(0)

    def smallest(self, ranks: Any) -> tuple[Any, Any]:
        """The `count` smallest of (step, w, M) ranks and where they stand, (step, w, count) each, ascending."""
        centres, count = last_axis(ranks), self.count
        if 1 < count <= centres < _FEW // count:
            return self._one_by_one(ranks)
        if count == 1 or centres < 2 * count * _BLOCK:
            found = self._top(ranks, 2, count)
            return found.output(0), found.output(1)
        ops, blocks = self.ops, -(-centres // _BLOCK)
        if padding := blocks * _BLOCK - centres:
            ranks = ops.pad(ranks, self.ints(0, 0, 0), self.ints(0, 0, padding), "constant", ops.constant(_FAR))
        ranks = ops.reshape(ranks, self.ints(-1, blocks, _BLOCK), special_zero=False)
        # the smallest numbers lie in the blocks with the smallest minima
        best = self._top(ops.reduce_min(ranks, self.ints(2), keep_dims=False), 1, count).output(1)  # (step * w, count)
        members = ops.gather(ranks, best, self.scalar(1), batch_dims=1)  # (step * w, count, _BLOCK)
        members = ops.reshape(members, self.ints(-1, count * _BLOCK), special_zero=False)
        chosen = self._top(members, 1, count)
        size = self.scalar(_BLOCK)
        block = ops.gather_elements(best, ops.divide(chosen.output(1), size), 1)
        rows = ops.add(ops.multiply(block, size), ops.floor_mod(chosen.output(1), size))
        shape = self.ints(self._step, -1, count)
        values, rows = (ops.reshape(found, shape, special_zero=False) for found in (chosen.output(0), rows))
        return values.output(0), rows.output(0)

    def _one_by_one(self, ranks: Any) -> tuple[Any, Any]:
        """The smallest; it is then made large, and so on: fast where there are few."""
        ops = self.ops
        found = [self._top(ranks, 2, 1)]
        for _ in range(1, self.count):
            place = found[-1].output(1)
            far = ops.broadcast(ops.constant(_FAR), ops.shape_of(place, "i32"))
            ranks = ops.scatter_elements_update(ranks, place, far, self.scalar(2))
            found.append(self._top(ranks, 2, 1))
        values, rows = (ops.concat([one.output(index) for one in found], 2).output(0) for index in (0, 1))
        return values, rows

    def parameter(self, *shape: int, kind: type = np.float32) -> Any:
        """An input; -1 where its size may vary."""
        return self.ops.parameter(list(shape), kind)

    def kept(self, values: NDArray[Any]) -> Any:
        """A constant in the array's own memory, which must not be written to any more."""
        return self.ops.constant(values, shared_memory=True)

    def ints(self, *values: int) -> Any:
        """A constant vector."""
        return self.ops.constant(np.array(values, np.int32))

    def scalar(self, value: int) -> Any:
        """A constant."""
        return self.ops.constant(np.int32(value))

    def product(self, one: Any, other: Any) -> Any:
        """Of two matrices, or of two stacks of them."""
        return self.ops.matmul(one, other, transpose_a=False, transpose_b=False)

    def _share(self, loop: SearchLoop, rows: Any, matrices: Sequence[Any]) -> list[Any]:
        """Inside the loop, the products of all rows of a coarser level (b * h_l, w_l, channels)."""
        given = (rows if matrix is None else self.product(rows, self._node(matrix)) for matrix in matrices)
        return [loop.shared(values) for values in given]

    def _carry(self, loop: SearchLoop, level: int, rows: Any, matrices: Sequence[Any]) -> list[Any]:
        """The same of the rows that a turn needs: two that the one before it left, and those that come new."""
        ops, count = self.ops, self._step // self._carried[level]
        self.tables.append(self.parameter(-1, kind=np.int32))
        new = loop.sliced(ops.gather(rows, self.tables[-1], self.scalar(0)), count)
        first = ops.gather(rows, self.ints(0), self.scalar(0))

        def turn(matrix: Any, before: Any) -> tuple[Any, Any]:
            found = ops.concat([before, self._product_inside(loop, new, matrix)], 0)
            return found, ops.slice(found, self.ints(count), self.ints(_FAR_END), self.ints(1), self.ints(0))

        before = (self.product(first, self._node(part)) for part in matrices)
        twice = [ops.concat([one, one], 0) for one in before]
        return [loop.carried(one, partial(turn, part)) for one, part in zip(twice, matrices, strict=True)]

    def _product_inside(self, loop: SearchLoop, values: Any, matrix: Any) -> Any:
        """A product in the body of the loop, where a constant must stand inside to be packed once."""
        return self.product(values, self.kept(matrix) if isinstance(matrix, np.ndarray) else loop.shared(matrix))

    def _pieces(self, weights: Any, levels: Sequence[_Rows], index: int) -> list[tuple[Any, Any]]:
        """What the coarser levels give to a row, piece by piece of the columns that the same levels fill.

        Each piece is a product: of weights along the row (1, w, n) and the values of n cells (step, n, columns).
        """
        ops = self.ops
        mixed = [self._mixed(level, index) for level in levels]  # (step, w_l, columns of this level)
        pieces, start, places = [], 0, self.ints(0)
        for number, values in enumerate(mixed):
            if (end := last_axis(values)) > start:  # columns that this level and all coarser ones have
                own = [self._cut(other, self.ints(start), self.ints(end)) for other in mixed[number:]]
                pieces.append((self._cut(weights, places, self.ints(_FAR_END)), ops.concat(own, 1)))
                start = end
            width = ops.gather(ops.shape_of(values, "i32"), self.ints(1), self.scalar(0))
            places = ops.add(places, width)
        return pieces

    def _sum(self, fine: Any, pieces: Sequence[tuple[Any, Any]]) -> Any:
        """(step, w, columns): the finest level's products and the other levels' upsampled ones."""
        products = [self.product(*piece) for piece in pieces]
        if missing := last_axis(products[0]) - last_axis(fine):
            fine = self.ops.pad(fine, self.ints(0, 0, 0), self.ints(0, 0, missing), "constant")
        products[0] = self.ops.add(products[0], fine)
        return self.ops.concat(products, 2) if len(products) > 1 else products[0]

    def _lengths(self, fine: Any, pieces: Sequence[tuple[Any, Any]], plain: int) -> list[Any]:
        """Squared lengths (step, w, 1) of the sums, and their first columns if these are plain.

        Only the columns that the finest level fills are computed. The others are upsampled, which is linear: their
        squared length is that of the products of the cells with each other, upsampled along both axes.
        """
        ops = self.ops
        own, last = self.ints(last_axis(fine)), self.ints(2)
        (along, values), *rest = pieces
        whole = ops.add(self.product(along, self._cut(values, self.ints(0), own)), fine)
        first, whole = self._split(whole, plain)
        found = ops.reduce_sum(ops.multiply(whole, whole), last, keep_dims=True)
        if last_axis(values) > last_axis(fine):
            rest = [(along, self._cut(values, own, self.ints(_FAR_END))), *rest]
        for weights, cells in rest:
            products = ops.matmul(cells, cells, transpose_a=False, transpose_b=True)  # (step, n, n)
            upsampled = ops.multiply(self.product(weights, products), weights)
            found = ops.add(found, ops.reduce_sum(upsampled, last, keep_dims=True))
        return [found, *first]

    def _split(self, values: Any, plain: int) -> tuple[list[Any], Any]:
        """The first columns, if any are plain, and the others."""
        if not plain:
            return [], values
        end = self.ints(plain)
        return [self._cut(values, self.ints(0), end)], self._cut(values, end, self.ints(_FAR_END))

    def _cut(self, values: Any, start: Any, end: Any) -> Any:
        """What lies between on the last axis; start and end are vectors of one number."""
        return self.ops.slice(values, start, end, self.ints(1), self.ints(2))

    def _mixed(self, level: _Rows, index: int) -> Any:
        ops = self.ops
        above, below = (ops.gather(level.values[index], at, self.scalar(0)) for at in (level.above, level.below))
        return ops.add(above, ops.multiply(ops.subtract(below, above), level.share))

    def _top(self, values: Any, axis: int, count: int) -> Any:
        return self.ops.topk(values, self.scalar(count), axis=axis, mode="min", sort="value", index_element_type="i32")

    def _in_rows(self, values: Any) -> Any:
        """(b, h, w, channels) as (b * h, w, channels)."""
        sizes = self.ops.gather(self.ops.shape_of(values, "i32"), self.ints(2, 3), self.scalar(0))
        return self.ops.reshape(values, self.ops.concat([self.ints(-1), sizes], 0), special_zero=False)

    def _node(self, matrix: Any) -> Any:
        return self.kept(matrix) if isinstance(matrix, np.ndarray) else matrix


def last_axis(node: Any) -> int:
    """How long a node's last axis is."""
    shape = node.get_output_partial_shape(0)
    return int(shape[len(shape) - 1].get_length())
