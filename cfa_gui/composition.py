"""Makes the session, the threads and the controllers, and knows how they hang together. No widget but the questions."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Slot

from cfa_gui.controllers.deploy import DeployController
from cfa_gui.controllers.deployment import DeploymentController
from cfa_gui.controllers.export import ExportController, show_file
from cfa_gui.controllers.inspect import InspectController
from cfa_gui.controllers.keeping import KeepingController
from cfa_gui.controllers.keeping_pictures import KeepingPicturesController
from cfa_gui.controllers.live import LiveController
from cfa_gui.controllers.opening import OpeningController
from cfa_gui.controllers.pictures import PicturesController
from cfa_gui.controllers.review import ReviewController
from cfa_gui.controllers.samples import SamplesController
from cfa_gui.controllers.tasks import Tasks
from cfa_gui.controllers.threshold import ThresholdController
from cfa_gui.controllers.train import TrainController
from cfa_gui.jobs import JobRunner, take_short_turns
from cfa_gui.models.deployment import Deployment
from cfa_gui.models.engine import Engine, Facilities
from cfa_gui.models.image_list import ImageListModel
from cfa_gui.models.keeper import MODELS
from cfa_gui.models.notices import Notices
from cfa_gui.models.session import Session
from cfa_gui.models.thumbnails import ThumbnailCache
from cfa_gui.settings import SettingsStore
from core.errors import ConfigError
from core.leftovers import remove_leftovers
from core.presets import preset
from core.progress import CancelToken, Report

_log = logging.getLogger(__name__)


class Ask(Protocol):
    """All questions of the program; see `cfa_gui.dialogs.questions.Questions`."""

    def unsaved(self, name: str, labels: int) -> str:
        """What to do with a model that is not saved: "save", "discard" or "cancel"."""
        ...

    def lose_labels(self, count: int) -> bool:
        """Whether to close although labels are in no file."""
        ...

    def stop_work(self, doing: str) -> bool:
        """Whether to close although something is being done."""
        ...

    def inspect_or_train(self, count: int) -> str:
        """What images are for: "inspect", "train" or ""."""
        ...

    def model_to_save(self, suggestion: Path) -> Path | None:
        """Where to save a model."""
        ...

    def model_to_open(self, folder: Path) -> Path | None:
        """Which model to open."""
        ...

    def folder(self, title: str, folder: Path) -> Path | None:
        """Which folder to open."""
        ...

    def images(self, title: str, folder: Path) -> list[Path]:
        """Which images to open."""
        ...

    def video_to_open(self, folder: Path) -> Path | None:
        """Which video to look at."""
        ...

    def scores_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the table of scores."""
        ...

    def overlays_to_write(self, flagged: int, scored: int, folder: Path) -> tuple[Path, bool] | None:
        """Into which folder to write overlays, and whether of the flagged images alone."""
        ...

    def report_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the report."""
        ...


class Composition(QObject):
    """Everything behind the window.

    Args:
        engine: The engine, or a fake.
        settings: The preferences.
        ask: The questions.
        store: Where the review is kept; None: nowhere.
        parent: The window.
    """

    def __init__(
        self,
        engine: Engine,
        settings: SettingsStore,
        ask: Ask,
        store: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store = store
        self.engine = engine
        self.settings = settings
        self.ask = ask
        self.session = Session(self)
        self.notices = Notices(self)
        take_short_turns()
        self.runner = JobRunner("engine", self)
        self.reader = JobRunner("reader", self)
        self.checker = JobRunner("checker", self)
        self.capture = JobRunner("capture", self)
        self.writer = JobRunner("writer", self)
        self.thumbnails = ThumbnailCache()
        self.images = ImageListModel(self.session, self.thumbnails, self)
        self.tasks = Tasks(self.session, self.runner, self.notices, self)
        self.threshold = ThresholdController(self.session, self.notices, self)
        self.samples = SamplesController(
            self.session, engine, self.tasks, self.reader, self.checker, self.notices, settings, self
        )
        self.inspect = InspectController(
            self.session, engine, self.tasks, self.reader, self.notices, settings, self.threshold, self
        )
        self.train = TrainController(
            self.session, engine, self.tasks, self.notices, settings, self.threshold, self.inspect, self
        )
        self.review = ReviewController(self.session, self.images, self.threshold, self.notices, self)
        self.pictures = PicturesController(self.session, self.thumbnails, self.images, self)
        self.deploy = DeployController(
            self.session,
            engine,
            self.tasks,
            self.notices,
            settings,
            self.threshold,
            ask,
            self.inspect.inspect_waiting,
            self,
        )
        self.keeping = KeepingController(
            self.session,
            engine,
            self.tasks,
            self.notices,
            store,
            self.inspect.inspect,
            lambda: ask.folder("Where are the images now?", self._folder()),
            self.samples.bring_back,
            self,
        )
        self.plan = Deployment(self)
        self.deployment = DeploymentController(
            self.session, self.plan, engine, self.tasks, self.notices, settings, ask, show_file, self
        )
        self.export = ExportController(self.session, self.tasks, self.notices, settings, ask, self)
        self.live = LiveController(self.session, engine, self.tasks, self.capture, self.notices, settings, ask, self)
        self.keeping_pictures = KeepingPicturesController(
            self.live.model,
            self.session,
            self.writer,
            self.notices,
            settings,
            ask,
            self.samples.add_good,
            self.tasks.tell,
            self,
        )
        self.opening = OpeningController(self.session, self.samples, self.inspect, self.deploy, self.notices, ask, self)

    def warm_up(self, then: Callable[[], None]) -> None:
        """Import torch on the worker thread.

        Args:
            then: What else takes long to import; called on that thread afterwards.
        """
        engine = self.engine

        def work(_report: Report, _cancel: CancelToken) -> Facilities:
            facilities = engine.warm_up()
            then()
            return facilities

        self.checker.submit(lambda _report, _cancel: self._tidy())
        self.keeping.start()
        job = self.runner.submit(work)
        job.succeeded.connect(self._on_warm)
        job.failed.connect(self.tasks.tell)

    def _tidy(self) -> None:
        """Remove what a program that was killed left where this one writes; on a thread of its own."""
        written = [Path(path).parent for path in self.settings.preferences.recent_models]
        store = [] if self._store is None else [self._store.parent, self._store.with_name(MODELS)]
        removed = remove_leftovers([*store, self.settings.path.parent, *written])
        if removed:
            _log.info("%d leftovers of a program that was killed are removed", len(removed))

    @Slot(object)
    def _on_warm(self, facilities: Facilities) -> None:
        devices = [words for _name, words in facilities.devices]
        found = [f"{name} {version}" for name, version in facilities.versions]
        _log.info("devices: %s; %s", "; ".join(devices), ", ".join(found))
        self.session.set_facilities(facilities)

    def shutdown(self) -> None:
        """Stop all threads; cancels what is at work and waits for it."""
        self.live.shutdown()
        self.pictures.shutdown()
        self.samples.shutdown()
        self.reader.shutdown()
        self.checker.shutdown()
        self.runner.shutdown()
        self.capture.shutdown()
        self.writer.shutdown(finish=True)
        self.keeping.shutdown()
        self.session.maps.clear()

    def choose_good_folder(self) -> None:
        """Ask for a folder of good parts and open it."""
        path = self.ask.folder("Choose a folder of good parts", self._folder())
        if path is not None:
            self.settings.update(last_folder=str(path.parent))
            self.samples.open([path])

    def choose_good_images(self) -> None:
        """Ask for single good images and open them."""
        self._open_chosen(self.ask.images("Choose images of good parts", self._folder()), inspect=False)

    def choose_images(self) -> None:
        """Ask for images and inspect them."""
        self._open_chosen(self.ask.images("Choose images to inspect", self._folder()), inspect=True)

    def choose_folder(self) -> None:
        """Ask for a folder and inspect it."""
        path = self.ask.folder("Choose a folder to inspect", self._folder())
        self._open_chosen([path] if path is not None else [], inspect=True)

    def _open_chosen(self, paths: Sequence[Path], *, inspect: bool) -> None:
        if paths:
            self.settings.update(last_folder=str(paths[0].parent))
            (self.inspect.open if inspect else self.samples.open)(paths)

    def _folder(self) -> Path:
        last = self.settings.preferences.last_folder
        return Path(last) if last and Path(last).is_dir() else Path.home()

    def start_training(self) -> None:
        """Train, once an unsaved model was saved or given up."""
        if self.session.allowed().train:
            self.deploy.guard(self.train.start)

    def use_preset(self, name: str) -> None:
        """Settings of a preset, for the part as it was described."""
        self.session.set_config(preset(name).for_part_of(self.session.config))

    def change_setting(self, name: str, value: object) -> None:
        """One setting of the next training."""
        try:
            self.session.set_config(self.session.config.with_changes(**{name: value}))
        except ConfigError as error:
            self.tasks.tell(error)
            self.session.config_changed.emit()  # the form shows what is in force

    def add_selected_to_good(self) -> None:
        """Let the next training learn from the selected images under review."""
        review = self.session.review
        self.samples.add_good([review.samples[place] for place in self.session.selection])

    def leave_selected_out(self) -> None:
        """Take the selected good parts out of the training."""
        if self.session.shown == "samples":
            self.samples.remove(self.session.selection)
