"""The picture, with what the model says about it."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QShowEvent,
)
from PySide6.QtWidgets import QWidget

from cfa_gui import theme
from cfa_gui.widgets import colour_bar
from cfa_gui.widgets.canvas_layers import paint_cross, paint_tag, regions_of
from cfa_gui.widgets.empty_state import paint_empty_state
from cfa_gui.widgets.picture_view import ARROWS, DIVIDER, PictureView
from cfa_gui.widgets.region_drawing import Point, RegionDrawing
from cfa_gui.widgets.view import View

BLINK_MILLISECONDS = 600
_DRAG = 6
"""Logical pixels from which a press and release is a drag."""


class OverlayMode(StrEnum):
    """What is drawn over the picture."""

    NONE = "none"
    HEAT = "heat"
    CONTOUR = "contour"
    TRUTH = "truth"
    SIDE_BY_SIDE = "side by side"
    BLINK = "blink"


_WITH_HEAT = {OverlayMode.HEAT, OverlayMode.SIDE_BY_SIDE, OverlayMode.BLINK}
_WITH_CONTOUR = _WITH_HEAT | {OverlayMode.CONTOUR, OverlayMode.TRUTH}


class ImageCanvas(PictureView):
    """Shows a picture with its overlays, and keeps its view from picture to picture.

    While a region is drawn: click or Space sets a corner, a drag pulls a rectangle open, arrows move the cross (Shift:
    finely), Backspace takes the last corner back, Enter or double click ends, Escape gives up. Else as PictureView.
    """

    region_drawn = Signal(list, bool)
    """Corners [(x, y), ...] in 0..1 shares of the picture's width and height; whether the region is to be ignored."""
    drawing_changed = Signal(bool)
    """Whether a region is being drawn."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = OverlayMode.HEAT
        self._hidden = False
        self._blink_off = False
        self._drawing: RegionDrawing | None = None
        self._pressed: QPointF | None = None
        self._empty = ("No picture chosen", "Choose one from the list.")
        self._bar = colour_bar.ColourBar(self)
        self._bar.hide()
        self._ranged = False
        self._bar_wanted = True
        self._blinker = QTimer(self)
        self._blinker.setInterval(BLINK_MILLISECONDS)
        self._blinker.timeout.connect(self._on_blink)
        self.setAccessibleName("Picture of the part")
        self._describe()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Large: the picture is what the window is for."""
        return QSize(720, 560)

    # What is shown

    def set_picture(self, picture: NDArray[np.uint8] | None, *, keep_view: bool = True) -> None:
        """Show a picture, (H, W, 3) RGB uint8, or the empty state; heat, truth and box of the one before go."""
        self.cancel_drawing()
        self._layers.set_picture(picture)
        view = self._view.with_picture(*self._layers.size())
        self._view = view if keep_view else view.fit()
        self._show_bar()
        self._lay_out()
        self.picture_changed.emit(picture is not None)
        self._describe()

    def set_empty_text(self, title: str, hint: str = "") -> None:
        """What is written where no picture is shown."""
        self._empty = (title, hint)
        self._describe()
        self.update()

    def set_heat(self, values: NDArray[np.float32] | None, rect: tuple[int, int, int, int] | None = None) -> None:
        """Lay an anomaly map, (h, w) float32, over the picture; NaN is not inspected and stays clear.

        Args:
            values: The map.
            rect: (top, left, height, width) in pixels of the picture that the map covers; the whole picture where None.
        """
        self._layers.set_heat(values, rect)
        self._tell_cursor()
        self.update()

    def set_truth(self, mask: NDArray[np.bool_] | None) -> None:
        """The true defects, (H, W) bool, True on a defect."""
        self._layers.set_truth(mask)
        self.update()

    def set_range(self, low: float, high: float) -> None:
        """Fix the colour range, in the unit of the map, above 0; it does not follow the picture.

        Raises:
            ValueError: The range is empty, not finite or not above 0.
        """
        if not (np.isfinite(high) and 0 < low < high):
            raise ValueError(f"a colour range from {low} to {high} is empty or not above 0")
        self._layers.set_range(low, high)
        self._bar.set_range(low, high)
        self._ranged = True
        self._show_bar()

    def set_colour_bar(self, wanted: bool) -> None:
        """Whether the colour bar stands beside a picture where there is a range; where no map can come, not."""
        self._bar_wanted = wanted
        self._show_bar()

    def _show_bar(self) -> None:
        shown = self._ranged and self._bar_wanted and self.has_picture()
        if shown == self._bar.isHidden():
            self._bar.setVisible(shown)
            self._lay_out()

    def set_threshold(self, value: float | None) -> None:
        """Where the contour runs and the colour bar is marked."""
        self._layers.set_threshold(value)
        self._bar.set_threshold(value)
        self.update()

    def set_mode(self, mode: OverlayMode) -> None:
        """Choose what is drawn over the picture."""
        self._mode = OverlayMode(mode)
        self._run_blinker()
        self._lay_out()
        self._describe()

    def mode(self) -> OverlayMode:
        """What is drawn over the picture."""
        return self._mode

    def set_overlay_hidden(self, hidden: bool) -> None:
        """Hide all overlays for a moment, whatever the mode (the space bar)."""
        self._hidden = hidden
        self.update()

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the heat where it is hottest, 0..1."""
        self._layers.opacity = min(max(opacity, 0.0), 1.0)
        self.update()

    def set_colour_map(self, name: str) -> None:
        """One of theme.COLOUR_MAPS."""
        self._layers.set_colour_map(name)
        self._bar.set_colour_map(name)
        self.update()

    def set_regions(self, regions: Sequence[tuple[Sequence[Point], bool]]) -> None:
        """Regions to show: corners in 0..1 shares, and whether ignored."""
        self._layers.regions = regions_of(regions)
        self.update()

    def highlight_box(self, box: tuple[float, float, float, float] | None) -> None:
        """Frame (top, left, height, width) in pixels of the picture, and bring it into view."""
        if box is None and self._layers.box is None:
            return  # a repaint for nothing
        self._layers.box = box
        if box is not None:
            top, left, height, width = box
            self._look(self._view.showing(QRectF(left, top, width, height)))
        self.update()

    # Regions

    def start_drawing(self, ignored: bool) -> None:
        """Let the user draw a region: to inspect, or to be ignored."""
        if self._layers.pyramid is None:
            return
        self._drawing = RegionDrawing(self._layers.size(), ignored=ignored)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self._on_drawing_changed()

    @Slot()
    def cancel_drawing(self) -> None:
        """Give up the region being drawn."""
        if self._drawing is not None:
            self._drawing = self._pressed = None
            self.unsetCursor()
            self._on_drawing_changed()

    def _finish_drawing(self) -> None:
        drawing = self._drawing
        if drawing is not None and drawing.complete:
            self.cancel_drawing()
            self.region_drawn.emit(drawing.shares(), drawing.ignored)

    def _on_drawing_changed(self) -> None:
        self.drawing_changed.emit(self._drawing is not None)
        self._describe()
        self.update()

    # Layout and time

    def _side_by_side(self) -> bool:
        return self._mode is OverlayMode.SIDE_BY_SIDE

    def _right_margin(self) -> int:
        return 0 if self._bar.isHidden() else colour_bar.WIDTH

    def _lay_out(self) -> None:
        self._bar.setGeometry(self.width() - colour_bar.WIDTH, 0, colour_bar.WIDTH, self.height())
        super()._lay_out()

    def _run_blinker(self) -> None:
        self._blink_off = False
        if self._mode is OverlayMode.BLINK and self.isVisible():
            self._blinker.start()
        else:
            self._blinker.stop()

    @Slot()
    def _on_blink(self) -> None:
        self._blink_off = not self._blink_off
        self.update()

    def _describe(self) -> None:
        """Words for those who do not see the picture."""
        if self._layers.pyramid is None:
            self.setAccessibleDescription(" ".join(self._empty))
        elif self._drawing is not None:
            self.setAccessibleDescription(
                "Drawing a region: arrows move the cross, Space sets a corner, Enter ends, Escape gives up."
            )
        else:
            width, height = self._layers.size()
            self.setAccessibleDescription(f"{width} by {height} pixels, overlay: {self._mode}.")

    # Events

    def event(self, event: QEvent) -> bool:
        """Keep the keys of drawing from the window's shortcuts."""
        if event.type() == QEvent.Type.ShortcutOverride and self._drawing is not None:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Draw, or else zoom and pan."""
        if not self._press_drawing_key(Qt.Key(event.key()), event.modifiers()):
            super().keyPressEvent(event)

    def _press_drawing_key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> bool:
        drawing = self._drawing
        if drawing is None:
            return False
        if key in ARROWS:
            pixels = 1.0 if modifiers & Qt.KeyboardModifier.ShiftModifier else 12.0
            drawing.move_cross(drawing.cross + ARROWS[key] * (pixels / self._view.scale))
        elif key == Qt.Key.Key_Space:
            drawing.set_corner()
        elif key == Qt.Key.Key_Backspace:
            drawing.take_back()
        elif key in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self._finish_drawing()
        elif key == Qt.Key.Key_Escape:
            self.cancel_drawing()
        else:
            return False
        self.update()
        return True

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Begin a corner or a rectangle, or else pan."""
        if self._drawing is None:
            super().mousePressEvent(event)
        elif event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Move the cross; pull the rectangle open if the button is down before any corner is set."""
        super().mouseMoveEvent(event)
        if self._drawing is not None:
            self._drawing.move_cross(self._view.to_picture(self._on_half(event.position())))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Set a corner, or end a rectangle, or else end panning."""
        drawing, pressed, self._pressed = self._drawing, self._pressed, None
        if drawing is None or pressed is None:
            super().mouseReleaseEvent(event)
            return
        drawing.move_cross(self._view.to_picture(self._on_half(event.position())))
        if not drawing.corners and (event.position() - pressed).manhattanLength() > _DRAG:
            drawing.set_rectangle(self._view.to_picture(self._on_half(pressed)), drawing.cross)
            self._finish_drawing()
        else:
            drawing.set_corner()
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """End the region, or else fit."""
        if self._drawing is not None:
            self._finish_drawing()
        else:
            super().mouseDoubleClickEvent(event)

    def showEvent(self, _event: QShowEvent) -> None:  # noqa: N802  Qt's name
        """Blink only where someone can see it."""
        self._run_blinker()

    def hideEvent(self, _event: QHideEvent) -> None:  # noqa: N802  Qt's name
        """Blink only where someone can see it."""
        self._blinker.stop()

    # Painting

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """All layers, in the order of the mode."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("canvas"))
        if self._layers.pyramid is None:
            paint_empty_state(painter, self.rect(), "image-outline", *self._empty)
        elif self._side_by_side():
            self._paint_side_by_side(painter)
        else:
            self._paint_half(painter, overlays=not self._blink_off)
        if self.hasFocus():
            painter.setPen(QPen(theme.colour("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _paint_half(self, painter: QPainter, *, overlays: bool) -> None:
        """One picture, at the painter's origin."""
        layers, view = self._layers, self._view
        painter.save()
        painter.setClipRect(QRectF(0, 0, *view.surface))
        layers.paint_picture(painter, view, self.devicePixelRatioF())
        if overlays and not self._hidden:
            self._paint_overlays(painter, view)
        if self._pressed is not None and self._drawing is not None and not self._drawing.corners:
            self._paint_pulled(painter, self._drawing, self._pressed)
        elif self._drawing is not None:
            layers.paint_drawing(painter, view, self._drawing)
        painter.restore()

    def _paint_overlays(self, painter: QPainter, view: View) -> None:
        self._layers.paint_regions(painter, view)
        if self._mode in _WITH_HEAT:
            self._layers.paint_heat(painter, view)
        if self._mode is OverlayMode.TRUTH:
            self._layers.paint_truth(painter, view)
        if self._mode in _WITH_CONTOUR:
            self._layers.paint_contour(painter, view)
        self._layers.paint_box(painter, view)

    def _paint_pulled(self, painter: QPainter, drawing: RegionDrawing, pressed: QPointF) -> None:
        """The rectangle as it would be if the button were let go now."""
        shown = RegionDrawing(self._layers.size(), ignored=drawing.ignored)
        shown.set_rectangle(self._view.to_picture(self._on_half(pressed)), drawing.cross)
        shown.cross = shown.corners[0]
        self._layers.paint_drawing(painter, self._view, shown)

    def _paint_side_by_side(self, painter: QPainter) -> None:
        width = self._view.surface[0]
        self._paint_half(painter, overlays=False)
        painter.save()
        painter.translate(width + DIVIDER, 0)
        self._paint_half(painter, overlays=True)
        painter.restore()
        painter.fillRect(QRectF(width, 0, DIVIDER, self.height()), theme.colour("window"))
        for left, text in ((0.0, "Part"), (width + DIVIDER, "Part with anomaly map")):
            paint_tag(painter, QPointF(left + 8, 8), text)
            if self._cursor is not None:
                paint_cross(painter, self._cursor + QPointF(left, 0), 5)
