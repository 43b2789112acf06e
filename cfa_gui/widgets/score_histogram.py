"""Scores of all parts and of held-out good images, with the threshold as a line that can be dragged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QSize, Qt, Signal, SignalInstance, Slot
from PySide6.QtGui import QFocusEvent, QHelpEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from cfa_gui.widgets.axes import Span, padded
from cfa_gui.widgets.histogram_bars import DEFECT, GOOD, UNLABELLED, Bars, Line
from cfa_gui.widgets.lazy_plot import LazyPlot

if TYPE_CHECKING:
    from cfa_gui.widgets.histogram_chart import HistogramChart

__all__ = ["DEFECT", "GOOD", "UNLABELLED", "ScoreHistogram"]

_REACH = 7.0
"""How near the pointer must be to a line to take hold of it."""
_KEY_STEPS = 200
"""Steps of a key from one end to the other."""


class ScoreHistogram(LazyPlot["HistogramChart"]):
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
        super().__init__("No scores yet", "After an inspection, every part stands here by its score.", parent)
        self._scores = np.empty(0)
        self._groups = np.empty(0, np.int8)
        self._held_out = np.empty(0)
        self._span = Span(0.0, 1.0)
        self._bars: Bars | None = None
        self._lines: dict[Line, float | None] = {"threshold": None, "lower": None}
        self._marked: float | None = None
        self._dragged: Line | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(260, 132)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName("Scores of all parts, with the threshold")
        self._describe()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Wide and low."""
        return QSize(640, 168)

    def set_scores(
        self, scores: NDArray[np.floating], groups: NDArray[np.int8] | None = None, held_out: Sequence[float] = ()
    ) -> None:
        """Show scores with their groups.

        Args:
            scores: (n,) anomaly scores; what is not finite is left out.
            groups: (n,) UNLABELLED, GOOD or DEFECT; all unlabelled where None.
            held_out: Scores of good images that were held out, finite: what the first threshold was set from.
        """
        values = np.asarray(scores, float)
        labels = np.zeros(values.size, np.int8) if groups is None else np.asarray(groups, np.int8)
        finite = np.isfinite(values)
        self._scores, self._groups, self._held_out = values[finite], labels[finite], np.asarray(held_out, float)
        self._fit_span()
        self._describe()

    def set_threshold(self, value: float | None) -> None:
        """Place the line; emits nothing. None: no line yet."""
        self._place("threshold", value)

    def threshold(self) -> float | None:
        """Where the line is."""
        return self._lines["threshold"]

    def set_lower(self, value: float | None) -> None:
        """Place the lower line; emits nothing. None: no uncertain band."""
        self._place("lower", value)

    def lower_value(self) -> float | None:
        """Where the lower line is."""
        return self._lines["lower"]

    def mark_score(self, score: float | None) -> None:
        """Point out the score of the part that is on the canvas."""
        self._marked = score
        self.redraw()

    def flagged(self) -> int:
        """How many scores lie above the threshold."""
        threshold = self.threshold()
        return 0 if threshold is None else int(np.count_nonzero(self._scores > threshold))

    def line_position(self, line: Line = "threshold") -> float | None:
        """Where a line is drawn, logical pixels from the left edge of the widget; None where there is none in sight."""
        value = self._lines[line]
        if value is None or self._chart is None or not self.has_data():
            return None
        return self._chart.place(self._span.clamp(value))

    # State

    def _place(self, line: Line, value: float | None) -> None:
        if value == self._lines[line]:
            return
        self._lines[line] = value
        if self._dragged is None:
            self._fit_span()
        self._describe()

    def _fit_span(self) -> None:
        """Cover all scores, and the lines where they are not far away."""
        if not self.has_data():
            self._span = Span(0.0, 1.0)
        else:
            both = np.concatenate((self._scores, self._held_out))
            low, high = float(both.min()), float(both.max())
            room = max(high - low, abs(high) * 0.1, 1e-6)
            near = [line for line in self._lines.values() if line is not None and low - room <= line <= high + room]
            span = padded(min(low, *near, high), max(high, *near, low), 0.06)
            self._span = Span(max(span.low, 0.0), span.high) if low >= 0 else span
        self._bars = None

    def _move(self, line: Line, value: float, *, released: bool) -> None:
        """Move a line for the user; the lower one stays below the other."""
        value = self._span.clamp(value)
        threshold, lower = self._lines["threshold"], self._lines["lower"]
        if line == "lower" and threshold is not None:
            value = min(value, threshold)
        if line == "threshold" and lower is not None:
            value = max(value, lower)
        self._lines[line] = value
        self._describe()
        moved, let_go = self._signals(line)
        moved.emit(value)
        if released:
            let_go.emit(value)

    def _signals(self, line: Line) -> tuple[SignalInstance, SignalInstance]:
        if line == "threshold":
            return self.threshold_moved, self.threshold_released
        return self.lower_moved, self.lower_released

    def has_data(self) -> bool:
        """Whether there are scores, of parts or of held-out images."""
        return self._scores.size + self._held_out.size > 0

    def _make_chart(self) -> "HistogramChart":
        from cfa_gui.widgets.histogram_chart import HistogramChart

        chart = HistogramChart(self)
        chart.resized.connect(self._on_resized)
        return chart

    def _draw(self, chart: "HistogramChart") -> None:
        chart.draw_bars(self._bars_for(chart))
        focus = self.hasFocus() or self._dragged is not None
        chart.draw_lines(self._lines, self._span, marked=self._marked, focus=focus)

    @Slot()
    def _on_resized(self) -> None:
        self.redraw()

    def _bars_for(self, chart: "HistogramChart") -> Bars:
        count = chart.bar_count()
        if self._bars is None or self._bars.count != count:
            self._bars = Bars.of(self._scores, self._groups, self._span, count, self._held_out)
        return self._bars

    def _describe(self) -> None:
        """Words for those who do not see the bars."""
        threshold = self.threshold()
        if not self.has_data():
            text = "No scores yet."
        elif threshold is None:
            text = f"{self._scores.size} parts, no threshold yet."
        else:
            text = f"Threshold {threshold:.4g}: {self.flagged()} of {self._scores.size} parts are flagged."
        if self._held_out.size:
            text += f" Besides, the scores of {self._held_out.size} held-out good images."
        self.setAccessibleDescription(text)
        self.redraw()

    # Events

    def event(self, event: QEvent) -> bool:
        """Keep the keys that move the line from the window's shortcuts; say what a bar holds."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride and self._step_of(event):
            event.accept()
            return True
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            self._show_tip(event)
            return True
        return super().event(event)

    def _show_tip(self, event: QHelpEvent) -> None:
        chart, x = self._chart, event.pos().x()
        value = None if chart is None or not self.has_data() else chart.value(x)
        if chart is not None and value is not None and self._span.low <= value <= self._span.high:
            text = self._bars_for(chart).words_at(value)
        else:
            text = "Drag the line, or focus here and press ← or →, to move the threshold. Parts above it are flagged."
        QToolTip.showText(event.globalPos(), text, self)

    def _step_of(self, event: QKeyEvent) -> float:
        """How far a key moves a line, in widths of the plot; 0 where it moves none."""
        fast = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        step = (10 if fast else 1) / _KEY_STEPS
        steps = {Qt.Key.Key_Left: -step, Qt.Key.Key_Right: step, Qt.Key.Key_Home: -1.0, Qt.Key.Key_End: 1.0}
        return steps.get(Qt.Key(event.key()), 0.0)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Move a line."""
        line: Line = "lower" if event.modifiers() & Qt.KeyboardModifier.ControlModifier else "threshold"
        step, value = self._step_of(event), self._lines[line]
        if not step or value is None or not self.has_data():
            super().keyPressEvent(event)
            return
        start = self._span.clamp(value)
        self._move(line, start + step * (self._span.high - self._span.low), released=True)

    def _line_at(self, x: float) -> Line | None:
        """The line in reach of a pixel, the nearer of two."""
        if not self.has_data():
            return None
        lines: tuple[Line, Line] = ("threshold", "lower")
        placed = [(line, self.line_position(line)) for line in lines]
        near = [(abs(x - at), line) for line, at in placed if at is not None and abs(x - at) <= _REACH]
        return min(near)[1] if near else None

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Take hold of a line."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged = self._line_at(event.position().x())
            self.redraw()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Move the line held; show what can be held."""
        x = event.position().x()
        if self._dragged is not None and self._chart is not None:
            self._move(self._dragged, self._chart.value(x), released=False)
        elif self._line_at(x) is not None:
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            self.unsetCursor()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Let go."""
        line, self._dragged = self._dragged, None
        if line is not None and self._chart is not None:
            self._move(line, self._chart.value(event.position().x()), released=True)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802  Qt's name
        """Show that keys move the line now."""
        super().focusInEvent(event)
        self.redraw()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802  Qt's name
        """Show that they do not."""
        super().focusOutEvent(event)
        self.redraw()
