"""Everything behind the window with a fake engine and fake answers, for the tests of controllers and panels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from cfa_gui.composition import Composition
from cfa_gui.models.notices import Notice
from cfa_gui.models.run_state import RunState
from cfa_gui.settings import SettingsStore
from tests.cfa_gui.fake_engine import FakeEngine, write_parts


def turn_wheel(widget: QWidget, angle: int = -120) -> None:
    """One notch of the wheel over a widget, towards the user unless `angle` is positive."""
    event = QWheelEvent(
        QPointF(5, 5),
        widget.mapToGlobal(QPointF(5, 5)),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,  # noqa: FBT003  Qt's own way
    )
    QApplication.sendEvent(widget, event)


def texts_of(widget: QWidget) -> str:
    """All that a panel says, in one string."""
    labels = [label.text() for label in widget.findChildren(QLabel) if not label.isHidden()]
    buttons = [button.text() for button in widget.findChildren(QAbstractButton) if not button.isHidden()]
    return "\n".join(labels + buttons)


class Answers:
    """Answers every question as set, and counts them."""

    def __init__(self) -> None:
        self.answer = "discard"
        self.stop = True
        self.labels = 0
        self.purpose = "inspect"
        self.path: Path | None = None
        self.only_flagged = False
        self.asked: list[str] = []

    def unsaved(self, name: str, labels: int = 0) -> str:
        """What to do with an unsaved model."""
        self.labels = labels
        self.asked.append(f"unsaved {name}")
        return self.answer

    def lose_labels(self, count: int) -> bool:
        """Whether to close without the labels."""
        self.asked.append(f"labels {count}")
        return self.answer != "cancel"

    def stop_work(self, doing: str) -> bool:
        """Whether to stop."""
        self.asked.append(f"stop {doing}")
        return self.stop

    def inspect_or_train(self, count: int) -> str:
        """What images are for."""
        self.asked.append(f"purpose {count}")
        return self.purpose

    def model_to_save(self, suggestion: Path) -> Path | None:
        """Where to save."""
        self.asked.append(f"save {suggestion.name}")
        return self.path

    def model_to_open(self, folder: Path) -> Path | None:
        """What to open."""
        return self.path

    def folder(self, title: str, folder: Path) -> Path | None:
        """What to open."""
        return self.path

    def video_to_open(self, folder: Path) -> Path | None:
        """Which video to look at."""
        return self.path

    def images(self, title: str, folder: Path) -> list[Path]:
        """What to open."""
        return [self.path] if self.path else []

    def scores_to_write(self, suggestion: Path) -> Path | None:
        """Where to write a table."""
        self.asked.append(f"scores {suggestion.name}")
        return self.path

    def overlays_to_write(self, flagged: int, scored: int, folder: Path) -> tuple[Path, bool] | None:
        """Where to write overlays."""
        self.asked.append(f"overlays {flagged} {scored}")
        return (self.path, self.only_flagged) if self.path else None

    def report_to_write(self, suggestion: Path) -> Path | None:
        """Where to write a report."""
        self.asked.append(f"report {suggestion.name}")
        return self.path


class Bench:
    """A composition and what a test wants to know of it."""

    def __init__(self, qtbot: QtBot, folder: Path, engine: FakeEngine | None = None) -> None:
        self.qtbot = qtbot
        self.folder = folder
        self.engine = engine or FakeEngine()
        self.answers = Answers()
        self.settings = SettingsStore(folder / "preferences.json")
        self.parts = Composition(self.engine, self.settings, self.answers, folder / "store" / "reviews.sqlite")
        self.session = self.parts.session
        self.said: list[Notice] = []
        self.parts.notices.posted.connect(self.said.append)

    def texts(self, level: str | None = None) -> list[str]:
        """What was said, of one level or of all."""
        return [notice.text for notice in self.said if level in (None, notice.level)]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        self.qtbot.waitUntil(condition, timeout=5000)

    def until_idle(self) -> None:
        """Wait until nothing is being done."""
        self.until(lambda: self.session.state is RunState.IDLE)

    def open_parts(self) -> Path:
        """Open a data set in MVTec AD layout; returns its folder."""
        root = write_parts(self.folder / "parts")
        self.parts.opening.open([root])
        self.until_idle()
        self.until(lambda: self.session.samples is not None and not self.session.samples.checking)
        return root

    def train(self) -> None:
        """Train, and inspect the test images."""
        self.parts.start_training()
        self.until_idle()


@contextmanager
def working_bench(qtbot: QtBot, folder: Path, engine: FakeEngine | None = None) -> Iterator[Bench]:
    """A bench whose threads end with the test."""
    bench = Bench(qtbot, folder, engine)
    yield bench
    if bench.engine.gate is not None:
        bench.engine.gate.open()
    bench.parts.shutdown()
    bench.parts.deleteLater()
