"""The score histogram, drawn."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QIcon, QPainter, QPainterPath, QPixmap, QTransform
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.icons import DrawnIcon
from cfa_gui.widgets.axes import Span
from cfa_gui.widgets.hatch import paint_hatch
from cfa_gui.widgets.histogram_bars import (
    DEFECT,
    GOOD,
    HELD_OUT_WORD,
    MARK_OF,
    ORDER,
    UNLABELLED,
    WORD_OF,
    Bars,
    Line,
)
from cfa_gui.widgets.icon_label import IconLabel
from cfa_gui.widgets.plotting import NO_PEN, Plot, brush, pg

_BAR_WIDTH = 9
"""About how wide a bar is, logical pixels."""
_LEAST = 3.0
"""A bar that holds any part at all is at least this high, logical pixels."""
_HANDLES = 26.0
"""Room above the bars for the handles of the lines, logical pixels."""
_APART = 4.0
"""Room between two handles, logical pixels."""
_HATCH, _HATCH_WIDTH = 7, 1.4


class HistogramChart(QWidget):
    """Bars, the threshold with a handle that says its value, the lower line, and the score on the canvas.

    Held-out good images are an outline over the bars.
    """

    resized = Signal()
    """The bars have another size: as many others may fit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._legend = _Legend()
        self._plot = Plot(self, x_label="Anomaly score")
        self._bars: Bars | None = None
        self._zones = {key: _zone() for key in ("defect", "uncertain")}
        self._parts = {group: pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[]) for group in ORDER}
        self._hatch = pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[])
        self._held_out = pg.PlotCurveItem()
        self._mark = pg.InfiniteLine(markers=[("^", 0, 18)])
        for item in (*self._zones.values(), *self._parts.values(), self._hatch, self._held_out, self._mark):
            self._plot.items.addItem(item)
        keys: dict[Line, str] = {"lower": "uncertain", "threshold": "text"}
        self._lines = {line: _HandledLine(key, self._plot) for line, key in keys.items()}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._legend)
        column.addWidget(self._plot.view)
        self._plot.on_resized(self._on_resized)
        self.dress()

    def dress(self) -> None:
        """Take the colours of the moment."""
        self._plot.dress()
        tint = 0.12 if theme.current().dark else 0.08
        for key, zone in self._zones.items():
            zone.setBrush(brush(key, tint))
        self._parts[GOOD].setOpts(brush=brush("good"), pen=NO_PEN)
        self._parts[DEFECT].setOpts(brush=brush("defect"), pen=NO_PEN)
        self._parts[UNLABELLED].setOpts(brush=brush("muted", 0.35), pen=self._plot.pen("muted"))
        self._held_out.setPen(self._plot.pen("text", 1.2))
        self._mark.setPen(self._plot.pen("accent", 1, Qt.PenStyle.DotLine))
        for line in self._lines.values():
            line.dress()
        self._bars = None

    def bar_count(self) -> int:
        """How many bars fit."""
        return int(np.clip(self._plot.area().width() / _BAR_WIDTH, 10, 90))

    def place(self, score: float) -> float:
        """Where a score lies, logical pixels from the left edge."""
        return self._plot.place(score, 0).x()

    def value(self, x: float) -> float:
        """The inverse of `place`."""
        return self._plot.value(QPointF(x, 0)).x()

    def draw_bars(self, bars: Bars) -> None:
        """Draw bars, if they are others than those drawn last."""
        if bars is self._bars:
            return
        self._bars = bars
        self._legend.set_counts(bars.counts.sum(axis=1), int(bars.held_out.sum()))
        area = self._plot.area()
        high = bars.top() * area.height() / max(area.height() - _HANDLES, area.height() / 2, 1)
        left, right = bars.edges[:-1], bars.edges[1:]
        self._plot.cover((left[0], right[-1]), (0.0, high))
        across, up = (right[-1] - left[0]) / max(area.width(), 1), high / max(area.height(), 1)  # of a pixel
        stacked = bars.stacked(_LEAST * up)
        for group, (low, top) in stacked.items():
            held = top > low
            ends = {"x0": left[held], "x1": right[held] - across, "y0": low[held], "y1": top[held]}
            self._parts[group].setOpts(**ends)
            if group == DEFECT:
                self._hatch.setOpts(**ends, brush=self._hatch_brush(across, up), pen=NO_PEN)
        x, y, joined = bars.outline(_LEAST * up)
        self._held_out.setData(x, y, connect=joined)

    def draw_lines(self, lines: Mapping[Line, float | None], span: Span, *, marked: float | None, focus: bool) -> None:
        """Place what moves.

        Args:
            lines: "threshold" and "lower", each a score or None.
            span: What the horizontal axis covers.
            marked: The score to point out.
            focus: Whether keys move the threshold now.
        """
        threshold = lines["threshold"]
        lower = lines["lower"] if threshold is not None else None
        cut = span.high if threshold is None else span.clamp(threshold)
        self._zones["defect"].setRegion((cut, span.high))
        self._zones["uncertain"].setRegion((cut if lower is None else span.clamp(lower), cut))
        self._mark.setVisible(marked is not None and span.low <= marked <= span.high)
        self._mark.setPos(span.low if marked is None else marked)
        area = self._plot.area()
        beside = self._lines["threshold"].put(threshold, span, area, focus=focus)
        self._lines["lower"].put(lower, span, area, beside=beside)

    def _on_resized(self) -> None:
        self._bars = None
        self.resized.emit()

    def _hatch_brush(self, across: float, up: float) -> QBrush:
        """Slanted lines, as far apart on every screen and at every scale of the plot."""
        sharp = 4
        tile = QPixmap(_HATCH * sharp, _HATCH * sharp)
        tile.fill(Qt.GlobalColor.transparent)
        painter = QPainter(tile)
        painter.scale(sharp, sharp)
        _paint_hatch(painter, QRectF(0, 0, _HATCH, _HATCH))
        painter.end()
        made = QBrush(tile)
        made.setTransform(QTransform.fromScale(across / sharp, -up / sharp))
        return made


