"""A region while it is being drawn: corners set one by one, or a rectangle pulled open."""

from PySide6.QtCore import QPointF, QRectF

Point = tuple[float, float]


class RegionDrawing:
    """The corners so far, in pixels of the picture.

    Args:
        picture: (width, height) of the picture, pixels.
        ignored: Whether the region is to be ignored rather than inspected.
    """

    def __init__(self, picture: tuple[int, int], *, ignored: bool) -> None:
        self.ignored = ignored
        self.corners: list[QPointF] = []
        self.cross = QPointF(picture[0] / 2, picture[1] / 2)
        self._picture = picture

    def move_cross(self, point: QPointF) -> None:
        """Move the cross, which sets the next corner; it stays on the picture."""
        self.cross = self._inside(point)

    def set_corner(self) -> None:
        """Set a corner at the cross; a second one at the same place counts once."""
        if not self.corners or self.corners[-1] != self.cross:
            self.corners.append(QPointF(self.cross))

    def take_back(self) -> None:
        """Take the last corner back."""
        if self.corners:
            self.corners.pop()

    def set_rectangle(self, first: QPointF, second: QPointF) -> None:
        """Four corners at once."""
        box = QRectF(self._inside(first), self._inside(second)).normalized()
        self.corners = [box.topLeft(), box.topRight(), box.bottomRight(), box.bottomLeft()]

    @property
    def complete(self) -> bool:
        """Whether the corners enclose anything."""
        return len(self.corners) >= 3

    def shares(self) -> list[Point]:
        """The corners as shares 0..1 of the picture's width and height."""
        width, height = self._picture
        return [(corner.x() / width, corner.y() / height) for corner in self.corners]

    def _inside(self, point: QPointF) -> QPointF:
        width, height = self._picture
        return QPointF(min(max(point.x(), 0.0), float(width)), min(max(point.y(), 0.0), float(height)))
