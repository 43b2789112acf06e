"""3 x 3 convolutions of an OpenVINO graph by Winograd's minimal filtering: half of the multiplications.

Along a row F(4, 3) makes four outputs of six products, each of a number that six inputs are mixed to and one that three
weights are mixed to, where a convolution multiplies twelve times (Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, 2016, section 4.3). Down the rows it is a convolution as before. All tiles of four outputs are alike,
so one graph serves pictures of every size, and its time grows with them as that of a convolution does.
"""

import platform
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from core.openvino_runtime import load_openvino

_PROCESSORS = ("x86_64", "AMD64")
"""Where it was measured. On others OpenVINO's own convolutions may do the same already."""
_FEWEST_CHANNELS, _FEWEST_OF_SMALL_MAPS = 128, 64
"""With fewer, going about it takes as long as it spares. A cache holds small maps with what is made of them."""
_SMALL = 4
"""Pixels of the picture to a cell of a small map, along a side, at least."""
_TILE, _PRODUCTS = 4, 6
_OF_INPUTS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_OF_WEIGHTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32) / 24
_OF_PRODUCTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)


class _Layer(NamedTuple):
    """A convolution, and the normalization and the ReLU behind it, each a node or None, if nothing else reads it."""

    convolution: Any
    normalization: Any
    activation: Any


def halve_multiplications(model: Any) -> None:
    """Replace the 3 x 3 convolutions of stride 1 among many channels by what computes the same.

    Their outputs differ in float32's last digits, as those of two orders of adding up do. All else stays.

    Args:
        model: An `openvino.Model`, which is changed.
    """
    if platform.machine() not in _PROCESSORS:
        return
    writer = _Writer(load_openvino().opset13)
    for layer in list(_layers(model)):
        last = next(node for node in reversed(layer) if node is not None)
        found = writer.instead(layer)
        for reader in last.output(0).get_target_inputs():
            reader.replace_source_output(found.output(0))
    model.validate_nodes_and_infer_types()


def _layers(model: Any) -> Iterator[_Layer]:
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution" and _is_fit(node):
            normalization = _only_reader(node, "BatchNormInference")
            yield _Layer(node, normalization, _only_reader(normalization or node, "Relu"))


def _is_fit(convolution: Any) -> bool:
    weights = convolution.input_value(1).get_partial_shape()
    if weights.is_dynamic:
        return False
    outputs, inputs, *size = (length.get_length() for length in weights)
    told = convolution.get_attributes()
    return bool(
        size == [3, 3]
        and min(outputs, inputs) >= (_FEWEST_OF_SMALL_MAPS if _stride(convolution) >= _SMALL else _FEWEST_CHANNELS)
        and all(list(told[name]) == [1, 1] for name in ("strides", "dilations", "pads_begin", "pads_end"))
        and told["auto_pad"] == "explicit"
    )


def _stride(node: Any) -> int:
    """Pixels of the picture, along a side, to a cell of what a node makes."""
    total = 1
    while node.get_input_size():
        total *= node.get_attributes().get("strides", [1])[0]
        node = node.input_value(0).get_node()
    return total


def _only_reader(node: Any, kind: str) -> Any:
    """The node of this kind that alone reads another, or None."""
    readers = [reader.get_node() for reader in node.output(0).get_target_inputs()]
    return readers[0] if len(readers) == 1 and readers[0].get_type_name() == kind else None


