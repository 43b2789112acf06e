"""The first thing that a new user sees."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QWidget


class DropTarget(QFrame):
    """One big place to drop a folder of good parts, with a button to choose it and one to try the sample parts."""

    dropped = Signal(list)
    """Paths (list[pathlib.Path]) of files and folders, at least one."""
    browse_clicked = Signal()
    sample_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_text(self, title: str, hint: str) -> None:
        """Other words than "Drop a folder of good parts"."""

    def set_busy(self, text: str | None) -> None:
        """Say what is being done, with the buttons off; None: ready again."""
