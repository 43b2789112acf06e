"""Confusion matrix whose cells can be pressed to see their parts."""

from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QLabel, QSizePolicy, QWidget

from cfa_gui import theme

CELLS = ("true_good", "false_alarm", "missed", "true_defect")
_GOOD = "Really good"


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a cell is called, how it is marked, and what it means."""

    words: str
    mark: str
    ink: str
    tip: str


_LOOKS = {
    "true_good": _Cell("pass, rightly", "good", "good", "Good parts that pass (true negatives)."),
    "false_alarm": _Cell("false alarms", "defect", "uncertain", "Good parts that are flagged (false positives)."),
    "missed": _Cell("missed", "good", "defect", "Defective parts that pass (false negatives)."),
    "true_defect": _Cell("found", "defect", "good", "Defective parts that are flagged (true positives)."),
}


class _CellButton(QAbstractButton):
    """One cell: a count, and what is counted."""

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.name = name
        self._look = _LOOKS[name]
        self._count: int | None = None
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_count(None)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Room for five digits."""
        return QSize(104, 56)

    def set_count(self, count: int | None, *, listed: bool = True) -> None:
        """None: not known. Where none is in the list the cell cannot be pressed."""
        self._count = count
        self.setEnabled(count is not None and listed)
        pressed = " Press to see only these; press again to see all." if listed else ""
        self.setToolTip(f"{self._look.tip}{pressed}")
        self.setAccessibleName(f"{'no' if count is None else count} {self._look.words}")
        self.setAccessibleDescription(self._look.tip)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802  Qt's name
        """A tinted plate; a frame where it is chosen or has the focus."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        lit = self.underMouse() or self.isDown()
        alpha = (0.26 if lit else 0.16) if self._count else 0.05
        painter.setBrush(theme.colour(self._look.ink, alpha))
        framed = self.hasFocus() or self.isChecked()
        painter.setPen(QPen(theme.colour("accent"), 2) if framed else QPen(theme.colour("border"), 1))
        painter.drawRoundedRect(box, 5, 5)
        self._paint_words(painter, box)
        painter.end()

    def _paint_words(self, painter: QPainter, box: QRectF) -> None:
        text = "–" if self._count is None else f"{self._count:,}"
        painter.setPen(theme.colour("text" if self._count else "muted"))
        painter.setFont(theme.figures(self.font(), 19, bold=True))
        upper = box.adjusted(10, 5, -8, -24)
        painter.drawText(upper, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.setFont(theme.figures(self.font(), theme.CAPTION))
        painter.setPen(theme.colour("muted"))
        lower = box.adjusted(10, box.height() - 24, -8, -5)
        painter.drawText(lower, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._look.words)
        if self.isChecked():
            sign = QRectF(box.right() - 22, box.top() + 6, 16, 16).toRect()
            theme.icon("filter-variant", "accent").paint(painter, sign)


class ConfusionMatrix(QWidget):
    """Two by two: rows are what the parts really are, columns what the threshold says."""

    cell_clicked = Signal(str)
    """One of CELLS, or "" where the selected cell was pressed again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cells = {name: _CellButton(name, self) for name in CELLS}
        self.setAccessibleName("Confusion matrix")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, (text, mark) in enumerate((("passes", "good"), ("is flagged", "defect")), start=1):
            grid.addWidget(_heading(text, mark), 0, column, Qt.AlignmentFlag.AlignLeft)
        self._good, defect = (_heading(text, None) for text in (_GOOD, "Really defect"))
        for row, heading in enumerate((self._good, defect), start=1):
            grid.addWidget(heading, row, 0)
        for index, cell in enumerate(self._cells.values()):
            grid.addWidget(cell, 1 + index // 2, 1 + index % 2)
            cell.clicked.connect(self._on_clicked)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(2, 1)

    def set_counts(
        self,
        true_good: int | None,
        false_alarm: int | None,
        missed: int | None,
        true_defect: int | None,
        *,
        held_out: int = 0,
    ) -> None:
        """Show the counts.

        Args:
            true_good: None (no labels yet) shows a dash, here as in the others.
            false_alarm: See CELLS.
            missed: See CELLS.
            true_defect: See CELLS.
            held_out: How many of the good parts are images that were held out from the training, which no list has.
        """
        listed = (true_good or 0) + (false_alarm or 0) > held_out or not held_out
        for name, count in (("true_good", true_good), ("false_alarm", false_alarm)):
            self._cells[name].set_count(count, listed=listed)
        for name, count in (("missed", missed), ("true_defect", true_defect)):
            self._cells[name].set_count(count)
        self._good.setText(f"{_GOOD},\n{held_out} held out" if held_out else _GOOD)
        self._good.setToolTip("Good images that were held out from the training count, too." if held_out else "")

    def set_selected(self, name: str | None) -> None:
        """Mark the cell that the list is filtered by; emits nothing."""
        for key, cell in self._cells.items():
            cell.setChecked(key == name)

    def cell(self, name: str) -> QAbstractButton:
        """The button of one of CELLS."""
        return self._cells[name]

    def _on_clicked(self) -> None:
        pressed = self.sender()
        if isinstance(pressed, _CellButton):
            chosen = pressed.name if pressed.isChecked() else None
            self.set_selected(chosen)
            self.cell_clicked.emit(chosen or "")


def _heading(text: str, mark: str | None) -> QLabel:
    label = QLabel(f"{theme.MARKS[mark].sign} {text}" if mark else text)
    theme.set_role(label, "caption")
    return label
