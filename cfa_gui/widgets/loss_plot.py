"""How the training goes, live."""

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QSize, QTimer, Slot
from PySide6.QtWidgets import QSizePolicy, QWidget

from cfa_gui.widgets.lazy_plot import LazyPlot

if TYPE_CHECKING:
    from cfa_gui.widgets.loss_chart import LossChart

REDRAW_MILLISECONDS = 67
_FIRST_ROOM = 256
_TIP = (
    "Above: what the training makes smaller (loss), and its two parts: good patches are drawn to their centres "
    "(attraction) and pushed from the others (repulsion).\n"
    "Below: how far patches lie from their nearest centre, and the learned radius, both squared. "
    "Training works when the distance sinks towards the radius."
)


class LossPlot(LazyPlot["LossChart"]):
    """The loss and its two parts above; the learned radius and the distance to the nearest centre below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Not trained yet", "The loss is drawn here while a model trains.", parent)
        self._numbers = np.empty((6, _FIRST_ROOM))
        self._count = 0
        self._epochs: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MILLISECONDS)
        self._timer.timeout.connect(self._show_steps)
        self.setMinimumSize(240, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Course of the training")
        self.setToolTip(_TIP)
        self._show_steps()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Fits a side panel."""
        return QSize(320, 260)

    def append(
        self,
        epoch: float,
        loss: float,
        attraction: float,
        repulsion: float,
        radius_squared: float,
        nearest_squared: float,
    ) -> None:
        """Add one step; call as often as you like, it is drawn at most fifteen times a second."""
        if self._count == self._numbers.shape[1]:
            self._numbers = np.concatenate((self._numbers, np.empty_like(self._numbers)), axis=1)
        self._numbers[:, self._count] = (epoch, loss, attraction, repulsion, radius_squared, nearest_squared)
        self._count += 1
        if not self._timer.isActive():
            self._timer.start()

    def clear(self) -> None:
        """Begin anew."""
        self._count = 0
        self._timer.stop()
        self._show_steps()

    def set_epochs(self, epochs: float | None) -> None:
        """Fix the end of the axis at the epochs planned; None lets it grow."""
        self._epochs = epochs
        self.redraw()

    def count(self) -> int:
        """How many steps are held."""
        return self._count

    @Slot()
    def _show_steps(self) -> None:
        if self._count:
            epoch, loss, *_ = self._numbers[:, self._count - 1]
            self.setAccessibleDescription(f"Epoch {epoch:.1f}, loss {loss:.3g}.")
        else:
            self.setAccessibleDescription("Nothing trained yet.")
        self.redraw()

    def has_data(self) -> bool:
        """Whether a step has come."""
        return self._count > 0

    def _make_chart(self) -> "LossChart":
        from cfa_gui.widgets.loss_chart import LossChart

        return LossChart(self)

    def _draw(self, chart: "LossChart") -> None:
        chart.draw(self._numbers[:, : self._count], self._epochs or 0.0)
