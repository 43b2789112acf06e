"""The whole window with a fake engine and fake answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from cfa_gui.composition import Composition
from cfa_gui.main_window import MainWindow
from cfa_gui.models.run_state import RunState
from cfa_gui.settings import SettingsStore
from tests.cfa_gui.bench import Answers
from tests.cfa_gui.fake_engine import FakeEngine, write_parts

LAPTOP = QSize(1092, 534)
"""1366 × 768 at 125 %, less a task bar and a title bar."""


class Desk:
    """A window with a fake engine."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.qtbot = qtbot
        self.engine = FakeEngine()
        self.answers = Answers()
        self.window = MainWindow(SettingsStore(folder / "preferences.json"), None, self.engine, self.answers)
        self.window.show()
        self.until(lambda: self.window.parts is not None)

    @property
    def parts(self) -> Composition:
        """Everything behind the window."""
        assert self.window.parts is not None
        return self.window.parts

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        self.qtbot.waitUntil(condition, timeout=5000)

    def until_idle(self) -> None:
        """Wait until nothing is being done."""
        self.until(lambda: self.parts.session.state is RunState.IDLE)

    def ready(self, folder: Path) -> None:
        """Open parts, train, inspect."""
        self.window.open_paths([write_parts(folder / "parts")])
        self.until(lambda: self.parts.session.samples is not None)
        self.until_idle()
        self.parts.start_training()
        self.until_idle()

    def press(self, key: Qt.Key | str) -> None:
        """Press a key where the keyboard is on the list."""
        assert self.window.bench is not None
        view = self.window.bench.images.view
        self.window.activateWindow()
        view.setFocus()
        self.until(view.hasFocus)
        if isinstance(key, str):
            QTest.keyClicks(view, key)
        else:
            QTest.keyClick(view, key)


D = TypeVar("D", bound=Desk)


@contextmanager
def open_desk(kind: type[D], qtbot: QtBot, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[D]:
    """A window with its settings in a folder of its own, closed at the end whatever goes on in it."""
    monkeypatch.setattr("cfa_gui.settings.default_path", lambda: folder / "config" / "preferences.json")
    monkeypatch.setattr("cfa_gui.view_menus.default_path", lambda: folder / "config" / "preferences.json")
    made = kind(qtbot, folder)
    made.window.activateWindow()
    yield made
    if made.engine.gate is not None:
        made.engine.gate.open()
    made.answers.answer, made.answers.stop = "discard", True
    made.window.close()
    made.window._end()
    made.window.deleteLater()
