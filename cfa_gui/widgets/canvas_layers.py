"""What lies on the canvas, from the picture up to the frame round a region; paints itself and knows no widget."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPolygonF, QTransform

from cfa_gui import theme
from cfa_gui.widgets.contour import contour_segments
from cfa_gui.widgets.hatch import paint_hatch
from cfa_gui.widgets.heat import heat_image, mask_image, thinned
from cfa_gui.widgets.pyramid import Pyramid
from cfa_gui.widgets.region_drawing import Point, RegionDrawing
from cfa_gui.widgets.view import View

CONTOUR_SIDE = 512
"""The contour is followed on a map of at most this side, so that it keeps up with a threshold being dragged."""
_LINE, _HALO = QColor("#ffffff"), QColor(10, 12, 16, 220)
_TRUTH = QColor("#4cd7f6")
"""On the picture, colours do not follow the scheme: it is the part that they must be seen on."""


class Layers:
    """Everything that can be painted in the frame of a View."""

    def __init__(self) -> None:
        self.pyramid: Pyramid | None = None
        self.regions: tuple[tuple[tuple[Point, ...], bool], ...] = ()
        self.box: tuple[float, float, float, float] | None = None
        self.opacity = 0.7
        self.low, self.high = 0.5, 2.0
        self._heat: NDArray[np.float32] | None = None
        self._rect = QRectF()
        self._map = theme.COLOUR_MAPS[0]
        self._threshold: float | None = None
        self._heat_image: QImage | None = None
        self._contour: QPainterPath | None = None
        self._truth: tuple[QPainterPath, QImage] | None = None

    def set_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """(H, W, 3) RGB uint8; takes away what belonged to the one before."""
        self.pyramid = None if picture is None else Pyramid(picture)
        self.box = None
        self._truth = None
        self.set_heat(None, None)

    def set_heat(self, values: NDArray[np.float32] | None, rect: tuple[int, int, int, int] | None) -> None:
        """The map, (h, w), and the (top, left, height, width) of the picture that it covers, all of it where None."""
        self._heat = values
        self._heat_image = self._contour = None
        width, height = self.size()
        top, left, rows, columns = rect or (0, 0, height, width)
        self._rect = QRectF(left, top, columns, rows)

    def set_range(self, low: float, high: float) -> None:
        """The colour range; see `axes.RatioSpan`."""
        self.low, self.high = low, high
        self._heat_image = None

    def set_colour_map(self, name: str) -> None:
        """One of theme.COLOUR_MAPS."""
        self._map = name
        self._heat_image = None

    def set_threshold(self, value: float | None) -> None:
        """Where the contour runs."""
        self._threshold = value
        self._contour = None

    def set_truth(self, mask: NDArray[np.bool_] | None) -> None:
        """(H, W) bool; laid over the whole picture."""
        self._truth = None
        if mask is not None and mask.any():
            width, height = self.size()
            small = thinned(mask.astype(np.float32), 1024)
            path = _path(contour_segments(small, 0.5), QRectF(0, 0, width, height), small.shape)
            self._truth = path, mask_image(mask, (_TRUTH.red(), _TRUTH.green(), _TRUTH.blue(), 50))

    def size(self) -> tuple[int, int]:
        """(width, height) of the picture; (1, 1) where there is none."""
        return (1, 1) if self.pyramid is None else (self.pyramid.width, self.pyramid.height)

    def value_at(self, x: float, y: float) -> float | None:
        """The map's value at a place of the picture, pixels; None outside the map and where not inspected."""
        if self._heat is None or not self._rect.contains(QPointF(x, y)):
            return None
        rows, columns = self._heat.shape
        row = min(int((y - self._rect.top()) / self._rect.height() * rows), rows - 1)
        column = min(int((x - self._rect.left()) / self._rect.width() * columns), columns - 1)
        value = float(self._heat[row, column])
        return None if np.isnan(value) else value

    def paint_picture(self, painter: QPainter, view: View, ratio: float) -> None:
        """The picture; single pixels are seen as squares when they are large. `ratio`: device per logical pixels."""
        if self.pyramid is None:
            return
        image = self.pyramid.image(self.pyramid.level_for(view.scale * ratio))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, view.scale * ratio < 3)
        _draw_seen_part(painter, image, view.rectangle(), view)

    def paint_heat(self, painter: QPainter, view: View) -> None:
        """The map in colour."""
        if self._heat is None:
            return
        if self._heat_image is None:
            self._heat_image = heat_image(self._heat, self.low, self.high, self._map)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setOpacity(self.opacity)
        _draw_seen_part(painter, self._heat_image, _transform(view).mapRect(self._rect), view)
        painter.setOpacity(1.0)

    def paint_contour(self, painter: QPainter, view: View) -> None:
        """The line at the threshold: light, with a dark halo."""
        if self._heat is None or self._threshold is None:
            return
        if self._contour is None:
            small = thinned(self._heat, CONTOUR_SIDE)
            self._contour = _path(contour_segments(small, self._threshold), self._rect, small.shape)
        _stroke(painter, _transform(view).map(self._contour), _LINE)

    def paint_truth(self, painter: QPainter, view: View) -> None:
        """The true defects: a tint, and a dashed line with a dark halo."""
        if self._truth is not None:
            path, tint = self._truth
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            _draw_seen_part(painter, tint, view.rectangle(), view)
            _stroke(painter, _transform(view).map(path), _TRUTH)

    def paint_regions(self, painter: QPainter, view: View) -> None:
        """Regions to inspect, framed; regions to be ignored, hatched."""
        width, height = self.size()
        for points, ignored in self.regions:
            corners = [view.to_surface(QPointF(x * width, y * height)) for x, y in points]
            _paint_region(painter, QPolygonF(corners), ignored=ignored)

    def paint_drawing(self, painter: QPainter, view: View, drawing: RegionDrawing) -> None:
        """The region being drawn, with the cross that sets the next corner."""
        cross = view.to_surface(drawing.cross)
        corners = [view.to_surface(corner) for corner in drawing.corners]
        _paint_region(painter, QPolygonF([*corners, cross]), ignored=drawing.ignored)
        paint_cross(painter, cross, 10)
        painter.setPen(QPen(_HALO, 1))
        painter.setBrush(_LINE)
        for corner in corners:
            painter.drawEllipse(corner, 3.5, 3.5)

    def paint_box(self, painter: QPainter, view: View) -> None:
        """The frame round the region chosen in a list: corners only, so that it hides nothing."""
        if self.box is None:
            return
        top, left, height, width = self.box
        frame = _transform(view).mapRect(QRectF(left, top, width, height)).adjusted(-6, -6, 6, 6)
        arm = min(14.0, frame.width() / 3, frame.height() / 3)
        path = QPainterPath()
        for corner, x, y in (
            (frame.topLeft(), arm, arm),
            (frame.topRight(), -arm, arm),
            (frame.bottomRight(), -arm, -arm),
            (frame.bottomLeft(), arm, -arm),
        ):
            path.moveTo(corner + QPointF(x, 0))
            path.lineTo(corner)
            path.lineTo(corner + QPointF(0, y))
        _stroke(painter, path, theme.colour("accent"), width=2.5)


