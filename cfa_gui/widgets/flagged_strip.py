"""A row of the latest flagged pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from cfa_gui import theme

THUMBNAIL = QSize(104, 72)
"""Logical pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class StripItem:
    """One picture of the strip.

    Attributes:
        pixmap: Of THUMBNAIL's size.
        text: Below it.
        tip: In full.
    """

    pixmap: QPixmap
    text: str
    tip: str


class FlaggedStrip(QWidget):
    """Newest on the left. What does not fit is cut off on the right.

    Args:
        most: How many it holds.
        parent: The parent widget.
    """

    chosen = Signal(int)
    """Place in the strip, 0 being the newest."""

    def __init__(self, most: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = QLabel("Flagged pictures appear here.")
        theme.set_role(self._empty, "muted")
        self._buttons = [self._button(place) for place in range(most)]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.GAP)
        row.addWidget(self._empty)
        for button in self._buttons:
            row.addWidget(button)
            button.hide()
        row.addStretch(1)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(THUMBNAIL.height() + 38)
        self.setAccessibleName("Latest flagged pictures")

    def show_items(self, items: Sequence[StripItem]) -> None:
        """Show pictures, newest first."""
        self._empty.setVisible(not items)
        for place, button in enumerate(self._buttons):
            button.setVisible(place < len(items))
            if place < len(items):
                item = items[place]
                button.setIcon(QIcon(item.pixmap))
                button.setText(item.text)
                button.setToolTip(item.tip)
                button.setAccessibleName(item.tip)

    def _button(self, place: int) -> QToolButton:
        button = QToolButton()
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(THUMBNAIL)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setFont(theme.figures(self.font(), theme.CAPTION))
        button.clicked.connect(partial(self._on_clicked, place))
        return button

    def _on_clicked(self, place: int, _checked: bool = False) -> None:
        self.chosen.emit(place)
