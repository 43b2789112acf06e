"""Where a picture lies on a surface: zoom and centre, without a widget."""

from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF, QRectF, QSizeF

STEP = 1.25
HIGHEST_ZOOM = 40.0
MARGIN = 8
"""Kept free round a picture that is fitted, logical pixels."""


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is seen.

    Attributes:
        picture: (width, height) of the picture, pixels.
        surface: (width, height) it is shown on, logical pixels.
        scale: Logical pixels per pixel of the picture.
        centre: The point of the picture, in shares 0..1, at the middle of the surface.
        fitted: Whether it goes on showing the whole picture.
    """

    picture: tuple[int, int] = (1, 1)
    surface: tuple[float, float] = (1.0, 1.0)
    scale: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)
    fitted: bool = True

    def fit(self) -> "View":
        """The whole picture, as large as the surface lets it."""
        return replace(self, scale=self.fit_scale(), centre=(0.5, 0.5), fitted=True)

    def fit_scale(self) -> float:
        """The scale at which the whole picture is seen, small pictures no larger than eight times."""
        width, height = (max(side - 2 * MARGIN, 1.0) for side in self.surface)
        return min(width / self.picture[0], height / self.picture[1], 8.0)

    def with_surface(self, width: float, height: float) -> "View":
        """On a surface of another size."""
        changed = replace(self, surface=(max(width, 1.0), max(height, 1.0)))
        return changed.fit() if self.fitted else changed

    def with_picture(self, width: int, height: int) -> "View":
        """The same view of another picture: the same part of it, as large on the surface."""
        scale = self.scale * self.picture[0] / width
        changed = replace(self, picture=(width, height), scale=scale)
        return changed.fit() if self.fitted else changed.clamped()

    def zoomed(self, scale: float, anchor: QPointF | None = None) -> "View":
        """At another scale; the point of the picture under `anchor` (the middle where None) stays where it is."""
        lowest = min(self.fit_scale(), 1.0) / 2
        new = min(max(scale, lowest), max(HIGHEST_ZOOM, self.fit_scale()))
        middle = QPointF(self.surface[0] / 2, self.surface[1] / 2)
        spot = middle if anchor is None else anchor
        held = self.to_picture(spot)
        x = held.x() - (spot.x() - middle.x()) / new
        y = held.y() - (spot.y() - middle.y()) / new
        return replace(self, scale=new, centre=(x / self.picture[0], y / self.picture[1]), fitted=False).clamped()

    def panned(self, dx: float, dy: float) -> "View":
        """Moved by logical pixels."""
        x = self.centre[0] - dx / (self.scale * self.picture[0])
        y = self.centre[1] - dy / (self.scale * self.picture[1])
        return replace(self, centre=(x, y), fitted=False).clamped()

    def clamped(self) -> "View":
        """With the middle of the surface on the picture, so that it can't be lost."""
        x, y = (min(max(part, 0.0), 1.0) for part in self.centre)
        return replace(self, centre=(x, y))

    def rectangle(self) -> QRectF:
        """Where the picture lies on the surface, logical pixels."""
        size = QSizeF(self.picture[0] * self.scale, self.picture[1] * self.scale)
        left = self.surface[0] / 2 - self.centre[0] * size.width()
        top = self.surface[1] / 2 - self.centre[1] * size.height()
        return QRectF(QPointF(left, top), size)

    def to_picture(self, spot: QPointF) -> QPointF:
        """From the surface to pixels of the picture."""
        corner = self.rectangle().topLeft()
        return (spot - corner) / self.scale

    def to_surface(self, point: QPointF) -> QPointF:
        """From pixels of the picture to the surface."""
        return self.rectangle().topLeft() + point * self.scale

    def showing(self, box: QRectF) -> "View":
        """Moved, if need be, so that a box in pixels of the picture is seen whole, or its middle if it is too large."""
        seen = QRectF(self.to_picture(QPointF(0, 0)), QSizeF(self.surface[0], self.surface[1]) / self.scale)
        if seen.contains(box):
            return self
        centre = (box.center().x() / self.picture[0], box.center().y() / self.picture[1])
        return replace(self, centre=centre, fitted=False).clamped()
