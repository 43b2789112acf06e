"""Confusion matrix whose cells can be pressed to see their parts."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

CELLS = ("true_good", "false_alarm", "missed", "true_defect")


class ConfusionMatrix(QWidget):
    """Two by two: rows are what the parts really are, columns what the threshold says."""

    cell_clicked = Signal(str)
    """One of CELLS, or "" where the selected cell was pressed again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_counts(
        self, true_good: int | None, false_alarm: int | None, missed: int | None, true_defect: int | None
    ) -> None:
        """Show the counts; None (no labels yet) shows a dash."""

    def set_selected(self, name: str | None) -> None:
        """Mark the cell that the list is filtered by; emits nothing."""
