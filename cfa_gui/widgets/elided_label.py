"""One line of text that is shortened where there is no room, so that a long name widens no window."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget


class ElidedLabel(QLabel):
    """Shows as much as fits; all of it in the tooltip where something is left out.

    Args:
        mode: Where the dots stand.
        parent: The parent widget.
    """

    def __init__(self, mode: Qt.TextElideMode, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = mode
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_whole_text(self, text: str) -> None:
        """What to show; without any it takes no room."""
        self._whole = text
        self.setHidden(not text)
        self.setAccessibleName(text)
        self._fit()

    def whole_text(self) -> str:
        """All of it, also what is left out."""
        return self._whole

    def minimumSizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """One line, of any width."""
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """More or less of it fits."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        shown = self.fontMetrics().elidedText(self._whole, self._mode, self.width())
        if shown != self.text():
            self.setText(shown)
        self.setToolTip("" if shown == self._whole else self._whole)