class _HandledLine:
    """A line from top to bottom with a dark halo, and its value in a box at its upper end."""

    def __init__(self, key: str, plot: Plot) -> None:
        self._key = key
        self._plot = plot
        self._halo = pg.InfiniteLine()
        self._line = pg.InfiniteLine(label=" ", labelOpts={"position": 1.0})
        self._focus = False
        plot.items.addItem(self._halo)
        plot.items.addItem(self._line)

    def dress(self) -> None:
        """Take the colours of the moment."""
        style = Qt.PenStyle.SolidLine if self._key == "text" else Qt.PenStyle.DashLine
        self._halo.setPen(self._plot.pen("panel", 5))
        self._line.setPen(self._plot.pen(self._key, 2, style))
        label = self._line.label
        label.setFont(theme.figures(label.textItem.font(), theme.CAPTION, bold=True))
        label.setColor(theme.colour("panel"))
        label.fill = brush(self._key)
        self._frame()

    def _frame(self) -> None:
        self._line.label.border = self._plot.pen("accent", 2) if self._focus else self._plot.pen(self._key, 1)
        self._line.label.update()

    def put(
        self,
        value: float | None,
        span: Span,
        area: QRectF,
        *,
        focus: bool = False,
        beside: tuple[float, float] | None = None,
    ) -> tuple[float, float] | None:
        """Move it; nothing of it is seen where the value is None.

        Args:
            value: Where; drawn at the end of the axis, with an arrow, where it lies outside.
            span: What the axis covers.
            area: Where data is drawn, logical pixels.
            focus: Whether keys move it now.
            beside: From where to where another handle lies, that is not to be covered.

        Returns:
            From where to where its handle lies.
        """
        self._halo.setVisible(value is not None)
        self._line.setVisible(value is not None)
        if value is None:
            return None
        if focus != self._focus:
            self._focus = focus
            self._frame()
        label = self._line.label
        at = span.clamp(value)
        label.format = f"{'‹ ' if value < span.low else ''}{value:#.3g}{' ›' if value > span.high else ''}"
        self._halo.setPos(at)
        self._line.setPos(at)
        label.valueChanged()
        label.updateTransform()  # WORKAROUND(pyqtgraph 0.14): it is not told that its line can be seen again
        width: float = label.boundingRect().width()
        x = area.left() + span.share(at) * area.width()
        left = max(min(x - width / 2, area.right() - width - 1), area.left() + 1)
        if beside is not None and left + width + _APART > beside[0]:
            left = beside[0] - width - _APART
            left = left if left > area.left() else beside[1] + _APART
        label.anchors = [((x - left) / width, 0.0)] * 2
        label.updatePosition()
        return left, left + width


class _Legend(QWidget):
    """For each group a piece of its bar, its mark and how many there are; last the held-out good images."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(44, 0, 14, 0)
        self._row.setSpacing(18)
        self._groups = {
            group: self._entry(partial(_paint_swatch, group), theme.mark_icon(MARK_OF[group]))
            for group in (GOOD, DEFECT, UNLABELLED)
        }
        self._held_out = self._entry(_paint_outline)
        self._row.addStretch(1)

    def _entry(
        self, swatch: Callable[[QPainter, QRectF, QColor], None], mark: QIcon | None = None
    ) -> tuple[QWidget, QLabel]:
        entry, text = QWidget(self), QLabel()
        theme.set_role(text, "caption")
        text.setFont(theme.figures(text.font(), theme.CAPTION))
        inner = QHBoxLayout(entry)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(4)
        inner.addWidget(IconLabel(QIcon(DrawnIcon(swatch, lambda _mode: theme.colour("text"))), 11))
        if mark is not None:
            inner.addWidget(IconLabel(mark, 12))
        inner.addWidget(text)
        self._row.addWidget(entry)
        return entry, text

    def set_counts(self, counts: NDArray[np.int64], held_out: int) -> None:
        """How many scores there are of each group, (3,), and of held-out images; what has none is left out."""
        told = [(self._groups[group], int(counts[group]), WORD_OF[group]) for group in self._groups]
        for (entry, text), count, words in (*told, (self._held_out, held_out, HELD_OUT_WORD)):
            text.setText(f"{count} {words}")
            entry.setVisible(count > 0)


def _zone() -> pg.LinearRegionItem:
    """A breath of colour where parts are flagged or uncertain."""
    return pg.LinearRegionItem((0, 0), movable=False, pen=NO_PEN)


def _paint_hatch(painter: QPainter, box: QRectF) -> None:
    shape = QPainterPath()
    shape.addRect(box)
    paint_hatch(painter, shape, theme.colour("panel", 0.6), spacing=_HATCH, width=_HATCH_WIDTH)


def _paint_outline(painter: QPainter, box: QRectF, colour: QColor) -> None:
    painter.setPen(colour)
    painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))


def _paint_swatch(group: int, painter: QPainter, box: QRectF, _colour: QColor) -> None:
    """Good is plain, a defect is hatched, what has no label is hollow: told apart in grey as well."""
    if group == UNLABELLED:
        painter.fillRect(box, theme.colour("muted", 0.35))
        painter.setPen(theme.colour("muted"))
        painter.drawRect(box.adjusted(0.5, 0.5, -0.5, -0.5))
        return
    painter.fillRect(box, theme.colour(MARK_OF[group]))
    if group == DEFECT:
        _paint_hatch(painter, box)
