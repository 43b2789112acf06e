"""A score beside its threshold, as numbers and as a bar."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from cfa_gui import theme
from cfa_gui.widgets.lamp import fitted

_END = 2.0
"""The bar ends at so many thresholds."""


class ScoreGauge(QWidget):
    """The bar's middle is the threshold; it grows with the room it gets."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._score: float | None = None
        self._threshold: float | None = None
        self._lower: float | None = None
        self._key = "muted"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumHeight(56)
        self.setToolTip(
            "How strange the strangest spot of this picture is (anomaly score), beside the line above which a part is "
            "flagged (threshold)."
        )

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Two lines of text over a bar."""
        return QSize(280, 64)

    def show_score(self, score: float | None, threshold: float | None, lower: float | None, key: str) -> None:
        """Show numbers.

        Args:
            score: None where there is none.
            threshold: None where there is none.
            lower: A second line, above which a score is uncertain.
            key: The verdict, for the colour.
        """
        wanted = (score, threshold, lower, key)
        if wanted != (self._score, self._threshold, self._lower, self._key):
            self._score, self._threshold, self._lower, self._key = wanted
            self.setAccessibleName(f"Score {number(score)}, threshold {number(threshold)}")
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """Numbers above, bar below."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = float(self.width()), float(self.height())
        caption = max(float(theme.CAPTION), height * 0.16)
        bar = max(6.0, height * 0.12)
        figures = QRectF(0, caption + 2, width, height - caption - bar - 8)
        for left, name, value, ink in (
            (0.0, "Score", self._score, "text"),
            (width / 2, "Threshold", self._threshold, "muted"),
        ):
            self._paint_number(
                painter, QRectF(left, 0, width / 2, height), (caption, figures), (name, number(value), ink)
            )
        self._paint_bar(painter, QRectF(0, height - bar - 2, width, bar))
        painter.end()

    def _paint_number(
        self, painter: QPainter, column: QRectF, room: tuple[float, QRectF], words: tuple[str, str, str]
    ) -> None:
        caption, figures = room
        name, value, ink = words
        painter.setPen(theme.colour("muted"))
        painter.setFont(theme.figures(self.font(), int(caption)))
        painter.drawText(QRectF(column.left(), 0, column.width(), caption * 1.3), Qt.AlignmentFlag.AlignLeft, name)
        place = QRectF(column.left(), figures.top(), column.width() * 0.88, figures.height())
        painter.setPen(theme.colour(ink))
        painter.setFont(fitted(self.font(), value, place.width(), place.height() * 0.86, bold=True))
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, value)

    def _paint_bar(self, painter: QPainter, track: QRectF) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("border"))
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        if self._threshold is None or self._threshold <= 0:
            return
        if self._score is not None:
            filled = QRectF(track)
            filled.setWidth(max(track.height(), track.width() * self._share(self._score)))
            painter.setBrush(theme.colour(self._key))
            painter.drawRoundedRect(filled, track.height() / 2, track.height() / 2)
        painter.setBrush(theme.colour("text"))
        for line in (self._threshold, self._lower):
            if line is not None:
                painter.drawRect(QRectF(track.width() * self._share(line) - 1, track.top() - 3, 2, track.height() + 5))

    def _share(self, value: float) -> float:
        return min(max(value / (_END * (self._threshold or 1.0)), 0.0), 1.0)


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"
