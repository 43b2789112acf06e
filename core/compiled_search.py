"""Nearest centres of every patch, found level by level in one model compiled by OpenVINO for a CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.compiled_network import converted
from core.folding import CONSTANTS, FoldedSearch
from core.neighbours import CANDIDATES
from core.openvino_runtime import CompiledModel
from core.search_graph import SearchGraph, tables

_ROWS = 8
"""Rows of the grid that are done at once: more need more memory, fewer more time to go about it."""


class CompiledSearch:
    """Images in, nearest centres of every patch out; may be called from any thread."""

    def __init__(
        self, pooled: nn.Module, example: Tensor, folded: FoldedSearch, strides: Sequence[int], count: int
    ) -> None:
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
        self._model = CompiledModel(_from_images(front, folded, count))

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances, ascending, and the centres' rows, each (b, h, w, count), for images on the CPU.

        They hold until this thread's next call.
        """
        b, height, width = images.shape[:3]
        grids = tuple((height // stride, width // stride) for stride in self._strides)
        outputs = self._model([images.contiguous().numpy(), *tables(b, grids, _ROWS)])
        shape = (b, *grids[0], outputs[0].shape[2])
        distances, rows = (torch.from_numpy(part)[: b * grids[0][0]].view(shape) for part in outputs)
        found = distances, rows.long()
        if shape[3] == 1:
            return found
        ordered, order = found[0].sort(dim=3, stable=True)  # two that all but tie may have come the other way round
        return ordered, found[1].gather(3, order)

    def expect_one_size(self) -> None:
        """See `CompiledModel`."""
        self._model.expect_one_size()


def _from_images(front: Any, folded: FoldedSearch, count: int) -> Any:
    """An `openvino.Model` of images and tables, `front` being that of the pooled maps."""
    centres, width = folded.centres.shape
    shaped = count == 1 and folded.axes.shape[1] > 0
    graph = SearchGraph(min(CANDIDATES, centres) if shaped else count, centres, _ROWS)
    ops = graph.ops

    def row(sums: Sequence[Any]) -> list[Any]:
        """From rotated descriptors, and what else is summed by levels, to distances and rows of the centres."""
        descriptor, own = sums[0], graph.kept(folded.centres)
        if folded.in_parts:
            ranks = sums[1]
        else:
            norms = np.square(folded.centres, dtype=np.float64).sum(axis=1).astype(np.float32)
            doubled = ops.multiply(descriptor, ops.constant(np.float32(-2)))
            ranks = ops.add(ops.matmul(doubled, own, transpose_a=False, transpose_b=True), ops.constant(norms))
        ranks, rows = graph.smallest(ranks)
        less = None
        if shaped:
            foot = descriptor
            if not folded.in_basis:
                foot = sums[2] if folded.in_parts else graph.product(descriptor, graph.kept(folded.basis.T.copy()))
            rows, less = _nearest_ellipsoid(graph, folded, foot, ranks, rows)
        winners = ops.gather(own, rows, graph.scalar(0))  # (step, w, count, r)
        apart = ops.subtract(ops.unsqueeze(descriptor, graph.ints(2)), winners)  # without cancellation
        distances = ops.reduce_sum(ops.multiply(apart, apart), graph.ints(3), keep_dims=False)
        return [distances.output(0) if less is None else ops.relu(ops.subtract(distances, less)).output(0), rows]

    *finer, coarsest = folded.weights  # the last may be narrower than the centres, by what no descriptor reaches
    weights = [*finer, np.pad(coarsest, ((0, 0), (0, width - coarsest.shape[1])))]
    parts: list[Sequence[Any]] = [weights]
    if folded.in_parts:
        parts.append(folded.products)
        if shaped and not folded.in_basis:
            parts.append([part @ folded.basis.T[: part.shape[1]] for part in folded.weights])
    maps = [ops.transpose(result.input_value(0), graph.ints(0, 2, 3, 1)) for result in front.get_results()]
    found = graph.over_rows(maps, list(zip(*parts, strict=True)), row)
    return graph.openvino.Model(found, [*front.get_parameters(), *graph.tables])


def _nearest_ellipsoid(graph: SearchGraph, folded: FoldedSearch, foot: Any, ranks: Any, rows: Any) -> tuple[Any, Any]:
    """See `core.neighbours.nearest_ellipsoid`: of some centres the row of one, and by how much its distance is less.

    Both (step, w, 1). The foot is the descriptor in the basis of the axes, (step, w, R); ranks differ from squared
    distances by what is the same for all centres.
    """
    ops, (count, width) = graph.ops, folded.axes.shape[1:]
    axes = ops.gather(graph.kept(folded.axes), rows, graph.scalar(0))  # (step, w, k, A, R)
    axes = ops.reshape(axes, graph.ints(0, 0, -1, width), special_zero=True)  # one product for all of them
    along = ops.matmul(ops.unsqueeze(foot, graph.ints(2)), axes, transpose_a=False, transpose_b=True)
    along = ops.reshape(along, graph.ints(0, 0, -1, count), special_zero=True)  # (step, w, k, A)
    of_centres = np.matmul(folded.axes, folded.feet[:, :, None])[:, :, 0]
    apart = ops.subtract(along, ops.gather(graph.kept(of_centres), rows, graph.scalar(0)))
    less = ops.reduce_sum(ops.multiply(apart, apart), graph.ints(3), keep_dims=False)
    best = ops.topk(
        ops.subtract(ranks, less), graph.scalar(1), axis=2, mode="min", sort="value", index_element_type="i32"
    )
    row, less = (ops.gather_elements(values, best.output(1), 2) for values in (rows, less))
    return row.output(0), less


class PyramidSearch:
    """Pyramids and products of weights with centres in, nearest centres of every patch out."""

    def __init__(self, channels: Sequence[int], centres: int, count: int) -> None:
        """Compile.

        Args:
            channels: Of each level of the pyramid, finest first.
            centres: M.
            count: How many centres for each patch.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot compile the search.
        """
        graph = SearchGraph(count, centres, _ROWS)
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
        ranks, rows = self._model([*arrays, *tables(len(pyramid[0]), grids, _ROWS)])
        done = len(pyramid[0]) * grids[0][0]
        return torch.from_numpy(ranks)[:done].flatten(0, 1).clone(), torch.from_numpy(rows)[:done].flatten(0, 1).long()
