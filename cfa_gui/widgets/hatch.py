"""Slanted lines over a shape, as far apart on every screen: Qt's own pattern shrinks with the scale of the screen."""

from PySide6.QtCore import QLineF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen


def paint_hatch(painter: QPainter, shape: QPainterPath, colour: QColor, *, spacing: float, width: float) -> None:
    """Fill a shape with lines that rise to the right.

    Args:
        painter: Its pen, brush and clip are as before afterwards.
        shape: What to fill, logical pixels.
        colour: Of the lines.
        spacing: From line to line along the horizontal, logical pixels.
        width: Of a line, logical pixels.
    """
    seen = painter.clipBoundingRect() if painter.hasClipping() else shape.boundingRect()
    box = shape.boundingRect().intersected(seen)
    if box.isEmpty():
        return
    painter.save()
    painter.setClipPath(shape, Qt.ClipOperation.IntersectClip)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, width))
    first = (box.left() + box.top()) // spacing
    count = int((box.width() + box.height()) // spacing) + 2
    lines = []
    for index in range(count):
        x = (first + index) * spacing - box.top()  # lines lie at fixed places, whatever the box
        lines.append(QLineF(x, box.top(), x - box.height(), box.bottom()))
    painter.drawLines(lines)
    painter.restore()
