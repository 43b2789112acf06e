"""Nearest centres of every patch, found level by level in one model compiled by OpenVINO for a CPU."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.folding import CONSTANTS, FoldedSearch
from core.neighbours import CANDIDATES
from core.openvino_runtime import CompiledModel
from core.search_graph import Grids, SearchGraph, last_axis, ranges, strips, tables
from core.set_aside import SetAside

_ROWS, _ROWS_OF_A_STRIP = 8, 2
"""Rows of the grid that are done at once, by all threads together or by one of them.

More need more memory, fewer more time to go about it; what one thread does at once had better fit into its cache.
"""
_STRIPS = 8
"""At most: each needs memory."""


class CompiledSearch:
    """Images in, nearest centres of every patch out; may be called from any thread."""

    def __init__(self, front: Any, folded: FoldedSearch, strides: Sequence[int], count: int) -> None:
        """Build; the first call compiles it for the size of those images.

        Args:
            front: An `openvino.Model` from (b, H, W, 3) uint8 images to one (b, channels, h_l, w_l) map per level, of
                which the search becomes a part.
            folded: What the maps are searched with.
            strides: Pixels per cell of each level.
            count: How many centres for each patch.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot take the search.
        """
        self._strides = tuple(strides)
        self._carried = tuple(stride // strides[0] for stride in strides[1:]) if folded.in_parts else ()
        front.reshape({0: [-1, -1, -1, 3]})
        # In parts the matrices are large, and a loop for each thread would need too much memory.
        self._by_strips = None if folded.in_parts else _ByStrips(front.clone(), folded, count)
        self._one_loop = CompiledModel(*_from_images(front, folded, count, self._carried))
        self.expect_one_size()

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances, ascending, and the centres' rows, each (b, h, w, count), for images on the CPU.

        They hold until this thread's next call.
        """
        b, height, width = images.shape[:3]
        grids = tuple((height // stride, width // stride) for stride in self._strides)
        outputs = self._outputs(images.contiguous().numpy(), grids)
        shape = (b, *grids[0], outputs[0].shape[2])
        distances, rows = (torch.from_numpy(part)[: b * grids[0][0]].view(shape) for part in outputs)
        found = distances, rows.long()
        if shape[3] == 1:
            return found
        ordered, order = found[0].sort(dim=3, stable=True)  # two that all but tie may have come the other way round
        return ordered, found[1].gather(3, order)

    def _outputs(self, images: NDArray[Any], grids: Grids) -> Sequence[NDArray[Any]]:
        """Distances and rows, (at least b * h, w, count) each."""
        strips = self._by_strips
        if strips is not None and not self._one_loop.shared and torch.get_num_threads() > 1:
            self._one_loop.release()  # both would need twice the memory
            return strips(images, grids)
        if strips is not None:
            strips.release()
        return self._one_loop([images, *tables(len(images), grids, _ROWS, carried=bool(self._carried))])

    def expect_one_size(self) -> None:
        """See `CompiledModel`."""
        self._one_loop.expect_one_size()
        if self._by_strips is not None:
            self._by_strips.expect_one_size()

    def several_at_once(self, count: int) -> AbstractContextManager[None]:
        """See `CompiledModel`."""
        return self._one_loop.several_at_once(count)


class _ByStrips:
    """The same for one caller alone, with whole descriptors: the network by all threads, the search strip by strip.

    Threads that share the steps of a loop wait for each other at each of them, and for what the other has just written.
    """

    def __init__(self, front: Any, folded: FoldedSearch, count: int) -> None:
        graph, shaped = _graph(folded, count, _ROWS_OF_A_STRIP)
        finest, *maps = _channels_last(graph, front)
        weights, *coarser = _weights(folded)
        products = (graph.product(values, graph.kept(matrix)) for values, (matrix,) in zip(maps, coarser, strict=True))
        common = [finest, *products]
        given = [graph.parameter(-1, -1, -1, last_axis(values)) for values in common]
        matrices = [weights, *((None,) for _ in maps)]
        found = graph.over_rows(given, matrices, lambda sums: _of_descriptors(graph, folded, sums[0], shaped))
        model = graph.openvino.Model
        self._common = CompiledModel(model([values.output(0) for values in common], front.get_parameters()))
        self._loop = CompiledModel(model(found, [*given, *graph.tables]))

    def __call__(self, images: NDArray[Any], grids: Grids) -> Sequence[NDArray[Any]]:
        common = self._common([images])
        threads = min(torch.get_num_threads(), _STRIPS)
        calls = [[*common, *own] for own in strips(len(images), grids, _ROWS_OF_A_STRIP, threads)]
        distances, rows = zip(*self._loop.side_by_side(calls), strict=True)
        return np.concatenate(distances), np.concatenate(rows, dtype=np.int64)

    def expect_one_size(self) -> None:
        for model in (self._common, self._loop):
            model.expect_one_size()

    def release(self) -> None:
        for model in (self._common, self._loop):
            model.release()


def _from_images(front: Any, folded: FoldedSearch, count: int, carried: Sequence[int]) -> tuple[Any, SetAside | None]:
    """An `openvino.Model` of images and tables, `front` being that of the pooled maps, and its large constants."""
    graph, shaped = _graph(folded, count, _ROWS, carried)
    maps, aside = _channels_last(graph, front), None
    if folded.in_parts:
        matrices, aside = _set_aside(folded, shaped=shaped)
        feet = folded.axes.shape[2] if shaped else 0
        found = graph.over_rows(maps, matrices, lambda sums: _of_parts(graph, folded, sums), feet)
    else:
        found = graph.over_rows(maps, _weights(folded), lambda sums: _of_descriptors(graph, folded, sums[0], shaped))
    return graph.openvino.Model(found, [*front.get_parameters(), *graph.tables]), aside


def _graph(folded: FoldedSearch, count: int, step: int, carried: Sequence[int] = ()) -> tuple[SearchGraph, bool]:
    """An empty one, and whether shapes count: then it looks for those centres that may be nearest by them."""
    shaped = count == 1 and folded.axes.shape[1] > 0
    return SearchGraph(min(CANDIDATES, len(folded.centres)) if shaped else count, step, carried), shaped


def _channels_last(graph: SearchGraph, front: Any) -> list[Any]:
    return [graph.ops.transpose(result.input_value(0), graph.ints(0, 2, 3, 1)) for result in front.get_results()]


def _set_aside(folded: FoldedSearch, *, shaped: bool) -> tuple[list[tuple[NDArray[np.float32], ...]], SetAside]:
    """Each level's products, range by range, and its weights, behind those of the feet where shapes count.

    OpenVINO packs them for itself.
    """
    weights = folded.weights
    if shaped:
        weights = tuple(np.concatenate((one @ folded.basis.T[: one.shape[1]], one), axis=1) for one in weights)
    products = [np.split(part, ranges(len(folded.centres)), axis=1) for part in folded.products]
    levels = [(*of_level, weight) for of_level, weight in zip(products, weights, strict=True)]
    aside = SetAside([np.ascontiguousarray(part) for of_level in levels for part in of_level])
    count = len(levels[0])
    return [tuple(aside.arrays[count * level : count * (level + 1)]) for level in range(len(levels))], aside


def _weights(folded: FoldedSearch) -> list[tuple[Any]]:
    """Each level's weights, the coarsest level's as wide as the centres: it may lack what no descriptor reaches."""
    *finer, coarsest = folded.weights
    missing = folded.centres.shape[1] - coarsest.shape[1]
    return [*((part,) for part in finer), (np.pad(coarsest, ((0, 0), (0, missing))),)]


def _of_descriptors(graph: SearchGraph, folded: FoldedSearch, descriptor: Any, shaped: bool) -> list[Any]:
    """From rotated descriptors (step, w, r) to distances and rows of the centres."""
    ops, own = graph.ops, graph.kept(folded.centres)
    norms = np.square(folded.centres, dtype=np.float64).sum(axis=1).astype(np.float32)
    doubled = ops.multiply(descriptor, ops.constant(np.float32(-2)))
    products = ops.matmul(doubled, own, transpose_a=False, transpose_b=True)
    ranks, rows = graph.smallest(ops.add(products, ops.constant(norms)))
    less = None
    if shaped:
        in_basis = folded.in_basis
        foot = descriptor if in_basis else graph.product(descriptor, graph.kept(folded.basis.T.copy()))
        rows, _, less = _nearest_ellipsoid(graph, folded, foot, ranks, rows)
    winners = ops.gather(own, rows, graph.scalar(0))  # (step, w, count, r)
    apart = ops.subtract(ops.unsqueeze(descriptor, graph.ints(2)), winners)  # without cancellation
    distances = ops.reduce_sum(ops.multiply(apart, apart), graph.ints(3), keep_dims=False)
    return [distances.output(0) if less is None else ops.relu(ops.subtract(distances, less)).output(0), rows]


def _of_parts(graph: SearchGraph, folded: FoldedSearch, sums: Sequence[Any]) -> list[Any]:
    """The same from ranks (step, w, M) in ranges, squared lengths (step, w, 1), and (step, w, R) feet if shapes count.

    The distance is the sum of a rank and a length: neither descriptors nor centres need be kept whole for it. That
    costs a digit or two, both being measured from the mean of the centres.
    """
    ops, count = graph.ops, len(ranges(len(folded.centres))) + 1
    ranks, rows = graph.smallest_of_all(sums[:count])
    lengths, *feet = sums[count:]
    for foot in feet:
        rows, ranks, less = _nearest_ellipsoid(graph, folded, foot, ranks, rows)
        lengths = ops.subtract(lengths, less)
    return [ops.relu(ops.add(ranks, lengths)).output(0), rows]


def _nearest_ellipsoid(
    graph: SearchGraph, folded: FoldedSearch, foot: Any, ranks: Any, rows: Any
) -> tuple[Any, Any, Any]:
    """See `core.neighbours.nearest_ellipsoid`: of some centres one's row, rank, and by how much its distance is less.

    All (step, w, 1). The foot is the descriptor in the basis of the axes, (step, w, R); ranks differ from squared
    distances by what is the same for all centres.
    """
    ops, (count, width) = graph.ops, folded.axes.shape[1:]
    own, as_row, along = graph.kept(folded.axes), ops.unsqueeze(foot, graph.ints(2)), []
    # The axes of all candidates are large: where memory is what counts, one candidate's after the other's.
    for some in ops.split(rows, graph.scalar(2), graph.count if folded.in_parts else 1).outputs():
        axes = ops.gather(own, some, graph.scalar(0))  # (step, w, some, A, R)
        axes = ops.reshape(axes, graph.ints(0, 0, -1, width), special_zero=True)  # one product for all of them
        along.append(ops.matmul(as_row, axes, transpose_a=False, transpose_b=True))
    each = ops.reshape(ops.concat(along, 3), graph.ints(0, 0, -1, count), special_zero=True)  # (step, w, k, A)
    of_centres = np.matmul(folded.axes, folded.feet[:, :, None])[:, :, 0]
    apart = ops.subtract(each, ops.gather(graph.kept(of_centres), rows, graph.scalar(0)))
    less = ops.reduce_sum(ops.multiply(apart, apart), graph.ints(3), keep_dims=False)
    best = ops.topk(
        ops.subtract(ranks, less), graph.scalar(1), axis=2, mode="min", sort="value", index_element_type="i32"
    )
    row, rank, less = (ops.gather_elements(values, best.output(1), 2) for values in (rows, ranks, less))
    return row.output(0), rank, less


class PyramidSearch:
    """Pyramids and products of weights with centres in, nearest centres of every patch out."""

    def __init__(self, channels: Sequence[int], centres: int, count: int) -> None:
        """Build; the first call compiles it.

        Args:
            channels: Of each level of the pyramid, finest first.
            centres: M.
            count: How many centres for each patch.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot take the search.
        """
        graph = SearchGraph(count, _ROWS)
        maps = [graph.parameter(-1, size, -1, -1) for size in channels]
        inputs = [channels[0] + CONSTANTS, *channels[1:]]
        matrices = [graph.parameter(size, centres) for size in inputs]
        last = [graph.ops.transpose(values, graph.ints(0, 2, 3, 1)) for values in maps]
        found = graph.over_rows(last, [[matrix] for matrix in matrices], lambda sums: graph.smallest(sums[0]))
        self._model = CompiledModel(graph.openvino.Model(found, [*maps, *matrices, *graph.tables]))

    def __call__(self, pyramid: Sequence[Tensor], products: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The nearest centres.

        Args:
            pyramid: Pooled and scaled (b, channels, h_l, w_l) maps on the CPU; h a multiple of the coarsest level's.
            products: One (channels, M) per level, whose upsampled products with the maps add up to the ranks; the
                finest level's end with those of row, column and 1.

        Returns:
            Ranks, ascending, and the centres' rows, each (b * h * w, count).
        """
        grids = tuple((int(level.shape[2]), int(level.shape[3])) for level in pyramid)
        arrays = [part.contiguous().numpy() for part in (*pyramid, *products)]
        ranks, rows = self._model([*arrays, *tables(len(pyramid[0]), grids, _ROWS, carried=False)])
        done = len(pyramid[0]) * grids[0][0]
        return torch.from_numpy(ranks)[:done].flatten(0, 1).clone(), torch.from_numpy(rows)[:done].flatten(0, 1).long()
