"""Background work: the only file of the window that starts threads.

A worker never touches a Qt object but to emit its runner's wake-up signal, which carries nothing; what it has to say lies in a queue
that the GUI thread empties. So no object of Qt is made, owned or destroyed off the GUI thread. `work` must hold no Qt object either.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from core.progress import CancelToken, Report

T = TypeVar("T")
Work = Callable[[Report, CancelToken], T]


class Job(QObject):
    """One piece of background work, seen from the GUI thread. Every signal is emitted there; `finished` is always last.

    Exactly one of `succeeded`, `failed` and `cancelled` comes before `finished`. After `cancel()`, `succeeded` is not emitted any more.
    Nothing is emitted before control returns to the event loop, so connecting right after `submit` misses nothing.
    """

    progressed = Signal(object)
    """A core.progress.Progress: at most about thirty deliveries a second, latest wins; every one with a step record is kept."""
    succeeded = Signal(object)
    """The work's result."""
    failed = Signal(object)
    """The exception; see cfa_gui.errors.user_message."""
    cancelled = Signal()
    finished = Signal()

    def cancel(self) -> None:
        """Ask the work to stop; harmless when asked twice or after the end."""

    @property
    def cancel_requested(self) -> bool:
        """Whether `cancel` was called."""
        return False

    @property
    def done(self) -> bool:
        """Whether `finished` has been emitted, or is being emitted."""
        return False


class JobRunner(QObject):
    """Runs jobs one after the other on one thread. Must be shut down before it goes."""

    busy_changed = Signal(bool)
    """Whether any job is queued or running."""

    def __init__(self, name: str = "work", parent: QObject | None = None) -> None:
        super().__init__(parent)

    @property
    def busy(self) -> bool:
        """Whether any job is queued or running."""
        return False

    def submit(self, work: Callable[[Report, CancelToken], object]) -> Job:
        """Queue `work`; call on the GUI thread.

        Args:
            work: Called on the worker thread with a report and a cancel token; must hold no Qt object.

        Raises:
            RuntimeError: After `shutdown`, or from another thread.
        """
        return Job()

    def shutdown(self) -> None:
        """Cancel all, wait for the work that runs, and emit what each job still owes. Harmless when called twice."""


class LatestLoader(QObject):
    """Loads values by key on one thread of its own, newest request first: thumbnails, or the picture chosen last.

    The queue is bounded: beyond `limit` waiting keys the oldest is forgotten, and may be asked for again.
    """

    loaded = Signal(object, object)
    """Key, value; on the GUI thread."""
    failed = Signal(object, object)
    """Key, exception; on the GUI thread."""

    def __init__(
        self,
        load: Callable[[Hashable], object],
        *,
        limit: int = 128,
        name: str = "loader",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)

    def request(self, key: Hashable) -> None:
        """Ask for a key; asking again moves it to the front. Does nothing after `shutdown`."""

    def forget(self, key: Hashable) -> None:
        """Take a key back if it is still waiting."""

    def clear(self) -> None:
        """Forget all that waits, and drop the result of what is being loaded."""

    def shutdown(self) -> None:
        """Forget all and wait for the load that runs; nothing is emitted afterwards."""
