"""Scores of all parts, with the threshold as a line that can be dragged."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

UNLABELLED, GOOD, DEFECT = 0, 1, 2


class ScoreHistogram(QWidget):
    """A histogram with the threshold, and a lower line that begins the "uncertain" band if wanted.

    Keys, when focused: left and right move the threshold (Shift: ten steps), with Ctrl the lower line; Home and End go
    to the ends.
    """

    threshold_moved = Signal(float)
    """While it is moved by the user."""
    threshold_released = Signal(float)
    """When the user lets go, or after a key."""
    lower_moved = Signal(float)
    lower_released = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_scores(self, scores: NDArray[np.floating], groups: NDArray[np.int8] | None = None) -> None:
        """Show scores, (n,), with groups, (n,): UNLABELLED, GOOD or DEFECT; all unlabelled where None.

        Not-finite scores are left out.
        """

    def set_threshold(self, value: float | None) -> None:
        """Place the line; emits nothing. None: no line yet."""

    def threshold(self) -> float | None:
        """Where the line is."""
        return None

    def set_lower(self, value: float | None) -> None:
        """Place the lower line; emits nothing. None: no uncertain band."""

    def lower(self) -> float | None:
        """Where the lower line is."""
        return None

    def mark_score(self, score: float | None) -> None:
        """Point out the score of the part that is on the canvas."""
