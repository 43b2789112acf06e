"""The bars of a score histogram and how they are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF

from cfa_gui import theme
from cfa_gui.widgets.axes import Axes, Span, paint_x_axis, paint_y_grid, round_up, ticks
from cfa_gui.widgets.hatch import paint_hatch

UNLABELLED, GOOD, DEFECT = 0, 1, 2
Line = Literal["threshold", "lower"]
_MARK_OF = {UNLABELLED: "unlabelled", GOOD: "good", DEFECT: "defect"}
_WORD_OF = {UNLABELLED: "not labelled", GOOD: "good", DEFECT: "defect"}
_ORDER = (GOOD, UNLABELLED, DEFECT)
"""From the base upwards."""
_LEAST = 3.0
"""A bar that holds any part at all is at least this high: one defect among thousands must be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """How many scores of each group lie in each bin.

    Attributes:
        edges: (count + 1,) of the bins.
        counts: (3, count), a row for each group.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], groups: NDArray[np.int8], span: Span, count: int) -> "Bars":
        """Count scores, (n,), of groups, (n,), in bins over a span."""
        edges = np.linspace(span.low, span.high, count + 1)
        rows = [np.histogram(scores[groups == group], edges)[0] for group in range(3)]
        return cls(edges, np.stack(rows))

    @property
    def count(self) -> int:
        """How many bins there are."""
        return int(self.counts.shape[1])

    def span(self) -> Span:
        """The vertical axis: up to a round number above the highest bar."""
        return Span(0.0, round_up(float(max(self.counts.sum(axis=0).max(), 4))))

    def words_at(self, value: float) -> str:
        """What the bin at a score holds."""
        bin_index = int(np.clip(np.searchsorted(self.edges, value, "right") - 1, 0, self.count - 1))
        held = [
            f"{self.counts[group, bin_index]} {_WORD_OF[group]}" for group in _ORDER if self.counts[group, bin_index]
        ]
        where = f"Scores {self.edges[bin_index]:.3g} to {self.edges[bin_index + 1]:.3g}"
        return f"{where}: {', '.join(held) or 'no parts'}"


def paint_histogram(
    painter: QPainter,
    axes: Axes,
    bars: Bars,
    lines: Mapping[Line, float | None],
    *,
    marked: float | None,
    focus: bool,
) -> None:
    """Draw all of it.

    Args:
        painter: At the widget's origin.
        axes: Area and spans; the vertical span is taken from the bars.
        bars: What is counted.
        lines: "threshold" and "lower", each a score or None.
        marked: The score to point out.
        focus: Whether keys move the line now.
    """
    axes = Axes(axes.area, axes.x, bars.span())
    threshold, lower = lines["threshold"], lines["lower"]
    _paint_zones(painter, axes, threshold, lower)
    paint_y_grid(painter, axes, ticks(axes.y, max(2, int(axes.area.height() / 36)), whole=True)[1:])
    _paint_bars(painter, axes, bars)
    paint_x_axis(painter, axes, ticks(axes.x, max(2, int(axes.area.width() / 80))), "Anomaly score")
    _paint_legend(painter, axes, bars)
    if marked is not None and axes.x.low <= marked <= axes.x.high:
        _paint_marked(painter, axes, marked)
    if lower is not None and threshold is not None:
        _paint_line(painter, axes, lower, "uncertain", focus=False)
    if threshold is not None:
        _paint_line(painter, axes, threshold, "text", focus=focus)


def _paint_zones(painter: QPainter, axes: Axes, threshold: float | None, lower: float | None) -> None:
    """A breath of colour where parts are flagged or uncertain."""
    if threshold is None:
        return
    area = axes.area
    cut = axes.place_x(axes.x.clamp(threshold))
    tint = 0.12 if theme.current().dark else 0.08
    painter.fillRect(QRectF(QPointF(cut, area.top()), area.bottomRight()), theme.colour("defect", tint))
    if lower is not None:
        left = axes.place_x(axes.x.clamp(lower))
        painter.fillRect(QRectF(left, area.top(), cut - left, area.height()), theme.colour("uncertain", tint))


def _paint_bars(painter: QPainter, axes: Axes, bars: Bars) -> None:
    width = axes.area.width() / bars.count
    gap = 1.0 if width > 4 else 0.0
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    for index in np.flatnonzero(bars.counts.sum(axis=0)).tolist():
        left = axes.area.left() + index * width
        base = axes.area.bottom()
        for group in _ORDER:
            count = int(bars.counts[group, index])
            if count:
                height = max(axes.y.share(count) * axes.area.height(), _LEAST)
                _paint_bar(painter, QRectF(left, base - height, width - gap, height), group)
                base -= height
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)


def _paint_bar(painter: QPainter, box: QRectF, group: int) -> None:
    """Good is plain, a defect is hatched, what has no label is hollow: told apart in grey as well."""
    colour = theme.colour(_MARK_OF[group])
    if group == UNLABELLED:
        painter.fillRect(box, theme.colour("muted", 0.35))
        painter.setPen(QPen(colour, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box.adjusted(0, 0, -1, -1))
        return
    painter.fillRect(box, colour)
    if group == DEFECT:
        shape = QPainterPath()
        shape.addRect(box)
        paint_hatch(painter, shape, theme.colour("panel", 0.6), spacing=7, width=1.4)


def _paint_legend(painter: QPainter, axes: Axes, bars: Bars) -> None:
    painter.setFont(theme.figures(painter.font(), theme.CAPTION))
    metrics = QFontMetricsF(painter.font())
    x = axes.area.left()
    for group in (GOOD, DEFECT, UNLABELLED):
        total = int(bars.counts[group].sum())
        if not total:
            continue
        _paint_bar(painter, QRectF(x, 7, 10, 10), group)
        theme.paint_mark(painter, QRectF(x + 14, 6, 12, 12), _MARK_OF[group])
        text = f"{total} {_WORD_OF[group]}"
        painter.setPen(theme.colour("muted"))
        width = metrics.horizontalAdvance(text)
        painter.drawText(QRectF(x + 30, 4, width + 2, 16), Qt.AlignmentFlag.AlignVCenter, text)
        x += 30 + width + 18


def _paint_marked(painter: QPainter, axes: Axes, score: float) -> None:
    """A small arrow under the part on the canvas."""
    tip = QPointF(axes.place_x(score), axes.area.bottom() - 1)
    painter.setPen(QPen(theme.colour("accent"), 1, Qt.PenStyle.DotLine))
    painter.drawLine(QLineF(tip.x(), axes.area.top(), tip.x(), tip.y()))
    painter.setPen(QPen(theme.colour("panel"), 1))
    painter.setBrush(theme.colour("accent"))
    painter.drawPolygon(QPolygonF([tip, tip + QPointF(-6, 7), tip + QPointF(6, 7)]))


def _paint_line(painter: QPainter, axes: Axes, value: float, key: str, *, focus: bool) -> None:
    """The line, with a handle above that says its value; an arrow where it lies outside."""
    area = axes.area
    x = round(axes.place_x(axes.x.clamp(value))) + 0.5
    painter.setPen(QPen(theme.colour("panel"), 4))
    painter.drawLine(QLineF(x, area.top() - 4, x, area.bottom()))
    style = Qt.PenStyle.SolidLine if key == "text" else Qt.PenStyle.DashLine
    painter.setPen(QPen(theme.colour(key), 2 if key == "text" else 1.5, style))
    painter.drawLine(QLineF(x, area.top() - 4, x, area.bottom()))
    painter.setFont(theme.figures(painter.font(), theme.CAPTION, bold=True))
    text = f"{'‹ ' if value < axes.x.low else ''}{value:#.3g}{' ›' if value > axes.x.high else ''}"
    width = QFontMetricsF(painter.font()).horizontalAdvance(text) + 14
    left = min(max(x - width / 2, 2.0), area.right() + 12 - width)
    handle = QRectF(left, area.top() - 22, width, 18)
    painter.setPen(QPen(theme.colour("accent"), 2) if focus else Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour(key))
    painter.drawRoundedRect(handle, 4, 4)
    painter.setPen(theme.colour("panel"))
    painter.drawText(handle, Qt.AlignmentFlag.AlignCenter, text)
