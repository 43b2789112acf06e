"""A curve between 0 and 1 with the working point on it, drawn."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QGraphicsItem, QVBoxLayout, QWidget

from cfa_gui.widgets.plotting import Plot, brush, pg

_RANGE = (-0.01, 1.02)
"""A little more than 0 to 1: a line at the edge is not cut."""


class CurveChart(QWidget):
    """One curve, and a marker with lines to both axes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plot = Plot(self, x_label=" ", y_label=" ")
        self._plot.cover(_RANGE, _RANGE)
        clips = QGraphicsItem.GraphicsItemFlag.ItemClipsChildrenToShape
        self._plot.items.getViewBox().setFlag(clips, enabled=False)  # a marker in the corner is seen whole
        self._guides, self._curve, self._spot = pg.PlotDataItem(), pg.PlotDataItem(), pg.ScatterPlotItem(size=13)
        for item in (self._guides, self._curve, self._spot):
            self._plot.items.addItem(item)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._plot.view)
        self.dress()

    def dress(self) -> None:
        """Take the colours of the moment."""
        self._plot.dress()
        self._curve.setPen(self._plot.pen("accent", 2))
        self._guides.setPen(self._plot.pen("muted", 1, Qt.PenStyle.DashLine))
        self._spot.setPen(self._plot.pen("panel", 2))
        self._spot.setBrush(brush("text"))

    def draw(self, points: NDArray[np.float64], labels: tuple[str, str], marker: tuple[float, float] | None) -> None:
        """Draw all of it.

        Args:
            points: (n, 2) x and y in 0..1.
            labels: What x and y are.
            marker: The working point.
        """
        self._plot.set_labels(*labels)
        self._curve.setData(points[:, 0], points[:, 1])
        if marker is None:
            self._guides.setData([], [])
            self._spot.setData([], [])
        else:
            x, y = marker
            self._guides.setData([_RANGE[0], x, x], [y, y, _RANGE[0]])
            self._spot.setData([x], [y])

    def place(self, x: float, y: float) -> QPointF:
        """Where a point of the data lies, logical pixels of the widget."""
        return self._plot.place(x, y)
