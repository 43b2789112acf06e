"""The newest wish is met first."""

import threading

import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.jobs import LatestLoader
from core.errors import ImageError


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


def test_that_the_newest_request_is_loaded_first_and_the_oldest_is_forgotten(
    qtbot: QtBot, gate: threading.Event
) -> None:
    asked: list[object] = []
    begun = threading.Event()

    def load(key: object) -> object:
        asked.append(key)
        begun.set()
        gate.wait(5)
        return f"value of {key}"

    loader = LatestLoader(load, limit=3)
    got: list[tuple[object, object]] = []
    loader.loaded.connect(lambda key, value: got.append((key, value)))
    loader.request("first")
    assert begun.wait(5)
    for key in ("a", "b", "c", "d", "b", "e"):
        loader.request(key)
    gate.set()
    qtbot.waitUntil(lambda: len(got) == 4)
    assert asked == ["first", "e", "b", "d"]
    assert got[1] == ("e", "value of e")
    loader.shutdown()


def test_that_a_cleared_loader_drops_the_value_on_its_way(qtbot: QtBot, gate: threading.Event) -> None:
    begun = threading.Event()

    def load(key: object) -> object:
        begun.set()
        gate.wait(5)
        return key

    loader = LatestLoader(load)
    got: list[object] = []
    loader.loaded.connect(lambda key, value: got.append(key))
    loader.request("old")
    loader.request("waiting")
    assert begun.wait(5)
    loader.clear()
    loader.request("new")
    gate.set()
    qtbot.waitUntil(lambda: bool(got))
    qtbot.wait(20)
    assert got == ["new"]
    loader.shutdown()


def test_that_a_load_which_raises_is_told_and_the_next_goes_on(qtbot: QtBot) -> None:
    def load(key: object) -> object:
        if key == "bad":
            raise ImageError("unreadable")
        return key

    loader = LatestLoader(load)
    told: list[object] = []
    loader.failed.connect(lambda key, error: told.append((key, str(error))))
    loader.loaded.connect(lambda key, value: told.append(key))
    loader.request("bad")
    qtbot.waitUntil(lambda: len(told) == 1)
    loader.request("fine")
    qtbot.waitUntil(lambda: len(told) == 2)
    assert told == [("bad", "unreadable"), "fine"]
    loader.shutdown()
    loader.request("after the end")
    assert told[2:] == []
