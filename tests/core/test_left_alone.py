"""Work that cannot be interrupted: who cancels does not wait for its end."""

import threading
import time

import pytest

from core import training
from core.errors import CancelledByUser
from core.inspection import Inspector
from core.left_alone import left_alone
from core.model import CfaModel
from core.progress import CancelToken, Phase, Progress
from core.samples import Sample
from core.training import train
from tests.core.parts import TINY

LONG = 30.0
"""Seconds that a test would take if the work were waited for."""


def test_that_the_result_is_that_of_the_work() -> None:
    assert left_alone(lambda: 6 * 7, CancelToken()) == 42


def test_that_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="of the work itself"):
        left_alone(work, CancelToken())


def test_that_work_is_not_begun_once_someone_has_cancelled() -> None:
    cancel, begun = CancelToken(), threading.Event()
    cancel.cancel()
    with pytest.raises(CancelledByUser):
        left_alone(begun.set, cancel)
    assert not begun.is_set()


def test_that_a_cancel_does_not_wait_for_the_end() -> None:
    cancel, begun, free, ended = CancelToken(), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        cancel.cancel()
        free.wait(LONG)
        ended.set()

    started = time.monotonic()
    with pytest.raises(CancelledByUser):
        left_alone(work, cancel)
    assert begun.is_set()
    assert not ended.is_set()
    assert time.monotonic() - started < LONG / 2
    free.set()
    assert ended.wait(LONG), "it goes on by itself"


@pytest.mark.parametrize("slow", ["build_backbone", "compile_backbone", "compile_all"])
def test_that_a_training_is_cancelled_while_it_waits_for_what_cannot_be_interrupted(
    slow: str, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel, free, ended = CancelToken(), threading.Event(), threading.Event()
    where: object = training if slow == "build_backbone" else CfaModel

    def never(*_arguments: object) -> None:
        cancel.cancel()
        free.wait(LONG)
        ended.set()

    monkeypatch.setattr(where, slow, never)
    seen: list[Progress] = []
    with pytest.raises(CancelledByUser):
        train(parts, TINY.with_changes(epochs=0), device="cpu", report=seen.append, cancel=cancel)
    assert not ended.is_set()
    assert seen[-1].phase is (Phase.CALIBRATING if slow == "compile_all" else Phase.READING), "what it waits for"
    free.set()
    assert ended.wait(LONG)


def test_that_an_inspection_is_cancelled_while_the_model_is_compiled(
    parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train(parts, TINY.with_changes(epochs=0), device="cpu")
    cancel, free = CancelToken(), threading.Event()

    def never(_network: CfaModel, _count: int) -> None:
        cancel.cancel()
        free.wait(LONG)

    monkeypatch.setattr(CfaModel, "compile_all", never)
    with pytest.raises(CancelledByUser):
        Inspector(trained, device="cpu", cancel=cancel)
    free.set()
