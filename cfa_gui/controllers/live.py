"""The live view: start, stop, freeze, and keep the picture as good or defect."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.errors import user_message
from cfa_gui.jobs import JobRunner
from cfa_gui.models.engine import Engine
from cfa_gui.models.live import LiveModel, LiveState
from cfa_gui.models.notices import Notices
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.settings import SettingsStore
from core.errors import CfaError
from core.line.live.cameras import FoundCamera, find_cameras
from core.line.live.figures import Counts
from core.line.live.flagged import FlaggedKeeper, FlaggedPicture
from core.line.live.frames import FrameSource
from core.line.live.line import LiveLine
from core.line.live.sources import FolderChoice, SourceChoice, VideoChoice, flows, open_source
from core.progress import CancelToken, Report

LOOK_MILLISECONDS = 16
"""Between two looks at the line: a screen shows no more."""
_FIGURES_EVERY = 12
"""Looks between two updates of the figures, five times a second: faster nobody can read."""


class Ask(Protocol):
    """The questions; dialogs answer them in the program, a fake in the tests."""

    def folder(self, title: str, folder: Path) -> Path | None:
        """Which folder; None: none."""
        ...

    def video_to_open(self, folder: Path) -> Path | None:
        """Which video; None: none."""
        ...


class LiveController(QObject):
    """Runs a line: one thread captures, the engine's thread inspects, a timer here looks at what came of it."""

    visible_changed = Signal(bool)
    """The live page is wanted, or no longer."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        capture: JobRunner,
        notices: Notices,
        settings: SettingsStore,
        ask: Ask,
        parent: QObject | None = None,
        *,
        opener: Callable[[SourceChoice], FrameSource] = open_source,
        finder: Callable[[], tuple[FoundCamera, ...]] = find_cameras,
    ) -> None:
        super().__init__(parent)
        self.model = LiveModel(self)
        self.visible = False
        self._session = session
        self._engine = engine
        self._tasks = tasks
        self._capture = capture
        self._notices = notices
        self._settings = settings
        self._ask = ask
        self._opener = opener
        self._finder = finder
        self._line: LiveLine | None = None
        self._looks = 0
        self._timer = QTimer(self, interval=LOOK_MILLISECONDS)
        self._timer.timeout.connect(self.look)
        session.threshold_changed.connect(self._on_threshold)
        preferences = settings.preferences
        self.model.watched = Path(preferences.live_watched) if preferences.live_watched else None
        self.model.video = Path(preferences.live_video) if preferences.live_video else None

    # The page

    @Slot()
    def show(self) -> None:
        """Go to the live page."""
        if not self.visible:
            self.visible = True
            self.visible_changed.emit(True)  # noqa: FBT003  a signal's argument
        if self.model.cameras is None:
            self.find_cameras()

    @Slot()
    def hide(self) -> None:
        """Go back to the images; what runs goes on."""
        if self.visible:
            self.visible = False
            self.visible_changed.emit(False)  # noqa: FBT003  a signal's argument

    # What to look at

    @Slot()
    def find_cameras(self) -> None:
        """Look for cameras, off this thread: some systems take a second."""
        if self.model.running or self._capture.busy:
            return
        finder = self._finder
        job = self._capture.submit(lambda _report, _cancel: finder())
        job.succeeded.connect(self._on_cameras)
        job.failed.connect(self._tasks.tell)

    @Slot(object)
    def _on_cameras(self, cameras: tuple[FoundCamera, ...]) -> None:
        self.model.cameras = cameras
        self.model.sources_changed.emit()

    @Slot()
    def choose_watched(self) -> None:
        """Ask for the folder to watch."""
        path = self._ask.folder("Choose the folder that the images are written to", _near(self.model.watched))
        if path is not None:
            self.model.watched = path
            self._settings.update(live_watched=str(path))
            self.model.sources_changed.emit()

    @Slot()
    def choose_video(self) -> None:
        """Ask for a video file."""
        path = self._ask.video_to_open(_near(self.model.video and self.model.video.parent))
        if path is not None:
            self.model.video = path
            self._settings.update(live_video=str(path))
            self.model.sources_changed.emit()

    # Start and stop

    @Slot(object)
    def start(self, choice: SourceChoice) -> None:
        """Look at a source."""
        session, model = self._session, self._session.model
        if not session.allowed().live or self.model.running:
            return
        line = LiveLine(session.threshold if model else None, FlaggedKeeper(separate=not flows(choice)))
        engine, device, opener = self._engine, self._settings.preferences.device, self._opener

        def capture(_report: Report, cancel: CancelToken) -> None:
            line.capture(lambda: opener(choice), cancel)

        def inspect(_report: Report, cancel: CancelToken) -> Counts:
            try:
                return line.inspect(engine.open_inspector(model, device=device) if model else None, cancel)
            finally:
                line.stop()

        self._line = line
        self._remember(choice)
        self.model.begin(choice, time.monotonic())
        # where that thread still looks for cameras, or closes the source before, this waits for it
        self._capture.submit(capture).failed.connect(self._tasks.tell)
        self._tasks.start(
            Task(RunState.LIVE, inspect, self._on_ended, failed=self._on_failed, ended=self._settle, cancelled="")
        )
        self._timer.start()

    @Slot()
    def stop(self) -> None:
        """Stop, and free the device."""
        if self._line is not None and self.model.running:
            self._line.stop()
            self._tasks.cancel()

    @Slot()
    def try_again(self) -> None:
        """Open a lost source again now, or start anew what could not be opened."""
        if self.model.state is LiveState.LOST and self._line is not None:
            self._line.try_again()
        elif not self.model.running and self.model.choice is not None:
            self.start(self.model.choice)

    def shutdown(self) -> None:
        """Stop looking; the threads are ended by those who own them."""
        self._timer.stop()
        if self._line is not None:
            self._line.stop()

    @Slot()
    def look(self) -> None:
        """Take what the line has."""
        if self._line is None:
            return
        model = self.model
        if self._session.state is RunState.CANCELLING and model.state not in (LiveState.STOPPING, LiveState.OFF):
            model.enter(LiveState.STOPPING)
        model.take(self._line.look(), self._line.flagged.latest(), time.monotonic())
        self._looks += 1
        if self._looks % _FIGURES_EVERY == 0:
            model.figures_changed.emit()

    def _settle(self) -> None:
        """The inspection is over, however it went."""
        self.look()
        self._timer.stop()
        self._line = None
        if self.model.running:
            self.model.enter(LiveState.OFF)
        self.model.figures_changed.emit()

    def _on_ended(self, _counts: Counts) -> None:
        self.model.enter(LiveState.ENDED, "The video is at its end.")

    def _on_failed(self, error: BaseException) -> None:
        text, details = user_message(error)
        self.model.enter(LiveState.FAILED, text)
        if not isinstance(error, CfaError):
            self._notices.post(text, "error", details)

    @Slot()
    def _on_threshold(self) -> None:
        if self._line is not None and self._session.model is not None:
            self._line.set_threshold(self._session.threshold)

    def _remember(self, choice: SourceChoice) -> None:
        kind = (
            "folder" if isinstance(choice, FolderChoice) else "video" if isinstance(choice, VideoChoice) else "camera"
        )
        self._settings.update(live_source=kind)
        if isinstance(choice, VideoChoice):
            self._settings.update(live_loop=choice.loop)

    # The picture

    @Slot()
    def toggle_freeze(self) -> None:
        """Hold the picture, or let it go on."""
        if self.model.shown is not None:
            self.model.freeze(on=not self.model.frozen)
            self.look()

    @Slot(object)
    def show_flagged(self, picture: FlaggedPicture) -> None:
        """Hold one of the latest flagged pictures."""
        self.model.freeze(on=True)
        self.model.show(picture.judged)


def _near(path: Path | None) -> Path:
    return path if path is not None and path.is_dir() else Path.home()
