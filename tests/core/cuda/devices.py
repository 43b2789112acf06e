"""The devices that a test of this folder runs on, and what stands in for a device where there is none."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]
"""The same code on both: without a device, the CPU shows that it is right."""


class PlayedBack:
    """Stands in for a `Recording`: as a graph does, it reads and writes the same memory every time."""

    made = 0
    played = 0

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Sequence[Tensor]],
        inputs: Sequence[Tensor],
        *,
        reads: Tensor | None = None,
    ) -> None:
        PlayedBack.made += 1
        self._inputs, self._compute = [values.clone() for values in inputs], compute
        self._outputs = [values.clone() for values in compute(self._inputs)]

    def __call__(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        PlayedBack.played += 1
        for kept, values in zip(self._inputs, inputs, strict=True):
            kept.copy_(values)
        for kept, values in zip(self._outputs, self._compute(self._inputs), strict=True):
            kept.copy_(values)
        return self._outputs
