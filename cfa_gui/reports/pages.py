"""Lays blocks out on A4 pages and paints them into a PDF. Lengths are points, 1/72 inch.

Qt's painting on a printer-like device is reentrant, so this may run on a worker thread: every object of Qt made here is
used and gone within one call.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QPen,
    QTextLayout,
    QTextOption,
)
from PySide6.QtSvg import QSvgRenderer

from cfa_gui.theme import LIGHT

WIDTH, HEIGHT = 595.0, 842.0
MARGIN = 45.0
INNER = WIDTH - 2 * MARGIN
_FOOTER = 26.0
_DOTS = 1200
_UNIT = _DOTS / 72
_LEADING = 1.08


@dataclass(frozen=True, slots=True)
class Type:
    """How words look: size in points, weight, colour."""

    size: float = 9.5
    bold: bool = False
    colour: str = LIGHT.text

    def font(self) -> QFont:
        """For the fine grid of dots that the PDF is measured in."""
        font = QFont()
        font.setPixelSize(round(self.size * _UNIT))
        font.setBold(self.bold)
        return font


BODY = Type()
STRONG = Type(bold=True)
MUTED = Type(8.5, colour=LIGHT.muted)
SMALL = Type(7.5, colour=LIGHT.muted)
LEFT, RIGHT, CENTRE = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignHCenter


def height_of(words: str, width: float, style: Type = BODY) -> float:
    """How high words are, wrapped to a width."""
    return _set(words, width, style)[1]


def width_of(words: str, style: Type = BODY) -> float:
    """How wide words are on one line."""
    return QFontMetricsF(style.font()).horizontalAdvance(words) / _UNIT


def _set(words: str, width: float, style: Type, align: Qt.AlignmentFlag = LEFT) -> tuple[QTextLayout, float]:
    """Break words into lines, inside a word only where it is longer than a line; also their height."""
    option = QTextOption(align)
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    layout = QTextLayout(words, style.font())
    layout.setTextOption(option)
    layout.beginLayout()
    height = 0.0
    while (line := layout.createLine()).isValid():
        line.setLineWidth(width * _UNIT)
        line.setPosition(QPointF(0, height))
        height += line.height() * _LEADING
    layout.endLayout()
    return layout, height / _UNIT


class Pen:
    """Draws on the page of the moment."""

    def __init__(self, painter: QPainter) -> None:
        self._painter = painter

    def words(
        self, x: float, y: float, width: float, words: str, style: Type = BODY, align: Qt.AlignmentFlag = LEFT
    ) -> float:
        """Write words, wrapped to a width; returns their height."""
        layout, height = _set(words, width, style, align)
        self._painter.setPen(QColor(style.colour))
        layout.draw(self._painter, QPointF(x * _UNIT, y * _UNIT))
        return height

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, colour: str = LIGHT.border, width: float = 0.6
    ) -> None:
        """A straight line."""
        self._painter.setPen(QPen(QColor(colour), width * _UNIT))
        self._painter.drawLine(round(x1 * _UNIT), round(y1 * _UNIT), round(x2 * _UNIT), round(y2 * _UNIT))

    def box(
        self, x: float, y: float, width: float, height: float, *, fill: str = "", edge: str = "", pen: float = 0.6
    ) -> None:
        """A rectangle."""
        self._painter.setPen(QPen(QColor(edge), pen * _UNIT) if edge else Qt.PenStyle.NoPen)
        self._painter.setBrush(QColor(fill) if fill else Qt.BrushStyle.NoBrush)
        self._painter.drawRect(_dots(x, y, width, height))

    def picture(self, x: float, y: float, width: float, height: float, jpeg: bytes) -> None:
        """A JPEG, stretched to fit."""
        self._painter.drawImage(_dots(x, y, width, height), QImage.fromData(jpeg))

    def drawing(self, x: float, y: float, width: float, height: float, svg: str) -> None:
        """An SVG, as lines and shapes, not as pixels."""
        renderer = QSvgRenderer(QByteArray(svg.encode()))
        renderer.render(self._painter, _dots(x, y, width, height))


def _dots(x: float, y: float, width: float, height: float) -> QRectF:
    return QRectF(x * _UNIT, y * _UNIT, width * _UNIT, height * _UNIT)


@dataclass(frozen=True, slots=True)
class Block:
    """Something that stays on one page.

    Attributes:
        height: Points.
        draw: Draws it, given the vertical place of its top.
        gap: Room above it, but for the top of a page.
        stays_with_next: It never stands last on a page.
    """

    height: float
    draw: Callable[[Pen, float], object]
    gap: float = 0.0
    stays_with_next: bool = False


def paginate(blocks: Sequence[Block], room: float) -> list[list[Block]]:
    """Deal blocks to pages of that height; a block that is higher than a page has one to itself."""
    pages: list[list[Block]] = [[]]
    used = 0.0
    for together in _groups(blocks):
        needed = sum(block.height + block.gap for block in together)
        if pages[-1] and used + needed > room:
            pages.append([])
            used = -together[0].gap
        pages[-1] += together
        used += needed
    return pages


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks that must not be parted by the end of a page."""
    groups: list[list[Block]] = [[]]
    for block in blocks:
        groups[-1].append(block)
        if not block.stays_with_next:
            groups.append([])
    return [group for group in groups if group]


def paint(blocks: Sequence[Block], title: str, creator: str, turned: Callable[[int, int], object]) -> bytes:
    """The PDF.

    Args:
        blocks: From top to bottom.
        title: In the footer and in the file's properties.
        creator: In the file's properties.
        turned: Told the number of pages done and of all before each page; what it raises ends the painting.
    """
    pages = paginate(blocks, HEIGHT - 2 * MARGIN - _FOOTER + MARGIN / 3)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    try:
        writer.setResolution(_DOTS)
        writer.setPageLayout(
            QPageLayout(QPageSize(QPageSize.PageSizeId.A4), QPageLayout.Orientation.Portrait, QMarginsF())
        )
        writer.setTitle(title)
        writer.setCreator(creator)
        painter = QPainter(writer)
        try:
            for number, page in enumerate(pages):
                turned(number, len(pages))
                if number:
                    writer.newPage()
                _paint_page(Pen(painter), page, title, f"{number + 1} / {len(pages)}")
        finally:
            painter.end()
            del painter
        return bytes(buffer.data().data())
    finally:  # an error keeps this frame alive on its way to the window: it must hold no object of Qt
        del writer, buffer


def _paint_page(pen: Pen, page: Sequence[Block], title: str, number: str) -> None:
    y = MARGIN
    for place, block in enumerate(page):
        y += block.gap if place else 0.0
        block.draw(pen, y)
        y += block.height
    base = HEIGHT - MARGIN - 6
    pen.line(MARGIN, base - 5, WIDTH - MARGIN, base - 5)
    pen.words(MARGIN, base, INNER - 60, title, SMALL)
    pen.words(WIDTH - MARGIN - 60, base, 60, number, SMALL, RIGHT)
