"""The backbone on a CPU, compiled by OpenVINO: torch's maps to a few millionths, in a third of the time for lite0."""

import logging
import threading
import warnings
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from core.backbone import Backbone

TOLERANCE = 1e-4
"""Largest difference from torch's maps, as a share of the largest value of the map, up to which they count as equal."""
_PROBES = ((2, 3), (5, 4))
"""Heights and widths of the pictures it is checked on, in units of the coarsest stride."""
_SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
}  # without the first: bfloat16 on some CPUs
_LOG = logging.getLogger(__name__)


class CompiledBackbone:
    """Takes images of any size that the backbone takes; may be called from several threads."""

    def __init__(self, backbone: Backbone) -> None:
        """Trace and compile.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot take this network.
        """
        import openvino  # type: ignore[import-untyped]  # slow to import

        model = _converted(backbone)
        model.reshape([-1, -1, -1, 3])
        settings = _SETTINGS | {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self._levels = len(backbone.strides)
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._requests = threading.local()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The maps of a batch, as `Backbone.forward` gives them.

        Args:
            images: (b, H, W, 3) uint8 RGB on the CPU.

        Returns:
            One (b, channels, H / stride, W / stride) float32 map per level; they hold until this thread's next call.
        """
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        found = request.infer([images.contiguous().numpy()], share_inputs=True, share_outputs=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch: the arrays are read-only; nobody writes to them
            return [torch.from_numpy(np.asarray(found[level])) for level in range(self._levels)]


_KNOWN: WeakKeyDictionary[Backbone, CompiledBackbone | None] = WeakKeyDictionary()


def compiled(backbone: Backbone) -> CompiledBackbone | None:
    """The backbone compiled, once for each; None where that is not possible or would not give torch's maps."""
    if backbone not in _KNOWN:
        _KNOWN[backbone] = _compiled_and_checked(backbone)
    return _KNOWN[backbone]


def _compiled_and_checked(backbone: Backbone) -> CompiledBackbone | None:
    try:
        candidate = CompiledBackbone(backbone)
        difference = max(_difference(backbone, candidate, shape) for shape in _PROBES)
    except (ImportError, AttributeError, RuntimeError, TypeError) as error:
        _LOG.warning("The backbone %s runs in torch: %s", backbone.name, error)
        return None
    if difference > TOLERANCE:
        _LOG.warning("The backbone %s runs in torch: compiled it differs by %.1e.", backbone.name, difference)
        return None
    return candidate


def _difference(backbone: Backbone, candidate: CompiledBackbone, shape: tuple[int, int]) -> float:
    """The largest difference of any map, as a share of the map's largest value."""
    stride = max(backbone.strides)
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (1, shape[0] * stride, shape[1] * stride, 3), generator=generator).byte()
    with torch.inference_mode():
        pairs = list(zip(backbone(picture), candidate(picture), strict=True))
    if any(ours.shape != theirs.shape for ours, theirs in pairs):
        return float("inf")
    return max(float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-9)) for ours, theirs in pairs)


class _AsTuple(nn.Module):
    """A traced network returns a tuple."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(images))


def _converted(backbone: Backbone) -> Any:
    """The network as an OpenVINO model, by its PyTorch front end; its own converter would report on its use."""
    from openvino.frontend import FrontEndManager  # type: ignore[import-untyped]
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # type: ignore[import-untyped]

    side = 2 * max(backbone.strides)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated in favour of an exporter that takes ten times as long
        traced = torch.jit.trace(_AsTuple(backbone), torch.zeros(1, side, side, 3).byte(), check_trace=False)  # type: ignore[no-untyped-call]
    decoder = TorchScriptPythonDecoder(traced)  # it must outlive the conversion
    front_end = FrontEndManager().load_by_framework("pytorch")
    return front_end.convert(front_end.load(decoder))
