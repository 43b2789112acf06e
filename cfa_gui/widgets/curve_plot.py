"""A curve between 0 and 1 with the present threshold on it: ROC, or precision and recall."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from cfa_gui.widgets.lazy_plot import LazyPlot

if TYPE_CHECKING:
    from cfa_gui.widgets.curve_chart import CurveChart

_MOST_POINTS = 1000
_REACH = 24
"""How near the pointer must be to a point to hear its numbers, logical pixels."""


class CurvePlot(LazyPlot["CurveChart"]):
    """One curve with a marker."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("No curve yet", "", parent)
        self._points = np.empty((0, 2))
        self._labels = ("", "")
        self._marker: tuple[float, float] | None = None
        self.setMinimumSize(180, 160)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Curve")
        self.clear()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Nearly square."""
        return QSize(280, 240)

    def set_curve(
        self,
        x: NDArray[np.floating],
        y: NDArray[np.floating],
        x_label: str,
        y_label: str,
        marker: tuple[float, float] | None = None,
    ) -> None:
        """Show a curve.

        Args:
            x: (n,) in 0..1.
            y: (n,) in 0..1.
            x_label: What x is, "False-alarm rate".
            y_label: What y is, "Defects found".
            marker: The working point.
        """
        points = np.column_stack((np.asarray(x, float), np.asarray(y, float)))
        step = max(1, -(-len(points) // _MOST_POINTS))
        self._points = np.concatenate((points[::step], points[-1:]))
        self._labels = (x_label, y_label)
        self.setAccessibleName(f"{y_label} over {x_label}")
        self.set_marker(marker)

    def set_marker(self, marker: tuple[float, float] | None) -> None:
        """Move the working point alone."""
        self._marker = marker
        if marker is not None:
            x_label, y_label = self._labels
            self.setAccessibleDescription(f"At the threshold: {x_label} {marker[0]:.3f}, {y_label} {marker[1]:.3f}.")
        else:
            self.setAccessibleDescription("")
        self.redraw()

    def clear(self, hint: str = "") -> None:
        """Show the empty state: why there is no curve yet."""
        self._points = np.empty((0, 2))
        self._marker = None
        hint = hint or "Label good and defective parts to see it."
        self.set_hint(hint)
        self.setAccessibleDescription(f"No curve yet. {hint}")
        self.redraw()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Say the numbers of the nearest point."""
        if self._chart is None or not self.has_data():
            return
        zero, one = self._chart.place(0, 0), self._chart.place(1, 1)
        pointer = (event.position() - zero).toTuple()
        steps = np.abs(self._points * (one - zero).toTuple() - pointer)  # (n, 2) pixels from the pointer
        distances = steps.sum(axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] < _REACH:
            x, y = self._points[nearest]
            text = f"{self._labels[0]} {x:.3f}\n{self._labels[1]} {y:.3f}"
            QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def has_data(self) -> bool:
        """Whether there is a curve."""
        return len(self._points) > 0

    def _make_chart(self) -> "CurveChart":
        from cfa_gui.widgets.curve_chart import CurveChart

        return CurveChart(self)

    def _draw(self, chart: "CurveChart") -> None:
        chart.draw(self._points, self._labels, self._marker)
