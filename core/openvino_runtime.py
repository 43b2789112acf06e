"""OpenVINO on the CPU: a model compiled once, called from any thread. float32, where some CPUs would take bfloat16."""

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray

_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
_NO_MEMORY = ("Failed to allocate", "bad_alloc", "can't alloc", "Resource temporarily unavailable")
"""What OpenVINO writes into a plain RuntimeError where there is too little memory."""
_LOADING = threading.Lock()
_MAKING = threading.Lock()


def load_openvino() -> Any:
    """The package `openvino`, which is slow to import and by itself would report to its makers that it is used.

    Without `openvino_telemetry` it does not: neither a file in the user's home nor a word to the network.

    Raises:
        ImportError: It is not installed.
    """
    with _LOADING:  # another thread must not take it half loaded
        absent = "openvino_telemetry" not in sys.modules
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import fails
        try:
            return importlib.import_module("openvino")
        finally:
            if absent:
                del sys.modules["openvino_telemetry"]


def convert_traced(traced: Any) -> Any:
    """A traced network as an `openvino.Model`, by the PyTorch front end; OpenVINO's converter would report on its use.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: It cannot take this network.
    """
    load_openvino()
    from openvino.frontend import FrontEndManager  # type: ignore[import-untyped]
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # type: ignore[import-untyped]

    decoder = TorchScriptPythonDecoder(traced)  # it must outlive the conversion
    front_end = FrontEndManager().load_by_framework("pytorch")
    return front_end.convert(front_end.load(decoder))


class CompiledModel:
    """Arrays in, arrays out."""

    def __init__(self, model: Any) -> None:
        """Compile for as many threads as torch uses.

        Args:
            model: An `openvino.Model`.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot compile the model.
        """
        self._model = model
        self._compiled: Any = _compile(model)
        self._of_thread = threading.local()

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The model's outputs, arrays that hold until this thread's next call.

        Raises:
            MemoryError: The machine has too little.
        """
        with _memory_told():
            compiled = self._compiled
            if compiled is None:
                compiled = self._compiled = _compile(self._model)
            if getattr(self._of_thread, "compiled", None) is not compiled:
                self._of_thread.compiled, self._of_thread.request = compiled, compiled.create_infer_request()
            request = self._of_thread.request
            try:
                request.infer(list(inputs), share_inputs=True, share_outputs=True)
            except RuntimeError:
                self._compiled = None  # it may be half prepared, for every request
                raise
        return [tensor.data for tensor in request.output_tensors]


def _compile(model: Any) -> Any:
    with _MAKING:  # two threads must not make one each
        core = _core()
    return core.compile_model(model, "CPU", _SETTINGS | {"INFERENCE_NUM_THREADS": torch.get_num_threads()})


@cache
def _core() -> Any:
    """The one core of this process, never freed.

    Each core sets a stack of its own for signal handlers and at its end puts back the one it found. Of two that end in
    the order in which they began, the second puts back the freed stack of the first, and the next signal, a Ctrl-C for
    one, kills the process.
    """
    return load_openvino().Core()


@contextmanager
def _memory_told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if any(text in str(error) for text in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise
