"""Background work: the only file of the window that starts threads.

A worker touches no Qt object but to emit one wake-up signal, which carries nothing; what it has to say lies in an
outbox that the GUI thread empties. So no object of Qt is made, owned or destroyed off the GUI thread. The work handed
in must hold no Qt object either.
"""

import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from core.errors import CancelledByUser
from core.progress import CancelToken, Progress, Report

Work = Callable[[Report, CancelToken], object]

DELIVERY_INTERVAL = 1 / 30
"""Seconds between two deliveries of progress to the window."""

_TURN = 0.001
"""Seconds that a thread may compute before another one that waits gets its turn. Python's own 5 ms come each time that
Qt calls back into Python, which it does thousands of times while it lays a long list out."""


def take_short_turns() -> None:
    """Let the window's thread come in quickly while workers compute in Python."""
    sys.setswitchinterval(_TURN)


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    """How one piece of work ended: with a result, or with what was raised."""

    result: object = None
    error: BaseException | None = None


class _Outbox:
    """Where a worker leaves events for the GUI thread; wakes it once for all that gather until it looks."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._events: list[tuple[int, object]] = []

    def put(self, key: int, event: object) -> None:
        """Leave an event.

        A progress report takes the place of an older one that nobody has seen and that carries no step.
        """
        with self._lock:
            first = not self._events
            if not first and _supersedes(self._events[-1], (key, event)):
                self._events[-1] = (key, event)
            else:
                self._events.append((key, event))
        if first:
            self._wake()

    def take(self) -> list[tuple[int, object]]:
        """All events, oldest first; the outbox is empty afterwards."""
        with self._lock:
            events, self._events = self._events, []
        return events


def _supersedes(old: tuple[int, object], new: tuple[int, object]) -> bool:
    """Whether nobody misses `old` once `new` is there.

    Reports of one job and one phase, the older without a step record.
    """
    before, after = old[1], new[1]
    return (
        isinstance(before, Progress)
        and isinstance(after, Progress)
        and old[0] == new[0]
        and before.phase == after.phase
        and before.step is None
    )


def _perform(key: int, work: Work, token: CancelToken, outbox: _Outbox) -> None:
    """Do one piece of work; on the worker thread."""

    def report(progress: Progress, /) -> None:
        outbox.put(key, progress)

    try:
        token.check()
        ended = _Ended(result=work(report, token))
    except BaseException as error:  # noqa: BLE001  the one place where an error crosses from the worker to the window
        ended = _Ended(error=error)
    outbox.put(key, ended)


class Job(QObject):
    """One piece of background work, seen from the GUI thread. Every signal is emitted there; `finished` is always last.

    Exactly one of `succeeded`, `failed` and `cancelled` comes before `finished`. After `cancel()` neither `progressed`
    nor `succeeded` is emitted any more; an error other than the cancelling itself is still told. Nothing is emitted
    before control returns to the event loop, so connecting right after `submit` misses nothing.
    """

    progressed = Signal(object)
    """A core.progress.Progress: about thirty deliveries a second at most, latest wins.

    Every one with a step record is kept.
    """
    succeeded = Signal(object)
    """The work's result."""
    failed = Signal(object)
    """The exception; see cfa_gui.errors.user_message."""
    cancelled = Signal()
    finished = Signal()

    def __init__(self, token: CancelToken, withdraw: Callable[[], None]) -> None:
        super().__init__()
        self._token = token
        self._withdraw = withdraw
        self._done = False

    def cancel(self) -> None:
        """Ask the work to stop; one that has not begun never begins. Harmless when asked twice or after the end."""
        if self._done or self._token.cancelled:
            return
        self._token.cancel()
        self._withdraw()

    @property
    def cancel_requested(self) -> bool:
        """Whether `cancel` was called before the end."""
        return self._token.cancelled

    @property
    def done(self) -> bool:
        """Whether the outcome is known: true from the outcome's signal on."""
        return self._done

    def settle(self, ended: object) -> None:
        """Emit the outcome; the runner emits `finished` after it."""
        self._done = True
        error = ended.error if isinstance(ended, _Ended) else None
        if isinstance(error, CancelledByUser) or (error is None and self._token.cancelled):
            self.cancelled.emit()
        elif error is not None:
            self.failed.emit(error)
        elif isinstance(ended, _Ended):
            self.succeeded.emit(ended.result)


class JobRunner(QObject):
    """Runs jobs one after the other on one thread. `shutdown` must be called before it goes.

    Args:
        name: Of the thread, for logs and debuggers.
        parent: The Qt parent.
    """

    busy_changed = Signal(bool)
    """Whether any job is queued or running."""
    _woken = Signal()

    def __init__(self, name: str = "work", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"cfa-{name}")
        self._outbox = _Outbox(self._woken.emit)
        self._inbox: deque[tuple[int, object]] = deque()
        self._jobs: dict[int, tuple[Job, Future[None]]] = {}
        self._last_key = 0
        self._home = threading.get_ident()
        self._closed = False
        self._delivered_at = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._deliver)
        self._woken.connect(self._on_woken, Qt.ConnectionType.QueuedConnection)

    @property
    def busy(self) -> bool:
        """Whether any job is queued or running; false already while the last one emits `finished`."""
        return bool(self._jobs)

    def submit(self, work: Work) -> Job:
        """Queue `work`; call on the GUI thread.

        Args:
            work: Called on the worker thread with a report and a cancel token; must hold no Qt object.

        Raises:
            RuntimeError: After `shutdown`, or from another thread.
        """
        if self._closed:
            raise RuntimeError("the job runner is shut down")
        if threading.get_ident() != self._home:
            raise RuntimeError("jobs are submitted on the GUI thread")
        self._last_key += 1
        key, token, was_busy = self._last_key, CancelToken(), self.busy
        future = self._executor.submit(_perform, key, work, token, self._outbox)
        job = Job(token, _Withdrawal(key, future, self._outbox))
        self._jobs[key] = (job, future)
        if not was_busy:
            self.busy_changed.emit(True)  # noqa: FBT003  a signal's argument
        return job

    def shutdown(self, *, finish: bool = False) -> None:
        """End the thread, and emit what each job still owes. Harmless when called twice.

        Args:
            finish: Do what is queued first; otherwise all is cancelled, and only the work that runs is waited for.
        """
        if self._closed:
            return
        self._closed = True
        for job, _ in () if finish else tuple(self._jobs.values()):
            job.cancel()
        self._executor.shutdown(wait=True)
        self._timer.stop()
        self._deliver()

    @Slot()
    def _on_woken(self) -> None:
        """Deliver now, or a little later where the last delivery was a moment ago."""
        wait = self._delivered_at + DELIVERY_INTERVAL - time.monotonic()
        if wait <= 0 or self._closed:
            self._deliver()
        elif not self._timer.isActive():
            self._timer.start(int(wait * 1000) + 1)

    @Slot()
    def _deliver(self) -> None:
        """Hand on all events in order; a slot that opens a dialog, and so enters this again, goes on where it stood."""
        self._delivered_at = time.monotonic()
        self._inbox.extend(self._outbox.take())
        while self._inbox:
            key, event = self._inbox.popleft()
            self._hand_on(key, event)

    def _hand_on(self, key: int, event: object) -> None:
        if key not in self._jobs:
            return
        job, _ = self._jobs[key]  # this name keeps the job alive until its last signal has returned
        if isinstance(event, Progress):
            if not job.cancel_requested:
                job.progressed.emit(event)
            return
        job.settle(event)
        del self._jobs[key]
        job.finished.emit()
        if not self.busy:
            self.busy_changed.emit(False)  # noqa: FBT003  a signal's argument


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    """Takes work that has not begun out of the queue, and says so."""

    key: int
    future: Future[None]
    outbox: _Outbox

    def __call__(self) -> None:
        if self.future.cancel():
            self.outbox.put(self.key, _Ended(error=CancelledByUser()))


class _LoadQueue:
    """The worker's side of a LatestLoader: holds no Qt object.

    Args:
        load: Makes the value of a key.
        limit: How many keys may wait.
        outbox: Takes (generation, (key, ended)).
    """

    def __init__(self, load: Callable[[Hashable], object], limit: int, outbox: _Outbox) -> None:
        self._load = load
        self._limit = limit
        self._outbox = outbox
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, None] = OrderedDict()
        self._working = False
        self.generation = 0

    def add(self, key: Hashable) -> bool:
        """Put a key at the front; True where the worker must be started."""
        with self._lock:
            self._waiting[key] = None
            self._waiting.move_to_end(key)
            if len(self._waiting) > self._limit:
                self._waiting.popitem(last=False)
            start, self._working = not self._working, True
        return start

    def clear(self) -> None:
        """Forget all; what is being loaded belongs to a generation that has passed."""
        with self._lock:
            self._waiting.clear()
            self.generation += 1

    def run(self) -> None:
        """Load until nothing waits; on the worker thread."""
        while (request := self._next()) is not None:
            generation, key = request
            try:
                ended = _Ended(result=self._load(key))
            except Exception as error:  # noqa: BLE001  crosses from the worker to the window
                ended = _Ended(error=error)
            self._outbox.put(generation, (key, ended))

    def _next(self) -> tuple[int, Hashable] | None:
        with self._lock:
            if not self._waiting:
                self._working = False
                return None
            key, _ = self._waiting.popitem(last=True)
            return self.generation, key


class LatestLoader(QObject):
    """Loads values by key on one thread of its own, newest request first: thumbnails, or the picture chosen last.

    The queue is bounded: beyond `limit` waiting keys the oldest is forgotten, and may be asked for again. `shutdown`
    must be called before it goes.

    Args:
        load: Makes the value of a key, on the worker thread; must hold no Qt object. What it raises is told by
            `failed`.
        limit: How many keys may wait; 1 keeps only the latest.
        name: Of the thread, for logs and debuggers.
        parent: The Qt parent.
    """

    loaded = Signal(object, object)
    """Key, value; on the GUI thread."""
    failed = Signal(object, object)
    """Key, exception; on the GUI thread."""
    _woken = Signal()

    def __init__(
        self,
        load: Callable[[Hashable], object],
        *,
        limit: int = 128,
        name: str = "loader",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"cfa-{name}")
        self._outbox = _Outbox(self._woken.emit)
        self._queue = _LoadQueue(load, limit, self._outbox)
        self._closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def request(self, key: Hashable) -> None:
        """Ask for a key; asking again moves it to the front. Does nothing after `shutdown`."""
        if not self._closed and self._queue.add(key):
            self._executor.submit(self._queue.run)

    def clear(self) -> None:
        """Forget all that waits, and drop the result of what is being loaded."""
        self._queue.clear()

    def shutdown(self) -> None:
        """Forget all and wait for the load that runs; nothing is emitted afterwards."""
        self._closed = True
        self._queue.clear()
        self._executor.shutdown(wait=True)

    @Slot()
    def _deliver(self) -> None:
        for generation, event in self._outbox.take():
            if generation == self._queue.generation and isinstance(event, tuple):
                key, ended = event
                if ended.error is None:
                    self.loaded.emit(key, ended.result)
                else:
                    self.failed.emit(key, ended.error)
