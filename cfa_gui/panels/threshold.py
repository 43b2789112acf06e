"""The threshold: histogram, slider and number as one value; policies; and what it means for the labelled images."""

import math

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from cfa_gui import theme
from cfa_gui.models.review import Show
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection, Session
from cfa_gui.panels import parts
from cfa_gui.widgets.curve_plot import CurvePlot
from cfa_gui.widgets.matrix import ConfusionMatrix
from cfa_gui.widgets.number_slider import NumberSlider
from cfa_gui.widgets.score_histogram import ScoreHistogram
from cfa_gui.widgets.stat import Stat
from core.metrics import Confusion, image_auroc, precision_recall_curve, roc_curve
from core.threshold import FalseAlarmRate, percent

CELL_FILTER = {
    "true_good": Show.TRUE_GOOD,
    "false_alarm": Show.FALSE_ALARM,
    "missed": Show.MISSED,
    "true_defect": Show.TRUE_DEFECT,
    "": Show.ALL,
}
STATS = (
    ("precision", "Precision", "Of the flagged images, the share that are defective (precision)."),
    ("recall", "Found", "Of the defective images, the share that are flagged (recall)."),
    ("f1", "F1", "One number for both: the harmonic mean of precision and recall (F1)."),
    ("false_alarm_rate", "False alarms", "Of the good images, the share that are flagged (false-positive rate)."),
    ("miss_rate", "Missed", "Of the defective images, the share that pass (false-negative rate)."),
    ("auroc", "AUROC", "How well scores part good from defective, whatever the threshold: 1 is perfect (image AUROC)."),
)
_NO_LABELS = "Label good and defective images, or open a data set whose folders tell, to see this."


