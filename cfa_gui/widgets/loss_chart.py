"""The curves of a training, drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.widgets.axes import round_up
from cfa_gui.widgets.plotting import Plot, brush, pg

_GAP = 5.0
"""Pixels between the legend and the highest line."""
_MOST = 0.6
"""Of the height that a legend may take for itself; the lines are below it."""


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


class LossChart(QWidget):
    """The loss and its parts above, the distances below, over the same epochs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts = (_Part(_LOSSES, Plot(self, x_values=False)), _Part(_DISTANCES, Plot(self, x_label="Epoch")))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for part in self._parts:
            column.addWidget(part.plot.view)
        self.dress()

    def dress(self) -> None:
        """Take the colours of the moment."""
        for part in self._parts:
            part.dress()

    def draw(self, numbers: NDArray[np.float64], epochs: float) -> None:
        """Draw all steps.

        Args:
            numbers: (6, n) epoch, loss, attraction, repulsion, squared radius and squared nearest distance; n >= 1.
            epochs: Where the axis ends at least.
        """
        for part in self._parts:
            part.draw(numbers, epochs)


class _Part:
    """One plot with its curves and their legend."""

    def __init__(self, curves: tuple[_Curve, ...], plot: Plot) -> None:
        self.plot = plot
        self._curves = curves
        self._lines = [pg.PlotDataItem() for _ in curves]
        self._legend = pg.LegendItem(
            offset=(-1, 1), labelTextSize=f"{theme.CAPTION}px", horSpacing=4, verSpacing=-6, colCount=2
        )
        self._legend.layout.setContentsMargins(6, 2, 6, 2)
        self._legend.setParentItem(plot.items.getViewBox())
        for number, line in enumerate(self._lines):
            line.setZValue(-number)  # the first curve lies on top
            plot.items.addItem(line)
            self._legend.addItem(line, curves[number].name)

    def dress(self) -> None:
        """Take the colours of the moment."""
        self.plot.dress()
        for curve, line in zip(self._curves, self._lines, strict=True):
            line.setPen(self.plot.pen(curve.ink, 1.8, curve.style))
        self._legend.setBrush(brush("panel", 0.8))
        self._legend.setLabelTextColor(theme.colour("text"))

    def draw(self, numbers: NDArray[np.float64], epochs: float) -> None:
        """Draw, scale and say the latest."""
        rows = numbers[[curve.row for curve in self._curves]]
        finite = rows[np.isfinite(rows)]
        top = round_up(float(finite.max())) if finite.size and finite.max() > 0 else 1.0
        crowd = max(1, numbers.shape[1] // max(1, round(self.plot.area().width())))  # steps on one pixel
        for curve, line, row in zip(self._curves, self._lines, rows, strict=True):
            line.setData(numbers[0], row, downsample=crowd, downsampleMethod="peak")
            self._legend.getLabel(line).setText(f"{curve.name} {row[-1]:.3g}")
        self._fit_legend()
        taken = min(_MOST, (self._legend.geometry().bottom() + _GAP) / max(1.0, self.plot.area().height()))
        self.plot.cover((0.0, max(epochs, float(numbers[0, -1])) or 1.0), (0.0, top / (1 - taken)))

    def _fit_legend(self) -> None:
        # WORKAROUND(pyqtgraph 0.14): updateSize adds up what the entries were given, not what they need, and only grows
        layout = self._legend.layout
        layout.invalidate()
        needed = layout.effectiveSizeHint(Qt.SizeHint.MinimumSize)
        if needed != self._legend.geometry().size():
            self._legend.setGeometry(QRectF(self._legend.pos(), needed))
