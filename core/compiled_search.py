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
        self._model = CompiledModel(_from_images(front, folded, count, self._strides[-1] // self._strides[0]))

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances, ascending, and the centres' rows, each (b, h, w, count), for images on the CPU.

        They hold until this thread's next call.
        """
        b, height, width = images.shape[:3]
        grids = tuple((height // stride, width // stride) for stride in self._strides)
        distances, rows = self._model([images.contiguous().numpy(), *tables(b, grids)])
        shape = (b, *grids[0], distances.shape[2])
        found = torch.from_numpy(distances).view(shape), torch.from_numpy(rows).view(shape).long()
        if shape[3] == 1:
            return found
        ordered, order = found[0].sort(dim=3, stable=True)  # two that all but tie may have come the other way round
        return ordered, found[1].gather(3, order)


def _from_images(front: Any, folded: FoldedSearch, count: int, step: int) -> Any:
    """An `openvino.Model` of images and tables, `front` being that of the pooled maps; `step` rows go at once."""
    centres, width = folded.centres.shape
    shaped = count == 1 and folded.axes.shape[1] > 0
    graph = SearchGraph(min(CANDIDATES, centres) if shaped else count, centres, step)
    ops = graph.ops

    def row(sums: Sequence[Any]) -> list[Any]:
        """From rotated descriptors, and ranks if they come with them, to distances and rows of the centres."""
        descriptor, own = sums[0], ops.constant(folded.centres)
        if folded.in_parts:
            ranks = sums[1]
        else:
            norms = np.square(folded.centres, dtype=np.float64).sum(axis=1).astype(np.float32)
            doubled = ops.constant(-2.0 * folded.centres)
            ranks = ops.add(ops.matmul(descriptor, doubled, transpose_a=False, transpose_b=True), ops.constant(norms))
        rows = graph.smallest(ranks)[1]
        winners = ops.gather(own, rows, graph.scalar(0))  # (step, w, count, r)
        apart = ops.subtract(ops.unsqueeze(descriptor, graph.ints(2)), winners)  # without cancellation
        distances = ops.reduce_sum(ops.multiply(apart, apart), graph.ints(3), keep_dims=False)
        return _nearest_ellipsoid(graph, folded, descriptor, distances, rows) if shaped else [distances.output(0), rows]

    finest, *coarse = folded.weights
    weights = [finest, *(np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in coarse)]
    parts = [weights, folded.products] if folded.in_parts else [weights]
    maps = [ops.transpose(result.input_value(0), graph.ints(0, 2, 3, 1)) for result in front.get_results()]
    found = graph.over_rows(maps, list(zip(*parts, strict=True)), row)
    return graph.openvino.Model(found, [*front.get_parameters(), *graph.tables])


def _nearest_ellipsoid(
    graph: SearchGraph, folded: FoldedSearch, descriptor: Any, distances: Any, rows: Any
) -> list[Any]:
    """See `core.neighbours.nearest_ellipsoid`: distances and rows of one centre among some, (step, w, 1) each."""
    ops = graph.ops
    foot = ops.matmul(descriptor, ops.constant(folded.basis), transpose_a=False, transpose_b=True)  # (step, w, R)
    feet = ops.gather(ops.constant(folded.feet), rows, graph.scalar(0))  # (step, w, k, R)
    apart = ops.subtract(ops.unsqueeze(foot, graph.ints(2)), feet)
    axes = ops.gather(ops.constant(folded.axes), rows, graph.scalar(0))  # (step, w, k, A, R)
    along = ops.matmul(axes, ops.unsqueeze(apart, graph.ints(4)), transpose_a=False, transpose_b=False)
    less = ops.reduce_sum(ops.multiply(along, along), graph.ints(3, 4), keep_dims=False)
    counted = ops.relu(ops.subtract(distances, less))
    best = ops.topk(counted, graph.scalar(1), axis=2, mode="min", sort="value", index_element_type="i32")
    return [best.output(0), ops.gather_elements(rows, best.output(1), 2).output(0)]


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
        graph = SearchGraph(count, centres, step=2 ** (len(channels) - 1))
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
        ranks, rows = self._model([*arrays, *tables(len(pyramid[0]), grids)])
        return torch.from_numpy(ranks).flatten(0, 1).clone(), torch.from_numpy(rows).flatten(0, 1).long()
