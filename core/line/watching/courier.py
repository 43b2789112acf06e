"""Brings results to one target, on a thread of its own, so that a target that is out of reach holds up nothing.

What cannot be delivered waits on the disk, in the ledger; it is tried again after a time that doubles with each
failure.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from core.errors import RefusedError, TargetError
from core.line.watching.ledger import Outbox
from core.line.watching.results import Result
from core.line.watching.targets.target import Target

BATCH = 200
"""Results that are delivered in one go."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between tries."""
LAST_SECONDS = 10.0
"""For what waits when the watch is to end; the rest goes at the next start."""
MOST_TRIES = 3
"""A result that its receiver refuses so often is given up, so that those behind it get through."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a target stands.

    Attributes:
        address: The target.
        waiting: Results that wait for it.
        delivered: Results that it has got, ever.
        given_up: Results that it was not to get any more, ever: refused, or too many waited.
        trouble: Why it gets nothing at the moment; empty: all is well.
    """

    address: str
    waiting: int
    delivered: int
    given_up: int
    trouble: str


class Courier:
    """Delivers what is in a queue until told to stop."""

    def __init__(self, target: Target, outbox: Callable[[], Outbox], most: int, changed: Callable[[], None]) -> None:
        """Begin.

        Args:
            target: Where to.
            outbox: Opens the queue; called on the courier's thread.
            most: Results that may wait; of more, those that wait longest are given up.
            changed: Called, on the courier's thread, when trouble begins or ends, and when all is delivered.
        """
        self._target = target
        self._most = most
        self._changed = changed
        self._go = threading.Event()
        self._nudges, self._heeded = 0, -1
        self._ending = threading.Event()
        self._end = 0.0
        self._failures = 0
        self._refusals = 0
        self._state = Delivery(target.address, 0, 0, 0, "")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="courier")
        self._done: Future[None] = self._executor.submit(self._run, outbox)

    @property
    def state(self) -> Delivery:
        """How the target stands; may be a moment old."""
        return self._state

    @property
    def has_done_what_it_can(self) -> bool:
        """Whether all that it was nudged for is delivered, or the target did not take it again and again."""
        return self._heeded == self._nudges and (not self._state.waiting or self._failures >= MOST_TRIES)

    def nudge(self) -> None:
        """There is something to deliver. For one thread."""
        self._nudges += 1
        self._go.set()

    def check(self) -> None:
        """Raise what ended the thread, if anything did: the ledger cannot be read or written, or a bug."""
        if self._done.done():
            self._done.result()

    def stop(self) -> None:
        """Deliver what waits, if the target takes it without trouble and in a few seconds, then end."""
        self._end = time.monotonic() + LAST_SECONDS
        self._ending.set()
        self._go.set()
        self._executor.shutdown(wait=True)

    def _run(self, outbox: Callable[[], Outbox]) -> None:
        with outbox() as queue:
            try:
                while self._step(queue):
                    pass
            finally:
                self._target.close()
                self._changed()

    def _step(self, queue: Outbox) -> bool:
        """Deliver a batch, or wait for one; False: it is time to end."""
        self._go.clear()
        nudges = self._nudges
        queue.shorten(self._most)
        batch = queue.waiting(BATCH)
        before = self._state
        trouble = self._deliver(queue, batch) if batch else ""
        self._state = Delivery(self._target.address, *queue.counts(), trouble)
        self._heeded = nudges
        if before.trouble != trouble or (batch and not self._state.waiting):
            self._changed()
        if self._ending.is_set():
            return bool(self._state.waiting) and not trouble and time.monotonic() < self._end
        if trouble:
            self._ending.wait(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 10)))
        elif not self._state.waiting:
            self._go.wait()
        return True

    def _deliver(self, queue: Outbox, batch: Sequence[Result]) -> str:
        """Deliver what can be, take it out of the queue; returns what is in the way of the rest."""
        got: list[Result] = []
        trouble = ""
        try:
            for result in self._target.deliver(batch):
                got.append(result)  # noqa: PERF402  those before a failure are kept
        except RefusedError as error:
            trouble = self._refused(queue, batch[len(got)], str(error), first=bool(got))
        except TargetError as error:
            trouble = str(error)
        queue.delivered(got)
        if got or not trouble:
            self._failures = 0
        self._failures += bool(trouble)
        return trouble

    def _refused(self, queue: Outbox, result: Result, sentence: str, *, first: bool) -> str:
        """Give a result up when it was refused often enough in a row; else it is tried again."""
        self._refusals = 1 if first else self._refusals + 1
        if self._refusals < MOST_TRIES:
            return sentence
        self._refusals = 0
        queue.give_up([result])
        return ""
