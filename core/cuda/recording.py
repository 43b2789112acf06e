"""Computations recorded as CUDA graphs: launched as a whole instead of kernel by kernel.

A graph reads and writes the memory that it was recorded with. So whatever a computation keeps from call to call must
live as long as its recording; what it makes itself belongs to the recording.
"""

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_ONE_AT_A_TIME = threading.Lock()
"""torch records one graph at a time in a process."""
_OTHERS_GO_ON = "thread_local"
"""Other threads may use the device meanwhile."""


class Recording:
    """A computation on tensors of fixed shapes that never waits for the device."""

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Sequence[Tensor]],
        inputs: Sequence[Tensor],
        *,
        reads: Tensor | None = None,
    ) -> None:
        """Compute twice, so that nothing is left to be set up, then record.

        Args:
            compute: Not kept.
            inputs: On the current device; all later ones have the same shapes.
            reads: What `compute` reads besides and nobody else keeps.

        Raises:
            torch.OutOfMemoryError: The device is too small for a second set of all that lies between.
        """
        self._reads = reads
        self._inputs = [values.clone() for values in inputs]
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(2):
                compute(self._inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with _ONE_AT_A_TIME, torch.cuda.graph(self._graph, stream=beside, capture_error_mode=_OTHERS_GO_ON):
            self._outputs = compute(self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The outputs; the next call overwrites them, in order on the device.

        Args:
            inputs: On the device, or in pinned memory of the host.
        """
        for kept, values in zip(self._inputs, inputs, strict=True):
            kept.copy_(values, non_blocking=True)
        self._graph.replay()
        return self._outputs
