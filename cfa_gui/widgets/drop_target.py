"""The first thing that a new user sees."""

from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.widgets.icon_label import IconLabel

TITLE = "Drop a folder of good parts"
HINT = (
    "Pictures of parts without defects. The model learns from them what good looks like.\n"
    "A saved model (.cfa) may be dropped as well, alone or with pictures to inspect."
)


class DropTarget(QFrame):
    """One big place to drop a folder of good parts, with a button to choose it and one to try the sample parts."""

    dropped = Signal(list)
    """Paths (list[pathlib.Path]) of files and folders, at least one."""
    browse_clicked = Signal()
    sample_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = IconLabel(theme.icon("tray-arrow-down", "muted"), 56)
        self._title = QLabel(TITLE)
        self._hint = QLabel(HINT)
        self._browse = QPushButton(theme.icon("folder-open-outline", "on_accent"), " Choose folder…")
        self._sample = QPushButton("Try the sample parts")
        self.setAcceptDrops(True)
        self.setAccessibleName(TITLE)
        theme.set_role(self, "drop")
        theme.set_role(self._title, "title")
        theme.set_role(self._hint, "muted")
        theme.set_role(self._browse, "primary")
        self._browse.setAccessibleName("Choose folder…")
        self._browse.setToolTip("Choose a folder with pictures of good parts.")
        self._sample.setToolTip("Make a small set of drawn parts, good and defective, and open it. Needs no network.")
        self._browse.clicked.connect(self.browse_clicked)
        self._sample.clicked.connect(self.sample_clicked)
        self._arrange()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Large enough to be aimed at."""
        return QSize(560, 320)

    def set_busy(self, text: str | None) -> None:
        """Say what is being done, with the buttons off; None: ready again."""
        self._title.setText(text or TITLE)
        self._hint.setText("" if text else HINT)
        for button in (self._browse, self._sample):
            button.setEnabled(text is None)
        self.setAcceptDrops(text is None)

    def _arrange(self) -> None:
        for label in (self._title, self._hint):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._hint.setWordWrap(True)
        self._hint.setMinimumWidth(240)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.GAP)
        buttons.addStretch()
        buttons.addWidget(self._browse)
        buttons.addWidget(self._sample)
        buttons.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(32, 32, 32, 32)
        column.setSpacing(theme.GAP)
        column.addStretch()
        column.addWidget(self._picture, alignment=Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(theme.GAP)
        column.addWidget(self._title)
        column.addWidget(self._hint)
        column.addSpacing(2 * theme.GAP)
        column.addLayout(buttons)
        column.addStretch()

    def _set_active(self, *, active: bool) -> None:
        """Show that letting go here does something."""
        self.setProperty("active", active)
        self.style().unpolish(self)
        self.style().polish(self)
        self._picture.set_icon(theme.icon("tray-arrow-down", "accent" if active else "muted"))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802  Qt's name
        """Accept files and folders."""
        if _paths(event.mimeData()):
            event.acceptProposedAction()
            self._set_active(active=True)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:  # noqa: N802  Qt's name
        """Calm again."""
        self._set_active(active=False)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802  Qt's name
        """Tell what was dropped."""
        self._set_active(active=False)
        paths = _paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)


def _paths(data: QMimeData) -> list[Path]:
    """The files and folders of this machine that are being dragged."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
