"""What the colours of the anomaly map mean."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from cfa_gui import theme
from cfa_gui.widgets.axes import RatioSpan
from cfa_gui.widgets.heat import lookup

WIDTH = 68
_BAR = 12
_TEXT_ROOM = 9.0


class ColourBar(QWidget):
    """A fixed range of values with their colours, and the threshold on it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._span = RatioSpan(0.5, 2.0)
        self._threshold: float | None = None
        self._map = theme.COLOUR_MAPS[0]
        self.setAccessibleName("Colour scale")
        self.setToolTip(
            "How far a place differs from good parts (anomaly score). "
            "The colours mean the same on every picture; the arrow is the threshold."
        )
        self._describe()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """As wide as its numbers need."""
        return QSize(WIDTH, 240)

    def set_range(self, low: float, high: float) -> None:
        """What the colours span, in the unit of the map, both above 0."""
        self._span = RatioSpan(low, high)
        self._describe()

    def set_threshold(self, value: float | None) -> None:
        """Where the mark stands."""
        self._threshold = value
        self._describe()

    def set_colour_map(self, name: str) -> None:
        """One of theme.COLOUR_MAPS."""
        self._map = name
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """The bar, its values, and the threshold's arrow."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.figures(self.font(), theme.CAPTION))
        bar = QRectF(10, 14, _BAR, max(self.height() - 28, 20))
        self._paint_colours(painter, bar)
        mark_y = None if self._threshold is None else self._y(bar, self._span.clamp(self._threshold))
        self._paint_ticks(painter, bar, mark_y)
        if mark_y is not None:
            self._paint_mark(painter, bar, mark_y)
        painter.end()

    def _paint_colours(self, painter: QPainter, bar: QRectF) -> None:
        table = np.ascontiguousarray(lookup(self._map)[::-1]).reshape(256, 1, 4)
        image = QImage(table.tobytes(), 1, 256, 4, QImage.Format.Format_RGBA8888_Premultiplied)
        painter.fillRect(bar, theme.colour("raised"))
        painter.drawImage(bar, image)
        painter.setPen(QPen(theme.colour("strong"), 1))
        painter.drawRect(bar.adjusted(-0.5, -0.5, 0.5, 0.5))

    def _paint_ticks(self, painter: QPainter, bar: QRectF, mark_y: float | None) -> None:
        painter.setPen(theme.colour("muted"))
        for value in self._span.doublings():
            y = self._y(bar, value)
            if mark_y is None or abs(y - mark_y) > 2 * _TEXT_ROOM:
                painter.drawLine(QPointF(bar.right() + 1, y), QPointF(bar.right() + 4, y))
                painter.drawText(self._text_box(bar, y), Qt.AlignmentFlag.AlignVCenter, f"{value:#.3g}")

    def _paint_mark(self, painter: QPainter, bar: QRectF, y: float) -> None:
        painter.setPen(QPen(theme.colour("canvas"), 3))
        painter.drawLine(QPointF(bar.left(), y), QPointF(bar.right(), y))
        painter.setPen(QPen(theme.colour("text"), 1.5))
        painter.drawLine(QPointF(bar.left() - 2, y), QPointF(bar.right() + 4, y))
        painter.setBrush(theme.colour("text"))
        painter.setPen(Qt.PenStyle.NoPen)
        tip = QPointF(bar.left() - 2, y)
        painter.drawPolygon(QPolygonF([tip, tip + QPointF(-6, -4), tip + QPointF(-6, 4)]))
        painter.setPen(theme.colour("text"))
        painter.setFont(theme.figures(self.font(), theme.CAPTION, bold=True))
        painter.drawText(self._text_box(bar, y), Qt.AlignmentFlag.AlignVCenter, f"{self._threshold:#.3g}")

    def _text_box(self, bar: QRectF, y: float) -> QRectF:
        return QRectF(bar.right() + 7, y - _TEXT_ROOM, self.width() - bar.right() - 7, 2 * _TEXT_ROOM)

    def _y(self, bar: QRectF, value: float) -> float:
        return bar.bottom() - self._span.share(value) * bar.height()

    def _describe(self) -> None:
        threshold = "no threshold" if self._threshold is None else f"threshold {self._threshold:.3g}"
        self.setAccessibleDescription(f"From {self._span.low:.3g} to {self._span.high:.3g}, {threshold}.")
        self.update()
