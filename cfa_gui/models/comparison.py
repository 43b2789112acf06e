"""Before and after a training, on the same labelled images, of which neither model has learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cfa_gui.models.review import Group, Review
from core.metrics import confusion, image_auroc
from core.threshold import Threshold


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What the model before said.

    Attributes:
        scores: Of each image that it scored.
        threshold: The threshold in force when the next training ended.
        learned: The images that it learned from, as far as is known.
    """

    scores: Mapping[Path, float]
    threshold: float
    learned: frozenset[Path] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one model does at its threshold.

    Attributes:
        auroc: Image AUROC; None where one class is missing.
        f1: None where nothing is defective.
        false_alarms: Good images flagged.
        missed: Defective images passed.
    """

    auroc: float | None
    f1: float | None
    false_alarms: int
    missed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        good: How many are labelled good.
        defect: How many are labelled defect.
        before: The earlier model, at the threshold that it had.
        after: The model that is there, at its threshold.
    """

    good: int
    defect: int
    before: Outcome
    after: Outcome


def earlier(review: Review, threshold: Threshold | None, learned: frozenset[Path]) -> Earlier | None:
    """What to keep of a model before another takes its place; None where it has scored nothing."""
    places = np.flatnonzero(review.scored)
    if threshold is None or not places.size:
        return None
    return Earlier(
        {review.samples[place].path: float(review.scores[place]) for place in places}, threshold.value, learned
    )


def compare(before: Earlier, review: Review, threshold: Threshold, learned: frozenset[Path]) -> Comparison | None:
    """Both models on the images that have a label and both scores, and that neither has learned from.

    Args:
        before: Of the earlier model.
        review: Labels, and the scores of the model that is there.
        threshold: In force now.
        learned: The images that the model that is there has learned from.
    """
    known = before.learned | learned
    places = [
        place
        for place in np.flatnonzero(review.scored & (review.groups != Group.UNLABELLED)).tolist()
        if (path := review.samples[place].path) in before.scores and path not in known
    ]
    if not places:
        return None
    labels = review.groups[places] == Group.DEFECT
    old = np.array([before.scores[review.samples[place].path] for place in places])
    defects = int(labels.sum())
    return Comparison(
        len(places) - defects,
        defects,
        _outcome(old, labels, before.threshold),
        _outcome(review.scores[places], labels, threshold.value),
    )


def _outcome(scores: NDArray[np.float64], labels: NDArray[np.bool_], threshold: float) -> Outcome:
    counts = confusion(scores, labels, threshold)
    both = bool(labels.any()) and not bool(labels.all())
    return Outcome(image_auroc(scores, labels) if both else None, counts.f1, counts.false_alarm, counts.missed)
