"""A row of the latest flagged pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLayout, QSizePolicy, QToolButton, QWidget

from cfa_gui import theme

THUMBNAIL = QSize(104, 72)
"""Logical pixels."""
_WIDTH = 132
"""Of a button: its text must not be cut."""


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
    """Newest on the left. The oldest are left out where there is no room for all.

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
        self._shown = 0
        self._buttons = [self._button(place) for place in range(most)]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.GAP)
        row.addWidget(self._empty)
        for button in self._buttons:
            row.addWidget(button)
            button.hide()
        row.addStretch(1)
        row.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # the window may become narrower
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(THUMBNAIL.height() + 38)
        self.setAccessibleName("Latest flagged pictures")

    def show_items(self, items: Sequence[StripItem]) -> None:
        """Show pictures, newest first."""
        self._empty.setVisible(not items)
        self._shown = len(items)
        for place, button in enumerate(self._buttons):
            if place < len(items):
                item = items[place]
                button.setIcon(QIcon(item.pixmap))
                button.setText(item.text)
                button.setToolTip(item.tip)
                button.setAccessibleName(item.tip)
        self._make_room()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """More or fewer have room."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        fitting = max(1, (self.width() + theme.GAP) // (_WIDTH + theme.GAP))
        for place, button in enumerate(self._buttons):
            button.setVisible(place < min(self._shown, fitting))

    def _button(self, place: int) -> QToolButton:
        button = QToolButton()
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(THUMBNAIL)
        button.setFixedWidth(_WIDTH)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setFont(theme.figures(self.font(), theme.CAPTION))
        button.clicked.connect(partial(self._on_clicked, place))
        return button

    def _on_clicked(self, place: int, _checked: bool = False) -> None:
        self.chosen.emit(place)
