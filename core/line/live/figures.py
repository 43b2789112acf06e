"""Running figures of a line: counts, rates and latency, each in bounded memory."""

import statistics
from collections import deque
from dataclasses import dataclass

from core.threshold import Verdict

RATE_SECONDS = 3.0
"""A rate is over this long."""
_MOST_TIMES = 2048
LATENCIES = 200
"""Latency is told over so many of the latest pictures."""


class Rate:
    """How often something happens, over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)

    def note(self, now: float) -> None:
        """It happened, at `now` seconds."""
        self._times.append(now)

    def value(self, now: float) -> float:
        """Per second; 0 where it happened less than twice lately."""
        while self._times and self._times[0] < now - RATE_SECONDS:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        span = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / span if span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the latest pictures took, in seconds.

    Attributes:
        median: Of them.
        worst: Of them.
    """

    median: float
    worst: float


class Latencies:
    """The times of the latest pictures."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=LATENCIES)

    def note(self, seconds: float) -> None:
        """One more."""
        self._times.append(seconds)

    def value(self) -> Latency | None:
        """Median and worst; None where there is none yet."""
        return Latency(statistics.median(self._times), max(self._times)) if self._times else None


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of the pictures since the start.

    Attributes:
        received: Given by the source.
        good: Verdict good.
        uncertain: Verdict uncertain.
        flagged: Verdict defect.
        unjudged: Looked at without a verdict: there is no model, or no threshold.
        unreadable: Could not be read or inspected.
        skipped: Not inspected, because a newer one was there.
    """

    received: int = 0
    good: int = 0
    uncertain: int = 0
    flagged: int = 0
    unjudged: int = 0
    unreadable: int = 0
    skipped: int = 0

    @property
    def judged(self) -> int:
        """Pictures with a verdict."""
        return self.good + self.uncertain + self.flagged

    @property
    def flagged_rate(self) -> float | None:
        """Share of the judged pictures that are flagged, 0..1; None where none is judged."""
        return self.flagged / self.judged if self.judged else None


FIELD_OF = {Verdict.GOOD: "good", Verdict.UNCERTAIN: "uncertain", Verdict.DEFECT: "flagged", None: "unjudged"}
"""The field of `Counts` for each verdict."""
