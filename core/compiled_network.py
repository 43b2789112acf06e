"""A network on a CPU, compiled by OpenVINO: torch's maps to a few millionths, several times as fast for small ones."""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from core.openvino_runtime import CompiledModel, convert_traced
from core.winograd import halve_multiplications

TOLERANCE = 1e-4
"""Largest difference from torch's output, as a share of its largest value, up to which both count as equal."""
_LOG = logging.getLogger(__name__)
Fast = TypeVar("Fast")


class CompiledNetwork:
    """Images to maps, compiled as the network is now; may be called from any thread."""

    def __init__(self, model: Any) -> None:
        """Take the network; its first call compiles it for the size of those images.

        Args:
            model: An `openvino.Model` from (b, H, W, 3) uint8 images, of which it becomes a part.
        """
        model.reshape({0: [-1, -1, -1, 3]})
        self._model = CompiledModel(model)
        self.expect_one_size()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """What the network returns, for images on the CPU; holds until this thread's next call."""
        return [torch.from_numpy(values) for values in self._model([images.contiguous().numpy()])]

    def expect_one_size(self) -> None:
        """See `CompiledModel`."""
        self._model.expect_one_size()


def compiled(module: nn.Module, make: Callable[[], Any], name: str, probe: Tensor) -> CompiledNetwork | None:
    """The module compiled, or None where that is not possible or would not give torch's output.

    Args:
        module: In `eval()` mode; (b, H, W, 3) uint8 images to a tuple of maps.
        make: Gives it as an `openvino.Model`, as `converted` does.
        name: Of the network, for the log.
        probe: Images on which both are compared, of another size than that with which it was traced.
    """
    found = checked(
        lambda: CompiledNetwork(make()),
        lambda candidate: largest_difference(module(probe), candidate(probe)),
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


def converted(module: nn.Module, example: Tensor) -> Any:
    """A module in `eval()` mode as an OpenVINO model, by its PyTorch front end; its own converter would report its use.

    Its 3 x 3 convolutions are rewritten; see `core.winograd`.

    Args:
        module: Takes images.
        example: Images to trace it with.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: It cannot take this network.
    """
    with warnings.catch_warnings(), torch.no_grad():
        # Tracing is deprecated in favour of an exporter that takes ten times as long. A thread that changes the filters
        # too may bring the warnings back; they are harmless.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    model = convert_traced(traced)
    halve_multiplications(model)
    return model
