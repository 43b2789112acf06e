"""The threshold on the live page: where it stands, why, and a hand on it."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from cfa_gui.models.session import Session
from cfa_gui.panels import parts
from cfa_gui.widgets.number_slider import NumberSlider

_TIP = "Pictures that score above this are flagged. It goes for the pictures to come; what was counted stays counted."


class LiveThreshold(parts.Panel):
    """Reads the session's threshold; emits where it should be."""

    moved = Signal(float)
    reset_wanted = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._on_wall = False
        self._slider = NumberSlider("Threshold")
        self._slider.setToolTip(_TIP)
        self._why = parts.caption()
        self._reset = parts.link("Reset", "Back to the threshold that the model came with.")
        column = parts.column(self, margin=0, gap=4)
        column.addWidget(self._slider)
        column.addLayout(parts.row(self._why, self._reset, gap=6))
        self._slider.value_changed.connect(self.moved)
        self._reset.clicked.connect(self.reset_wanted)
        session.threshold_changed.connect(self.refresh)
        session.model_changed.connect(self.refresh)
        self.refresh()

    def set_wall(self, *, on: bool) -> None:
        """Away while the page fills the screen: nobody reaches for a slider from three metres."""
        self._on_wall = on
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Take over what the session says; nothing is shown where there is no threshold."""
        session = self._session
        threshold, first = session.threshold, session.first_threshold
        shown = session.model is not None and threshold is not None and not self._on_wall
        self.setVisible(shown)
        if not shown or threshold is None:
            return
        values = [threshold.value, *([] if first is None else [first.value])]
        low, high = min(0.0, *values), max(2 * (first or threshold).value, *values)
        self._slider.set_range(low, high)
        self._slider.set_value(threshold.value)
        self._why.setText(session.calibration.sentence(threshold))
        self._reset.setVisible(first is not None and threshold != first)
