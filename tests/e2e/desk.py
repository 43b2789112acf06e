"""A real window over the real engine, with drops as the desktop sends them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cfa_gui.composition import Composition
from cfa_gui.main_window import MainWindow
from cfa_gui.models.notices import Notice
from cfa_gui.models.run_state import RunState
from cfa_gui.settings import SettingsStore
from cfa_gui.workbench import Workbench
from tests.cfa_gui.bench import Answers
from tests.core.parts import picture, with_defect

SIZE = 64


def write_data_set(root: Path, good: int = 24, test_good: int = 4, defects: int = 4) -> Path:
    """Tiny parts in MVTec AD layout, the defective ones with their masks."""
    for number in range(good):
        _save(root / "train" / "good" / f"{number:03}.png", picture(number, SIZE, SIZE))
    for number in range(test_good):
        _save(root / "test" / "good" / f"{number:03}.png", picture(100 + number, SIZE, SIZE))
    for number in range(defects):
        place = 8 + 8 * number
        spoiled = with_defect(picture(200 + number, SIZE, SIZE), place, place, 16)
        _save(root / "test" / "spot" / f"{number:03}.png", spoiled)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[place : place + 16, place : place + 16] = 255
        _save(root / "ground_truth" / "spot" / f"{number:03}_mask.png", mask)
    return root


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


class RealDesk:
    """One window; several may follow each other.

    Args:
        qtbot: Of the test.
        folder: For the preferences.
    """

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self._qtbot = qtbot
        self._closed = False
        self.answers = Answers()
        self.window = MainWindow(
            SettingsStore(folder / "preferences.json"), None, None, self.answers, lambda: folder / "reviews.sqlite"
        )
        self.window.show()
        self.until(lambda: self.window.parts is not None)
        self.said: list[Notice] = []
        self.parts.notices.posted.connect(self.said.append)

    @property
    def parts(self) -> Composition:
        """Everything behind the window."""
        assert self.window.parts is not None
        return self.window.parts

    @property
    def bench(self) -> Workbench:
        """The page with the panels."""
        assert self.window.bench is not None
        return self.window.bench

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        self._qtbot.waitUntil(condition, timeout=60_000)

    def until_idle(self) -> None:
        """Wait until nothing is being done."""
        self.until(lambda: self.parts.session.state is RunState.IDLE and not self.parts.runner.busy)

    def drop(self, paths: Sequence[Path]) -> None:
        """Let files and folders fall on the middle of the window, through Qt's own search for who takes them."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        handle = self.window.windowHandle()
        middle = QPoint(self.window.width() // 2, self.window.height() // 2)
        copy, left, no_key = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(middle, copy, data, left, no_key)
        QApplication.sendEvent(handle, enter)
        assert enter.isAccepted()
        drop = QDropEvent(QPointF(middle), copy, data, left, no_key)
        QApplication.sendEvent(handle, drop)
        assert drop.isAccepted()

    def open_parts(self, root: Path, **changes: object) -> None:
        """Drop a data set, wait until it is read and checked, and change settings."""
        self.drop([root])
        self.until(lambda: self.parts.session.samples is not None and not self.parts.session.samples.checking)
        self.until_idle()
        config = self.parts.session.config
        self.parts.session.set_config(config.with_changes(image_size=SIZE, epochs=1).with_changes(**changes))

    def train(self) -> None:
        """Press "Train" and wait until the test images are inspected too."""
        self.bench.training._train.click()
        assert self.parts.session.state is RunState.TRAINING
        self.until_idle()

    def save(self, path: Path) -> None:
        """Save the model."""
        self.answers.path = path
        assert self.window.actions_table is not None
        self.window.actions_table["save_as"].trigger()
        self.until_idle()

    def scores(self) -> dict[str, float]:
        """The score of every inspected image by name."""
        review = self.parts.session.review
        return {sample.name: float(score) for sample, score in zip(review.samples, review.scores, strict=True)}

    def errors(self) -> list[str]:
        """What was said of errors."""
        return [notice.text for notice in self.said if notice.level == "error"]

    def close(self) -> None:
        """Close without a question; harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        self.answers.answer, self.answers.stop = "discard", True
        self.window.close()
        self.until(lambda: not self.window.isVisible())
        self.window.deleteLater()
