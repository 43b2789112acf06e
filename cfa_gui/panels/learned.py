"""What a finished training says about itself, in plain words."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from cfa_gui.models.pace import clock_text
from cfa_gui.panels import parts
from core.threshold import smallest_rate
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
    if scores:
        rate = smallest_rate(len(scores))
        sentences.append(
            f"{len(scores)} good images were held out, to see how high a good part may score: "
            f"{min(scores):.3f} to {max(scores):.3f}."
        )
        sentences.append(
            f"The smallest false-alarm rate that can be promised with them is {rate:.1%} "
            "(split conformal prediction). More good images allow a smaller one."
        )
    else:
        sentences.append("No image was held out, so no false-alarm rate can be promised.")
    return (*sentences, *summary.notes)


def held_out_text(model: TrainedModel) -> str:
    """Which images were held out, with their scores, highest first."""
    pairs = sorted(zip(model.calibration.scores, model.calibration.names, strict=True), reverse=True)
    return "\n".join(f"{name}   {score:.3f}" for score, name in pairs)


class LearnedBox(QWidget):
    """The sentences, which images were held out, and saving."""

    save_wanted = Signal()

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
        self._save = parts.button("Save the model…", "One file that holds everything (Ctrl+S).", "content-save-outline")
        column = parts.column(self, margin=0)
        column.addWidget(parts.title("What it learned"))
        column.addLayout(self._sentences)
        column.addWidget(self._which, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._names)
        column.addWidget(self._save, 0, Qt.AlignmentFlag.AlignLeft)
        self._which.toggled.connect(self._on_which)
        self._save.clicked.connect(self.save_wanted)

    def show_model(self, model: TrainedModel, *, unsaved: bool) -> None:
        """Tell of a model."""
        parts.clear(self._sentences)
        for sentence in learned_sentences(model):
            self._sentences.addWidget(parts.body(sentence))
        self._names.setText(held_out_text(model))
        self._which.setVisible(bool(model.calibration.names))
        self._save.setVisible(unsaved)

    def set_save_enabled(self, *, enabled: bool) -> None:
        """Whether the model can be saved now."""
        self._save.setEnabled(enabled)

    @Slot(bool)
    def _on_which(self, shown: bool) -> None:
        self._names.setVisible(shown)
