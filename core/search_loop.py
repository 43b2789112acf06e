"""A loop inside an OpenVINO graph, while it is built: what its body takes in and what it passes on to its next turn."""

from collections.abc import Callable, Sequence
from typing import Any


class SearchLoop:
    """Builds a loop along the first axis of its sliced inputs; one body serves all turns."""

    def __init__(self, openvino: Any) -> None:
        """An empty loop.

        Args:
            openvino: The package.
        """
        self._openvino = openvino
        self._ops = openvino.opset13
        self._sliced: list[tuple[Any, Any, int]] = []
        self._shared: list[tuple[Any, Any]] = []
        self._carried: list[tuple[Any, Any, Any]] = []

    def sliced(self, outer: Any, length: int) -> Any:
        """Inside the body, the next `length` of an outer node: the same number of turns for all of them."""
        own = self._inside(outer, length)
        self._sliced.append((own, outer, length))
        return own

    def shared(self, outer: Any) -> Any:
        """Inside the body, the whole of an outer node, the same at every turn. Every run copies it."""
        own = self._inside(outer)
        self._shared.append((own, outer))
        return own

    def carried(self, outer: Any, turn: Callable[[Any], tuple[Any, Any]]) -> Any:
        """Inside the body, what the turn before it left: at the first turn an outer node.

        Args:
            outer: Of the shape of what each turn leaves.
            turn: From what is there to two nodes: what the body goes on with, and what it leaves.
        """
        own = self._inside(outer)
        found, left = turn(own)
        self._carried.append((own, outer, self._ops.result(left)))
        return found

    def close(self, outputs: Sequence[Any], length: int) -> list[Any]:
        """The outputs of all turns, one after the other along the first axis.

        Args:
            outputs: Of the body.
            length: Of each of them along that axis.
        """
        results = [self._ops.result(output) for output in outputs]
        loop = self._ops.tensor_iterator()
        inside = [own for own, *_ in (*self._sliced, *self._shared, *self._carried)]
        loop.set_function(self._openvino.Model([*results, *(left for *_, left in self._carried)], inside))
        for own, outer, size in self._sliced:
            loop.set_sliced_input(own, outer.output(0), 0, size, size, -1, 0)
        for own, outer in self._shared:
            loop.set_invariant_input(own, outer.output(0))
        for own, outer, left in self._carried:
            loop.set_merged_input(own, outer.output(0), left.output(0))
        return [loop.get_concatenated_slices(result.output(0), 0, length, length, -1, 0) for result in results]

    def _inside(self, outer: Any, length: int | None = None) -> Any:
        shape = outer.get_output_partial_shape(0)
        sizes = [size.get_length() if size.is_static else -1 for size in shape]
        return self._ops.parameter(sizes if length is None else [length, *sizes[1:]], outer.get_element_type())
