"""The controls under the picture: overlay, opacity, colour map and zoom; wired to one canvas."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from cfa_gui.widgets.image_canvas import ImageCanvas, OverlayMode


class CanvasBar(QWidget):
    """One row of controls for an ImageCanvas; the cursor's place and score stand at its end.

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

    def set_mode(self, mode: OverlayMode) -> None:
        """Choose the overlay, on the canvas too."""

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity, on the canvas too, 0..1."""

    def set_colour_map(self, name: str) -> None:
        """Choose the colour map, on the canvas too."""

    def set_truth_available(self, available: bool) -> None:  # noqa: FBT001  a slot
        """Whether the overlay "true defects" can be chosen."""
