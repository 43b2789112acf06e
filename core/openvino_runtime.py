"""OpenVINO on the CPU: a model compiled once, called from any thread. float32, where some CPUs would take bfloat16."""

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from core.set_aside import SetAside

_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
_NO_MEMORY = ("Failed to allocate", "bad_alloc", "can't alloc", "Resource temporarily unavailable")
"""What OpenVINO writes into a plain RuntimeError where there is too little memory."""
_LOADING = threading.Lock()
_MAKING = threading.Lock()
_IN_A_ROW = 2
"""Calls with the same shapes after which these get a model of their own."""
_MORE_PATIENCE = 4
"""Times as many calls it takes whenever the shapes have changed after all; compiling costs what many calls save."""
_Shapes = tuple[tuple[int, ...], ...]


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


class _Request:
    """One of OpenVINO's, to which only what is new is given: handing an array over takes longer than a small layer."""

    def __init__(self, compiled: Any) -> None:
        self._inner = compiled.create_infer_request()
        self._given: dict[int, NDArray[Any]] = {}

    def take(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Read them, where they lie, from now on."""
        for index, array in enumerate(map(np.ascontiguousarray, inputs)):
            if self._given.get(index) is not array:
                self._given[index] = array
                self._inner.set_input_tensor(index, load_openvino().Tensor(array, shared_memory=True))

    def start(self) -> None:
        self._inner.start_async()

    def wait(self) -> None:
        self._inner.wait()

    def infer(self) -> None:
        self._inner.infer(share_outputs=True)

    def outputs(self) -> list[NDArray[Any]]:
        return [tensor.data for tensor in self._inner.output_tensors]


class CompiledModel:
    """Arrays in, arrays out, by as many threads as torch uses.

    Shapes that come again and again get a model compiled for them alone: it computes the same, and spends nothing
    between its layers on finding out how large they are. One model is held at a time.
    """

    def __init__(self, model: Any, constants: SetAside | None = None) -> None:
        """Hold a model; its first call compiles it.

        Args:
            model: An `openvino.Model`.
            constants: Of the model, those that are read while it is compiled and never again.
        """
        self._model, self._constants = model, constants
        self._compiled: Any = None
        self._only_for: _Shapes | None = None
        self._last: _Shapes | None = None
        self._in_a_row, self._patience = 0, _IN_A_ROW
        self._at_once: list[int] = []
        self._streams = 1
        self._choosing = threading.Lock()
        self._requests: WeakKeyDictionary[threading.Thread, list[_Request]] = WeakKeyDictionary()

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The model's outputs, arrays that hold until this thread's next call.

        Raises:
            MemoryError: The machine has too little.
            RuntimeError: OpenVINO cannot compile the model, or not compute it.
        """
        return self.side_by_side([inputs])[0]

    def side_by_side(self, calls: Sequence[Sequence[NDArray[Any]]]) -> list[list[NDArray[Any]]]:
        """What several calls would return, each by its share of the processors.

        Args:
            calls: Their inputs, of the same shapes in all.

        Raises:
            MemoryError: As for one.
            RuntimeError: As for one.
        """
        with _memory_told():
            requests = self._requests_for(tuple(array.shape for array in calls[0]), len(calls))
            try:
                _infer(requests, calls)
            except RuntimeError:
                self._compiled = None  # it may be half prepared, for every request
                raise
        return [request.outputs() for request in requests]

    @property
    def shared(self) -> bool:
        """Whether several threads are about to call at once."""
        return bool(self._at_once)

    def release(self) -> None:
        """Give back what is compiled; the next call compiles it again."""
        with self._choosing:
            if self._compiled is not None:
                self._compiled, self._only_for, self._last, self._patience = None, None, None, 1
                self._requests.clear()

    def expect_one_size(self) -> None:
        """Whatever comes next is likely to come again: its shapes get a model of their own at once.

        That spares a model for all shapes: it takes twice as long to compile, and may take twice the memory to compute.
        """
        with self._choosing:
            self._last, self._patience = None, 1

    @contextmanager
    def several_at_once(self, count: int) -> Iterator[None]:
        """Meanwhile so many threads call at once, and each call gets a share of the processors.

        Processors that share one call wait for each other at every layer; those of different calls do not.
        """
        with self._choosing:
            self._at_once.append(count)
        try:
            yield
        finally:
            with self._choosing:
                self._at_once.remove(count)

    def _requests_for(self, shapes: _Shapes, count: int) -> list[_Request]:
        """This thread's own, of what is compiled for these shapes."""
        with self._choosing:
            compiled = self._chosen(shapes, count)
            own = self._requests.setdefault(threading.current_thread(), [])
            while len(own) < count:
                own.append(_Request(compiled))
            return own[:count]

    def _chosen(self, shapes: _Shapes, calls: int) -> Any:
        """What is compiled for these shapes, alone or among all others."""
        streams = max(self._at_once, default=calls)
        if streams != self._streams:
            self._compiled, self._only_for, self._streams = None, None, streams
            self._last, self._patience = None, 1
        self._in_a_row = self._in_a_row + 1 if shapes == self._last else 1
        self._last = shapes
        if self._compiled is not None and self._only_for == shapes:
            return self._compiled
        if self._in_a_row >= self._patience:
            self._recompile(shapes)
            self._patience = max(self._patience, _IN_A_ROW)
        elif self._compiled is None or self._only_for is not None:
            self._patience *= _MORE_PATIENCE if self._only_for is not None else 1
            self._recompile(None)
        return self._compiled

    def _recompile(self, shapes: _Shapes | None) -> None:
        model = self._model
        if shapes is not None:
            model = model.clone()
            model.reshape({index: list(shape) for index, shape in enumerate(shapes)})
        self._compiled, self._only_for = None, None  # two would need twice the memory
        self._requests.clear()
        self._compiled, self._only_for = _compile(model, self._streams), shapes
        if self._constants is not None:
            self._constants.release()


def _infer(requests: Sequence[_Request], calls: Sequence[Sequence[NDArray[Any]]]) -> None:
    """The first in this thread."""
    with ExitStack() as running:  # where one fails the others are waited for all the same
        for request, inputs in zip(requests[1:], calls[1:], strict=True):
            request.take(inputs)
            request.start()
            running.callback(request.wait)
        requests[0].take(calls[0])
        requests[0].infer()


def _compile(model: Any, streams: int = 1) -> Any:
    """Compiled for this processor, for so many calls at once."""
    with _MAKING:  # two threads must not make one each
        core = _core()
    threads = torch.get_num_threads()
    # By itself it keeps its threads on the first processors. Programs that have some of them each would all be there.
    alone = threads >= (os.cpu_count() or 1)
    of_calls = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": streams}
    of_threads = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": alone}
    return core.compile_model(model, "CPU", _SETTINGS | of_calls | of_threads)


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
