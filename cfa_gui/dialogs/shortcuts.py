"""The sheet of all shortcuts."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

_FRAME = 48
"""Room for the title bar that the desktop adds, logical pixels."""
_BELOW = 72
"""The button under the sheet and the margins, logical pixels."""
Section = tuple[str, Sequence[tuple[str, str]]]


class ShortcutSheet(QDialog):
    """Two columns of sections: what, and which key.

    Args:
        sections: Title, and pairs of words and key.
        parent: The window.
    """

    def __init__(self, sections: Sequence[Section], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        content = QWidget()
        columns = QHBoxLayout(content)
        columns.setSpacing(40)
        sides = (QVBoxLayout(), QVBoxLayout())
        half = (sum(len(pairs) + 2 for _, pairs in sections) + 1) // 2
        filled = 0
        for title, pairs in sections:
            sides[0 if filled + len(pairs) + 2 <= half + 3 else 1].addLayout(self._section(title, pairs))
            filled += len(pairs) + 2
        for column in sides:
            column.setSpacing(14)
            column.addStretch(1)
            columns.addLayout(column, 1)
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(area)
        layout.addWidget(buttons)
        room = self.screen().availableGeometry().height() - _FRAME
        self.resize(860, min(content.sizeHint().height() + _BELOW, room))

    def _section(self, title: str, pairs: Sequence[tuple[str, str]]) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(3)
        grid.setHorizontalSpacing(16)
        head = QLabel(title)
        head.setProperty("role", "section")
        grid.addWidget(head, 0, 0, 1, 2)
        for number, (words, key) in enumerate(pairs, start=1):
            shown = QLabel(key)
            shown.setProperty("role", "muted")
            shown.setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(QLabel(words), number, 0)
            grid.addWidget(shown, number, 1)
        grid.setColumnStretch(0, 1)
        return grid
