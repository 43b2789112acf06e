"""The graph of an inspection as files of each format."""

import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import ExportError
from core.export.graph import INPUT, OUTPUTS, InspectionGraph, shifted
from core.export.words import Format, Target
from core.openvino_runtime import convert_traced, load_openvino
from core.trained_model import TrainedModel

ONNX_OPSET = 18
MODEL_FILES = {
    Format.ONNX: ("model.onnx",),
    Format.OPENVINO: ("model.xml", "model.bin"),
    Format.TORCHSCRIPT: ("model.pt",),
}
"""The first is the one to load."""
PACKAGES = {Format.ONNX: "onnxruntime", Format.OPENVINO: "openvino", Format.TORCHSCRIPT: "torch"}
_PRECISION = {Format.ONNX: torch.float64, Format.OPENVINO: torch.float32, Format.TORCHSCRIPT: torch.float64}
"""OpenVINO has no float64 on a CPU."""
_EXAMPLE = (67, 91)
"""Height and width of the picture that the graph is traced with; any would do."""


def require_runtime(target: Target) -> None:
    """See that the runtime is here, without which nothing can be checked.

    Raises:
        ExportError: It is not installed.
    """
    package = PACKAGES[target.format]
    wanted = ("onnx", package) if target.format is Format.ONNX else (package,)  # torch writes ONNX by way of `onnx`
    if not all(importlib.util.find_spec(name) for name in wanted):
        extra = "cfa-gui[onnx]" if target.format is Format.ONNX else package
        raise ExportError(
            f'Export to {target.format} needs {" and ".join(wanted)}. Install it with: pip install "{extra}"'
        )


def runtime_settings(target: Target) -> dict[str, str]:
    """What the runtime is told when it loads the model.

    OpenVINO by itself takes bfloat16 where a processor has it, which neither resize nor distances survive.
    """
    if target.format is not Format.OPENVINO:
        return {}
    return {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


def write_model(trained: TrainedModel, target: Target, folder: Path) -> None:
    """Write the model's files.

    Args:
        trained: With a threshold; stays as it is.
        target: Its format counts.
        folder: Is there.

    Raises:
        ExportError: The format cannot hold this network.
    """
    file, config = folder / MODEL_FILES[target.format][0], trained.config
    try:
        with _quiet():
            graph = InspectionGraph(trained, _lines(trained), _PRECISION[target.format]).eval()
            example = torch.zeros(*_EXAMPLE, 3, dtype=torch.uint8)
            traced = torch.jit.trace(graph, (example,), check_trace=False)  # type: ignore[no-untyped-call]
            _WRITERS[target.format](traced, example, file)
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(
            f"The backbone {config.backbone!r} cannot be exported to {target.format} ({reason}). Try another format."
        ) from error


def _lines(trained: TrainedModel) -> tuple[float, float]:
    """What the exported model compares scores with: above the first not good, above the second a defect."""
    threshold = trained.threshold
    if threshold is None:
        raise ValueError("there is no threshold")
    upper = shifted(threshold, trained.calibration.scores)
    return upper if threshold.lower is None else threshold.lower, upper


def _write_onnx(traced: Any, example: Tensor, file: Path) -> None:
    torch.onnx.export(
        torch.jit.freeze(traced),
        (example,),
        str(file),
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_axes={INPUT: {0: "height", 1: "width"}, OUTPUTS[0]: {0: "rows", 1: "columns"}},
        opset_version=ONNX_OPSET,
        dynamo=False,  # the newer exporter gives the same graph in twenty times the time; see ADR 0009
    )


def _write_openvino(traced: Any, _example: Tensor, file: Path) -> None:
    openvino = load_openvino()
    model = convert_traced(traced)
    model.reshape({0: [-1, -1, 3]})
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    openvino.save_model(model, str(file), compress_to_fp16=False)


def _write_torchscript(traced: Any, _example: Tensor, file: Path) -> None:
    torch.jit.freeze(traced).save(str(file))


_WRITERS = {
    Format.ONNX: _write_onnx,
    Format.OPENVINO: _write_openvino,
    Format.TORCHSCRIPT: _write_torchscript,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without gradients, and without what torch says of tracing: it is kept, but no longer developed."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield
