import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch

from core import openvino_runtime
from core.openvino_runtime import CompiledModel

INPUT = np.arange(4, dtype=np.float32)


class Failing:
    """A compiled model whose requests fail."""

    def __init__(self, words: str) -> None:
        self.words = words

    def create_infer_request(self) -> "Failing":
        return self

    def set_input_tensor(self, _index: int, _values: object) -> None:
        pass

    def infer(self, **_: object) -> None:
        raise RuntimeError(self.words)


@pytest.fixture
def doubled() -> CompiledModel:
    """A model that doubles its input."""
    import openvino  # type: ignore[import-untyped]
    from openvino import opset13 as ops

    values = ops.parameter([-1], np.float32)
    return CompiledModel(openvino.Model([ops.multiply(values, ops.constant(np.float32(2))).output(0)], [values]))


@pytest.mark.parametrize("words", ["node.cpp: Failed to allocate 33 bytes", "std::bad_alloc", "can't alloc"])
def test_that_a_model_that_ran_out_of_memory_says_so_and_is_compiled_again(doubled: CompiledModel, words: str) -> None:
    """One that failed in the middle is left half prepared: its next answer would be an error or wrong."""
    doubled._compiled = Failing(words)
    with pytest.raises(MemoryError, match=words):
        doubled([INPUT])
    assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]


def test_that_too_little_memory_to_compile_again_is_told_too(
    doubled: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_model: object, _streams: int) -> None:
        raise RuntimeError("plugin.cpp: std::bad_alloc")

    doubled._compiled = None
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(openvino_runtime, "_compile", no_room)
        doubled([INPUT])
    assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]


def test_that_programs_with_some_threads_each_do_not_all_stand_on_the_first_processor(
    doubled: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: torch.get_num_threads() + 1)
    assert not openvino_runtime._compile(doubled._model).get_property("ENABLE_CPU_PINNING")
    monkeypatch.setattr(os, "cpu_count", torch.get_num_threads)
    assert openvino_runtime._compile(doubled._model).get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads()


def test_that_calls_side_by_side_each_get_their_own_answer(doubled: CompiledModel) -> None:
    inputs = [INPUT, INPUT + 5, INPUT - 3]
    found = [answer for (answer,) in doubled.side_by_side([[values] for values in inputs])]
    assert [answer.tolist() for answer in found] == [(2 * values).tolist() for values in inputs]
    assert doubled._compiled.get_property("NUM_STREAMS") == min(3, torch.get_num_threads())


def test_that_an_array_that_comes_again_is_read_again(doubled: CompiledModel) -> None:
    values = INPUT.copy()
    assert doubled([values])[0].tolist() == [0, 2, 4, 6]
    values += 1
    assert doubled([values])[0].tolist() == [2, 4, 6, 8]
    assert doubled([np.asfortranarray(INPUT[::-1])])[0].tolist() == [6, 4, 2, 0]


def test_that_where_a_call_fails_those_beside_it_are_waited_for(doubled: CompiledModel) -> None:
    waited: list[str] = []

    class Started(Failing):
        def start_async(self) -> None:
            pass

        def wait(self) -> None:
            waited.append(self.words)

    doubled._compiled = Started("std::bad_alloc")
    doubled._streams = 3
    with pytest.raises(MemoryError):
        doubled.side_by_side([[INPUT]] * 3)
    assert len(waited) == 2
    assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]


def test_that_what_is_released_is_compiled_again_for_the_size_at_hand(doubled: CompiledModel) -> None:
    doubled([INPUT])
    doubled.release()
    before: Any = doubled._compiled
    assert before is None
    assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]
    after: Any = doubled._compiled
    assert not after.input(0).partial_shape.is_dynamic


def test_that_any_other_error_stays_what_it_is(doubled: CompiledModel) -> None:
    doubled._compiled = Failing("Eltwise shape infer: mismatch")
    with pytest.raises(RuntimeError, match="mismatch"):
        doubled([INPUT])
    assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]


def test_that_shapes_that_come_again_get_a_model_of_their_own_until_others_come(
    doubled: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[int]] = []
    compile_model = openvino_runtime._compile

    def spy(model: Any, streams: int) -> Any:
        made.append([-1 if size.is_dynamic else size.get_length() for size in model.input(0).partial_shape])
        return compile_model(model, streams)

    monkeypatch.setattr(openvino_runtime, "_compile", spy)
    for length in (4, 4, 4, 3, 3, 3, 4):
        values = np.arange(length, dtype=np.float32)
        assert doubled([values])[0].tolist() == (2 * values).tolist()
    assert made == [[-1], [4], [-1]]  # 3 thrice in a row is not often enough any more
    for _ in range(8):
        assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]
    assert made[3:] == [[4]]
    doubled.expect_one_size()
    for length in (5, 6, 7):
        doubled([np.zeros(length, np.float32)])
    assert made[4:] == [[5], [-1]]


def test_that_calls_at_once_get_a_share_of_the_processors_each_and_a_call_alone_all_of_them(
    doubled: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    compile_model = openvino_runtime._compile

    def spy(model: Any, streams: int) -> Any:
        made.append(streams)
        return compile_model(model, streams)

    def answer() -> None:
        assert doubled([INPUT])[0].tolist() == [0, 2, 4, 6]

    monkeypatch.setattr(openvino_runtime, "_compile", spy)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    answer()
    with doubled.several_at_once(2):
        answer()
        with doubled.several_at_once(1):  # somebody else inspects a single image meanwhile
            answer()
    with doubled.several_at_once(2):  # nobody called alone in between
        answer()
    assert made == [1, 2]
    assert doubled._compiled.get_property("NUM_STREAMS") == 2
    answer()
    assert made == [1, 2, 1]
    assert doubled._compiled.get_property("NUM_STREAMS") == 1


def test_that_a_threads_answer_holds_while_others_have_the_model_compiled_anew(
    doubled: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    values = np.arange(50_000, dtype=np.float32)
    mine = doubled([values])[0]
    before = doubled._compiled
    with doubled.several_at_once(2):
        other = threading.Thread(target=lambda: [doubled([np.full(50_000, 7, np.float32)]) for _ in range(4)])
        other.start()
        other.join()
    assert doubled._compiled is not before
    assert np.array_equal(mine, 2 * values)


def test_that_a_size_has_a_model_of_its_own_at_once_however_many_calls_there_are(doubled: CompiledModel) -> None:
    """One for all sizes takes twice as long to compile."""
    doubled.expect_one_size()
    doubled([INPUT])
    with doubled.several_at_once(2):
        doubled([INPUT])
        assert not doubled._compiled.input(0).partial_shape.is_dynamic


@pytest.mark.parametrize("at_once", [1, 2])
def test_that_threads_with_other_shapes_get_their_own_answers(doubled: CompiledModel, at_once: int) -> None:
    wrong: list[int] = []

    def repeat(length: int) -> None:
        values = np.arange(length, dtype=np.float32)
        wrong.extend(length for _ in range(30) if doubled([values])[0].tolist() != (2 * values).tolist())

    threads = [threading.Thread(target=repeat, args=(length,)) for length in (3, 3, 4, 5)]
    with doubled.several_at_once(at_once):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_that_a_signal_is_survived_after_models_came_and_went() -> None:
    """Each of OpenVINO's cores puts a stack for signal handlers in place and takes it away."""
    program = """
import gc, signal
import numpy as np
from openvino import Model, opset13 as ops
from core.openvino_runtime import CompiledModel

def doubled():
    values = ops.parameter([-1], np.float32)
    return CompiledModel(Model([ops.multiply(values, ops.constant(np.float32(2))).output(0)], [values]))

first, second = doubled(), doubled()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
signal.raise_signal(signal.SIGINT)
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr
