"""A large lamp: colour, shape and word say the same, so that none of them is needed."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from cfa_gui import theme

_LIT = ("good", "uncertain", "defect")
_RADIUS = 10.0
_SHORT = 3
"""A word of so many letters stands beside the sign; a longer one has more room below it."""
_STOP = ((-3.1, -7.5), (3.1, -7.5), (7.5, -3.1), (7.5, 3.1), (3.1, 7.5), (-3.1, 7.5), (-7.5, 3.1), (-7.5, -3.1))
_WARNING = ((0.0, -8.0), (8.4, 6.6), (-8.4, 6.6))


class Lamp(QWidget):
    """Shows one of "good", "uncertain", "defect" in full colour, or anything else as words in a frame."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key, self._word, self._detail = "", "", ""
        self._hollow = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(120)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Large."""
        return QSize(280, 168)

    def show_verdict(self, key: str, word: str, detail: str, *, hollow: bool = False) -> None:
        """Say something.

        Args:
            key: "good", "uncertain", "defect" or another token of the theme ("muted", ...).
            word: Short, in capitals.
            detail: One line below it.
            hollow: In a frame, not lit: it is not of this moment.
        """
        wanted = (key, word, detail, hollow)
        if wanted != (self._key, self._word, self._detail, self._hollow):
            self._key, self._word, self._detail, self._hollow = wanted
            self.setAccessibleName(f"Verdict: {word}. {detail}")
            self.update()

    def word(self) -> str:
        """What it says."""
        return self._word

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Plate, shape, word and detail."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5)
        colour = theme.colour(self._key or "muted")
        lit = self._key in _LIT and not self._hollow
        painter.setPen(Qt.PenStyle.NoPen if lit else QPen(colour, 3))
        painter.setBrush(colour if lit else theme.colour("raised"))
        painter.drawRoundedRect(box, _RADIUS, _RADIUS)
        self._paint_inside(painter, box, theme.colour("on_accent") if lit else colour)
        painter.end()

    def _paint_inside(self, painter: QPainter, box: QRectF, ink: QColor) -> None:
        pad = max(12.0, min(box.width(), box.height()) * 0.07)
        inner = box.adjusted(pad, pad, -pad, -pad)
        detail_height = max(18.0, inner.height() * 0.15)
        upper = inner.adjusted(0, 0, 0, -detail_height)
        if self._key in _LIT:
            upper = self._paint_shape(painter, upper, ink)
        painter.setPen(ink)
        painter.setFont(fitted(self.font(), self._word, upper.width(), upper.height() * 0.9, bold=True))
        painter.drawText(upper, Qt.AlignmentFlag.AlignCenter, self._word)
        below = QRectF(inner.left(), inner.bottom() - detail_height, inner.width(), detail_height)
        detail_font = fitted(self.font(), self._detail, below.width(), below.height() * 0.86)
        painter.setFont(detail_font)
        text = QFontMetricsF(detail_font).elidedText(self._detail, Qt.TextElideMode.ElideRight, below.width())
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_shape(self, painter: QPainter, upper: QRectF, ink: QColor) -> QRectF:
        """The sign in its own outline (disc, stop sign, triangle); returns the room left for the word."""
        tall = len(self._word) > _SHORT or upper.height() > 0.8 * upper.width()
        side = min(upper.height() * (0.56 if tall else 1.0), upper.width() * (0.9 if tall else 0.36))
        if tall:
            middle = QPointF(upper.center().x(), upper.top() + side / 2)
            rest = upper.adjusted(0, side, 0, 0)
        else:
            middle = QPointF(upper.left() + side / 2, upper.center().y())
            rest = upper.adjusted(side + 12, 0, 0, 0)
        painter.save()
        painter.translate(middle)
        painter.scale(side / 17, side / 17)
        pen = QPen(ink, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        _OUTLINES[self._key](painter)
        painter.restore()
        return rest


def _disc_with_tick(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(0, 0), 7.4, 7.4)
    painter.drawPolyline(QPolygonF([QPointF(-3.8, 0.3), QPointF(-1.2, 3.0), QPointF(3.9, -2.9)]))


def _stop_sign_with_cross(painter: QPainter) -> None:
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in _STOP]))
    painter.drawLine(QPointF(-3.2, -3.2), QPointF(3.2, 3.2))
    painter.drawLine(QPointF(-3.2, 3.2), QPointF(3.2, -3.2))


def _triangle_with_question(painter: QPainter) -> None:
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in _WARNING]))
    painter.drawArc(QRectF(-2.1, -3.2, 4.2, 4.0), 200 * 16, -250 * 16)
    painter.drawLine(QPointF(0, 1.5), QPointF(0, 2.0))
    painter.drawPoint(QPointF(0, 4.5))


_OUTLINES = {"good": _disc_with_tick, "defect": _stop_sign_with_cross, "uncertain": _triangle_with_question}


def fitted(font: QFont, text: str, width: float, height: float, *, bold: bool = False) -> QFont:
    """The font as large as a line of text may be in a box, 9 pixels at least."""
    made = theme.figures(font, max(9, int(height)), bold=bold)
    needed = QFontMetricsF(made).horizontalAdvance(text)
    if needed > width > 0:
        made.setPixelSize(max(9, int(0.92 * height * width / needed)))
    return made
