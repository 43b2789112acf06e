"""What a training leaves behind, as plain data beside the network. Imports no torch at run time."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from core.config import Config
from core.progress import StepRecord
from core.threshold import Threshold

if TYPE_CHECKING:
    from core.model import CfaModel


@dataclass(frozen=True, slots=True)
class Calibration:
    """The good images that were held out from training, and their scores.

    Attributes:
        names: Relative to the folder of good images.
        scores: By the same path as at inspection, the model being the one after the last epoch.
    """

    names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


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
        bank_size: M.
        channels: D'.
        level_scale: Factor on the features of each level.
        history: Means over the training steps, in order; empty for 0 epochs.
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
class TrainedModel:
    """A model ready to inspect.

    Attributes:
        config: Every setting it was trained with.
        network: The weights; do not change them.
        calibration: Held-out images and scores.
        threshold: None where no image was held out and nobody has set one yet.
        summary: What happened in training.
        created: UTC, ISO 8601.
    """

    config: Config
    network: "CfaModel"
    calibration: Calibration
    threshold: Threshold | None
    summary: TrainingSummary
    created: str

    def with_threshold(self, threshold: Threshold | None) -> Self:
        """The same model with another threshold; no training is needed."""
        return dataclasses.replace(self, threshold=threshold)
