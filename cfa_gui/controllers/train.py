"""Train a model, then inspect the test images with it."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from cfa_gui.controllers.inspect import InspectController
from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.controllers.threshold import ThresholdController
from cfa_gui.errors import user_message
from cfa_gui.models.comparison import earlier
from cfa_gui.models.engine import Engine
from cfa_gui.models.notices import Notices
from cfa_gui.models.pace import TrainingPace
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.settings import SettingsStore
from core.config import Config
from core.counting import counted
from core.errors import OutOfMemoryError
from core.progress import CancelToken, Progress, Report
from core.threshold import percent
from core.trained_model import TrainedModel


def smaller(config: Config) -> Config | None:
    """Settings that need less memory than these, or None where they are as small as is sensible."""
    if config.training.batch_size > 1:
        return config.with_changes(batch_size=max(1, config.training.batch_size // 2))
    if config.preprocessing.second_scale:
        return config.with_changes(second_scale=0)
    if config.method.bank_ratio < 64:
        return config.with_changes(bank_ratio=min(64, config.method.bank_ratio * 2))
    return None


def _summary(model: TrainedModel) -> str:
    """One line on what a training came to; the training panel tells more."""
    calibration, trained = model.calibration, f"Trained on {counted(model.summary.images, 'image')}."
    if not calibration.scores:
        return f"{trained} None was held out, so no false-alarm rate can be promised."
    best = percent(calibration.smallest_rate())
    return f"{trained} With {calibration.in_words()} a false-alarm rate of {best} can be promised at best."


class TrainController(QObject):
    """Runs trainings."""

    started = Signal()
    """A training has begun: the plot starts anew."""
    stepped = Signal(object)
    """core.progress.StepRecord of the training at work."""
    finished = Signal()
    """A training has ended well; the session holds its model."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        notices: Notices,
        settings: SettingsStore,
        threshold: ThresholdController,
        inspect: InspectController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._engine = engine
        self._tasks = tasks
        self._notices = notices
        self._settings = settings
        self._threshold = threshold
        self._inspect = inspect

    @Slot()
    def start(self) -> None:
        """Train with the session's settings on its good parts."""
        session = self._session
        if session.samples is None or not session.allowed().train:
            return
        good, config, engine = session.samples.good, session.config, self._engine
        device = self._settings.preferences.device

        def work(report: Report, cancel: CancelToken) -> TrainedModel:
            return engine.train(good, config, device=device, report=report, cancel=cancel)

        kept = "The model that you had is still there." if session.model else "Nothing was changed."
        self._tasks.start(
            Task(
                RunState.TRAINING,
                work,
                partial(self._on_trained, frozenset(sample.path for sample in good)),
                progressed=self._on_progressed,
                failed=self._on_failed,
                cancelled=f"Training cancelled. {kept}",
                pace=TrainingPace(config, len(good)),
            )
        )
        self.started.emit()

    def _on_progressed(self, progress: Progress) -> None:
        if progress.step is not None:
            self.stepped.emit(progress.step)

    def _on_trained(self, learned: frozenset[Path], model: TrainedModel) -> None:
        session = self._session
        before = earlier(session.review, session.threshold, session.learned)
        session.set_model(model, None)
        session.note_training(learned, before)
        if session.threshold is None:
            first = self._threshold.start_value()
            if first is not None:
                session.set_first_threshold(first)
        if model.summary.skipped:
            names = ", ".join(entry.name for entry in model.summary.skipped[:3])
            more = len(model.summary.skipped) - 3
            tail = f" and {more} more" if more > 0 else ""
            self._notices.post(f"These images could not be read and were left out: {names}{tail}.", "warning")
        self._notices.post(_summary(model), "success")
        self.finished.emit()
        waiting = tuple(session.review.samples)
        test = session.samples.test if session.samples else ()
        fresh = tuple(sample for sample in test if session.review.index_of(sample) < 0)
        self._inspect.inspect((*waiting, *fresh))

    def _on_failed(self, error: BaseException) -> None:
        text, details = user_message(error)
        less = smaller(self._session.config) if isinstance(error, OutOfMemoryError) else None
        if less is None:
            self._notices.post(text, "error", details)
            return

        def again() -> None:
            self._session.set_config(less)
            self.start()

        self._notices.post(text, "error", details, ("Try a smaller setting", again))
