"""How one image looks in the list and in the grid: stripe, thumbnail, name, score, mark and label."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from cfa_gui import theme
from cfa_gui.models.image_list import Role
from cfa_gui.models.review import Group, Mark

Index = QModelIndex | QPersistentModelIndex

_KEY = {Mark.GOOD: "good", Mark.UNCERTAIN: "uncertain", Mark.DEFECT: "defect"}
_ROW = QSize(220, 48)
_STRIPE = 4


def caption_of(mark: int | None, group: int | None) -> tuple[str, str]:
    """The second line and the token of its colour, from verdict and label."""
    if mark is None:
        return "", "muted"
    if mark == Mark.FAILED:
        return "could not be inspected", "uncertain"
    if group == Group.GOOD:
        return ("false alarm", "uncertain") if mark == Mark.DEFECT else ("labelled good", "muted")
    if group == Group.DEFECT:
        return ("missed defect", "defect") if mark in (Mark.GOOD, Mark.UNCERTAIN) else ("labelled defect", "muted")
    return ("waiting" if mark == Mark.WAITING else "not labelled"), "muted"


class ImageDelegate(QStyledItemDelegate):
    """Paints rows (list) or cells (grid)."""

    grid = False
    cell = QSize(124, 132)

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802  Qt's name
        """One size for all."""
        return self.cell if self.grid else _ROW

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """One image."""
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRect(option.rect)
        self._background(painter, option, box)
        (self._paint_cell if self.grid else self._paint_row)(painter, option, box, index)
        painter.restore()

    def _background(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect) -> None:
        tokens = theme.current()
        state = option.state
        inner = QRectF(box).adjusted(2, 1, -2, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            fill = QColor(tokens.accent)
            fill.setAlphaF(0.26 if state & QStyle.StateFlag.State_Active else 0.18)
            painter.setBrush(fill)
            painter.drawRoundedRect(inner, 4, 4)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(tokens.raised))
            painter.drawRoundedRect(inner, 4, 4)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(tokens.accent))
            painter.drawRoundedRect(inner.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)

    def _paint_row(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, index: Index) -> None:
        mark, group, score = index.data(Role.MARK), index.data(Role.GROUP), index.data(Role.SCORE)
        self._stripe(painter, QRectF(box.left() + 2, box.top() + 4, _STRIPE, box.height() - 8), mark)
        thumb = QRect(box.left() + 12, box.top() + 4, 40, 40)
        self._thumbnail(painter, thumb, index)
        right = box.right() - 10
        if mark in _KEY:
            theme.paint_mark(painter, QRectF(right - 13, box.top() + 8, 13, 13), _KEY[Mark(mark)])
            right -= 19
        text_left = thumb.right() + 10
        painter.setFont(_font(option, 0))
        painter.setPen(QColor(theme.current().text))
        if score is not None:
            width = painter.fontMetrics().horizontalAdvance(f"{score:.3f}")
            painter.drawText(
                QRect(right - width, box.top() + 5, width + 1, 20),
                Qt.AlignmentFlag.AlignRight | _MIDDLE,
                f"{score:.3f}",
            )
            right -= width + 8
        caption, token = caption_of(mark, group)
        line = QRect(text_left, box.top() + (5 if caption else 14), max(0, right - text_left), 20)
        name = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideMiddle, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | _MIDDLE, name)
        if caption:
            painter.setFont(_font(option, -2))
            painter.setPen(QColor(getattr(theme.current(), token)))
            painter.drawText(line.translated(0, 19), Qt.AlignmentFlag.AlignLeft | _MIDDLE, caption)

    def _paint_cell(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, index: Index) -> None:
        mark, group, score = index.data(Role.MARK), index.data(Role.GROUP), index.data(Role.SCORE)
        inner = box.adjusted(6, 6, -6, -6)
        thumb = QRect(inner.left(), inner.top(), inner.width(), 84)
        self._thumbnail(painter, thumb, index)
        self._stripe(painter, QRectF(inner.left(), inner.top() + 86, inner.width(), _STRIPE), mark)
        painter.setFont(_font(option, -2))
        line = QRect(inner.left(), inner.top() + 91, inner.width(), 15)
        painter.setPen(QColor(theme.current().text))
        name = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideMiddle, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | _MIDDLE, name)
        second = line.translated(0, 15)
        if mark in _KEY:
            theme.paint_mark(painter, QRectF(second.left(), second.top() + 2, 11, 11), _KEY[Mark(mark)])
        if score is not None:
            painter.drawText(second.adjusted(15, 0, 0, 0), Qt.AlignmentFlag.AlignLeft | _MIDDLE, f"{score:.3f}")
        if group:
            self._badge(painter, QRectF(thumb.right() - 19, thumb.top() + 2, 18, 18), Group(group))

    def _badge(self, painter: QPainter, box: QRectF, group: Group) -> None:
        """What a person said, in the corner of the thumbnail."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("panel", 0.88))
        painter.drawEllipse(box)
        theme.paint_mark(painter, box.adjusted(4, 4, -4, -4), "good" if group is Group.GOOD else "defect")

    def _stripe(self, painter: QPainter, box: QRectF, mark: int | None) -> None:
        if mark is None or mark == Mark.WAITING:
            return
        key = _KEY.get(Mark(mark), "muted")
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(key))
        painter.drawRoundedRect(box, 2, 2)

    def _thumbnail(self, painter: QPainter, box: QRect, index: Index) -> None:
        image = index.data(Role.THUMBNAIL)
        tokens = theme.current()
        if not isinstance(image, QImage):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.raised))
            painter.drawRoundedRect(box, 3, 3)
            if index.data(Role.BROKEN):
                painter.setPen(QColor(tokens.uncertain))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "?")
            return
        size = image.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF(QPointF(0, 0), size.toSizeF())
        place.moveCenter(QRectF(box).center())
        painter.drawImage(place, image)


_MIDDLE = Qt.AlignmentFlag.AlignVCenter


def _font(option: QStyleOptionViewItem, change: int) -> QFont:
    return theme.figures(option.font, theme.BODY + change)