class ThresholdPanel(parts.Panel):
    """Reads scores, labels and threshold; emits where the threshold should be."""

    moved = Signal(float)
    lower_moved = Signal(float)
    band_wanted = Signal(bool)
    best_f1_wanted = Signal()
    rate_wanted = Signal(float)
    reset_wanted = Signal()
    cell_chosen = Signal(object)
    """Show."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._low, self._high = 0.0, 1.0
        self._build_charts()
        self._build_controls()
        self._build_numbers()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.MARGIN, 4, theme.MARGIN, theme.GAP)
        layout.setSpacing(2 * theme.GAP)
        layout.addWidget(self._charts, 1)
        layout.addWidget(self._controls)
        layout.addWidget(self._numbers)
        self._later = QTimer(self, singleShot=True, interval=120)
        self._later.timeout.connect(self._redraw_scores)
        self._connect()
        self._redraw_scores()
        self._on_threshold()

    def _build_charts(self) -> None:
        self._histogram = ScoreHistogram()
        self._roc = CurvePlot()
        self._precision_recall = CurvePlot()
        self._charts = QTabWidget()
        self._charts.addTab(self._histogram, "Scores")
        self._charts.addTab(self._roc, "ROC")
        self._charts.addTab(self._precision_recall, "Precision–recall")
        self._charts.setTabToolTip(
            0, "How many images have which score, and where the threshold stands; outlined, the held-out good images."
        )
        self._charts.setTabToolTip(1, "Defects found against false alarms, for every threshold.")
        self._charts.setTabToolTip(2, "Precision against defects found, for every threshold.")
        self._charts.tabBar().setAccessibleName("Charts")
        self._charts.setMinimumWidth(260)

    def _build_controls(self) -> None:
        self._controls = QWidget()
        self._controls.setFixedWidth(316)
        self._slider = NumberSlider("Threshold")
        self._slider.setToolTip("Images that score above this are flagged.")
        self._sentence = parts.caption()
        self._sentence.setMinimumHeight(2 * self._sentence.fontMetrics().lineSpacing())  # so that nothing jumps
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._best = parts.button(
            "Best F1",
            "Put it where F1 is highest over the labelled images; needs labelled defects. The held-out good images "
            "count as well, unless a folder of good images was inspected.",
        )
        self._reset = parts.button("Reset", "Back to the threshold that the model came with.")
        self._rate = QDoubleSpinBox(minimum=0.1, maximum=50.0, value=5.0, decimals=1, singleStep=0.5, suffix=" %")
        self._rate.setAccessibleName("False-alarm rate")
        self._rate.setPrefix("≤ ")
        theme.indent(self._rate)
        self._set_rate = parts.button(
            "Set", "Put it where at most this share of good parts is flagged; needs held-out good images only."
        )
        self._rate_label = parts.caption("False alarms")
        self._rate_label.setWordWrap(False)
        self._band = QCheckBox("Uncertain band, from this score on")
        self._band.setToolTip("A second, lower line: scores between the two lines are uncertain.")
        self._lower = NumberSlider("Lower line")
        column = parts.column(self._controls, margin=0, gap=6)
        column.addWidget(parts.title("Threshold"))
        column.addWidget(self._slider)
        column.addWidget(self._sentence)
        column.addLayout(parts.row(self._best, self._reset, stretch_last=True, gap=6))
        column.addLayout(parts.row(self._rate_label, self._rate, self._set_rate, gap=6))
        column.addWidget(self._band)
        column.addWidget(self._lower)
        column.addStretch(1)

    def _build_numbers(self) -> None:
        self._numbers = QWidget()
        self._numbers.setFixedWidth(292)
        self._matrix = ConfusionMatrix()
        self._stats = {name: Stat(text, tip) for name, text, tip in STATS}
        grid = QGridLayout()
        grid.setSpacing(4)
        for number, stat in enumerate(self._stats.values()):
            grid.addWidget(stat, number // 3, number % 3)
        column = QVBoxLayout(self._numbers)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self._matrix, 1)
        column.addLayout(grid)

    def _connect(self) -> None:
        session = self._session
        self._histogram.threshold_moved.connect(self.moved)
        self._histogram.lower_moved.connect(self.lower_moved)
        self._slider.value_changed.connect(self.moved)
        self._lower.value_changed.connect(self.lower_moved)
        self._band.toggled.connect(self._on_band)
        self._best.clicked.connect(self.best_f1_wanted)
        self._reset.clicked.connect(self.reset_wanted)
        self._set_rate.clicked.connect(self._on_rate)
        self._rate.editingFinished.connect(self._on_rate_typed)
        self._matrix.cell_clicked.connect(self._on_cell)
        session.threshold_changed.connect(self._on_threshold)
        session.labels_changed.connect(self._redraw_scores)
        session.images_changed.connect(self._redraw_scores)
        session.results_added.connect(self._on_results)
        session.model_changed.connect(self._on_state)
        session.state_changed.connect(self._on_state)
        session.current_changed.connect(self._on_current)
        session.current_result_changed.connect(self._on_current)

    @Slot(bool)
    def _on_band(self, wanted: bool) -> None:
        threshold = self._session.threshold
        if threshold is not None and wanted != (threshold.lower is not None):
            self.band_wanted.emit(wanted)

    @Slot()
    def _on_rate(self) -> None:
        self.rate_wanted.emit(self._rate.value() / 100)

    @Slot()
    def _on_rate_typed(self) -> None:
        """Enter in the field sets the rate; leaving the field does not."""
        if self._rate.hasFocus() and self._set_rate.isEnabled():
            self._on_rate()

    @Slot(str)
    def _on_cell(self, name: str) -> None:
        self.cell_chosen.emit(CELL_FILTER[name])

    def focus_line(self) -> None:
        """Put the keyboard on the line of the histogram."""
        self._charts.setCurrentIndex(0)
        self._histogram.setFocus(Qt.FocusReason.ShortcutFocusReason)

    @Slot(object)
    def show_filter(self, show: Show) -> None:
        """Mark the cell that the list is filtered by."""
        self._matrix.set_selected(next((name for name, cell in CELL_FILTER.items() if cell is show and name), None))

    @Slot()
    def _on_state(self) -> None:
        session = self._session
        if session.state is RunState.IDLE and self._later.isActive():
            self._later.stop()
            self._redraw_scores()
        allowed = session.allowed()
        for part in (self._slider, self._reset, self._band):
            part.setEnabled(allowed.threshold)
        self._best.setEnabled(allowed.threshold and session.review.has_both_classes())
        calibration = session.calibration
        self._set_rate.setEnabled(bool(calibration.scores))
        self._rate.setEnabled(self._set_rate.isEnabled())
        self._rate.setToolTip(
            f"From {calibration.in_words()}: "
            f"the smallest rate that can be promised is {percent(calibration.smallest_rate())}."
            if calibration.scores
            else "This needs a model with held-out good images."
        )

    @Slot()
    def _on_results(self) -> None:
        if not self._later.isActive():
            self._later.start()

    @Slot()
    def _on_current(self) -> None:
        session = self._session
        shown = session.shown is Collection.REVIEW and 0 <= session.current < len(session.review)
        score = float(session.review.scores[session.current]) if shown else float("nan")
        self._histogram.mark_score(score if np.isfinite(score) else None)

    @Slot()
    def _redraw_scores(self) -> None:
        """Other scores or labels: histogram, range and curves anew."""
        session = self._session
        review = session.review
        self._histogram.set_scores(review.scores, review.groups, session.calibration.scores)
        self._fit_sliders()
        self._draw_curves()
        self._on_threshold()
        self._on_current()
        self._on_state()

    def _span(self) -> tuple[float, float]:
        """What the slider spans: all scores, those of held-out images, both thresholds, and a little room."""
        session = self._session
        values = [*session.review.scores[session.review.scored], *session.calibration.scores]
        for threshold in (session.threshold, session.first_threshold):
            if threshold is not None:
                values.append(threshold.value)
                if threshold.lower is not None:
                    values.append(threshold.lower)
        if not values:
            return 0.0, 1.0
        low, high = float(min(values)), float(max(values))
        room = max((high - low) * 0.05, abs(high) * 0.02, 1e-6)
        return low - room, high + room

    def _fit_sliders(self) -> None:
        self._low, self._high = self._span()
        self._slider.set_range(self._low, self._high)
        self._lower.set_range(self._low, self._high)

    def _draw_curves(self) -> None:
        review = self._session.review
        if not review.has_both_classes():
            self._roc.clear(_NO_LABELS)
            self._precision_recall.clear(_NO_LABELS)
            self._stats["auroc"].set_value(None)
            return
        scores, labels, _ = review.known()
        roc = roc_curve(scores, labels)
        self._roc.set_curve(roc.false_alarm_rate, roc.recall, "False alarms", "Defects found")
        precision_recall = precision_recall_curve(scores, labels)
        self._precision_recall.set_curve(
            precision_recall.recall, precision_recall.precision, "Defects found (recall)", "Precision"
        )
        self._stats["auroc"].set_value(image_auroc(scores, labels), "{:.3f}")

    @Slot()
    def _on_threshold(self) -> None:
        """The line moved: everything that follows from it, cheaply."""
        threshold = self._session.threshold
        value = threshold.value if threshold else None
        lower = threshold.lower if threshold else None
        self._histogram.set_threshold(value)
        self._histogram.set_lower(lower)
        words = "There is no threshold yet."
        if threshold is not None:  # the lower line has a number of its own below, and here no room
            words = self._session.calibration.sentence(threshold.with_lower(None))
        self._sentence.setText(words)
        self._band.blockSignals(True)  # noqa: FBT003  Qt's way
        self._band.setChecked(lower is not None)
        self._band.blockSignals(False)  # noqa: FBT003  Qt's way
        self._lower.setVisible(lower is not None)
        if threshold is not None and isinstance(threshold.policy, FalseAlarmRate) and not self._rate.hasFocus():
            self._rate.setValue(math.ceil(threshold.policy.rate * 1000) / 10)
        if value is not None:
            if not self._low <= value <= self._high:
                self._fit_sliders()
            self._slider.set_value(value)
            self._lower.set_value(lower if lower is not None else value)
        self._count(value)

    def _count(self, value: float | None) -> None:
        review = self._session.review
        if value is None or not review.judged_by_a_person.any():
            self._matrix.set_counts(None, None, None, None)
            for name in self._stats:
                self._stats[name].set_value(None)
            self._set_markers(None)
            return
        counts = review.sorted_scores().confusion_at(value)
        held_out = review.known().held_out
        self._matrix.set_counts(
            counts.true_good, counts.false_alarm, counts.missed, counts.true_defect, held_out=held_out
        )
        for name in ("precision", "recall", "f1"):
            self._stats[name].set_value(getattr(counts, name), "{:.3f}")
        for name in ("false_alarm_rate", "miss_rate"):
            rate = getattr(counts, name)
            self._stats[name].set_value(None if rate is None else 100 * rate, "{:.1f} %")
        self._set_markers(counts)

    def _set_markers(self, counts: Confusion | None) -> None:
        if counts is None or counts.recall is None or counts.false_alarm_rate is None:
            self._roc.set_marker(None)
            self._precision_recall.set_marker(None)
            return
        self._roc.set_marker((counts.false_alarm_rate, counts.recall))
        precision = counts.precision
        self._precision_recall.set_marker(None if precision is None else (counts.recall, precision))
