"""The empty window: one big drop target, and what was open before."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cfa_gui.settings import Preferences
from cfa_gui.widgets.drop_target import DropTarget

_SHOWN = 5


class StartPanel(QWidget):
    """Imports little: it is painted before anything else is loaded."""

    dropped = Signal(list)
    browse_wanted = Signal()
    sample_parts_wanted = Signal()
    resume_wanted = Signal()
    painted = Signal()
    """Once, after the first paint."""

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painted = False
        self._target = DropTarget()
        self._target.dropped.connect(self.dropped)
        self._target.browse_clicked.connect(self.browse_wanted)
        self._target.sample_clicked.connect(self.sample_parts_wanted)
        self._resume = QPushButton()
        self._resume.setToolTip("Opens the model, the images, your labels and the threshold as they were.")
        self._resume.clicked.connect(self.resume_wanted)
        self._resume.hide()
        self._recent = QHBoxLayout()
        self._recent.setSpacing(48)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(48, 32, 48, 24)
        layout.setSpacing(24)
        layout.addWidget(self._target, 1)
        layout.addWidget(self._resume, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addLayout(self._recent)
        self.show_recent(preferences)

    def show_recent(self, preferences: Preferences) -> None:
        """List what was open before."""
        while (item := self._recent.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for title, paths in (
            ("Recent folders", preferences.recent_folders),
            ("Recent models", preferences.recent_models),
        ):
            there = [Path(path) for path in paths[:_SHOWN]]
            if there:
                self._recent.addWidget(self._column(title, there), 1)

    @Slot(str)
    def show_resumable(self, text: str) -> None:
        """Offer to go on with a review; empty: there is none."""
        self._resume.setText(text)
        self._resume.setVisible(bool(text))

    def _column(self, title: str, paths: list[Path]) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        head = QLabel(title)
        head.setProperty("role", "caption")
        column.addWidget(head)
        for path in paths:
            button = QPushButton(f"{path.name} · {_short(path.parent)}")
            button.setProperty("role", "link")
            button.setToolTip(str(path))
            button.setAccessibleName(f"Open {path.name}")
            button.clicked.connect(partial(self._open, path))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        return holder

    def _open(self, path: Path) -> None:
        self.dropped.emit([path])

    @Slot(str)
    def set_busy(self, text: str) -> None:
        """Say what is being opened; empty: ready."""
        self._target.set_busy(text or None)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint, and tell the first time."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            self.painted.emit()


def _short(folder: Path) -> str:
    home = Path.home()
    text = f"~/{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else str(folder)
    return text if len(text) <= 48 else f"…{text[-47:]}"
