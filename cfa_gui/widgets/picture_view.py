"""A picture that can be panned and zoomed, by mouse and by keyboard; what is drawn over it is up to ImageCanvas."""

from PySide6.QtCore import QEvent, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from cfa_gui.widgets.canvas_layers import Layers
from cfa_gui.widgets.view import STEP, View

DIVIDER = 4
"""Between the two pictures where they stand side by side, logical pixels."""
ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0),
    Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1),
    Qt.Key.Key_Down: QPointF(0, 1),
}
_PAN = 48.0


class PictureView(QWidget):
    """Holds the layers and the view of them.

    Mouse: drag pans, wheel zooms at the cursor, double click fits. Keys: + and - zoom, 0 fits, 1 shows actual pixels,
    Shift+arrows pan.
    """

    cursor_moved = Signal(int, int, object)
    """x, y in pixels of the picture, and the heat there: float, or None where there is none."""
    cursor_left = Signal()
    zoom_changed = Signal(float)
    """Device pixels per pixel of the picture: 1.0 is "100 %"."""
    picture_changed = Signal(bool)
    """Whether a picture is shown now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = Layers()
        self._view = View()
        self._cursor: QPointF | None = None
        self._dragged_from: QPointF | None = None
        self._told_zoom = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(200, 120)

    # Zoom

    def has_picture(self) -> bool:
        """Whether a picture is shown, and not the empty state."""
        return self._layers.pyramid is not None

    def zoom(self) -> float:
        """Device pixels per pixel of the picture."""
        return self._view.scale * self.devicePixelRatioF()

    @Slot()
    def zoom_fit(self) -> None:
        """Show the whole picture, and go on doing so when the window is resized."""
        self._look(self._view.fit())

    @Slot()
    def zoom_actual(self) -> None:
        """One pixel of the picture on one pixel of the screen."""
        self._look(self._view.zoomed(1 / self.devicePixelRatioF(), self._cursor))

    @Slot()
    def zoom_in(self) -> None:
        """One step nearer."""
        self._look(self._view.zoomed(self._view.scale * STEP))

    @Slot()
    def zoom_out(self) -> None:
        """One step away."""
        self._look(self._view.zoomed(self._view.scale / STEP))

    def _look(self, view: View) -> None:
        """Take a view, and tell of its zoom if that is another."""
        self._view = view
        zoom = self.zoom()
        if zoom != self._told_zoom:
            self._told_zoom = zoom
            self.zoom_changed.emit(zoom)
        self._tell_cursor()
        self.update()

    # What lies where

    def _side_by_side(self) -> bool:
        """Whether the surface is halved; a subclass says."""
        return False

    def _right_margin(self) -> int:
        """Logical pixels kept free on the right; a subclass says."""
        return 0

    def _lay_out(self) -> None:
        """Give the view the surface that there is."""
        width = self.width() - self._right_margin()
        if self._side_by_side():
            width = (width - DIVIDER) // 2
        self._look(self._view.with_surface(width, self.height()))

    def _on_half(self, spot: QPointF) -> QPointF:
        """A place of the widget as one of the surface: in side by side, both halves mean the same."""
        shift = self._view.surface[0] + DIVIDER
        return spot - QPointF(shift, 0) if self._side_by_side() and spot.x() >= shift else spot

    def _tell_cursor(self) -> None:
        """Tell what is under the cursor, if it is on the picture."""
        if self._cursor is None or self._layers.pyramid is None:
            return
        point = self._view.to_picture(self._cursor)
        width, height = self._layers.size()
        if 0 <= point.x() < width and 0 <= point.y() < height:
            self.cursor_moved.emit(int(point.x()), int(point.y()), self._layers.value_at(point.x(), point.y()))
        else:
            self.cursor_left.emit()

    # Events

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802  Qt's name
        """Zoom and pan."""
        key = Qt.Key(event.key())
        if key in ARROWS and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            step = ARROWS[key] * -_PAN
            self._look(self._view.panned(step.x(), step.y()))
            return
        actions = {
            Qt.Key.Key_Plus: self.zoom_in,
            Qt.Key.Key_Equal: self.zoom_in,
            Qt.Key.Key_Minus: self.zoom_out,
            Qt.Key.Key_0: self.zoom_fit,
            Qt.Key.Key_1: self.zoom_actual,
        }
        if key in actions:
            actions[key]()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Begin to pan."""
        if event.button() == Qt.MouseButton.LeftButton and self._layers.pyramid is not None:
            self._dragged_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Pan, and tell what is under the cursor."""
        spot = event.position()
        self._cursor = self._on_half(spot)
        if self._dragged_from is not None:
            delta = spot - self._dragged_from
            self._dragged_from = spot
            self._look(self._view.panned(delta.x(), delta.y()))
        else:
            self._tell_cursor()
            if self._side_by_side():
                self.update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """End panning."""
        if self._dragged_from is not None:
            self._dragged_from = None
            self.unsetCursor()

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Fit."""
        self.zoom_fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802  Qt's name
        """Zoom at the cursor."""
        factor = STEP ** (event.angleDelta().y() / 120)
        self._look(self._view.zoomed(self._view.scale * factor, self._on_half(event.position())))
        event.accept()

    def leaveEvent(self, _event: QEvent) -> None:  # noqa: N802  Qt's name
        """Nothing is under the cursor any more."""
        self._cursor = None
        self.cursor_left.emit()
        self.update()

    def resizeEvent(self, _event: QResizeEvent) -> None:  # noqa: N802  Qt's name
        """Lay out anew."""
        self._lay_out()
