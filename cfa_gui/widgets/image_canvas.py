"""The picture, with what the model says about it."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

Point = tuple[float, float]


class OverlayMode(StrEnum):
    """What is drawn over the picture."""

    NONE = "none"
    HEAT = "heat"
    CONTOUR = "contour"
    TRUTH = "truth"
    SIDE_BY_SIDE = "side by side"
    BLINK = "blink"


class ImageCanvas(QWidget):
    """Shows a picture; pans, zooms, and keeps its view from picture to picture.

    Mouse: drag pans, wheel zooms at the cursor, double click fits. Keys: + and - zoom, 0 fits, 1 shows actual pixels, Shift+arrows pan.
    While a region is drawn: click or Space sets a corner, arrows move the cross (Shift: finely), Backspace takes the last corner back,
    Enter or double click ends, Escape gives up.
    """

    cursor_moved = Signal(int, int, object)
    """x, y in pixels of the picture, and the heat there: float, or None where there is none."""
    cursor_left = Signal()
    zoom_changed = Signal(float)
    """Device pixels per pixel of the picture: 1.0 is "100 %"."""
    region_drawn = Signal(list, bool)
    """Corners [(x, y), ...] in 0..1 shares of the picture's width and height; whether the region is to be ignored."""
    drawing_changed = Signal(bool)
    """Whether a region is being drawn."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def set_picture(self, picture: NDArray[np.uint8] | None, *, keep_view: bool = True) -> None:
        """Show a picture, (H, W, 3) RGB uint8, or the empty state. Heat, truth and box of the one before are taken away."""

    def set_empty_text(self, title: str, hint: str = "") -> None:
        """What is written where no picture is shown."""

    def set_heat(self, values: NDArray[np.float32] | None, rect: tuple[int, int, int, int] | None = None) -> None:
        """Lay an anomaly map, (h, w) float32, over the picture; NaN is not inspected and stays clear.

        Args:
            values: The map.
            rect: (top, left, height, width) in pixels of the picture that the map covers; the whole picture where None.
        """

    def set_truth(self, mask: NDArray[np.bool_] | None) -> None:
        """The true defects, (H, W) bool, True on a defect."""

    def set_range(self, low: float, high: float) -> None:
        """Fix the colour range, in the unit of the map; it does not follow the picture."""

    def set_threshold(self, value: float | None) -> None:
        """Where the contour runs and the colour bar is marked."""

    def set_mode(self, mode: OverlayMode) -> None:
        """Choose what is drawn over the picture."""

    def mode(self) -> OverlayMode:
        """What is drawn over the picture."""
        return OverlayMode.HEAT

    def set_overlay_hidden(self, hidden: bool) -> None:  # noqa: FBT001  a slot
        """Hide all overlays for a moment, whatever the mode (the space bar)."""

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the heat where it is hottest, 0..1."""

    def set_colour_map(self, name: str) -> None:
        """One of theme.COLOUR_MAPS."""

    def zoom(self) -> float:
        """Device pixels per pixel of the picture."""
        return 1.0

    def zoom_fit(self) -> None:
        """Show the whole picture, and go on doing so when the window is resized."""

    def zoom_actual(self) -> None:
        """One pixel of the picture on one pixel of the screen."""

    def zoom_in(self) -> None:
        """One step nearer."""

    def zoom_out(self) -> None:
        """One step away."""

    def start_drawing(self, ignored: bool) -> None:  # noqa: FBT001  a slot
        """Let the user draw a region: to inspect, or to be ignored."""

    def cancel_drawing(self) -> None:
        """Give up the region being drawn."""

    def set_regions(self, regions: Sequence[tuple[Sequence[Point], bool]]) -> None:
        """Regions to show: corners in 0..1 shares, and whether ignored."""

    def highlight_box(self, box: tuple[float, float, float, float] | None) -> None:
        """Frame (top, left, height, width) in pixels of the picture, and bring it into view."""
