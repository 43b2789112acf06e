"""From images to the nearest centres of every patch in one model, compiled by OpenVINO for a CPU.

Neither the descriptors nor the distances of a whole image exist at once: what the coarser levels contribute is computed
at their own resolution, and a loop over the rows of the grid adds it up (`core.folding`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.compiled_network import converted
from core.descriptor import coordinate_channels
from core.folding import FoldedSearch
from core.openvino_runtime import CompiledModel, load_openvino

_BLOCK = 32
"""Centres of which first the best alone is looked at, where several are asked for."""
_FAR = np.float32(1e30)


class CompiledSearch:
    """Images in, nearest centres of every patch out; may be called from any thread."""

    def __init__(self, pooled: nn.Module, example: Tensor, folded: FoldedSearch, strides: Sequence[int], count: int):
        """Compile.

        Args:
            pooled: From (b, H, W, 3) uint8 images to one (b, channels, h_l, w_l) map per level; in `eval()` mode.
            example: Images to trace it with.
            folded: What the maps are searched with.
            strides: Pixels per cell of each level.
            count: How many centres for each patch.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot take this network.
        """
        self._strides = tuple(strides)
        front = converted(pooled, (example,))
        front.reshape({0: [-1, -1, -1, 3]})
        self._model = CompiledModel(_Builder(folded, count).model(front))

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances, ascending, and the centres' rows, each (b, h, w, count), for images on the CPU.

        They hold until this thread's next call.
        """
        b, height, width = images.shape[:3]
        grids = tuple((height // stride, width // stride) for stride in self._strides)
        distances, rows = self._model([images.contiguous().numpy(), *_tables(b, grids)])
        shape = (b, *grids[0], distances.shape[2])
        found = torch.from_numpy(distances).view(shape), torch.from_numpy(rows).view(shape).long()
        if shape[3] == 1:
            return found
        ordered, order = found[0].sort(dim=3, stable=True)  # two that all but tie may have come the other way round
        return ordered, found[1].gather(3, order)


@lru_cache(maxsize=32)
def _tables(images: int, grids: tuple[tuple[int, int], ...]) -> tuple[NDArray[Any], ...]:
    """What the loop needs to know of a grid: constants, weights along a row, and for each level rows and weights."""
    grid = grids[0]
    rows, columns = coordinate_channels(grid, torch.device("cpu"))
    constants = torch.stack((rows, columns, torch.ones(grid)), dim=2).repeat(images, 1, 1)  # (b * h, w, 3)
    along = torch.cat([_upsampling(grid[1], level[1]) for level in grids[1:]], dim=1)[None]  # (1, w, sum of w_l)
    tables = [constants.numpy(), along.numpy()]
    for level in grids[1:]:
        down = _upsampling(grid[0], level[0])
        above = (down > 0).int().argmax(dim=1)
        below = (above + 1).clamp(max=level[0] - 1)
        share = torch.where(below > above, down.gather(1, below[:, None].long())[:, 0], 0.0)
        offsets = torch.arange(images)[:, None] * level[0]
        tables += [(offsets + part).flatten().int().numpy() for part in (above, below)]
        tables.append(share.repeat(images).view(-1, 1, 1).numpy())
    return tuple(tables)


def _upsampling(size: int, coarse: int) -> Tensor:
    """(size, coarse) weights by which bilinear upsampling mixes what lies along one axis."""
    eye = torch.eye(coarse)[None]
    return functional.interpolate(eye, size=size, mode="linear", align_corners=False)[0].T.contiguous()


class _Rows(NamedTuple):
    """The rows of a coarser level above and below each row of the grid.

    Attributes:
        values: Nodes of (b * h_l, w_l, columns) maps to mix.
        above: (b * h,) int32.
        below: (b * h,) int32.
        share: (b * h, 1, 1), of the row below.
    """

    values: Sequence[Any]
    above: Any
    below: Any
    share: Any


class _Builder:
    """Builds the model."""

    def __init__(self, folded: FoldedSearch, count: int) -> None:
        self._openvino = load_openvino()
        self._ops = self._openvino.opset13
        self._folded, self._count = folded, count
        self._centres, self._width = folded.centres.shape

    def model(self, front: Any) -> Any:
        """The front end's maps, the levels' products and the loop, as an `openvino.Model` of images and tables."""
        ops = self._ops
        maps = [ops.transpose(r.input_value(0), self._ints(0, 2, 3, 1)) for r in front.get_results()]
        constants, along = self._parameter(-1, -1, 3), self._parameter(1, -1, -1)
        finest = ops.reshape(maps[0], ops.concat([self._ints(-1), self._size_of(maps[0])], 0), special_zero=False)
        inputs, coarse = [constants, along], []
        for values, *matrices in zip(maps[1:], *self._matrices(slice(1, None)), strict=True):
            flat = ops.reshape(values, ops.concat([self._ints(-1), self._size_of(values)], 0), special_zero=False)
            products = [ops.matmul(flat, ops.constant(part), transpose_a=False, transpose_b=False) for part in matrices]
            above, below = (self._parameter(-1, kind=np.int32) for _ in range(2))
            rows = _Rows(products, above, below, self._parameter(-1, 1, 1))
            inputs += rows[1:]
            coarse.append(rows)
        found = self._loop(ops.concat([finest, constants], 2), along, coarse)
        return self._openvino.Model(found, [*front.get_parameters(), *inputs])

    def _matrices(self, levels: slice) -> list[Sequence[NDArray[np.float32]]]:
        """Those that are applied to each level: to the rotated descriptor, and, where that is less work, to ranks."""
        weights = [np.pad(part, ((0, 0), (0, self._width - part.shape[1]))) for part in self._folded.weights[levels]]
        return [weights, self._folded.products[levels]] if self._folded.in_parts else [weights]

    def _loop(self, finest: Any, along: Any, coarse: Sequence[_Rows]) -> list[Any]:
        """Row by row: distances and rows of the centres, each (b * h, w, count)."""
        loop = self._ops.tensor_iterator()
        row, weights = self._parameter(1, -1, self._folded.weights[0].shape[0]), self._parameter(1, -1, -1)
        inside = [row, weights]
        levels = []
        for level in coarse:
            values = [
                self._parameter(-1, -1, node.get_output_partial_shape(0)[2].get_length()) for node in level.values
            ]
            above, below = (self._parameter(1, kind=np.int32) for _ in range(2))
            levels.append(_Rows(values, above, below, self._parameter(1, 1, 1)))
            inside += [*values, *levels[-1][1:]]
        results = [self._ops.result(output) for output in self._row(row, weights, levels)]
        loop.set_function(self._openvino.Model(results, inside))
        loop.set_sliced_input(row, finest.output(0), 0, 1, 1, -1, 0)
        loop.set_invariant_input(weights, along.output(0))
        for inner, outer in zip(levels, coarse, strict=True):
            for own, node in zip(inner.values, outer.values, strict=True):
                loop.set_invariant_input(own, node.output(0))
            for own, node in zip(inner[1:], outer[1:], strict=True):
                loop.set_sliced_input(own, node.output(0), 0, 1, 1, -1, 0)
        return [loop.get_concatenated_slices(result.output(0), 0, 1, 1, -1, 0) for result in results]

    def _row(self, row: Any, weights: Any, levels: Sequence[_Rows]) -> list[Any]:
        """Of one row of the grid, (1, w, channels): squared distances and rows of the centres, (1, w, count)."""
        ops, folded = self._ops, self._folded
        matrices = [folded.weights[0], folded.products[0]] if folded.in_parts else [folded.weights[0]]
        sums = []
        for index, matrix in enumerate(matrices):
            fine = ops.matmul(row, ops.constant(matrix), transpose_a=False, transpose_b=False)
            if index == 0 and (missing := self._width - matrix.shape[1]):
                fine = ops.pad(fine, self._ints(0, 0, 0), self._ints(0, 0, missing), "constant")
            mixed = ops.concat([self._mixed(level, index) for level in levels], 1)  # (1, sum of w_l, columns)
            sums.append(ops.add(ops.matmul(weights, mixed, transpose_a=False, transpose_b=False), fine))
        descriptor, centres = sums[0], ops.constant(folded.centres)
        if folded.in_parts:
            ranks = sums[1]
        else:
            norms = np.square(folded.centres, dtype=np.float64).sum(axis=1).astype(np.float32)
            doubled = ops.constant(-2.0 * folded.centres)
            products = ops.matmul(descriptor, doubled, transpose_a=False, transpose_b=True)
            ranks = ops.add(products, ops.constant(norms))
        rows = self._smallest(ranks)  # (1, w, count)
        winners = ops.gather(centres, rows, self._scalar(0))  # (1, w, count, r)
        apart = ops.subtract(ops.unsqueeze(descriptor, self._ints(2)), winners)  # without cancellation
        return [ops.reduce_sum(ops.multiply(apart, apart), self._ints(3), keep_dims=False).output(0), rows]

    def _mixed(self, level: _Rows, index: int) -> Any:
        """The two rows of a coarser level between which this row lies, mixed."""
        ops = self._ops
        above, below = (ops.gather(level.values[index], at, self._scalar(0)) for at in (level.above, level.below))
        return ops.add(above, ops.multiply(ops.subtract(below, above), level.share))

    def _smallest(self, ranks: Any) -> Any:
        """Where the `count` smallest ranks of each patch stand."""
        if self._count == 1 or self._centres < 2 * self._count * _BLOCK:
            return self._top(ranks, 2).output(1)
        ops, blocks = self._ops, -(-self._centres // _BLOCK)
        if padding := blocks * _BLOCK - self._centres:
            ranks = ops.pad(ranks, self._ints(0, 0, 0), self._ints(0, 0, padding), "constant", ops.constant(_FAR))
        ranks = ops.reshape(ranks, self._ints(-1, blocks, _BLOCK), special_zero=False)
        # the smallest numbers lie in the blocks with the smallest minima
        best = self._top(ops.reduce_min(ranks, self._ints(2), keep_dims=False), 1).output(1)  # (w, count)
        members = ops.gather(ranks, best, self._scalar(1), batch_dims=1)  # (w, count, _BLOCK)
        members = ops.reshape(members, self._ints(-1, self._count * _BLOCK), special_zero=False)
        chosen = self._top(members, 1).output(1)  # (w, count)
        size = self._scalar(_BLOCK)
        block = ops.gather_elements(best, ops.divide(chosen, size), 1)
        rows = ops.add(ops.multiply(block, size), ops.floor_mod(chosen, size))
        return ops.unsqueeze(rows, self._ints(0)).output(0)

    def _top(self, values: Any, axis: int) -> Any:
        return self._ops.topk(
            values, self._scalar(self._count), axis=axis, mode="min", sort="value", index_element_type="i32"
        )

    def _size_of(self, values: Any) -> Any:
        """(w, channels) of a (b, h, w, channels) map."""
        return self._ops.gather(self._ops.shape_of(values, "i32"), self._ints(2, 3), self._scalar(0))

    def _parameter(self, *shape: int, kind: type = np.float32) -> Any:
        return self._ops.parameter(list(shape), kind)

    def _ints(self, *values: int) -> Any:
        return self._ops.constant(np.array(values, np.int32))

    def _scalar(self, value: int) -> Any:
        return self._ops.constant(np.int32(value))