def _transform(view: View) -> QTransform:
    """From pixels of the picture to the surface."""
    corner = view.rectangle().topLeft()
    return QTransform(view.scale, 0, 0, view.scale, corner.x(), corner.y())


def _path(segments: NDArray[np.float64], rect: QRectF, shape: tuple[int, ...]) -> QPainterPath:
    """Pieces in cells of a map of (h, w) that covers `rect`, as one path in pixels of the picture."""
    from pyqtgraph.functions import arrayToQPath  # type: ignore[import-untyped]  # slow to import

    points = segments.reshape(-1, 2) * (rect.width() / shape[1], rect.height() / shape[0]) + (rect.left(), rect.top())
    path: QPainterPath = arrayToQPath(points[:, 0], points[:, 1], connect="pairs")
    return path


def _stroke(painter: QPainter, path: QPainterPath, colour: QColor, width: float = 2.0) -> None:
    """A line with a dark halo, legible on light and dark."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    solid, join = Qt.PenStyle.SolidLine, Qt.PenJoinStyle.MiterJoin
    cap = Qt.PenCapStyle.SquareCap  # round ones take thirty times as long, and pieces this short hide the corners
    painter.setPen(QPen(QColor(_HALO.rgb()), width + 2.5, solid, cap, join))
    painter.drawPath(path)
    painter.setPen(QPen(colour, width, solid, cap, join))
    painter.drawPath(path)


def _paint_region(painter: QPainter, polygon: QPolygonF, *, ignored: bool) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(_HALO, 3.5))
    painter.setBrush(QColor(10, 12, 16, 110) if ignored else Qt.BrushStyle.NoBrush)
    painter.drawPolygon(polygon)
    if ignored:
        shape = QPainterPath()
        shape.addPolygon(polygon)
        paint_hatch(painter, shape, QColor(255, 255, 255, 110), spacing=10, width=1)
    line = QPen(_LINE if ignored else QColor(theme.DARK.accent), 1.5)
    line.setStyle(Qt.PenStyle.DashLine if ignored else Qt.PenStyle.SolidLine)
    painter.setPen(line)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolygon(polygon)


def _draw_seen_part(painter: QPainter, image: QImage, target: QRectF, view: View) -> None:
    """Draw an image stretched over `target`, but only the part on the surface: quick however far zoomed in."""
    seen = target.intersected(QRectF(0, 0, *view.surface))
    if seen.isEmpty():
        return
    across, down = image.width() / target.width(), image.height() / target.height()
    left, top = int((seen.left() - target.left()) * across), int((seen.top() - target.top()) * down)
    right = min(int((seen.right() - target.left()) * across) + 2, image.width())
    bottom = min(int((seen.bottom() - target.top()) * down) + 2, image.height())
    source = QRect(left, top, right - left, bottom - top)
    place = QRectF(
        target.left() + left / across, target.top() + top / down, source.width() / across, source.height() / down
    )
    painter.drawImage(place, image, QRectF(source))


def paint_tag(painter: QPainter, corner: QPointF, text: str) -> None:
    """A short text on a dark plate, its upper left corner at `corner`."""
    painter.setFont(theme.figures(painter.font(), theme.CAPTION))
    box = QRectF(corner.x(), corner.y(), painter.fontMetrics().horizontalAdvance(text) + 12, 20)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_HALO)
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(_LINE)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def paint_cross(painter: QPainter, middle: QPointF, arm: float) -> None:
    """A thin cross with a dark halo."""
    for pen in (QPen(_HALO, 3), QPen(_LINE, 1)):
        painter.setPen(pen)
        painter.drawLine(middle - QPointF(arm, 0), middle + QPointF(arm, 0))
        painter.drawLine(middle - QPointF(0, arm), middle + QPointF(0, arm))


def regions_of(regions: Sequence[tuple[Sequence[Point], bool]]) -> tuple[tuple[tuple[Point, ...], bool], ...]:
    """A copy that nobody else can change."""
    return tuple((tuple(points), ignored) for points, ignored in regions)
