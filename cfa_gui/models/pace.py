"""How fast a task goes and how long it still takes, from its progress reports."""

from dataclasses import dataclass

from core.progress import Phase, Progress

_SETTLE_SECONDS = 0.7
_MEMORY = 0.8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the speed of one phase.

    Attributes:
        rate: Units of the phase per second, or None while it is not known.
        seconds_left: Of this phase, or None while it is not known.
    """

    rate: float | None = None
    seconds_left: float | None = None


class Pace:
    """A smoothed rate per phase. Fed with the time, so that tests need no clock."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._since = 0.0
        self._done = 0.0
        self._rate: float | None = None

    def update(self, progress: Progress, now: float) -> Estimate:
        """Take one report in and say what is known after it.

        Args:
            progress: The report.
            now: Seconds on a clock that only goes forward.
        """
        if progress.phase is not self._phase or progress.done < self._done:
            self._phase, self._since, self._done, self._rate = progress.phase, now, progress.done, None
        elapsed = now - self._since
        if elapsed >= _SETTLE_SECONDS and progress.done > self._done:
            latest = (progress.done - self._done) / elapsed
            self._rate = latest if self._rate is None else _MEMORY * self._rate + (1 - _MEMORY) * latest
            self._since, self._done = now, progress.done
        if self._rate is None or self._rate <= 0:
            return Estimate()
        left = max(0.0, progress.total - progress.done) / self._rate if progress.total > 0 else None
        return Estimate(self._rate, left)


def clock_text(seconds: float) -> str:
    """Seconds as "0:41" or "1:02:09"."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
