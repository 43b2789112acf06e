"""Watch a folder: inspect each image once, as soon as it is completely written, and bring the result to its targets.

An image is known by its name and its content. The same name with new content is a new image; the same content under the
same name, however often it is written, is not; the same content under two names is two images. What was moved away by
the watch itself counts as new when it comes back.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from core.errors import ConfigError, DatasetError, OutputError
from core.line.watching.arrivals import NotYet, Settling, Stamp, WatchedFolder
from core.line.watching.courier import Courier
from core.line.watching.events import Events
from core.line.watching.ledger import Ledger, Sorting
from core.line.watching.listener import Heartbeat, Listener, Troubles
from core.line.watching.results import Outcome, Result
from core.line.watching.sorting import FOLDERS, place_for, sort_image
from core.line.watching.targets.target import Target
from core.progress import CancelToken

_LONGEST_WAIT = 0.25
"""Seconds until a wish to end is heard at the latest."""
_RESCAN_SECONDS = 10.0
"""Between scans, where the platform tells of new files."""
_DEAF_SECONDS = 2.0
"""Between scans, where it does not."""
_SCAN_SHARE = 0.05
"""Scanning may take this share of the time: a folder with very many images is scanned more rarely."""
_RETRY_SECONDS = 30.0
"""Between tries to sort what could not be sorted."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a watch works.

    Attributes:
        poll: Seconds between scans; None: the platform tells of new files, and the folder is scanned every 10 s to be
            sure.
        settle: Seconds for which a file must stand still to count as completely written.
        patience: Seconds for which a file that cannot be read is given time, from when it stands still.
        sort: Where the verdicts' folders are, into which the images go; None: they stay.
        copy: Sort by copying, not by moving.
        once: End when what is there is done.
        queue: Results that may wait for a target.
        heartbeat: Seconds between heartbeats.
    """

    poll: float | None = None
    settle: float = 1.0
    patience: float = 10.0
    sort: Path | None = None
    copy: bool = False
    once: bool = False
    queue: int = 100_000
    heartbeat: float = 60.0


class Judging(Protocol):
    """Makes results; `core.line.watching.judging.Judge` does it with a model."""

    @property
    def overlays(self) -> Path | None:
        """The folder for the pictures with the heat map over them."""
        ...

    def result(self, name: str, data: bytes) -> Result:
        """The result for one image, without a number."""
        ...

    def unreadable(self, name: str, message: str, digest: str) -> Result:
        """The result for an image that cannot be read."""
        ...


class Watch:
    """One watch of one folder; `run` does all."""

    def __init__(
        self,
        folder: Path,
        judge: Judging,
        ledger: Ledger,
        targets: Sequence[Target],
        options: Options,
        listener: Listener,
    ) -> None:
        """Prepare; nothing is looked at yet.

        Args:
            folder: What is watched, with its subfolders.
            judge: The model and its threshold.
            ledger: Of this folder.
            targets: Where results go.
            options: How.
            listener: Is told what happens.

        Raises:
            ConfigError: Pictures would be written into the watched folder, and inspected in their turn.
        """
        self._judge, self._ledger, self._options = judge, ledger, options
        self._listener = listener
        written = _written_folders(judge, options)
        _require_apart(folder, written)
        self._folder = WatchedFolder(folder, left_out=written)
        self._settling = Settling(options.settle)
        self._events = Events(self._folder)
        self._troubles = Troubles(listener)
        self._known: dict[str, Stamp] = {}
        self._ready: deque[tuple[str, Stamp]] = deque()
        self._queued: set[str] = set()
        self._doubts: dict[str, tuple[Stamp, float]] = {}
        self._counts: Counter[Outcome] = Counter()
        self._numbers = [ledger.target(target.address) for target in targets]
        self._targets = targets
        self._couriers: list[Courier] = []
        self._to_sort = ledger.to_sort()
        self._planned = {sorting.result.sorted for sorting in self._to_sort}
        self._next_scan = self._next_sorting = 0.0
        self._scan_seconds = options.poll or _RESCAN_SECONDS
        self._listened_to: tuple[int, int] | None = None

    def run(self, cancel: CancelToken) -> Heartbeat:
        """Watch until told to end, or, with `once`, until what is there is done.

        Returns:
            How the watch stands at the end.

        Raises:
            DatasetError: The folder is not there at the start.
            DeviceError: Too little memory.
            StoreError: The ledger cannot be written.
            OutputError: An overlay cannot be written.
        """
        began = time.monotonic()
        next_heartbeat = began + self._options.heartbeat
        next(iter(self._folder.scan()), None)
        self._listen()
        self._couriers = [self._courier(n, target) for n, target in zip(self._numbers, self._targets, strict=True)]
        try:
            while not cancel.cancelled and not self._finished():
                self._step()
                if time.monotonic() >= next_heartbeat:
                    next_heartbeat += self._options.heartbeat
                    self._listener.heartbeat(self._state(began))
        finally:
            self._events.stop()
            for courier in self._couriers:
                courier.stop()
        self._check_couriers()
        state = self._state(began)
        self._listener.heartbeat(state)
        return state

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Look, inspect one image, sort, or wait for something to happen."""
        self._hear(self._events.take(self._idle_seconds()))
        now = time.monotonic()
        if now >= self._next_scan:
            self._scan()
        for name, stamp in self._settling.settled(now, self._folder.stamp):
            self._ready.append((name, stamp))
            self._queued.add(name)
        if self._ready:
            name, stamp = self._ready.popleft()
            self._queued.discard(name)
            self._inspect(name, stamp)
        if self._to_sort and now >= self._next_sorting:
            self._sort()
        self._check_couriers()

    def _idle_seconds(self) -> float:
        """How long nothing needs to be done unless something happens."""
        if self._ready:
            return 0.0
        due = [self._next_scan]
        settled = self._settling.next_due()
        if settled is not None:
            due.append(settled)
        return min(_LONGEST_WAIT, max(0.0, min(due) - time.monotonic()))

    def _finished(self) -> bool:
        """Whether a watch that is to end by itself has done all it can."""
        if not self._options.once or self._next_scan == 0.0 or self._ready or len(self._settling):
            return False
        return all(courier.has_done_what_it_can for courier in self._couriers)

    def _listen(self) -> None:
        """Let the system tell of new files; anew where the folder has been away, for it tells of the old one only."""
        if self._options.poll is not None or self._options.once:
            return
        identity = self._folder.identity()
        if identity is None or identity == self._listened_to:
            return
        if self._listened_to is not None:
            self._events.stop()
            self._events = Events(self._folder)
        self._listened_to = identity
        try:
            self._events.start()
        except OSError as error:
            self._scan_seconds = _DEAF_SECONDS
            self._listener.noted(
                f"The system does not tell of new files ({error.strerror or error}): the folder is scanned every "
                f"{_DEAF_SECONDS:g} s instead."
            )

    def _hear(self, heard: tuple[dict[str, bool], bool]) -> None:
        names, scan = heard
        now = time.monotonic()
        for name, closed in names.items():
            stamp = self._folder.stamp(name)
            if stamp is not None and self._known_stamp(name) != stamp:
                self._settling.saw(name, stamp, now, closed=closed)
        if scan:
            self._next_scan = now

    def _scan(self) -> None:
        began = time.monotonic()
        present: dict[str, Stamp] = {}
        try:
            for name, stamp in self._folder.scan():
                known = self._known_stamp(name)
                if known is not None:
                    present[name] = known
                if known != stamp and name not in self._settling and name not in self._queued:
                    self._settling.saw(name, stamp, time.monotonic())
        except DatasetError as error:
            self._troubles.say(str(self._folder.root), str(error))
        else:
            self._known = present
            self._listen()
            self._troubles.say(str(self._folder.root), "")
        now = time.monotonic()
        self._next_scan = now + max(self._scan_seconds, (now - began) / _SCAN_SHARE)

    def _known_stamp(self, name: str) -> Stamp | None:
        """The stamp that an image had when it was last inspected; None: never."""
        if name not in self._known:
            stamp = self._ledger.known(name)
            if stamp is None:
                return None
            self._known[name] = stamp
        return self._known[name]

    # --- one image ----------------------------------------------------------------------------------------------------

    def _inspect(self, name: str, stamp: Stamp) -> None:
        if self._known_stamp(name) == stamp:
            return
        try:
            data = self._folder.read(name, stamp)
        except NotYet as reason:
            self._try_later(name, stamp, str(reason))
            return
        result = self._judge.result(name, data)
        if result.verdict is Outcome.UNREADABLE and self._doubt(name, stamp):
            return
        if self._ledger.seen_again(name, stamp, result.sha256):
            self._done_with(name, stamp)
        else:
            self._keep(result, stamp)

    def _try_later(self, name: str, stamp: Stamp, reason: str) -> None:
        """An image that was written to meanwhile, is gone, or cannot be opened."""
        now = self._folder.stamp(name)
        if now is None:
            self._doubts.pop(name, None)
        elif now != stamp:
            self._doubts.pop(name, None)
            self._settling.saw(name, now, time.monotonic())
        elif not self._doubt(name, stamp):
            self._keep(self._judge.unreadable(name, f"{name} cannot be opened ({reason}).", ""), stamp)

    def _doubt(self, name: str, stamp: Stamp) -> bool:
        """Whether an image that stands still but cannot be read should be given time; its writer may have stalled."""
        now = time.monotonic()
        doubted, until = self._doubts.get(name, (None, 0.0))
        if doubted != stamp:
            until = now + self._options.patience
            self._doubts[name] = (stamp, until)
        if now >= until:
            return False
        self._settling.wait_longer(name, stamp, until)
        return True

    def _keep(self, result: Result, stamp: Stamp) -> None:
        """Have a result on the disk, then tell of it."""
        copied, moved = self._options.copy, not self._options.copy
        if self._options.sort is None or not result.sha256:
            copied = moved = False
        else:
            place = place_for(self._options.sort, result.verdict, result.path, self._planned)
            result = replace(result, sorted=str(place))
            self._planned.add(str(place))
        kept = self._ledger.add(result, stamp, self._numbers, moved=moved, copied=copied)
        self._done_with(result.path, stamp)
        self._counts[kept.verdict] += 1
        for courier in self._couriers:
            courier.nudge()
        if moved or copied:
            self._to_sort.append(Sorting(kept, stamp, copied))
        self._listener.inspected(kept)

    def _done_with(self, name: str, stamp: Stamp) -> None:
        self._doubts.pop(name, None)
        self._known[name] = stamp

    # --- what follows from it -----------------------------------------------------------------------------------------

    def _sort(self) -> None:
        """Move or copy what waits for it; what cannot be sorted now is tried again later."""
        left = []
        for sorting in self._to_sort:
            try:
                sort_image(self._folder, sorting)
            except OutputError as error:
                left.append(sorting)
                self._troubles.say("Sorting", str(error))
                continue
            self._ledger.is_sorted(sorting)
            self._planned.discard(sorting.result.sorted)
            if not sorting.copied:
                self._known.pop(sorting.result.path, None)
        self._to_sort = left
        if left:
            self._next_sorting = time.monotonic() + _RETRY_SECONDS
        else:
            self._troubles.say("Sorting", "")

    def _courier(self, number: int, target: Target) -> Courier:
        return Courier(target, lambda: self._ledger.outbox(number), self._options.queue, self._wake)

    def _wake(self) -> None:
        """A courier has news. Called on its thread."""
        self._events.wake()

    def _check_couriers(self) -> None:
        for courier in self._couriers:
            courier.check()
            state = courier.state
            self._troubles.say(state.address, state.trouble)

    def _state(self, began: float) -> Heartbeat:
        return Heartbeat(
            counts={outcome: self._counts[outcome] for outcome in Outcome},
            waiting=len(self._ready) + len(self._settling),
            to_sort=len(self._to_sort),
            deliveries=tuple(courier.state for courier in self._couriers),
            trouble=self._troubles.of(str(self._folder.root)),
            seconds=round(time.monotonic() - began, 1),
        )


def _written_folders(judge: Judging, options: Options) -> list[Path]:
    """Where the watch itself writes pictures."""
    folders = [] if judge.overlays is None else [judge.overlays]
    if options.sort is not None:
        folders += [options.sort / name for name in FOLDERS.values()]
    return folders


def _require_apart(folder: Path, written: Sequence[Path]) -> None:
    watched = Path(os.path.realpath(folder))
    for place in written:
        if watched.is_relative_to(os.path.realpath(place)):
            raise ConfigError(
                f"Pictures would be written to {place}, which holds the watched folder {folder}: they would be taken "
                "for new images. Name another folder for them."
            )
