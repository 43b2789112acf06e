"""One number, as a slider and as digits."""

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSizePolicy, QSlider, QWidget

from cfa_gui import theme
from cfa_gui.widgets.wheel import let_wheel_scroll

_STEPS = 1000


class NumberSlider(QWidget):
    """A slider and a box of digits that always show the same value.

    Args:
        label: What the number is: the accessible name.
        parent: The parent widget.
        decimals: Digits after the point.
        suffix: The unit, " %".
    """

    value_changed = Signal(float)
    """While the user moves it."""
    committed = Signal(float)
    """When the user lets go, presses Enter, or after a key."""

    def __init__(self, label: str, parent: QWidget | None = None, *, decimals: int = 3, suffix: str = "") -> None:
        super().__init__(parent)
        self._low, self._high, self._value = 0.0, 1.0, 0.0
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, _STEPS)
        self._slider.setPageStep(_STEPS // 20)
        self._slider.setSingleStep(_STEPS // 200)
        self._digits = QDoubleSpinBox()
        self._digits.setDecimals(decimals)
        self._digits.setSuffix(suffix)
        self._digits.setKeyboardTracking(False)
        self._digits.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._digits.setFont(theme.figures(self.font()))
        self._digits.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        for part, what in ((self._slider, "slider"), (self._digits, "number")):
            part.setAccessibleName(f"{label}, {what}")
        self.setFocusProxy(self._slider)
        self.setAccessibleName(label)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.GAP)
        row.addWidget(self._slider, 1)
        row.addWidget(self._digits)
        let_wheel_scroll(self)
        self._slider.valueChanged.connect(self._on_slid)
        self._slider.sliderReleased.connect(self._on_released)
        self._digits.valueChanged.connect(self._on_typed)
        self.set_range(0.0, 1.0)

    def set_range(self, low: float, high: float) -> None:
        """What the slider spans; the value is kept inside."""
        self._low, self._high = low, max(high, low)
        with QSignalBlocker(self._digits):
            self._digits.setRange(self._low, self._high)
            self._digits.setSingleStep(max((self._high - self._low) / 200, 10.0 ** -self._digits.decimals()))
        self.set_value(self._value)

    def set_value(self, value: float) -> None:
        """Show a value; emits nothing."""
        self._value = min(max(value, self._low), self._high)
        width = self._high - self._low
        with QSignalBlocker(self._slider), QSignalBlocker(self._digits):
            self._slider.setValue(round((self._value - self._low) / width * _STEPS) if width else 0)
            self._digits.setValue(self._value)

    def value(self) -> float:
        """The value in full precision, not as rounded for show."""
        return self._value

    def setToolTip(self, text: str) -> None:  # noqa: N802  Qt's name
        """The same words on both parts."""
        super().setToolTip(text)
        self._slider.setToolTip(text)
        self._digits.setToolTip(text)

    @Slot(int)
    def _on_slid(self, step: int) -> None:
        self._take(self._low + step / _STEPS * (self._high - self._low))
        if not self._slider.isSliderDown():
            self.committed.emit(self._value)

    @Slot()
    def _on_released(self) -> None:
        self.committed.emit(self._value)

    @Slot(float)
    def _on_typed(self, value: float) -> None:
        self._take(value)
        self.committed.emit(self._value)

    def _take(self, value: float) -> None:
        self.set_value(value)
        self.value_changed.emit(self._value)
