"""What a training leaves behind, as plain data beside the network. Imports no torch at run time."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.config import Config
from core.counting import counted
from core.progress import StepRecord
from core.threshold import (
    DEFAULT_FALSE_ALARM_RATE,
    FalseAlarmRate,
    Threshold,
    false_alarm_threshold,
    images_of_parts,
    smallest_rate,
)

if TYPE_CHECKING:
    from core.model import CfaModel


@dataclass(frozen=True, slots=True)
class Calibration:
    """The good images that were held out, and their scores by a network that has not learned from them.

    Attributes:
        names: Relative to the folder of good images.
        scores: By the same path as at inspection, after the last epoch: of the model itself in split calibration, in
            cross calibration of the network of their turn.
        parts: The number of the part that each of them shows; empty: a part each. See `core.hold_out`.
    """

    names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    parts: tuple[int, ...] = ()

    @property
    def part_count(self) -> int:
        """How many parts they show."""
        return len(set(self.parts)) if self.parts else len(self.scores)

    def in_words(self, image: str = "held-out good image") -> str:
        """Like "152 held-out good images of 35 parts"."""
        return images_of_parts(len(self.scores), self.part_count, image)

    def threshold(self, rate: float) -> Threshold:
        """See `core.threshold.false_alarm_threshold`.

        Raises:
            ThresholdError: As there.
        """
        return false_alarm_threshold(self.scores, rate, self.parts)

    def first_threshold(self) -> Threshold | None:
        """What a new model gets: a false-alarm rate of 5 %, or the smallest that can be promised; None: no image."""
        if not self.scores:
            return None
        return self.threshold(max(DEFAULT_FALSE_ALARM_RATE, self.smallest_rate()))

    def smallest_rate(self) -> float:
        """See `core.threshold.smallest_rate`.

        Raises:
            ThresholdError: As there.
        """
        return smallest_rate(self.part_count)

    def beside(self, scores: ArrayLike, defect: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Labelled scores and, after them, those of the held-out images as good ones.

        Args:
            scores: (n,).
            defect: (n,), True where the part is defective.
        """
        found, defective = np.asarray(scores, np.float64), np.asarray(defect, np.bool_)
        return np.append(found, self.scores), np.append(defective, np.zeros(len(self.scores), np.bool_))

    def sentence(self, threshold: Threshold) -> str:
        """How a threshold was chosen and, where it promises nothing, how many held-out images it flags."""
        if not self.scores or isinstance(threshold.policy, FalseAlarmRate):
            return threshold.sentence()
        flagged = sum(score > threshold.value for score in self.scores)
        return threshold.sentence(
            f"It flags {flagged or 'none'} of {counted(len(self.scores), 'held-out good image')}."
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that could not be used.

    Attributes:
        name: Relative to the folder of good images.
        message: Why, for the user.
    """

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What happened in training.

    Attributes:
        images: Images trained on.
        held_out: Images held out for calibration.
        skipped: Images that could not be read.
        seconds: Wall time.
        device: In words.
        bank_size: M, of all members of an ensemble together.
        channels: D'.
        level_scale: Factor on the features of each level, member after member.
        history: Means over the training steps, in order, member after member; empty for 0 epochs.
        notes: Remarks for the user.
    """

    images: int
    held_out: int
    skipped: tuple[Skipped, ...]
    seconds: float
    device: str
    bank_size: int
    channels: int
    level_scale: tuple[float, ...]
    history: tuple[StepRecord, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def histories(self) -> tuple[tuple[StepRecord, ...], ...]:
        """The history of each member: its epochs begin anew."""
        found: list[list[StepRecord]] = []
        for record in self.history:
            if not found or record.epoch <= found[-1][-1].epoch:
                found.append([])
            found[-1].append(record)
        return tuple(map(tuple, found))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = dict(data)
        known["skipped"] = tuple(Skipped(**entry) for entry in data["skipped"])
        known["history"] = tuple(StepRecord(**entry) for entry in data["history"])
        known["level_scale"] = tuple(float(v) for v in data["level_scale"])
        known["notes"] = tuple(str(v) for v in data["notes"])
        return cls(**known)


@dataclass(frozen=True, slots=True, eq=False)
class Companion:
    """The second member of an ensemble of two scales (CFA++, section 4.2).

    Attributes:
        network: Its weights; the backbone is the first member's.
        units: Of the first and of the second member: what its maps are divided by, see `core.ensemble`. Above 0.
    """

    network: "CfaModel"
    units: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model ready to inspect.

    Attributes:
        config: Every setting it was trained with.
        network: The weights, of the first member where there are two; do not change them.
        calibration: Held-out images and scores.
        threshold: None where no image was held out and nobody has set one yet.
        summary: What happened in training.
        created: UTC, ISO 8601.
        companion: The second member of an ensemble, with `config.preprocessing.second_scale` alone.
    """

    config: Config
    network: "CfaModel"
    calibration: Calibration
    threshold: Threshold | None
    summary: TrainingSummary
    created: str
    companion: Companion | None = None

    @property
    def networks(self) -> "tuple[CfaModel, ...]":
        """Of each member, in the order of `config.members`."""
        return (self.network,) if self.companion is None else (self.network, self.companion.network)

    @property
    def units(self) -> tuple[float, ...]:
        """What each member's maps are divided by where there are several."""
        return (1.0,) if self.companion is None else self.companion.units

    def with_threshold(self, threshold: Threshold | None) -> Self:
        """The same model with another threshold; no training is needed."""
        return dataclasses.replace(self, threshold=threshold)
