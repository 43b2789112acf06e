"""A curve between 0 and 1 with the present threshold on it: ROC, or precision and recall."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QWidget


class CurvePlot(QWidget):
    """One curve with a marker."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_curve(
        self,
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        x_label: str,
        y_label: str,
        marker: tuple[float, float] | None = None,
    ) -> None:
        """Show a curve: x and y, (n,), in 0..1; the marker is the working point."""

    def set_marker(self, marker: tuple[float, float] | None) -> None:
        """Move the working point alone."""

    def clear(self, hint: str = "") -> None:
        """Show the empty state: why there is no curve yet."""
