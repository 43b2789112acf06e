"""A canvas that tells when a new picture has really been painted."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QWidget

from cfa_gui.widgets.image_canvas import ImageCanvas


class LiveCanvas(ImageCanvas):
    """As ImageCanvas."""

    painted = Signal()
    """Once for each picture, after its first paint."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fresh = False

    def set_picture(self, picture: NDArray[np.uint8] | None, *, keep_view: bool = True) -> None:
        """As ImageCanvas."""
        self._fresh = picture is not None
        super().set_picture(picture, keep_view=keep_view)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Paint, and tell."""
        super().paintEvent(event)
        if self._fresh:
            self._fresh = False
            self.painted.emit()
