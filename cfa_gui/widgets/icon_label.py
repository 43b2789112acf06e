"""An icon that stands by itself, sharp on any screen and in the colours of the moment."""

from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QIcon, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget


class IconLabel(QWidget):
    """Paints an icon; takes no part in the keyboard and says nothing aloud: words beside it do.

    Args:
        icon: What to paint.
        side: Its width and height, logical pixels.
        parent: The parent widget.
    """

    def __init__(self, icon: QIcon, side: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # kept by Qt: an icon that Python keeps was seen to be destroyed twice where a whole window is garbage
        self.setWindowIcon(icon)
        self._side = side
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_icon(self, icon: QIcon) -> None:
        """Paint another."""
        self.setWindowIcon(icon)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """The icon's size."""
        return QSize(self._side, self._side)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """The icon."""
        painter = QPainter(self)
        mode = QIcon.Mode.Normal if self.isEnabled() else QIcon.Mode.Disabled
        box = QRect(0, 0, self._side, self._side)
        box.moveCenter(self.rect().center())
        self.windowIcon().paint(painter, box, mode=mode)
        painter.end()
