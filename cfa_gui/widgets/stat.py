"""A number with its name."""

from PySide6.QtWidgets import QWidget


class Stat(QWidget):
    """A small caption over a number.

    Args:
        caption: Its name, "Precision".
        tooltip: What it means in plain words, with the field's term in brackets.
        parent: The parent widget.
    """

    def __init__(self, caption: str, tooltip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_value(self, value: float | None, template: str = "{:.2f}") -> None:
        """Show a number; None shows a dash. The template is a format string: "{:.1%}"."""

    def set_text(self, text: str, mark: str | None = None) -> None:
        """Show text as it is, with the mark of a verdict ("good", "defect", ...) before it if wanted."""
