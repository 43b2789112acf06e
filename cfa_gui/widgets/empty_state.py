"""What a surface says while it has nothing to show: an icon, a title and a hint, in its middle."""

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter

from cfa_gui import theme

_ICON = 48
_MARGIN = 16
_GAP = 10
_CENTRED = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap


def paint_empty_state(painter: QPainter, surface: QRect, icon: str, title: str, hint: str) -> None:
    """Paint it as one block in the middle; where the surface is low the icon is left out, words are not.

    Args:
        painter: Of the widget; its font becomes another.
        surface: Where, in the painter's coordinates.
        icon: Name of an icon of the theme.
        title: A few words.
        hint: A sentence or two, wrapped.
    """
    text = QRectF(surface.adjusted(_MARGIN, _GAP, -_MARGIN, -_GAP))
    fonts = (theme.figures(painter.font(), theme.SECTION, bold=True), theme.figures(painter.font(), theme.BODY))
    heights = []
    for font, words in zip(fonts, (title, hint), strict=True):
        painter.setFont(font)
        heights.append(painter.boundingRect(QRectF(0, 0, text.width(), 10_000), _CENTRED, words).height())
    block = sum(heights) + _GAP
    with_icon = block + _ICON + _GAP <= text.height()
    top = text.top() + max(text.height() - block - (_ICON + _GAP) * with_icon, 0) / 2
    if with_icon:
        box = QRectF(text.center().x() - _ICON / 2, top, _ICON, _ICON).toRect()
        theme.icon(icon, "faint").paint(painter, box, Qt.AlignmentFlag.AlignCenter, QIcon.Mode.Normal)
        top += _ICON + _GAP
    for font, words, height, colour in zip(fonts, (title, hint), heights, ("text", "muted"), strict=True):
        painter.setFont(font)
        painter.setPen(theme.colour(colour))
        painter.drawText(QRectF(text.left(), top, text.width(), height), _CENTRED, words)
        top += height + _GAP
