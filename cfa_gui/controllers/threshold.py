"""Moves the one threshold: by hand, or by a policy."""

from dataclasses import replace

from PySide6.QtCore import QObject, Slot

from cfa_gui.models.notices import Notices
from cfa_gui.models.session import Session
from core.errors import ThresholdError
from core.threshold import (
    BestF1,
    Threshold,
    best_f1_threshold,
    manual_threshold,
)


class ThresholdController(QObject):
    """Acts on the threshold."""

    def __init__(self, session: Session, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._notices = notices

    @Slot(float)
    def move(self, value: float) -> None:
        """The user moved the line, the slider or the number."""
        try:
            self._set(manual_threshold(value))
        except ThresholdError as error:
            self._notices.post(str(error), "error")

    @Slot(float)
    def move_lower(self, value: float) -> None:
        """The user moved the line that begins the uncertain band."""
        threshold = self._session.threshold
        if threshold is not None:
            self._session.set_threshold(replace(threshold, lower=min(value, threshold.value)))

    @Slot(bool)
    def use_band(self, wanted: bool) -> None:
        """Begin or end the uncertain band; it begins a quarter of the way down to the lowest score known."""
        threshold = self._session.threshold
        if threshold is None:
            return
        review = self._session.review
        lowest = float(min((*review.scores[review.scored], *self._session.calibration.scores), default=0.0))
        reach = threshold.value - lowest if lowest < threshold.value else abs(threshold.value)
        lower = threshold.value - reach / 4
        self._session.set_threshold(replace(threshold, lower=lower if wanted else None))

    @Slot()
    def best_f1(self) -> None:
        """Put the threshold where F1 is highest over the images of which it is known what they are."""
        try:
            self._set(self._fitted_f1())
        except ThresholdError as error:
            self._notices.post(str(error), "warning")

    def _fitted_f1(self) -> Threshold:
        known = self._session.review.known()
        return best_f1_threshold(known.scores, known.defect)

    @Slot(float)
    def false_alarm_rate(self, rate: float) -> None:
        """Put the threshold where at most this share of good parts is flagged, from the held-out good images."""
        model = self._session.model
        if model is None:
            return
        try:
            self._set(model.calibration.threshold(rate))
        except ThresholdError as error:
            self._notices.post(str(error), "warning")

    @Slot()
    def reset(self) -> None:
        """Back to the threshold that the model came with."""
        if self._session.first_threshold is not None:
            self._session.set_threshold(self._session.first_threshold)

    @Slot()
    def labels_changed(self) -> None:
        """Labels feed the threshold: the best F1 is found again where that is the policy."""
        threshold = self._session.threshold
        if threshold is None or not isinstance(threshold.policy, BestF1):
            return
        if self._session.review.has_both_classes():
            self.best_f1()

    def start_value(self) -> Threshold | None:
        """For a model that came without: the default false-alarm rate, or the smallest that can be promised."""
        model = self._session.model
        return None if model is None else model.calibration.first_threshold()

    def require_one(self) -> None:
        """After an inspection: a model with neither threshold nor held-out images gets one from what was inspected."""
        session = self._session
        scores = session.review.scores[session.review.scored]
        if session.threshold is not None or not scores.size:
            return
        if session.review.has_both_classes():
            session.set_first_threshold(self._fitted_f1())
            return
        session.set_first_threshold(manual_threshold(float(scores.max())))
        self._notices.post(
            "This model has no held-out good images, so no false-alarm rate can be promised. "
            "The threshold stands at the highest score; move it, or label images and press “Best F1”.",
            "warning",
        )

    def _set(self, threshold: Threshold) -> None:
        old = self._session.threshold
        if old is not None and old.lower is not None:
            threshold = replace(threshold, lower=min(old.lower, threshold.value))
        self._session.set_threshold(threshold)
