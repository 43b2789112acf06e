"""A list that says why it is empty."""

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QListView, QWidget

from cfa_gui import theme

_MARGIN = 16


class EmptyListView(QListView):
    """As QListView, with a title and a hint where it has no row."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._hint = "", ""

    def set_empty_text(self, title: str, hint: str) -> None:
        """What is written where there is no row; told to those who do not see it too."""
        if (title, hint) != (self._title, self._hint):
            self._title, self._hint = title, hint
            self.setAccessibleDescription(f"{title} {hint}".strip())
            self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """The rows, or why there is none."""
        super().paintEvent(event)
        if self.model() is None or self.model().rowCount():
            return
        painter = QPainter(self.viewport())
        box = self.viewport().rect().adjusted(_MARGIN, 0, -_MARGIN, 0)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
        height = painter.fontMetrics().height()
        top = box.height() // 3
        painter.setPen(theme.colour("muted"))
        painter.drawText(QRect(box.left(), top, box.width(), height), flags, self._title)
        painter.setFont(theme.figures(painter.font(), theme.CAPTION))
        painter.drawText(QRect(box.left(), top + height + 4, box.width(), 4 * height), flags, self._hint)
        painter.end()