class _Writer:
    """Writes the nodes. What is computed of weights alone OpenVINO computes once, when it compiles the model."""

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def instead(self, layer: _Layer) -> Any:
        """The node whose output is that of the layer, (b, K, h, w)."""
        ops, weights, shift = self._ops, layer.convolution.input_value(1), None
        outputs, inputs = (length.get_length() for length in list(weights.get_partial_shape())[:2])
        if layer.normalization is not None:
            scale, shift = self._scale_and_shift(layer.normalization)
            weights = ops.multiply(weights, self._reshaped(scale, -1, 1, 1, 1))
        rows = ops.transpose(layer.convolution.input_value(0), self._ints(0, 2, 3, 1))
        width = ops.gather(ops.shape_of(rows, "i32"), self._ints(2), self._scalar(0))
        windows, inside = self._windows(width)
        mixing = ops.multiply(ops.constant(_OF_INPUTS), ops.unsqueeze(inside, self._ints(1)))  # (tiles, 6, 6)
        mixed = self._product(mixing, ops.gather(rows, windows, self._ints(2)))  # (b, h, tiles, 6, C)
        mixed = self._reshaped(mixed, 0, 0, -1, _PRODUCTS * inputs)
        products = ops.transpose(self._products(mixed, weights, shift), self._ints(0, 2, 3, 1))
        products = self._reshaped(products, 0, 0, -1, _PRODUCTS, outputs)
        tiles = self._product(ops.constant(_OF_PRODUCTS), products)  # (b, h, tiles, 4, K)
        if layer.activation is not None:
            tiles = ops.relu(tiles)
        rows = self._reshaped(tiles, 0, 0, -1, outputs)
        rows = ops.slice(rows, self._ints(0), width, self._ints(1), self._ints(2))
        return ops.transpose(rows, self._ints(0, 3, 1, 2))

    def _scale_and_shift(self, normalization: Any) -> tuple[Any, Any]:
        """What a normalization multiplies by and adds, (K,) each."""
        ops = self._ops
        gamma, beta, mean, variance = (normalization.input_value(index) for index in range(1, 5))
        epsilon = ops.constant(np.float32(normalization.get_attributes()["epsilon"]))
        scale = ops.divide(gamma, ops.sqrt(ops.add(variance, epsilon)))
        return scale, ops.subtract(beta, ops.multiply(mean, scale))

    def _windows(self, width: Any) -> tuple[Any, Any]:
        """The columns (tiles, 6) that each tile of a row so wide looks at, and 1 or, where there is none, 0.

        Zeros in the mixing matrix instead of around the maps: padding these would take a copy.
        """
        ops, zero, one = self._ops, self._ints(0), self._ints(1)
        count = ops.divide(ops.add(width, self._ints(_TILE - 1)), self._ints(_TILE))
        tiles = ops.range(self._scalar(0), ops.squeeze(count, zero), self._scalar(1), "i32")
        starts = ops.multiply(tiles, self._ints(_TILE))
        steps = ops.constant(np.arange(_PRODUCTS, dtype=np.int32)[None] - 1)
        columns = ops.add(ops.unsqueeze(starts, one), steps)
        nearest = ops.maximum(ops.minimum(columns, ops.subtract(width, one)), zero)
        return nearest, ops.convert(ops.equal(columns, nearest), "f32")

    def _products(self, mixed: Any, weights: Any, shift: Any) -> Any:
        """From (b, h, tiles, 6 * C) to (b, 6 * K, h, tiles): each of the six down the rows by weights of its own."""
        ops = self._ops
        own = self._product(weights, ops.constant(_OF_WEIGHTS.T.copy()))  # (K, C, 3, 6)
        own = ops.unsqueeze(ops.transpose(own, self._ints(3, 0, 1, 2)), self._ints(4))
        first = ops.transpose(mixed, self._ints(0, 3, 1, 2))
        found = ops.group_convolution(first, own, [1, 1], [1, 0], [1, 0], [1, 1])
        if shift is None:
            return found
        # the second of the six is added to each output once
        second = ops.constant(np.eye(_PRODUCTS, dtype=np.float32)[1][:, None])
        added = ops.multiply(second, ops.unsqueeze(shift, self._ints(0)))
        return ops.add(found, self._reshaped(added, 1, -1, 1, 1))

    def _product(self, one: Any, other: Any) -> Any:
        return self._ops.matmul(one, other, transpose_a=False, transpose_b=False)

    def _reshaped(self, values: Any, *shape: int) -> Any:
        """0: as it was; -1: what is left."""
        return self._ops.reshape(values, self._ints(*shape), special_zero=True)

    def _scalar(self, value: int) -> Any:
        return self._ops.constant(np.int32(value))

    def _ints(self, *values: int) -> Any:
        return self._ops.constant(np.array(values, np.int32))
