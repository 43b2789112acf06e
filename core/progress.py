"""How the engine tells of its progress and hears that it should stop. Knows no thread and no screen."""

import threading
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from core.errors import CancelledByUser


class Phase(StrEnum):
    """What the engine is doing; from reading on in the order of a training."""

    DRAWING = "drawing"
    READING = "reading"
    PARTS = "parts"
    FEATURES = "features"
    BANK = "memory bank"
    CLUSTERING = "K-means"
    TRAINING = "training"
    MEASURING = "measuring"
    SHAPES = "shapes"
    CALIBRATING = "calibrating"
    SAVING = "saving"
    INSPECTING = "inspecting"
    EXPORTING = "exporting"
    CHECKING = "checking"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Means over the latest training steps, in the units of the loss (section 3.1 of the paper).

    Attributes:
        epoch: Epochs completed, fractional (2.5 is half-way through the third).
        loss: L_CFA, equation 3.
        attraction: L_att, equation 1, with its factor 1/nu.
        repulsion: L_rep, equation 2, with its factor 1/nu.
        radius_squared: The learnable r squared.
        nearest_squared: Mean squared distance from a patch descriptor to its nearest centre.
        repulsion_active: Share of the L_rep terms above zero, in 0..1.
    """

    epoch: float
    loss: float
    attraction: float
    repulsion: float
    radius_squared: float
    nearest_squared: float
    repulsion_active: float


@dataclass(frozen=True, slots=True)
class Progress:
    """One report.

    Attributes:
        phase: What is being done.
        done: Units finished in this phase.
        total: Units in this phase; 0 where it is not known.
        unit: What is counted ("images", "pictures", "epochs", "batches", "centres").
        step: In the training phase, the latest record; otherwise None.
        part: Which member of an ensemble it is, from 1.
        parts: How many members there are; 1 for what is done with all of them at once.
        turn: In which turn of images held out it is, from 1; 0: it is for the model itself.
        turns: How many turns there are; 0 where it is not known yet.
    """

    phase: Phase
    done: float
    total: float
    unit: str = "images"
    step: StepRecord | None = None
    part: int = 1
    parts: int = 1
    turn: int = 0
    turns: int = 0


class Report(Protocol):
    """Receives progress. Returns quickly and never raises."""

    def __call__(self, progress: Progress, /) -> None:
        """Take note of one report."""


def silent(progress: Progress, /) -> None:
    """The report that nobody listens to."""


def told_of_part(report: Report, number: int, count: int) -> Report:
    """Tell which member of an ensemble it is that makes progress, from 0."""

    def tell(progress: Progress) -> None:
        report(replace(progress, part=number + 1, parts=count))

    return tell if count > 1 else report


class CancelToken:
    """Set from any thread; the engine checks it at least once a batch."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the engine to stop at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether someone has asked."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise CancelledByUser once someone has asked."""
        if self._event.is_set():
            raise CancelledByUser
