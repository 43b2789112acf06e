"""Icons of the Material Design set, drawn from the font that QtAwesome carries.

QtAwesome's own code is not imported: it takes a third of the second in which the window must have painted, loads eight
fonts where one is used, and on Windows enters them into the registry. And an icon made here is coloured when it is
painted: it changes its colour with the scheme by itself.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPainterPath, QPixmap, QRawFont

ColourOf = Callable[[QIcon.Mode], QColor]
Painting = Callable[[QPainter, QRectF, QColor], None]

_GLYPH_PIXELS = 256.0


class DrawnIcon(QIconEngine):
    """An icon that is drawn afresh whenever it is shown: sharp at any scale, in the colours of the moment.

    Args:
        painting: Draws into a square in a colour.
        colour_of: The colour for a mode (normal, disabled, ...).
    """

    def __init__(self, painting: Painting, colour_of: ColourOf) -> None:
        super().__init__()
        self._painting = painting
        self._colour_of = colour_of

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, _state: QIcon.State) -> None:
        """Draw into the largest square in the middle of `rect`."""
        side = min(rect.width(), rect.height())
        square = QRectF(rect.x() + (rect.width() - side) / 2, rect.y() + (rect.height() - side) / 2, side, side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._painting(painter, square, self._colour_of(mode))
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The icon on nothing; `size` is in device pixels."""
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> QIconEngine:
        """Another of the same."""
        return DrawnIcon(self._painting, self._colour_of)


def glyph_painting(name: str) -> Painting:
    """What draws a glyph of the set.

    Args:
        name: As the set names it, without prefix: "folder-open-outline".

    Raises:
        KeyError: The set has no icon of this name.
    """
    path = _glyph(name)

    def paint(painter: QPainter, square: QRectF, colour: QColor) -> None:
        painter.translate(square.center())
        painter.scale(square.width() / _GLYPH_PIXELS, square.height() / _GLYPH_PIXELS)
        painter.fillPath(path, colour)

    return paint


@cache
def _glyph(name: str) -> QPainterPath:
    """The outline, its em square centred on the origin, _GLYPH_PIXELS wide."""
    font, codes = _font()
    code = codes[name]
    index = font.glyphIndexesForString(chr(int(code, 16)))[0]
    path = font.pathForGlyph(index)
    middle = QPointF(_GLYPH_PIXELS / 2, (font.descent() - font.ascent()) / 2)
    return path.translated(-middle)


@cache
def _font() -> tuple[QRawFont, dict[str, str]]:
    """The icon font and the code of each name."""
    spec = find_spec("qtawesome")
    if spec is None or spec.origin is None:
        raise ImportError("QtAwesome, which carries the icons, is not installed")
    folder = Path(spec.origin).parent / "fonts"
    file = next(folder.glob("materialdesignicons6-webfont-*.ttf"))
    names = next(folder.glob("materialdesignicons6-webfont-charmap-*.json"))
    return QRawFont(str(file), _GLYPH_PIXELS), json.loads(names.read_text("utf-8"))
