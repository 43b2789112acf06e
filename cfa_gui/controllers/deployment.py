"""Take the model to the line: export it for another runtime, compared with the original."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.models.deployment import Check, Deployment
from cfa_gui.models.engine import Engine
from cfa_gui.models.notices import Notices
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.settings import SettingsStore
from core.dataset import Sample, find_samples
from core.export.words import Exported, Format, Target
from core.progress import CancelToken, Report


class Ask(Protocol):
    """The question; a dialog answers it in the program, a fake in the tests."""

    def folder(self, title: str, folder: Path) -> Path | None:
        """Which folder; None: none."""
        ...


class DeploymentController(QObject):
    """Acts on the plan of an export."""

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        engine: Engine,
        tasks: Tasks,
        notices: Notices,
        settings: SettingsStore,
        ask: Ask,
        show: Callable[[Path], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._deployment = deployment
        self._engine = engine
        self._tasks = tasks
        self._notices = notices
        self._settings = settings
        self._ask = ask
        self._show = show
        session.model_changed.connect(self._on_model)
        session.threshold_changed.connect(self._on_model)

    @Slot()
    def _on_model(self) -> None:
        """What was exported is another model now."""
        if self._deployment.outcome is not None:
            self._deployment.set_outcome(None)

    @Slot(object)
    def use_format(self, kind: Format) -> None:
        """Choose the format."""
        self._deployment.change(format=kind)

    @Slot(object)
    def use_check(self, check: Check) -> None:
        """Choose the images to compare on; a folder is asked for."""
        if check is Check.FOLDER:
            folder = self._ask.folder("Choose images that the model was not trained on", self._last())
            if folder is None:
                self._deployment.changed.emit()  # the panel goes back to what was chosen
            else:
                self._deployment.change(check=check, check_folder=folder)
        else:
            self._deployment.change(check=check)

    @Slot()
    def choose_folder(self) -> None:
        """Ask where to."""
        folder = self._ask.folder("Choose a new or empty folder for the exported model", self._last())
        if folder is not None:
            self._settings.update(last_folder=str(folder.parent))
            self._deployment.change(folder=folder)

    @Slot()
    def export(self) -> None:
        """Export; where no folder was chosen yet, ask for one."""
        session, plan = self._session, self._deployment.plan
        if not session.allowed().save or session.model is None:
            return
        if session.threshold is None:
            self._notices.post(
                "There is no threshold yet. Set one, then export: the verdicts follow from it.", "warning"
            )
            return
        if plan.folder is None:
            self.choose_folder()
            plan = self._deployment.plan
            if plan.folder is None:
                return
        engine, device = self._engine, self._settings.preferences.device
        model, samples = session.model.with_threshold(session.threshold), self.samples()
        folder = plan.check_folder if plan.check is Check.FOLDER else None
        target = Target(plan.format, plan.folder)

        def work(report: Report, cancel: CancelToken) -> Exported:
            images = samples if folder is None else find_samples([folder])
            return engine.export(model, target, images, device=device, report=report, cancel=cancel)

        self._deployment.set_outcome(None)
        self._tasks.start(
            Task(RunState.EXPORTING, work, self._done, cancelled="The export was cancelled; nothing was written.")
        )

    def samples(self) -> tuple[Sample, ...]:
        """The images to compare on, but for those of a folder."""
        session, check = self._session, self._deployment.plan.check
        if check is Check.LISTED:
            return tuple(session.review.samples)
        if check is Check.HELD_OUT and session.samples is not None and session.model is not None:
            held = set(session.model.calibration.names)
            return tuple(sample for sample in session.samples.good if sample.name in held)
        return ()

    def _done(self, exported: Exported) -> None:
        self._deployment.set_outcome(exported)
        folder = exported.folder
        self._notices.post(
            f"The model is in {folder.name}, and gives the scores of the original.",
            "success",
            action=("Show", self.show_folder),
        )

    @Slot()
    def show_folder(self) -> None:
        """Open the folder that was written to."""
        if self._deployment.outcome is not None:
            self._show(self._deployment.outcome.folder)

    def _last(self) -> Path:
        last = self._settings.preferences.last_folder
        return Path(last) if last and Path(last).is_dir() else Path.home()
