"""How fast a task goes and how long it still takes, from its progress reports."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.config import Calibrating, Config
from core.progress import Phase, Progress
from core.variation import how_many

_SETTLE_SECONDS = 0.7
_MEMORY = 0.8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the speed of a task.

    Attributes:
        rate: Units of the phase per second, or None while it is not known.
        seconds_left: Of the task, or None while it is not known.
        share: How far the task is, 0..1, or None where it cannot be told: a bar then only moves.
        roughly: Whether the time left is a guess, from other trainings.
    """

    rate: float | None = None
    seconds_left: float | None = None
    share: float | None = None
    roughly: bool = False


class Paced(Protocol):
    """Makes estimates from reports. Fed with the time, so that tests need no clock."""

    def update(self, progress: Progress, now: float) -> Estimate:
        """Take one report in and say what is known after it.

        Args:
            progress: The report.
            now: Seconds on a clock that only goes forward.
        """


class Pace:
    """Of a task of one phase, or of several that are told one by one: a smoothed rate."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._since = 0.0
        self._done = 0.0
        self._rate: float | None = None

    def update(self, progress: Progress, now: float) -> Estimate:
        """See `Paced`."""
        if progress.phase is not self._phase or progress.done < self._done:
            self._phase, self._since, self._done, self._rate = progress.phase, now, progress.done, None
        elapsed = now - self._since
        if elapsed >= _SETTLE_SECONDS and progress.done > self._done:
            latest = (progress.done - self._done) / elapsed
            self._rate = latest if self._rate is None else _MEMORY * self._rate + (1 - _MEMORY) * latest
            self._since, self._done = now, progress.done
        share = _share(progress)
        if self._rate is None or self._rate <= 0:
            return Estimate(share=share)
        left = max(0.0, progress.total - progress.done) / self._rate if progress.total > 0 else None
        return Estimate(self._rate, left, share)


def _share(progress: Progress) -> float | None:
    """Of the phase."""
    return min(1.0, progress.done / progress.total) if progress.total > 0 else None


_FIT = (Phase.BANK, Phase.CLUSTERING, Phase.TRAINING, Phase.MEASURING, Phase.SHAPES)
"""The phases of each network, the model's own and those of the turns."""
_BEFORE = (Phase.READING, Phase.PARTS)
"""Phases that say too little of those that follow."""
_TURNS = 3
"""Taken for granted until their number is told."""
_SAMPLED = 30
"""Images from which on grouping takes no longer: it takes a sample of their patches."""
_ALL = 0
"""All members together."""


class _Step(NamedTuple):
    """What is done in one go.

    Attributes:
        member: From 1, or `_ALL`.
        turn: From 1; 0: for the model itself.
        phase: What is done.
    """

    member: int
    turn: int
    phase: Phase


class TrainingPace:
    """Of a whole training: the model itself, each turn of images held out, and the scores of these.

    What a step took in the turn before, it takes again. For one that is new a usual cost is taken, in units of learning
    one image for one epoch, as measured with Lite0 on two cores of a CPU.
    """

    def __init__(self, config: Config, images: int) -> None:
        """Before it begins.

        Args:
            config: Of the training.
            images: Good images.
        """
        self._training, self._images, self._members = config.training, images, config.members
        crossed = config.training.calibration is Calibrating.CROSS and config.training.holdout > 0
        self._turns = _TURNS if crossed else 0
        self._plan = self._planned()
        self._pace = Pace()
        self._began: float | None = None
        self._step: _Step | None = None
        self._since = 0.0
        self._took: dict[_Step, float] = {}
        self._furthest = 0.0

    def update(self, progress: Progress, now: float) -> Estimate:
        """See `Paced`."""
        if self._began is None:
            self._began = now
        if progress.turns and progress.turns != self._turns:
            self._turns = progress.turns
            self._plan = self._planned()
        together = progress.phase is Phase.CALIBRATING and progress.parts == 1
        step = _Step(_ALL if together else progress.part, progress.turn, progress.phase)
        if step != self._step:
            if self._step is not None:
                self._took[self._step] = now - self._since
            self._step, self._since = step, now
        rate, elapsed = self._pace.update(progress, now).rate, now - self._began
        left = self._left(step, _share(progress) or 0.0, now - self._since)
        if left is None or elapsed < _SETTLE_SECONDS or step.phase in _BEFORE:
            return Estimate(rate, None, self._furthest, roughly=True)
        self._furthest = max(self._furthest, elapsed / (elapsed + left))
        return Estimate(rate, left, self._furthest, roughly=True)

    def _left(self, step: _Step, share: float, spent: float) -> float | None:
        """Seconds, or None while nothing was measured.

        Args:
            step: Which is being done.
            share: How far it is, 0..1.
            spent: Seconds on it.
        """
        done = sum(self._cost(one) for one in self._took) + share * self._cost(step)
        if done <= 0:
            return None
        for_one = (sum(self._took.values()) + spent) / done
        own = max(0.0, self._expected(step, for_one) - spent)
        if share > 0:  # the further it is, the more its own speed counts
            own = (1 - share) * (own + spent)
        after = self._plan[self._plan.index(step) + 1 :] if step in self._plan else []
        return own + sum(self._expected(one, for_one) for one in after)

    def _expected(self, step: _Step, for_one: float) -> float:
        """Seconds, from what the like took the last time, or else from its cost and the seconds for one unit of it."""
        if step.member == _ALL:
            return sum(self._expected(step._replace(member=number), for_one) for number in self._numbers)
        for before in reversed(self._took):
            if before.phase is step.phase and before != step and self._cost(before) > 0:
                return self._took[before] * self._cost(step) / self._cost(before)
        return self._cost(step) * for_one

    @property
    def _numbers(self) -> range:
        """Of the members."""
        return range(1, len(self._members) + 1)

    def _planned(self) -> list[_Step]:
        """All steps in their order."""
        steps = [_Step(1, 0, Phase.READING), _Step(1, 0, Phase.PARTS)]
        for member in self._numbers:
            steps.append(_Step(member, 0, Phase.FEATURES))
            steps += [_Step(member, turn, phase) for turn in range(self._turns + 1) for phase in _FIT]
        if len(self._members) > 1:
            steps += [_Step(member, 0, Phase.CALIBRATING) for member in self._numbers]
        return [*steps, _Step(_ALL, 0, Phase.CALIBRATING)]

    def _cost(self, step: _Step) -> float:
        """The usual cost."""
        if step.member == _ALL:
            return sum(self._cost(step._replace(member=number)) for number in self._numbers)
        training, member = self._training, self._members[step.member - 1]
        images = self._images * (1 - training.holdout if step.turn else 1.0)
        pictures = images * how_many(training)
        larger = (member.preprocessing.image_size / self._members[0].preprocessing.image_size) ** 2
        turns = max(1, self._turns) if training.holdout else 0
        costs = {
            Phase.READING: 0.05 * images,
            Phase.PARTS: 0.05 * images,
            Phase.FEATURES: 30.0 + 0.25 * pictures * larger,  # the network is compiled first
            Phase.BANK: 0.1 * pictures * larger,
            Phase.CLUSTERING: 50.0 * min(1.0, pictures * larger / _SAMPLED),
            Phase.TRAINING: pictures * larger * training.epochs,
            Phase.MEASURING: 0.3 * pictures * larger,
            Phase.SHAPES: 55.0 if member.method.centre_axes else 0.0,
            Phase.CALIBRATING: turns * (20.0 + self._images * training.holdout * larger),
        }
        return costs.get(step.phase, 0.0)


def clock_text(seconds: float) -> str:
    """Seconds as "0:41" or "1:02:09"."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
