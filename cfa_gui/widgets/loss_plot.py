"""How the training goes, live."""

from PySide6.QtWidgets import QWidget


class LossPlot(QWidget):
    """The loss and its two parts above; the learned radius and the distance to the nearest centre below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

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

    def clear(self) -> None:
        """Begin anew."""

    def set_epochs(self, epochs: float | None) -> None:
        """Fix the end of the axis at the epochs planned; None lets it grow."""
