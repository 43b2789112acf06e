"""The live view's state: what is looked at, what was found last, and how it goes. Holds no widget."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from core.line.live.cameras import FoundCamera
from core.line.live.figures import Counts, Latencies, Latency, Rate
from core.line.live.flagged import FlaggedPicture
from core.line.live.judged import Judged
from core.line.live.line import Look
from core.line.live.sources import SourceChoice, flows
from core.threshold import Verdict

STALE_SECONDS = 2.0
"""A source that flows and has shown nothing new for so long has no verdict any more."""


class LiveState(StrEnum):
    """What the live view is doing."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    LOST = "lost"
    STOPPING = "stopping"
    ENDED = "ended"
    FAILED = "failed"


_AT_REST = frozenset({LiveState.OFF, LiveState.ENDED, LiveState.FAILED})
_ENDINGS = _AT_REST | {LiveState.STOPPING}
_NEXT: dict[LiveState, frozenset[LiveState]] = {
    LiveState.OFF: frozenset({LiveState.STARTING, LiveState.ENDED, LiveState.FAILED}),  # why is told a moment later
    LiveState.ENDED: frozenset({LiveState.STARTING, LiveState.OFF}),
    LiveState.FAILED: frozenset({LiveState.STARTING, LiveState.OFF}),
    LiveState.STARTING: _ENDINGS | {LiveState.RUNNING, LiveState.LOST},
    LiveState.RUNNING: _ENDINGS | {LiveState.LOST},
    LiveState.LOST: _ENDINGS | {LiveState.RUNNING},
    LiveState.STOPPING: _AT_REST,
}


class Lamp(StrEnum):
    """What the lamp says."""

    OFF = "off"
    WAITING = "waiting"
    GOOD = "good"
    UNCERTAIN = "uncertain"
    DEFECT = "defect"
    UNREADABLE = "unreadable"
    NO_PICTURE = "no picture"
    NO_VERDICT = "no verdict"


_VERDICTS = {Verdict.GOOD: Lamp.GOOD, Verdict.UNCERTAIN: Lamp.UNCERTAIN, Verdict.DEFECT: Lamp.DEFECT}


@dataclass(frozen=True, slots=True)
class Figures:
    """The running figures.

    Attributes:
        counts: Since the start.
        received: Pictures per second that the source gives.
        inspected: Pictures per second that are looked at.
        shown: Pictures per second on the screen.
        latency: From the source to the screen; None where nothing is painted.
    """

    counts: Counts = field(default_factory=Counts)
    received: float = 0.0
    inspected: float = 0.0
    shown: float = 0.0
    latency: Latency | None = None


def lamp_of(judged: Judged) -> Lamp:
    """What the lamp says of a picture."""
    if judged.message:
        return Lamp.UNREADABLE
    return Lamp.NO_VERDICT if judged.verdict is None else _VERDICTS[judged.verdict]


