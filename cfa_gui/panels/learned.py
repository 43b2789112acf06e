"""What a finished training says about itself, in plain words."""

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.models.comparison import Comparison
from cfa_gui.models.pace import clock_text
from cfa_gui.panels import parts
from core.config import Calibrating
from core.config_words import variation
from core.threshold import percent
from core.trained_model import TrainedModel


def learned_sentences(model: TrainedModel) -> tuple[str, ...]:
    """A few sentences: from what was learned, what was held out and why, what can be promised."""
    summary, scores = model.summary, model.calibration.scores
    sentences = [
        (
            f"Learned from {summary.images} good images in {clock_text(summary.seconds)} on {summary.device}. "
            f"The memory of good holds {summary.bank_size:,} entries of {summary.channels} numbers (memory bank)."
        )
    ]
    if told := variation(model.config):
        sentences.append(f"It was told what varies on the line: {told}.")
    if scores:
        rate, held_out = model.calibration.smallest_rate(), model.calibration.in_words()
        crossed = model.config.training.calibration is Calibrating.CROSS
        sentences.append(
            f"How high a good part may score, from {held_out}: {min(scores):.3f} to {max(scores):.3f}."
            + (" Each was scored by a model that had not learned from it." if crossed else "")
        )
        sentences.append(
            f"The smallest false-alarm rate that can be promised with them is {percent(rate)} "
            f"({'cross-' if crossed else 'split '}conformal prediction). More good parts allow a smaller one."
        )
    else:
        sentences.append("No image was held out, so no false-alarm rate can be promised.")
    return (*sentences, *summary.notes)


def held_out_text(model: TrainedModel) -> str:
    """Which images were held out, with their scores, highest first."""
    pairs = sorted(zip(model.calibration.scores, model.calibration.names, strict=True), reverse=True)
    return "\n".join(f"{name}   {score:.3f}" for score, name in pairs)


_ROWS = (
    ("AUROC", "How well scores part good from defective, whatever the threshold (image AUROC).", "auroc", "{:.3f}"),
    ("F1", "Precision and recall in one number (F1).", "f1", "{:.3f}"),
    ("False alarms", "Good images that are flagged.", "false_alarms", "{}"),
    ("Missed", "Defective images that pass.", "missed", "{}"),
)


class ComparisonTable(QWidget):
    """Before and after a training, on the same images."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on = parts.caption()
        self._cells: dict[str, tuple[QLabel, QLabel]] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * theme.MARGIN)
        grid.setVerticalSpacing(4)
        for column, text in enumerate(("before", "after"), start=1):
            grid.addWidget(parts.caption(text), 0, column, Qt.AlignmentFlag.AlignRight)
        for row, (text, tip, name, _form) in enumerate(_ROWS, start=1):
            head = QLabel(text)
            head.setToolTip(tip)
            grid.addWidget(head, row, 0)
            self._cells[name] = (QLabel(), QLabel())
            for column, cell in enumerate(self._cells[name], start=1):
                cell.setFont(theme.figures(cell.font()))
                grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(3, 1)
        box = parts.column(self, margin=0, gap=4)
        box.addWidget(parts.title("Before and after"))
        box.addLayout(grid)
        box.addWidget(self._on)
        self.hide()

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Fill the table; nothing is shown where there is nothing to compare."""
        self.setVisible(comparison is not None)
        if comparison is None:
            return
        for text, _tip, name, form in _ROWS:
            values = (getattr(comparison.before, name), getattr(comparison.after, name))
            for cell, when, value in zip(self._cells[name], ("before", "after"), values, strict=True):
                cell.setText("–" if value is None else form.format(value))
                cell.setAccessibleName(f"{text} {when}: {cell.text()}")
        self._on.setText(
            f"On the same {comparison.good} good and {comparison.defect} defective images, from which neither model "
            "learned, each model at its threshold."
        )


class LearnedBox(QWidget):
    """The sentences, a comparison with the model before, and which images were held out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sentences = QVBoxLayout()
        self._sentences.setSpacing(6)
        self._which = parts.link(
            "Which images were held out?", "They are chosen by chance, the same for the same seed."
        )
        self._which.setCheckable(True)
        self._names = parts.caption()
        self._names.hide()
        self._comparison = ComparisonTable()
        column = parts.column(self, margin=0)
        column.addWidget(parts.title("What it learned"))
        column.addLayout(self._sentences)
        column.addWidget(self._comparison)
        column.addWidget(self._which, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._names)
        self._which.toggled.connect(self._on_which)

    def show_model(self, model: TrainedModel) -> None:
        """Tell of a model."""
        parts.clear(self._sentences)
        for sentence in learned_sentences(model):
            self._sentences.addWidget(parts.body(sentence))
        self._names.setText(held_out_text(model))
        self._which.setVisible(bool(model.calibration.names))

    @property
    def compares(self) -> bool:
        """Whether a comparison is shown."""
        return not self._comparison.isHidden()

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Compare with the model before, if there was one."""
        self._comparison.show_comparison(comparison)

    @Slot(bool)
    def _on_which(self, shown: bool) -> None:
        self._names.setVisible(shown)
