"""A network on a CPU, compiled by OpenVINO: torch's maps to a few millionths, several times as fast for small ones."""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from core.openvino_runtime import CompiledModel, convert_traced

TOLERANCE = 1e-4
"""Largest difference from torch's output, as a share of its largest value, up to which both count as equal."""
_LOG = logging.getLogger(__name__)
Inputs = tuple[Tensor, ...]
Fast = TypeVar("Fast")


class CompiledNetwork:
    """A module of tensors to a tuple of tensors, compiled as it is now; may be called from any thread."""

    def __init__(self, module: nn.Module, example: Inputs, shapes: Sequence[Sequence[int]]) -> None:
        """Trace and compile.

        Args:
            module: In `eval()` mode.
            example: Inputs to trace it with.
            shapes: The shape of each input, -1 where it may vary.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot take this network.
        """
        model = converted(module, example)
        model.reshape({index: list(shape) for index, shape in enumerate(shapes)})
        self._model = CompiledModel(model)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """What the module returns, for inputs on the CPU; holds until this thread's next call."""
        return [torch.from_numpy(values) for values in self._model([x.contiguous().numpy() for x in inputs])]

    def expect_one_size(self) -> None:
        """See `CompiledModel`."""
        self._model.expect_one_size()


def compiled(
    module: nn.Module, name: str, probes: Sequence[Inputs], shapes: Sequence[Sequence[int]]
) -> CompiledNetwork | None:
    """The module compiled, or None where that is not possible or would not give torch's output.

    Args:
        module: In `eval()` mode.
        name: Of the network, for the log.
        probes: Inputs of several sizes, on which both are compared; the first is traced.
        shapes: As for `CompiledNetwork`.
    """
    found = checked(
        lambda: CompiledNetwork(module, probes[0], shapes),
        lambda candidate: max(largest_difference(module(*probe), candidate(*probe)) for probe in probes),
        name,
    )
    if found is not None:
        found.expect_one_size()
    return found


@torch.inference_mode()
def checked(make: Callable[[], Fast], difference: Callable[[Fast], float], name: str) -> Fast | None:
    """What `make` compiles, or None where that is not possible or would not give torch's output.

    Args:
        make: May raise what OpenVINO and its front end raise.
        difference: Of what it gives from torch's output, as `largest_difference` measures it.
        name: Of the network, for the log.
    """
    try:
        candidate = make()
        found = difference(candidate)
    except (ImportError, AttributeError, RuntimeError, TypeError) as error:
        _LOG.warning("%s runs in torch: %s", name, error)
        return None
    if found > TOLERANCE:
        _LOG.warning("%s runs in torch: compiled it differs by %.1e.", name, found)
        return None
    return candidate


def largest_difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference of any output from ours, as a share of its largest value."""
    pairs = list(zip(ours, theirs, strict=True))
    if any(one.shape != other.shape for one, other in pairs):
        return float("inf")
    return max(float((one - other).abs().max() / one.abs().max().clamp(min=1e-9)) for one, other in pairs)


def converted(module: nn.Module, example: Inputs) -> Any:
    """A module in `eval()` mode as an OpenVINO model, by its PyTorch front end; its own converter would report its use.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: It cannot take this network.
    """
    with warnings.catch_warnings(), torch.no_grad():
        # Tracing is deprecated in favour of an exporter that takes ten times as long. A thread that changes the filters
        # too may bring the warnings back; they are harmless.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    return convert_traced(traced)
