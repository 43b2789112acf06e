"""Start the program: application, theme, log, the net under all errors, window; imports little before the paint."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QObject, Qt, QTimer, QtMsgType, Signal, Slot, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from cfa_gui import theme
from cfa_gui.errors import user_message
from cfa_gui.garbage import GarbageKeeper
from cfa_gui.log import log_path, start_log
from cfa_gui.main_window import APP_NAME, MainWindow
from cfa_gui.settings import SettingsStore

_log = logging.getLogger("cfa_gui")


class SafetyNet(QObject):
    """What nobody caught goes to the log and to a toast; the program goes on."""

    _caught = Signal(object)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._caught.connect(self._show)
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception
        qInstallMessageHandler(_on_qt_message)

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._window.close()
            return
        _log.error("not caught", exc_info=(kind, error, trace))
        self._caught.emit(error)

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self._on_exception(args.exc_type, args.exc_value, args.exc_traceback)

    @Slot(object)
    def _show(self, error: BaseException) -> None:
        text, details = user_message(error)
        self._window.tell(text, "error", details)


def _on_qt_message(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    serious = kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
    logging.getLogger("qt").log(logging.WARNING if serious else logging.INFO, "%s", text)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=APP_NAME, description="Learn from good parts, find defects, set a threshold, keep one model file."
    )
    parser.add_argument("paths", nargs="*", type=Path, help="a folder of good parts, images, or a .cfa model")
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None = None) -> int:
    """Show the window and run until it is closed; returns the exit status.

    Args:
        argv: Paths to open; the command line where None.
    """
    arguments = _arguments(argv)
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication([APP_NAME])
    app.setApplicationName(APP_NAME)
    app.setDesktopFileName(APP_NAME)
    log_file = start_log(log_path())
    settings = SettingsStore()
    theme.apply(app, settings.preferences.colour_scheme)
    app.setWindowIcon(theme.icon("magnify-scan", "accent"))
    window = MainWindow(settings, log_file, store=_store)
    net = SafetyNet(window)
    keeper = GarbageKeeper(window)
    window.engine_ready.connect(keeper.settle)
    window.closed.connect(app.quit, Qt.ConnectionType.QueuedConnection)
    if arguments.paths:
        window.open_paths([path.absolute() for path in arguments.paths])
    wake = _let_ctrl_c_through(window)
    window.show()
    status = app.exec()
    keeper.stop()
    del net, wake
    qInstallMessageHandler(None)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    return status


def _store() -> Path:
    """The user's review store; what it imports is not needed before the first paint."""
    from core.review import default_store

    return default_store()


def _let_ctrl_c_through(window: MainWindow) -> QTimer:
    """Python sees signals only between its own instructions: a slow timer lets it run some."""
    signal.signal(signal.SIGINT, lambda *_: window.close())
    timer = QTimer(window, interval=400)
    timer.timeout.connect(_nothing)
    timer.start()
    return timer


def _nothing() -> None:
    """What the timer does."""
