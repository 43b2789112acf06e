"""A curve between 0 and 1 with the present threshold on it: ROC, or precision and recall."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from cfa_gui import theme
from cfa_gui.widgets.axes import Axes, Span, paint_empty, paint_x_axis, paint_y_grid

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_POINTS = 1000


class CurvePlot(QWidget):
    """One curve with a marker."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points = np.empty((0, 2))
        self._labels = ("", "")
        self._marker: tuple[float, float] | None = None
        self._hint = ""
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
        self.update()

    def clear(self, hint: str = "") -> None:
        """Show the empty state: why there is no curve yet."""
        self._points = np.empty((0, 2))
        self._marker = None
        self._hint = hint or "Label good and defective parts to see it."
        self.setAccessibleDescription(f"No curve yet. {self._hint}")
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Say the numbers of the nearest point."""
        if len(self._points) == 0:
            return
        axes = self._axes()
        placed = [axes.place(x, y) for x, y in self._points.tolist()]
        distances = [(spot - event.position()).manhattanLength() for spot in placed]
        nearest = int(np.argmin(distances))
        if distances[nearest] < 24:
            x, y = self._points[nearest]
            text = f"{self._labels[0]} {x:.3f}\n{self._labels[1]} {y:.3f}"
            QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def _axes(self) -> Axes:
        area = QRectF(self.rect()).adjusted(40, 26, -16, -40)
        return Axes(area, Span(0.0, 1.0), Span(0.0, 1.0))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """The curve, or the empty state."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if len(self._points) == 0:
            paint_empty(painter, QRectF(self.rect()), "No curve yet", self._hint)
        else:
            self._paint_curve(painter, self._axes())
        painter.end()

    def _paint_curve(self, painter: QPainter, axes: Axes) -> None:
        paint_y_grid(painter, axes, _TICKS)
        paint_x_axis(painter, axes, _TICKS)
        below = QRectF(axes.area.left(), self.height() - 20, axes.area.width(), 16)
        painter.setPen(theme.colour("muted"))
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self._labels[0])
        painter.drawText(QRectF(8, 3, self.width() - 16, 16), Qt.AlignmentFlag.AlignVCenter, self._labels[1])
        path = QPainterPath(axes.place(*self._points[0].tolist()))
        for x, y in self._points[1:].tolist():
            path.lineTo(axes.place(x, y))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        join = Qt.PenJoinStyle.RoundJoin
        painter.setPen(QPen(theme.colour("accent"), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, join))
        painter.drawPath(path)
        if self._marker is not None:
            self._paint_marker(painter, axes, axes.place(*self._marker))

    def _paint_marker(self, painter: QPainter, axes: Axes, spot: QPointF) -> None:
        painter.setPen(QPen(theme.colour("muted"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(spot, QPointF(spot.x(), axes.area.bottom()))
        painter.drawLine(spot, QPointF(axes.area.left(), spot.y()))
        painter.setPen(QPen(theme.colour("panel"), 2))
        painter.setBrush(theme.colour("text"))
        painter.drawEllipse(spot, 6, 6)