class LiveModel(QObject):
    """Changed by the live controller alone; panels read it."""

    state_changed = Signal()
    """The state, why it is so, or what the source gives."""
    picture_changed = Signal()
    """Another picture is to be shown, or none."""
    frozen_changed = Signal()
    figures_changed = Signal()
    flagged_changed = Signal()
    sources_changed = Signal()
    """The cameras, or what is chosen to look at."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = LiveState.OFF
        self.message = ""
        self.source = ""
        self.choice: SourceChoice | None = None
        self.cameras: tuple[FoundCamera, ...] | None = None
        self.watched: Path | None = None
        self.video: Path | None = None
        self.shown: Judged | None = None
        self.frozen = False
        self.stale = False
        self.figures = Figures()
        self.flagged: tuple[FlaggedPicture, ...] = ()
        self._shown = Rate()
        self._latencies = Latencies()
        self._started_at = 0.0
        self._latest_at = 0.0

    @property
    def running(self) -> bool:
        """Whether a source is open, or is being opened or closed."""
        return self.state not in _AT_REST

    @property
    def lamp(self) -> Lamp:
        """What the lamp says; a verdict only while it is of a picture that has just come, or is frozen on purpose."""
        if self.shown is not None and self.frozen:
            return lamp_of(self.shown)
        if self.state is LiveState.STARTING:
            return Lamp.WAITING
        if self.state is not LiveState.RUNNING:
            return Lamp.NO_PICTURE if self.state in (LiveState.LOST, LiveState.FAILED) else Lamp.OFF
        if self.stale:
            return Lamp.NO_PICTURE
        return Lamp.WAITING if self.shown is None else lamp_of(self.shown)

    def enter(self, state: LiveState, message: str = "") -> None:
        """Change the state.

        Args:
            state: The new one.
            message: Why, for the user.

        Raises:
            RuntimeError: It cannot follow the present one: a bug.
        """
        if state is self.state and message == self.message:
            return
        if state is not self.state and state not in _NEXT[self.state]:
            raise RuntimeError(f"{self.state} cannot become {state}")
        self.state, self.message = state, message
        self.state_changed.emit()

    def begin(self, choice: SourceChoice, now: float) -> None:
        """A source is being opened: figures and pictures of the one before go.

        Args:
            choice: What is opened.
            now: Seconds of `time.monotonic`.
        """
        self.choice = choice
        self.source = ""
        self._shown, self._latencies = Rate(), Latencies()
        self._latest_at = now
        self.stale = False
        self.figures = Figures()
        self.show(None)
        self.freeze(on=False)
        self.set_flagged(())
        self.enter(LiveState.STARTING)
        self.figures_changed.emit()

    def take(self, look: Look, flagged: tuple[FlaggedPicture, ...], now: float) -> None:
        """What the line has to say at this moment.

        Args:
            look: The line's state.
            flagged: The latest flagged pictures.
            now: Seconds of `time.monotonic`.
        """
        if look.judged is not None:
            self._latest_at = now
        self._follow(look)
        self._set_stale(now)
        if look.judged is not None and not self.frozen:
            self.show(look.judged)
        self.set_flagged(flagged)
        latency = self._latencies.value()
        self.figures = Figures(look.counts, look.received, look.inspected, self._shown.value(now), latency)

    def _follow(self, look: Look) -> None:
        """The state that follows from what the line says."""
        if look.source != self.source:
            self.source = look.source
            self.state_changed.emit()
        if self.state not in (LiveState.STARTING, LiveState.RUNNING, LiveState.LOST):
            return
        if look.lost:
            self.enter(LiveState.LOST, look.lost)
        elif look.judged is not None or (look.source and self.state is LiveState.LOST):
            self.enter(LiveState.RUNNING)
        elif look.source and self.choice is not None and not flows(self.choice):
            self.enter(LiveState.RUNNING)  # an empty folder is being watched all the same

    def _set_stale(self, now: float) -> None:
        stale = (
            self.state is LiveState.RUNNING
            and self.choice is not None
            and flows(self.choice)
            and now - self._latest_at > STALE_SECONDS
        )
        if stale != self.stale:
            self.stale = stale
            self.state_changed.emit()

    def show(self, judged: Judged | None) -> None:
        """Show a picture, or none."""
        if judged is not self.shown:
            self.shown = judged
            self.picture_changed.emit()

    def freeze(self, *, on: bool) -> None:
        """Hold the picture; what comes is inspected and counted all the same."""
        if on != self.frozen:
            self.frozen = on
            self.frozen_changed.emit()

    def set_flagged(self, flagged: tuple[FlaggedPicture, ...]) -> None:
        """The latest flagged pictures, newest first."""
        if flagged is not self.flagged and (flagged or self.flagged):
            self.flagged = flagged
            self.flagged_changed.emit()

    def note_painted(self, taken_at: float, now: float) -> None:
        """A picture has just been painted.

        Args:
            taken_at: When the source gave it, seconds of `time.monotonic`.
            now: The same clock.
        """
        self._shown.note(now)
        self._latencies.note(now - taken_at)
