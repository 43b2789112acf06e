"""A number with its name."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.widgets.icon_label import IconLabel

_DASH = "–"


class Stat(QWidget):
    """A small caption over a number.

    Args:
        caption: Its name, "Precision".
        tooltip: What it means in plain words, with the field's term in brackets.
        parent: The parent widget.
    """

    def __init__(self, caption: str, tooltip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._caption = QLabel(caption)
        self._mark = IconLabel(QIcon())
        self._number = QLabel(_DASH)
        theme.set_role(self._caption, "caption")
        theme.set_role(self._number, "number")
        self._number.setFont(theme.figures(self.font(), theme.SECTION, bold=True))
        self._number.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._mark.hide()
        self.setToolTip(tooltip)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self._mark)
        row.addWidget(self._number, 1)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._caption)
        column.addLayout(row)
        self.set_text(_DASH)

    def set_value(self, value: float | None, template: str = "{:.2f}") -> None:
        """Show a number; None shows a dash. The template is a format string: "{:.1f} %"."""
        self.set_text(_DASH if value is None else template.format(value))

    def set_text(self, text: str, mark: str | None = None) -> None:
        """Show text as it is, with the mark of a verdict ("good", "defect", ...) before it if wanted."""
        self._number.setText(text)
        self._mark.setVisible(mark is not None)
        if mark is not None:
            self._mark.set_icon(theme.mark_icon(mark))
        words = "not known" if text == _DASH else text
        self.setAccessibleName(f"{self._caption.text()}: {words}")

    def set_least_width(self, width: int) -> None:
        """Keep this many pixels, so that the neighbours stay where they are; a longer number takes more."""
        self._column.addStrut(width)

    def set_size(self, caption: int, number: int) -> None:
        """Other sizes of type, pixels; 0: as everywhere."""
        for label, size in ((self._caption, caption), (self._number, number)):
            label.setStyleSheet(f"font-size: {size}px" if size else "")

    def text(self) -> str:
        """What is shown."""
        return self._number.text()
