"""Runs the one long task of the moment and keeps the run state true to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from cfa_gui.errors import user_message
from cfa_gui.jobs import Job, JobRunner
from cfa_gui.models.notices import Notices
from cfa_gui.models.pace import Pace, Paced
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from core.progress import CancelToken, Progress, Report

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """What to do, and what to do with its outcome.

    Attributes:
        state: The run state meanwhile.
        work: Runs on the worker thread; holds no Qt object.
        done: Receives the result, with the state IDLE again.
        progressed: Called with each report, after the session has announced it.
        failed: Receives the exception in place of the usual message.
        ended: Called last, however it went.
        cancelled: What is said where the user cancelled; empty: nothing.
        pace: Makes estimates from its reports; None: phase by phase.
    """

    state: RunState
    work: Callable[[Report, CancelToken], T]
    done: Callable[[T], object]
    progressed: Callable[[Progress], object] | None = None
    failed: Callable[[BaseException], object] | None = None
    ended: Callable[[], object] | None = None
    cancelled: str = "Cancelled."
    pace: Paced | None = None


class Tasks(QObject):
    """Submits tasks; one at a time."""

    ended = Signal()
    """The state is IDLE again; emitted before the task's own `done`."""

    def __init__(self, session: Session, runner: JobRunner, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._notices = notices
        self._task: Task[Any] | None = None
        self._job: Job | None = None
        self._pace: Paced = Pace()
        self._outcome: Callable[[], object] | None = None

    def start(self, task: Task[Any], runner: JobRunner | None = None) -> None:
        """Begin a task.

        Args:
            task: What to do.
            runner: Where, if not with the engine.

        Raises:
            ImpossibleTransitionError: Another one is at work; the session's `allowed` would have said so.
        """
        self._session.enter(task.state)
        self._task = task
        self._pace = task.pace or Pace()
        self._outcome = None
        self._job = job = (runner or self._runner).submit(task.work)
        job.progressed.connect(self._on_progressed)
        job.succeeded.connect(self._on_succeeded)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        job.finished.connect(self._on_finished)

    @Slot()
    def cancel(self) -> None:
        """Ask the task to stop; nothing where none is at work."""
        if self._job is not None and self._session.allowed().cancel:
            self._session.enter(RunState.CANCELLING)
            self._job.cancel()

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        self._session.report(progress, self._pace.update(progress, time.monotonic()))
        if self._task is not None and self._task.progressed is not None:
            self._task.progressed(progress)

    @Slot(object)
    def _on_succeeded(self, result: object) -> None:
        task = self._task
        if task is not None:
            self._outcome = lambda: task.done(result)

    @Slot(object)
    def _on_failed(self, error: BaseException) -> None:
        task = self._task
        if task is not None and task.failed is not None:
            handler = task.failed
            self._outcome = lambda: handler(error)
        else:
            self._outcome = lambda: self.tell(error)

    @Slot()
    def _on_cancelled(self) -> None:
        sentence = self._task.cancelled if self._task else ""
        self._outcome = (lambda: self._notices.post(sentence)) if sentence else None

    @Slot()
    def _on_finished(self) -> None:
        task, outcome = self._task, self._outcome
        self._task = self._job = self._outcome = None
        if task is not None and task.ended is not None:
            task.ended()
        self._session.enter(RunState.IDLE)
        self.ended.emit()
        if outcome is not None:
            outcome()

    def tell(self, error: BaseException) -> None:
        """Say what went wrong."""
        text, details = user_message(error)
        self._notices.post(text, "error", details)
