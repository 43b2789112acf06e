"""The controls under the picture: overlay, opacity, colour map and zoom; wired to one canvas."""

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QSlider, QToolButton, QWidget

from cfa_gui import theme
from cfa_gui.widgets.icon_label import IconLabel
from cfa_gui.widgets.image_canvas import ImageCanvas, OverlayMode

_WORDS = {
    OverlayMode.HEAT: "Heat map",
    OverlayMode.CONTOUR: "Contour",
    OverlayMode.TRUTH: "True defects",
    OverlayMode.SIDE_BY_SIDE: "Side by side",
    OverlayMode.BLINK: "Blink",
    OverlayMode.NONE: "Nothing",
}


class CanvasBar(QWidget):
    """One row of controls for an ImageCanvas, with the place and score under the cursor.

    Args:
        canvas: What it steers.
        parent: The parent widget.
    """

    mode_changed = Signal(object)
    """OverlayMode, chosen by the user."""
    opacity_changed = Signal(float)
    colour_map_changed = Signal(str)

    def __init__(self, canvas: ImageCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._modes = QComboBox()
        self._opacity = QSlider(Qt.Orientation.Horizontal)
        self._maps = QComboBox()
        self._readout = QLabel()
        self._zoom = QToolButton()
        self._fill()
        self._arrange()
        self._modes.activated.connect(self._on_mode)
        self._opacity.valueChanged.connect(self._on_opacity)
        self._maps.activated.connect(self._on_map)
        self._zoom.clicked.connect(canvas.zoom_actual)
        canvas.zoom_changed.connect(self._on_zoom)
        canvas.picture_changed.connect(self._on_picture)
        canvas.cursor_moved.connect(self._on_cursor)
        canvas.cursor_left.connect(self._readout.clear)
        self.set_mode(canvas.mode())
        self._on_picture(canvas.has_picture())

    def set_mode(self, mode: OverlayMode) -> None:
        """Choose the overlay, on the canvas too; emits nothing."""
        self._modes.setCurrentIndex(self._modes.findData(mode))
        self._canvas.set_mode(mode)

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity, on the canvas too, 0..1; emits nothing."""
        with QSignalBlocker(self._opacity):
            self._opacity.setValue(round(opacity * 100))
        self._canvas.set_opacity(opacity)

    def set_colour_map(self, name: str) -> None:
        """Choose the colour map, on the canvas too; emits nothing."""
        self._maps.setCurrentIndex(self._maps.findData(name))
        self._canvas.set_colour_map(name)

    def set_truth_available(self, available: bool) -> None:
        """Whether the overlay "true defects" can be chosen."""
        index = self._modes.findData(OverlayMode.TRUTH)
        model = self._modes.model()
        if isinstance(model, QStandardItemModel):
            model.item(index).setEnabled(available)

    def _fill(self) -> None:
        for mode, words in _WORDS.items():
            self._modes.addItem(words, mode)
        for name in theme.COLOUR_MAPS:
            self._maps.addItem(name.capitalize(), name)
        self._opacity.setRange(0, 100)
        self._opacity.setValue(70)
        self._opacity.setFixedWidth(60)
        self._readout.setFont(theme.figures(self.font(), theme.CAPTION))
        self._readout.setMinimumHeight(2 * self._readout.fontMetrics().lineSpacing())  # place and score
        self._readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._readout.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        theme.set_role(self._readout, "caption")
        _name(self._modes, "Overlay", "What is drawn over the picture. Space hides it for a moment.")
        _name(self._opacity, "Opacity of the heat map", "How strongly the heat map covers the picture.")
        _name(self._maps, "Colour map", "The colours of the heat map.")
        _name(self._zoom, "Zoom", "Show one pixel of the picture on one pixel of the screen (key 1).")
        self._zoom.setFont(theme.figures(self.font()))
        theme.set_role(self._zoom, "figure")

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.GAP, 4, theme.GAP, 4)
        row.setSpacing(theme.GAP // 2)
        picture = IconLabel(theme.icon("circle-opacity", "muted"))
        for widget in (self._modes, picture, self._opacity, self._maps):
            row.addWidget(widget)
        row.addWidget(self._readout, 1)
        canvas = self._canvas
        nearer = _button("magnify-plus-outline", "Zoom in", "+", canvas.zoom_in)
        away = _button("magnify-minus-outline", "Zoom out", "−", canvas.zoom_out)
        whole = _button("fit-to-screen-outline", "Show the whole picture", "0", canvas.zoom_fit)
        self._zooming = (away, self._zoom, nearer, whole)
        zooming = QHBoxLayout()
        zooming.setSpacing(0)
        for button in self._zooming:
            zooming.addWidget(button)
        row.addLayout(zooming)

    @Slot(int)
    def _on_mode(self, index: int) -> None:
        mode = OverlayMode(self._modes.itemData(index))
        self._canvas.set_mode(mode)
        self.mode_changed.emit(mode)

    @Slot(int)
    def _on_opacity(self, percent: int) -> None:
        self._canvas.set_opacity(percent / 100)
        self.opacity_changed.emit(percent / 100)

    @Slot(int)
    def _on_map(self, index: int) -> None:
        name = str(self._maps.itemData(index))
        self._canvas.set_colour_map(name)
        self.colour_map_changed.emit(name)

    @Slot(bool)
    def _on_picture(self, shown: bool) -> None:
        for button in self._zooming:
            button.setEnabled(shown)
        self._on_zoom(self._canvas.zoom())
        if not shown:
            self._readout.clear()

    @Slot(float)
    def _on_zoom(self, zoom: float) -> None:
        self._zoom.setText(f"{100 * zoom:.0f} %" if self._canvas.has_picture() else "–")

    @Slot(int, int, object)
    def _on_cursor(self, x: int, y: int, value: object) -> None:
        score = f"\nscore {value:.3f}" if isinstance(value, float) else ""
        self._readout.setText(f"x {x}  y {y}{score}")


def _name(widget: QWidget, name: str, tip: str) -> None:
    widget.setAccessibleName(name)
    widget.setToolTip(tip)


def _button(icon: str, name: str, key: str, slot: Callable[[], None]) -> QToolButton:
    button = QToolButton()
    button.setIcon(theme.icon(icon))
    button.setFixedWidth(32)
    _name(button, name, f"{name} (key {key})")
    button.clicked.connect(slot)
    return button
