"""A real event loop for each test, and checks that a test leaves nothing behind."""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from cfa_gui import theme


@pytest.fixture(autouse=True)
def no_leaks(qapp: QApplication) -> Iterator[None]:
    """Fail a test that leaves a thread, a running timer or a top-level widget behind."""
    threads = set(threading.enumerate())
    yield
    _settle(qapp)
    leaked_threads = [thread.name for thread in _alive(threads)]
    leaked_widgets = [widget for widget in QApplication.topLevelWidgets() if not _is_qts_own(widget)]
    leaked_timers = [timer for timer in _timers() if timer.isActive()]
    names = [repr(item) for item in (*leaked_widgets, *leaked_timers)]
    for widget in leaked_widgets:
        widget.deleteLater()
    for timer in leaked_timers:
        timer.stop()
    _settle(qapp)
    assert not leaked_threads, f"threads left running: {leaked_threads}"
    assert not names, f"left behind: {names}"


@pytest.fixture(params=["dark", "light"])
def tokens(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[theme.Tokens]:
    """The test runs once in each scheme."""
    theme.apply(qapp, request.param)
    yield theme.current()
    theme.apply(qapp, "dark")


def _settle(app: QApplication) -> None:
    """Let deferred deletions happen."""
    gc.collect()
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


def _is_qts_own(widget: QWidget) -> bool:
    """Helpers that Qt keeps for itself, such as the tool tip's label and the shared combo box list."""
    return type(widget).__name__ in {"QTipLabel", "QLabel"} and widget.objectName() == "qtooltip_label"


def _timers() -> list[QTimer]:
    """Every timer that Python knows of."""
    return [item for item in gc.get_objects() if type(item) is QTimer]
