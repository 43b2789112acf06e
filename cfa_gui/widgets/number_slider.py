"""One number, as a slider and as digits."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget


class NumberSlider(QWidget):
    """A slider and a box of digits that always show the same value.

    Args:
        label: What the number is; also the accessible name.
        parent: The parent widget.
        decimals: Digits after the point.
        suffix: The unit.
    """

    value_changed = Signal(float)
    """While the user moves it."""
    committed = Signal(float)
    """When the user lets go, presses Enter, or after a key."""

    def __init__(self, label: str, parent: QWidget | None = None, *, decimals: int = 3, suffix: str = "") -> None:
        super().__init__(parent)

    def set_range(self, low: float, high: float) -> None:
        """What the slider spans; the value is kept inside."""

    def set_value(self, value: float) -> None:
        """Show a value; emits nothing."""

    def value(self) -> float:
        """The value in full precision, not as rounded for show."""
        return 0.0
