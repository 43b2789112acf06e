"""The latest flagged pictures, in bounded memory."""

import threading
import time
from dataclasses import dataclass

from core.line.live.judged import Judged
from core.threshold import Verdict

MOST = 12
BUDGET = 96 * 1024 * 1024
"""Bytes of pictures and maps; with a camera of many megapixels fewer are kept, but always one."""


@dataclass(frozen=True, slots=True, eq=False)
class FlaggedPicture:
    """One of the strip.

    Attributes:
        number: Counts up, so that each can be told from every other one.
        judged: The picture with its score and map.
        clock: When it was flagged, seconds of `time.time`.
    """

    number: int
    judged: Judged
    clock: float

    @property
    def size(self) -> int:
        """Bytes."""
        frame, found = self.judged.frame, self.judged.found
        return (frame.pixels.nbytes if frame else 0) + (found.anomaly_map.nbytes if found else 0)


class FlaggedKeeper:
    """Between two threads.

    Args:
        separate: Each picture is a part of its own. Otherwise a defect stays in view for many pictures: of pictures
            flagged one after another only the one with the highest score is kept.
        most: How many are kept.
        budget: Bytes.
    """

    def __init__(self, *, separate: bool = False, most: int = MOST, budget: int = BUDGET) -> None:
        self._separate = separate
        self._most = most
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: tuple[FlaggedPicture, ...] = ()
        self._number = 0
        self._in_run = False

    def latest(self) -> tuple[FlaggedPicture, ...]:
        """Newest first; the very same tuple as long as nothing has changed."""
        with self._lock:
            return self._kept

    def note(self, judged: Judged) -> None:
        """A picture was judged."""
        if judged.verdict is not Verdict.DEFECT or judged.found is None:
            self._in_run = False
            return
        with self._lock:
            kept = self._kept
            if self._in_run and not self._separate and kept:
                first = kept[0].judged.found
                if first is not None and first.score >= judged.found.score:
                    return
                kept = kept[1:]
            self._in_run = True
            self._number += 1
            self._kept = self._within((FlaggedPicture(self._number, judged, time.time()), *kept[: self._most - 1]))

    def _within(self, kept: tuple[FlaggedPicture, ...]) -> tuple[FlaggedPicture, ...]:
        while len(kept) > 1 and sum(one.size for one in kept) > self._budget:
            kept = kept[:-1]
        return kept
