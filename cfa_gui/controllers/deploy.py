"""The model as a file: open, save, save as; and the question about one that is not saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.controllers.threshold import ThresholdController
from cfa_gui.models.engine import Engine
from cfa_gui.models.notices import Notices
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection, Session
from cfa_gui.settings import SettingsStore
from core.trained_model import TrainedModel

SUFFIX = ".cfa"


class Ask(Protocol):
    """The questions; dialogs answer them in the program, a fake in the tests."""

    def unsaved(self, name: str, labels: int) -> str:
        """What to do with a model that is not saved: "save", "discard" or "cancel"."""
        ...

    def model_to_save(self, suggestion: Path) -> Path | None:
        """Where to save a model; None: nowhere."""
        ...

    def model_to_open(self, folder: Path) -> Path | None:
        """Which model to open; None: none."""
        ...


class DeployController(QObject):
    """Acts on the model file."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        notices: Notices,
        settings: SettingsStore,
        threshold: ThresholdController,
        ask: Ask,
        inspect_again: Callable[[], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._engine = engine
        self._tasks = tasks
        self._notices = notices
        self._settings = settings
        self._threshold = threshold
        self._ask = ask
        self._inspect_again = inspect_again

    @property
    def name(self) -> str:
        """What the title calls the model; empty where there is none."""
        session = self._session
        if session.model is None:
            return ""
        return session.model_path.name if session.model_path else "New model"

    def guard(self, then: Callable[[], object], labels: int = 0) -> None:
        """Do something that replaces the model, once it is saved or given up; the user is asked once.

        Args:
            then: What to do.
            labels: Number of labels that are lost by it, saved or not.
        """
        if self._session.model is None or not self._session.model_unsaved:
            then()
            return
        answer = self._ask.unsaved(self.name, labels)
        if answer == "discard":
            then()
        elif answer == "save":
            self._save(self._session.model_path, then)

    @Slot()
    def choose_model(self) -> None:
        """Ask for a model file and open it."""
        if self._session.allowed().open:
            path = self._ask.model_to_open(self._folder())
            if path is not None:
                self.open_model(path)

    def open_model(self, path: Path, then: Callable[[], object] | None = None) -> None:
        """Open a model file, then inspect what waits, or do something else; a failed load leaves what was there."""
        if self._session.allowed().open:
            self.guard(lambda: self._load(path, then or self._inspect_again))

    def _load(self, path: Path, then: Callable[[], object]) -> None:
        engine = self._engine
        self._tasks.start(
            Task(
                RunState.OPENING,
                work=lambda _report, _cancel: engine.load(path),
                done=lambda model: self._take(model, path, then),
                cancelled="Opening was cancelled.",
            )
        )

    def _take(self, model: TrainedModel, path: Path, then: Callable[[], object]) -> None:
        session = self._session
        self._remember(path)
        session.set_model(model, path)
        session.set_config(model.config)
        if session.threshold is None:
            first = self._threshold.start_value()
            if first is not None:
                session.set_first_threshold(first)
        session.show(Collection.REVIEW)
        self._notices.post(f"{path.name} is open.", "success")
        then()

    @Slot()
    def save(self) -> None:
        """Save the model where it is, or ask where."""
        if self._session.allowed().save:
            self._save(self._session.model_path, None)

    @Slot()
    def save_as(self) -> None:
        """Ask where to save the model."""
        if self._session.allowed().save:
            self._save(None, None)

    def _save(self, path: Path | None, then: Callable[[], object] | None) -> None:
        session, engine = self._session, self._engine
        if session.model is None:
            return
        if path is None:
            path = self._ask.model_to_save(session.model_path or self._folder() / self._suggestion())
            if path is None:
                return
            path = path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)
        model, target = session.model.with_threshold(session.threshold), path

        def done(_nothing: object) -> None:
            self._remember(target)
            session.note_saved(model, target)
            self._notices.post(f"Saved as {target.name}.", "success")
            if then is not None:
                then()

        self._tasks.start(
            Task(
                RunState.SAVING,
                work=lambda _report, _cancel: engine.save(model, target),
                done=done,
                cancelled="Saving was cancelled.",
            )
        )

    def _remember(self, path: Path) -> None:
        self._settings.remember_model(path)
        self._settings.update(last_folder=str(path.parent))

    def _folder(self) -> Path:
        last = self._settings.preferences.last_folder
        return Path(last) if last and Path(last).is_dir() else Path.home()

    def _suggestion(self) -> str:
        samples = self._session.samples
        stem = samples.dataset.root.name if samples and samples.dataset.root.name else "model"
        return f"{stem}{SUFFIX}"
