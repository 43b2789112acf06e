"""A real event loop for each test, and checks that a test leaves nothing behind."""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import shiboken6

if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from cfa_gui import theme
from cfa_gui.widgets import colour_bar
from cfa_gui.widgets.image_canvas import ImageCanvas
from cfa_gui.workbench import Workbench
from tests.cfa_gui.bench import Bench, working_bench
from tests.cfa_gui.desk import Desk, open_desk

hypothesis.settings.register_profile("window", deadline=None)  # pytest-timeout sees to it
hypothesis.settings.load_profile("window")


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what Qt's offscreen platform says whenever a window with a smallest size is shown."""
    config.addinivalue_line("qt_log_ignore", "This plugin does not support propagateSizeHints")


@pytest.fixture(scope="session")
def few_objects(qapp: QApplication) -> None:
    """Set what the imports made aside, so that looking through all objects after each test is quick."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaks(qapp: QApplication, few_objects: None) -> Iterator[None]:
    """Fail a test that leaves a thread, a running timer or a top-level widget behind."""
    threads = set(threading.enumerate())
    yield
    _let_go(qapp)
    if _widgets() or _timers():
        gc.collect()
        _let_go(qapp)
    left = [*_widgets(), *_timers()]
    names = [repr(item) for item in left]
    for item in left:
        item.deleteLater()
    _let_go(qapp)
    alive = [thread.name for thread in _alive(threads)]
    assert not alive, f"threads left running: {alive}"
    assert not names, f"left behind: {names}"


@pytest.fixture(params=["dark", "light"])
def tokens(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[theme.Tokens]:
    """The test runs once in each scheme."""
    theme.apply(qapp, request.param)
    yield theme.current()
    theme.apply(qapp, "dark")


@pytest.fixture
def canvas(qtbot: QtBot) -> ImageCanvas:
    """A canvas on the screen, 400 by 300 without its colour bar; colours from 1/2 to 2."""
    canvas = ImageCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(400 + colour_bar.WIDTH, 300)
    canvas.set_range(0.5, 2.0)
    canvas.show()
    qtbot.waitExposed(canvas)
    return canvas


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    """The whole program but its windows, with a fake engine; nothing is open."""
    with working_bench(qtbot, tmp_path) as made:
        yield made


@pytest.fixture
def work(bench: Bench, qtbot: QtBot) -> Workbench:
    """The bench's panels on the screen, as large as in a window of 1280 by 800."""
    made = Workbench(bench.parts)
    qtbot.addWidget(made)
    made.resize(1280, 740)
    made.show()
    return made


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The window with a fake engine; nothing is open."""
    with open_desk(Desk, qtbot, tmp_path, monkeypatch) as made:
        yield made


def _let_go(app: QApplication) -> None:
    """Let deferred deletions happen."""
    app.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _alive(known: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that were not there before; one that is ending gets half a second."""
    deadline = time.monotonic() + 0.5
    while True:
        alive = [thread for thread in threading.enumerate() if thread not in known and thread.is_alive()]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.01)


def _widgets() -> list[QWidget]:
    """Top-level widgets but for the label of tool tips, which Qt keeps for itself."""
    return [widget for widget in QApplication.topLevelWidgets() if widget.objectName() != "qtooltip_label"]


def _timers() -> list[QTimer]:
    """Running timers that Python knows of."""
    timers = (item for item in gc.get_objects() if type(item) is QTimer)
    return [timer for timer in timers if shiboken6.isValid(timer) and timer.isActive()]
