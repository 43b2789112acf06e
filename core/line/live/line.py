"""Frames in, verdicts out: the line behind a live view. The newest frame wins, every verdict is counted.

Two threads of the caller's run `capture` and `inspect`; a third looks. What waits between them is one frame and one
result, so memory does not grow, however long it runs and however slow one side is.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from core.errors import SourceError
from core.line.live.figures import FIELD_OF, Counts, Latencies, Latency, Rate
from core.line.live.flagged import FlaggedKeeper
from core.line.live.frames import Frame, FrameSource, Newest, Taken
from core.line.live.judged import Inspect, Judged, judge_picture
from core.progress import CancelToken
from core.threshold import Threshold

POLL_SECONDS = 0.05
"""How long a thread waits before it looks whether it should stop."""
RETRY_SECONDS = 1.0
"""Between two attempts to open a lost source again."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The state of a line at one moment.

    Attributes:
        judged: The newest picture, if there is a newer one than at the last look.
        counts: Since the start.
        received: Pictures per second that the source gives.
        inspected: Pictures per second that are looked at.
        latency: From the source to the verdict.
        source: What the source says it gives; empty until it is open.
        lost: Why it gives nothing at the moment; empty where all is well.
    """

    judged: Judged | None
    counts: Counts
    received: float
    inspected: float
    latency: Latency | None
    source: str
    lost: str


class LiveLine:
    """Everything that the threads of a live view share.

    Args:
        threshold: What verdicts follow from; may be changed at any time with `set_threshold`.
        flagged: Keeps the latest flagged pictures.
    """

    def __init__(self, threshold: Threshold | None, flagged: FlaggedKeeper | None = None) -> None:
        self.flagged = flagged or FlaggedKeeper()
        self._threshold = threshold
        self._newest = Newest()
        self._stop = threading.Event()
        self._again = threading.Event()
        self._captured = threading.Event()
        self._error: SourceError | None = None
        self._opened = False
        self._lock = threading.Lock()
        self._judged: Judged | None = None
        self._counts = Counts()
        self._received, self._inspected = Rate(), Rate()
        self._latencies = Latencies()
        self._source = self._lost = ""

    def set_threshold(self, threshold: Threshold | None) -> None:
        """Judge what comes from now on by this."""
        self._threshold = threshold

    def stop(self) -> None:
        """End both loops soon."""
        self._stop.set()
        self._again.set()

    def try_again(self) -> None:
        """Do not wait for the next attempt to open a lost source."""
        self._again.set()

    def look(self) -> Look:
        """What there is to show; from any thread."""
        now = time.monotonic()
        with self._lock:
            judged, self._judged = self._judged, None
            return Look(
                judged,
                self._counts,
                self._received.value(now),
                self._inspected.value(now),
                self._latencies.value(),
                self._source,
                self._lost,
            )

    # The capturing thread

    def capture(self, open_source: Callable[[], FrameSource], cancel: CancelToken) -> None:
        """Take pictures from a source until it ends, it fails for good, or someone stops the line.

        A source that is lost is opened again and again. One that cannot be opened at first ends the line; `inspect`
        raises why. The source is closed in any case.

        Args:
            open_source: Opens it.
            cancel: Checked about every 50 ms, where the device lets it.

        Raises:
            CancelledByUser: The token was set.
        """
        try:
            self._keep_open(open_source, cancel)
        except SourceError as error:
            self._error = error
        finally:
            self._captured.set()

    def _keep_open(self, open_source: Callable[[], FrameSource], cancel: CancelToken) -> None:
        while not self._stop.is_set() and (lost := self._take_until_lost(open_source, cancel)):
            self._tell("", lost)
            self._wait_to_try_again(cancel)

    def _take_until_lost(self, open_source: Callable[[], FrameSource], cancel: CancelToken) -> str:
        """Returns why the source was lost; empty where it ended, or the line was stopped."""
        try:
            with closing(open_source()) as source:
                self._opened = True
                self._tell(source.description, "")
                self._pump(source, cancel)
        except SourceError as error:
            if not self._opened:
                raise
            return str(error)
        return ""

    def _pump(self, source: FrameSource, cancel: CancelToken) -> None:
        while not (source.ended or self._stop.is_set()):
            cancel.check()
            taken = source.read(POLL_SECONDS)
            if taken is not None:
                self._receive(taken)

    def _receive(self, taken: Taken) -> None:
        replaced = self._newest.put(taken)
        passed = taken.passed if isinstance(taken, Frame) else 0
        with self._lock:
            self._received.note(time.monotonic())
            counts = self._counts
            self._counts = replace(
                counts, received=counts.received + 1 + passed, skipped=counts.skipped + passed + int(replaced)
            )

    def _wait_to_try_again(self, cancel: CancelToken) -> None:
        deadline = time.monotonic() + RETRY_SECONDS
        while not self._again.wait(POLL_SECONDS) and time.monotonic() < deadline:
            cancel.check()
        if not self._stop.is_set():
            self._again.clear()

    def _tell(self, source: str, lost: str) -> None:
        with self._lock:
            self._source, self._lost = source, lost

    # The inspecting thread

    def inspect(self, inspect: Inspect | None, cancel: CancelToken) -> Counts:
        """Judge the newest picture, again and again, until the source has ended or someone stops the line.

        Args:
            inspect: Says what it finds in a picture; None: pictures are only handed on.
            cancel: Checked before each picture, and about every 50 ms.

        Returns:
            What came of all pictures.

        Raises:
            CancelledByUser: The token was set.
            SourceError: The source could not be opened, or failed for good.
            DeviceError: Too little memory.
        """
        try:
            while not self._stop.is_set():
                cancel.check()
                over = self._captured.is_set()  # asked before the last look: what came until then is still judged
                taken = self._newest.take(POLL_SECONDS)
                if taken is not None:
                    self._judge(taken, inspect)
                elif over:
                    break
        finally:
            self.stop()
        if self._error is not None:
            raise self._error
        return self._counts

    def _judge(self, taken: Taken, inspect: Inspect | None) -> None:
        judged = judge_picture(taken, inspect, self._threshold)
        name = FIELD_OF[judged.verdict] if not judged.message else "unreadable"
        now = time.monotonic()
        self.flagged.note(judged)
        with self._lock:
            self._counts = replace(self._counts, **{name: getattr(self._counts, name) + 1})
            self._inspected.note(now)
            self._latencies.note(now - judged.taken_at)
            self._judged = judged
