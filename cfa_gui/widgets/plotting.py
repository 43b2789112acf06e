"""The one door to pyqtgraph, and the look of every plot.

Importing pyqtgraph takes half a second: only what draws imports this module, when there is something to draw. See
`lazy_plot`.
"""

from collections.abc import Callable

import pyqtgraph as pg  # type: ignore[import-untyped]
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QPen
from PySide6.QtWidgets import QGraphicsView, QSizePolicy, QWidget

from cfa_gui import theme

__all__ = ["NO_PEN", "Plot", "brush", "pg"]

pg.setConfigOptions(antialias=True)

_LEFT, _RIGHT, _TOP = 44, 14, 8
"""Room of the numbers left of the plot, and to the right of and above it, logical pixels."""
_TICKS, _LABEL = 20, 14
"""Room of the numbers below the plot, and of an axis's name, logical pixels."""
_GRID = 0.7
NO_PEN = QPen(Qt.PenStyle.NoPen)


def brush(key: str, alpha: float = 1.0) -> QBrush:
    """A brush in a token's colour."""
    return QBrush(theme.colour(key, alpha))


class Plot:
    """A pyqtgraph plot that only draws: no menu, no zoom, no keyboard; the widget around it has the mouse.

    The room of its axes is fixed, so that plots under each other align and numbers that grow move nothing.

    Args:
        parent: The parent widget.
        x_label: The name of the horizontal axis, with its unit; none where empty.
        y_label: The name of the vertical axis.
        x_values: Whether numbers stand below.

    Attributes:
        view: The widget.
        items: pyqtgraph's PlotItem.
    """

    def __init__(
        self, parent: QWidget | None = None, *, x_label: str = "", y_label: str = "", x_values: bool = True
    ) -> None:
        widget = pg.PlotWidget(parent, background=None, enableMenu=False)
        self.view: QGraphicsView = widget
        self.items = widget.getPlotItem()
        self._labels = {"bottom": x_label, "left": y_label}
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.view.setMinimumSize(0, 0)
        self.view.setCacheMode(
            QGraphicsView.CacheModeFlag.CacheNone
        )  # what is cached is filled with the window's colour
        self.view.viewport().setAutoFillBackground(False)
        # WORKAROUND(pyqtgraph 0.14): the menu is made though not wanted, and would be left behind
        menu = self.items.ctrlMenu
        menu.setParent(widget, menu.windowFlags())
        self.items.hideButtons()
        self.items.setMouseEnabled(x=False, y=False)
        self.items.disableAutoRange()
        self.items.layout.setContentsMargins(0, _TOP, _RIGHT, 0)
        self.items.showAxis("right")
        self._left, self._bottom, self._grid = (self.items.getAxis(name) for name in ("left", "bottom", "right"))
        self._left.setWidth(_LEFT + (_LABEL if y_label else 0))
        self._bottom.setHeight((_TICKS if x_values else 8) + (_LABEL if x_label else 0))
        self._bottom.setStyle(showValues=x_values)
        # WORKAROUND(pyqtgraph 0.14): an axis with a grid leaves out its end numbers; so the right one has the grid
        self._grid.setWidth(0)
        self._grid.setStyle(showValues=False)
        self._grid.setGrid(_GRID)
        self._left.setStyle(tickAlpha=0)
        self._bottom.setStyle(tickAlpha=0)
        for axis in (self._left, self._bottom, self._grid):
            axis.enableAutoSIPrefix(False)  # noqa: FBT003  pyqtgraph's way
            axis.setStyle(maxTickLevel=0, tickLength=0, hideOverlappingLabels=False)
            axis.setZValue(-10)  # below what is drawn
        self.dress()

    def dress(self) -> None:
        """Take the colours and fonts of the moment."""
        font = theme.figures(self.view.font(), theme.CAPTION)
        self._bottom.setPen(self.pen("strong"))
        self._left.setPen(NO_PEN)
        self._grid.setPen(NO_PEN)
        self._grid.setTickPen(self.pen("border"))
        style = {"color": theme.colour("muted").name(), "font-size": f"{theme.CAPTION}px"}
        for name, axis in (("left", self._left), ("bottom", self._bottom)):
            axis.setTickFont(font)
            axis.setTextPen(self.pen("muted"))
            if self._labels[name]:
                axis.label.setFont(font)
                axis.setLabel(self._labels[name], **style)
                axis.resizeEvent()  # puts the name in the middle

    def pen(self, key: str, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """A pen in a token's colour, as wide on the screen whatever the scale of the plot.

        Args:
            key: As for theme.colour.
            width: Logical pixels; pyqtgraph's pens count those of the screen.
            style: Solid, dashed, ...
        """
        made: QPen = pg.mkPen(theme.colour(key), width=width * self.view.devicePixelRatioF(), style=style)
        return made

    def set_labels(self, x_label: str, y_label: str) -> None:
        """Name both axes anew."""
        if self._labels != {"bottom": x_label, "left": y_label}:
            self._labels = {"bottom": x_label, "left": y_label}
            self.dress()

    def cover(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """What the axes span, low and high each."""
        self.items.setRange(xRange=x, yRange=y, padding=0)
        self.items.getViewBox().updateMatrix()  # now, not while painting: that would paint twice

    def on_resized(self, told: Callable[[], None]) -> None:
        """Call a function whenever the area has another size."""
        self.items.getViewBox().sigResized.connect(told)

    def area(self) -> QRectF:
        """Where data is drawn, logical pixels of the view."""
        box: QRectF = self.items.getViewBox().sceneBoundingRect()
        return box

    def place(self, x: float, y: float) -> QPointF:
        """Where a point of the data lies, logical pixels of the view."""
        return QPointF(self.items.getViewBox().mapViewToScene(QPointF(x, y)))

    def value(self, spot: QPointF) -> QPointF:
        """The inverse of `place`."""
        return QPointF(self.items.getViewBox().mapSceneToView(spot))
