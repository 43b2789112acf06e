"""How the training goes, live."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from cfa_gui import theme
from cfa_gui.widgets.axes import Axes, Span, paint_empty, paint_x_axis, paint_y_grid, round_up, ticks

REDRAW_MILLISECONDS = 67
_FIRST_ROOM = 256


@dataclass(frozen=True, slots=True)
class _Curve:
    """One line: where its numbers stand, its name, and how it is drawn."""

    row: int
    name: str
    ink: str
    style: Qt.PenStyle


_LOSSES = (
    _Curve(1, "Loss", "accent", Qt.PenStyle.SolidLine),
    _Curve(2, "Attraction", "good", Qt.PenStyle.DashLine),
    _Curve(3, "Repulsion", "uncertain", Qt.PenStyle.DotLine),
)
_DISTANCES = (
    _Curve(5, "Nearest centre²", "accent", Qt.PenStyle.SolidLine),
    _Curve(4, "Radius²", "muted", Qt.PenStyle.DashLine),
)
_TIP = (
    "Above: what the training makes smaller (loss), and its two parts: good patches are drawn to their centres "
    "(attraction) and pushed from the others (repulsion).\n"
    "Below: how far patches lie from their nearest centre, and the learned radius, both squared. "
    "Training works when the distance sinks towards the radius."
)


class LossPlot(QWidget):
    """The loss and its two parts above; the learned radius and the distance to the nearest centre below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers = np.empty((6, _FIRST_ROOM))
        self._count = 0
        self._epochs: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MILLISECONDS)
        self._timer.timeout.connect(self._redraw)
        self.setMinimumSize(240, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Course of the training")
        self.setToolTip(_TIP)
        self._redraw()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Fits a side panel."""
        return QSize(320, 260)

    def append(
        self,
        epoch: float,
        loss: float,
        attraction: float,
        repulsion: float,
        radius_squared: float,
        nearest_squared: float,
    ) -> None:
        """Add one step; call as often as you like, it is drawn at most fifteen times a second."""
        if self._count == self._numbers.shape[1]:
            self._numbers = np.concatenate((self._numbers, np.empty_like(self._numbers)), axis=1)
        self._numbers[:, self._count] = (epoch, loss, attraction, repulsion, radius_squared, nearest_squared)
        self._count += 1
        if not self._timer.isActive():
            self._timer.start()

    def clear(self) -> None:
        """Begin anew."""
        self._count = 0
        self._timer.stop()
        self._redraw()

    def set_epochs(self, epochs: float | None) -> None:
        """Fix the end of the axis at the epochs planned; None lets it grow."""
        self._epochs = epochs
        self.update()

    def count(self) -> int:
        """How many steps are held."""
        return self._count

    @Slot()
    def _redraw(self) -> None:
        if self._count:
            epoch, loss, *_ = self._numbers[:, self._count - 1]
            self.setAccessibleDescription(f"Epoch {epoch:.1f}, loss {loss:.3g}.")
        else:
            self.setAccessibleDescription("Nothing trained yet.")
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Both plots, or the empty state."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._count == 0:
            hint = "The loss is drawn here while a model trains."
            paint_empty(painter, QRectF(self.rect()), "Not trained yet", hint)
        else:
            half = self.height() * 0.56
            self._paint_plot(painter, QRectF(0, 0, self.width(), half), _LOSSES, "")
            lower = QRectF(0, half, self.width(), self.height() - half)
            self._paint_plot(painter, lower, _DISTANCES, "epochs")
        painter.end()

    def _paint_plot(self, painter: QPainter, box: QRectF, curves: tuple[_Curve, ...], unit: str) -> None:
        rows = self._numbers[[curve.row for curve in curves], : self._count]
        finite = rows[np.isfinite(rows)]
        top = round_up(float(finite.max())) if finite.size and finite.max() > 0 else 1.0
        last = float(self._numbers[0, self._count - 1])
        area = box.adjusted(44, 24, -10, -22 if unit else -8)
        axes = Axes(area, Span(0.0, max(self._epochs or 0.0, last, 1e-6)), Span(0.0, top))
        paint_y_grid(painter, axes, ticks(axes.y, max(2, int(area.height() / 30))))
        paint_x_axis(painter, axes, ticks(axes.x, max(2, int(area.width() / 60))) if unit else (), unit=unit)
        painter.save()
        painter.setClipRect(area.adjusted(0, -2, 2, 1))
        for curve, row in zip(reversed(curves), rows[::-1], strict=True):
            painter.setPen(_pen(curve))
            painter.drawPolyline(_polyline(axes, self._numbers[0, : self._count], row))
        painter.restore()
        _paint_legend(painter, box, curves, rows[:, -1])


def _pen(curve: _Curve) -> QPen:
    return QPen(theme.colour(curve.ink), 1.8, curve.style, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.RoundJoin)


def _polyline(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> QPolygonF:
    """The line in pixels; of many steps on one pixel only the lowest and the highest are kept."""
    finite = np.isfinite(y)
    chosen = thin(y[finite], max(int(axes.area.width()), 1))
    across = axes.area.left() + (x[finite][chosen] - axes.x.low) * (axes.area.width() / (axes.x.high - axes.x.low))
    up = axes.area.bottom() - (y[finite][chosen] - axes.y.low) * (axes.area.height() / (axes.y.high - axes.y.low))
    return QPolygonF([QPointF(a, b) for a, b in zip(across.tolist(), up.tolist(), strict=True)])


def thin(values: NDArray[np.float64], columns: int) -> NDArray[np.intp]:
    """Which of many values to draw: in each of `columns` groups the lowest and the highest, and always the last.

    Args:
        values: (n,).
        columns: About how many groups, 1 or more.

    Returns:
        Increasing indices, all of them where n is at most twice the columns.
    """
    count = values.size
    if count <= 2 * columns:
        return np.arange(count)
    size = -(-count // columns)
    whole = count // size * size
    groups = values[:whole].reshape(-1, size)
    starts = np.arange(groups.shape[0]) * size
    chosen = np.concatenate((starts + groups.argmin(axis=1), starts + groups.argmax(axis=1), [count - 1]))
    return np.unique(chosen)


def _paint_legend(painter: QPainter, box: QRectF, curves: tuple[_Curve, ...], latest: NDArray[np.float64]) -> None:
    """A piece of each line, its name and its latest number."""
    painter.setFont(theme.figures(painter.font(), theme.CAPTION))
    metrics = QFontMetricsF(painter.font())
    texts = [(curve.name, f"{value:.3g}") for curve, value in zip(curves, latest.tolist(), strict=True)]
    widths = [[metrics.horizontalAdvance(text) + 1 for text in pair] for pair in texts]
    taken = sum(sum(pair) + 24 for pair in widths)
    gap = min(max((box.width() - 16 - taken) / max(len(curves) - 1, 1), 6.0), 28.0)
    x, y = box.left() + 8, box.top() + 10
    for curve, pair, width in zip(curves, texts, widths, strict=True):
        painter.setPen(_pen(curve))
        painter.drawLine(QLineF(x, y, x + 14, y))
        x += 18
        for text, wide, ink in zip(pair, width, ("muted", "text"), strict=True):
            painter.setPen(theme.colour(ink))
            painter.drawText(QRectF(x, y - 8, wide + 1, 16), Qt.AlignmentFlag.AlignVCenter, text)
            x += wide + 3
        x += gap
