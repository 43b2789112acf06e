"""Cyclic garbage goes on the GUI thread only."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.garbage import GarbageKeeper


class Node:
    """Something that can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def keeper(qtbot: QtBot) -> Iterator[GarbageKeeper]:
    made = GarbageKeeper()
    yield made
    made.stop()
    made.deleteLater()


def test_that_a_worker_thread_never_collects(keeper: GarbageKeeper) -> None:
    cycle = weakref.ref(Node())

    def allocate() -> None:
        kept = [[] for _ in range(100_000)]  # type: ignore[var-annotated]  # enough for all generations
        assert kept

    worker = threading.Thread(target=allocate)
    worker.start()
    worker.join()
    assert cycle() is not None
    keeper._look()  # what the timer does
    for _ in range(60):
        keeper._look()
    assert cycle() is None


def test_that_python_collects_by_itself_again_after_the_end(qtbot: QtBot) -> None:
    keeper = GarbageKeeper()
    keeper.settle()
    assert not gc.isenabled()
    keeper.stop()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    keeper.deleteLater()
