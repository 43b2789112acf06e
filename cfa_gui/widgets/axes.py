"""Axes for painted plots: round ticks, the way from data to pixels, and the frame."""

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from cfa_gui import theme


@dataclass(frozen=True, slots=True)
class Span:
    """One axis: what it covers.

    Attributes:
        low: The value at the left or bottom.
        high: The value at the right or top, above `low`.
    """

    low: float
    high: float

    def share(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """The value at a share; the inverse of `share`."""
        return self.low + share * (self.high - self.low)

    def clamp(self, value: float) -> float:
        """The nearest value inside."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Axes:
    """A plot's area in logical pixels, with the data that it covers."""

    area: QRectF
    x: Span
    y: Span

    def place(self, x: float, y: float) -> QPointF:
        """Where a point of the data lies."""
        return QPointF(self.place_x(x), self.place_y(y))

    def place_x(self, x: float) -> float:
        """Where a value on the horizontal axis lies."""
        return self.area.left() + self.x.share(x) * self.area.width()

    def place_y(self, y: float) -> float:
        """Where a value on the vertical axis lies."""
        return self.area.bottom() - self.y.share(y) * self.area.height()

    def value_x(self, pixel: float) -> float:
        """The value on the horizontal axis at a pixel."""
        return self.x.value((pixel - self.area.left()) / max(self.area.width(), 1))


def padded(low: float, high: float, share: float = 0.05) -> Span:
    """A span with room at both ends; one of width above zero whatever is given."""
    room = (high - low) * share
    if room <= 0:
        room = max(abs(high) * 0.05, 0.5)
    return Span(low - room, high + room)


def round_up(value: float) -> float:
    """The next round number (1, 2, 2.5 or 5 times a power of ten) that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def ticks(span: Span, most: int, *, whole: bool = False) -> tuple[float, ...]:
    """Round values inside a span.

    Args:
        span: What the axis covers.
        most: At most about this many, 1 or more.
        whole: Counts only: no fractions.
    """
    step = round_up((span.high - span.low) / max(most, 1))
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.ceil(span.low / step - 1e-9)
    last = math.floor(span.high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def tick_text(value: float, step: float) -> str:
    """A tick's label, with no more digits than the step between ticks needs."""
    if value != 0 and (abs(value) >= 1e5 or step < 1e-4):
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    if step > 0 and not math.isclose(round(step, digits), step, rel_tol=1e-6):
        digits += 1
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def tick_texts(values: tuple[float, ...]) -> tuple[str, ...]:
    """The labels of a row of ticks."""
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) if values else 1.0
    return tuple(tick_text(value, step) for value in values)


def paint_y_grid(painter: QPainter, axes: Axes, values: tuple[float, ...]) -> None:
    """Faint lines across, their values left of the area."""
    painter.setFont(theme.figures(painter.font(), theme.CAPTION))
    for value, text in zip(values, tick_texts(values), strict=True):
        y = round(axes.place_y(value)) + 0.5
        painter.setPen(QPen(theme.colour("border", 0.6), 1))
        painter.drawLine(QPointF(axes.area.left(), y), QPointF(axes.area.right(), y))
        painter.setPen(theme.colour("muted"))
        box = QRectF(0, y - 8, axes.area.left() - 6, 16)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)


def paint_x_axis(painter: QPainter, axes: Axes, values: tuple[float, ...], label: str = "", *, unit: str = "") -> None:
    """The base line with its values below.

    Args:
        painter: At the widget's origin.
        axes: Where to draw.
        values: The ticks.
        label: What the axis is, at its right end; values that it would cover are left out.
        unit: Written after the last value instead.
    """
    painter.setFont(theme.figures(painter.font(), theme.CAPTION))
    metrics = QFontMetricsF(painter.font())
    base = round(axes.area.bottom()) + 0.5
    painter.setPen(QPen(theme.colour("strong"), 1))
    painter.drawLine(QPointF(axes.area.left(), base), QPointF(axes.area.right(), base))
    room = metrics.horizontalAdvance(label) + 12 if label else -20.0
    texts = list(tick_texts(values))
    if texts and unit:
        texts[-1] += f" {unit}"
    for value, text in zip(values, texts, strict=True):
        x = axes.place_x(value)
        half = metrics.horizontalAdvance(text) / 2 + 1
        if label and x + half > axes.area.right() - room:
            continue
        painter.setPen(QPen(theme.colour("strong"), 1))
        painter.drawLine(QPointF(x, base), QPointF(x, base + 3))
        painter.setPen(theme.colour("muted"))
        left = min(x - half, axes.area.right() + 8 - 2 * half)
        painter.drawText(QRectF(left, base + 4, 2 * half, 14), Qt.AlignmentFlag.AlignCenter, text)
    if label:
        painter.setPen(theme.colour("muted"))
        box = QRectF(axes.area.right() - room, base + 4, room, 14)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label)


def paint_empty(painter: QPainter, area: QRectF, title: str, hint: str = "") -> None:
    """The designed blank: what will be here, and what to do for it."""
    font = theme.figures(painter.font(), theme.BODY)
    painter.setFont(font)
    painter.setPen(theme.colour("muted"))
    flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
    middle = area.center().y()
    inner = area.adjusted(12, 0, -12, 0)
    painter.drawText(QRectF(inner.left(), middle - 20, inner.width(), 18), flags, title)
    if hint:
        painter.setFont(theme.figures(painter.font(), theme.CAPTION))
        painter.drawText(QRectF(inner.left(), middle + 2, inner.width(), 60), flags, hint)
