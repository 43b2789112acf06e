"""The images under review: their scores, labels and failures, and which of them a list shows.

Everything is an array over the images, so that 10,000 of them are judged, filtered and sorted without a Python loop.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.dataset import Label, Sample
from core.metrics import SortedScores
from core.placement import Placement
from core.threshold import Threshold
from core.trained_model import Calibration


class Group(IntEnum):
    """What a person says an image is; the numbers are those of the histogram's groups."""

    UNLABELLED = 0
    GOOD = 1
    DEFECT = 2


class Mark(IntEnum):
    """What the threshold says an image is."""

    WAITING = 0
    GOOD = 1
    UNCERTAIN = 2
    DEFECT = 3
    FAILED = 4


class Show(StrEnum):
    """Which images a list shows; the first eight are offered, the last two come from the matrix."""

    ALL = "all"
    FLAGGED = "flagged"
    PASSED = "passed"
    UNCERTAIN = "uncertain"
    FALSE_ALARM = "false alarm"
    MISSED = "missed"
    UNLABELLED = "unlabelled"
    FAILED = "failed"
    TRUE_DEFECT = "true defect"
    TRUE_GOOD = "true good"


class Sort(StrEnum):
    """In which order."""

    HIGHEST = "highest score first"
    LOWEST = "lowest score first"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Query:
    """What a list is asked to show."""

    show: Show = Show.ALL
    sort: Sort = Sort.HIGHEST
    search: str = ""


@dataclass(frozen=True, slots=True)
class _LabelChange:
    indices: NDArray[np.intp]
    before: NDArray[np.int8]


class Known(NamedTuple):
    """Scores of images of which it is known what they are.

    Attributes:
        scores: (k,).
        defect: (k,), True where it is a defect.
        held_out: How many of the good ones are images that were held out from the training; they come last.
    """

    scores: NDArray[np.float64]
    defect: NDArray[np.bool_]
    held_out: int


GROUP_OF = {None: Group.UNLABELLED, Label.GOOD: Group.GOOD, Label.DEFECT: Group.DEFECT}


class Review:
    """Images, what the model says of them and what a person says of them. Knows no Qt.

    Attributes:
        scores: (n,) float64, anomaly score; NaN where not inspected yet or failed.
        groups: (n,) int8, see `Group`.
        failed: (n,) bool, the image could not be inspected.
        learned: (n,) bool, the model has learned from the image: its score proves nothing and is not counted.
    """

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.scores: NDArray[np.float64] = np.empty(0, np.float64)
        self.groups: NDArray[np.int8] = np.empty(0, np.int8)
        self.failed: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.learned: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._kept: NDArray[np.int8] = np.empty(0, np.int8)
        self._good_by_folder: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._taught: frozenset[Path] = frozenset()
        self._calibration = Calibration()
        self.messages: dict[int, str] = {}
        self.placements: dict[int, Placement] = {}
        self._index: dict[Path, int] = {}
        self._names: list[str] = []
        self._undo: list[_LabelChange] = []
        self._sorted: SortedScores | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, samples: Iterable[Sample]) -> NDArray[np.intp]:
        """Append images that are not there yet; their labels come from their folders.

        Returns:
            (k,) the positions of all images given, old and new.
        """
        places: list[int] = []
        fresh: list[Sample] = []
        for sample in samples:
            place = self._index.setdefault(sample.path, len(self.samples) + len(fresh))
            if place == len(self.samples) + len(fresh):
                fresh.append(sample)
            places.append(place)
        self.samples.extend(fresh)
        self._names.extend(sample.name.casefold() for sample in fresh)
        self.scores = np.concatenate([self.scores, np.full(len(fresh), np.nan)])
        given = np.array([GROUP_OF[s.label] for s in fresh], np.int8)
        self.groups = np.concatenate([self.groups, given])
        self._kept = np.concatenate([self._kept, given])
        self._good_by_folder = np.concatenate([self._good_by_folder, given == Group.GOOD])
        self.learned = np.concatenate([self.learned, np.array([s.path in self._taught for s in fresh], np.bool_)])
        self.failed = np.concatenate([self.failed, np.zeros(len(fresh), np.bool_)])
        self._sorted = None
        return np.array(places, np.intp)

    def forget_results(self) -> None:
        """Drop scores and failures, keep images and labels: a new model will inspect them."""
        self.scores = np.full(len(self.samples), np.nan)
        self.failed = np.zeros(len(self.samples), np.bool_)
        self.messages.clear()
        self.placements.clear()
        self._sorted = None

    def set_learned(self, paths: frozenset[Path]) -> None:
        """Say which images the model has learned from."""
        self._taught = paths
        self.learned = np.array([sample.path in paths for sample in self.samples], np.bool_)
        self._sorted = None

    def set_calibration(self, calibration: Calibration) -> None:
        """The model's: its held-out images are good ones, see `known`."""
        self._calibration = calibration
        self._sorted = None

    def note_good_folders(self, paths: frozenset[Path]) -> None:
        """Say of which images it was their folder that called them good, where the labels are a person's since."""
        self._good_by_folder = np.array([sample.path in paths for sample in self.samples], np.bool_)
        self._sorted = None

    @property
    def labels_not_kept(self) -> int:
        """How many images have another label than their folder, or the last file written, says."""
        return int((self.groups != self._kept).sum())

    def note_labels_kept(self) -> None:
        """The labels were written to a file."""
        self._kept = self.groups.copy()

    def index_of(self, sample: Sample) -> int:
        """The position of an image, or -1."""
        return self._index.get(sample.path, -1)

    def record(self, index: int, score: float, placement: Placement) -> None:
        """Note the result of one image."""
        self.scores[index] = score
        self.failed[index] = False
        self.messages.pop(index, None)
        self.placements[index] = placement
        self._sorted = None

    def restore(self, index: int, score: float) -> None:
        """Note a score of earlier; where the picture lay on the network's input is not known yet."""
        self.scores[index] = score
        self._sorted = None

    def record_failure(self, index: int, message: str) -> None:
        """Note that one image could not be inspected, and why."""
        self.scores[index] = np.nan
        self.failed[index] = True
        self.messages[index] = message
        self._sorted = None

    @property
    def changes(self) -> int:
        """How many changes of labels can be taken back, one after the other."""
        return len(self._undo)

    @property
    def can_undo(self) -> bool:
        """Whether a change of labels can be taken back."""
        return bool(self._undo)

    def label(self, indices: Sequence[int] | NDArray[np.intp], group: Group) -> bool:
        """Say what some images are; False where that changes nothing."""
        where = np.asarray(indices, np.intp)
        before = self.groups[where].copy()
        if where.size == 0 or bool(np.all(before == group)):
            return False
        self._undo.append(_LabelChange(where, before))
        self.groups[where] = group
        self._sorted = None
        return True

    def undo(self) -> NDArray[np.intp]:
        """Take the latest change of labels back; returns the positions changed."""
        if not self._undo:
            return np.empty(0, np.intp)
        change = self._undo.pop()
        self.groups[change.indices] = change.before
        self._sorted = None
        return change.indices

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(n,) where there is a score."""
        return np.isfinite(self.scores)

    @property
    def judged_by_a_person(self) -> NDArray[np.bool_]:
        """(n,) where there are both a score and a label, and the model has not learned from the image."""
        labelled: NDArray[np.bool_] = self.groups != Group.UNLABELLED
        return self.scored & labelled & ~self.learned

    def known(self) -> Known:
        """Of which images it is known what they are: those of `judged_by_a_person`, and those held out as good ones.

        The latter do not count where a folder of good images was inspected: it is there to be measured on.
        """
        where = self.judged_by_a_person
        scores, groups = self.scores[where], self.groups[where]
        defect = groups == Group.DEFECT
        given = (groups == Group.GOOD) & self._good_by_folder[where]
        if given.any() or not where.any():
            return Known(scores, defect, 0)
        return Known(*self._calibration.beside(scores, defect), len(self._calibration.scores))

    def sorted_scores(self) -> SortedScores:
        """Those of `known`, sorted once for any number of thresholds; made again only when they changed."""
        if self._sorted is None:
            known = self.known()
            self._sorted = SortedScores(known.scores, known.defect)
        return self._sorted

    def has_both_classes(self) -> bool:
        """Whether good ones and defects are known."""
        return len(np.unique(self.known().defect)) > 1

    def marks(self, threshold: Threshold | None) -> NDArray[np.int8]:
        """(n,) `Mark` of every image at a threshold."""
        marks = np.zeros(len(self.samples), np.int8)
        if threshold is not None:
            marks[self.scored] = Mark.GOOD
            if threshold.lower is not None:
                marks[self.scores > threshold.lower] = Mark.UNCERTAIN
            marks[self.scores > threshold.value] = Mark.DEFECT
        marks[self.failed] = Mark.FAILED
        return marks

    def mark_of(self, index: int, threshold: Threshold | None) -> Mark:
        """The `Mark` of one image at a threshold."""
        score = float(self.scores[index])
        if self.failed[index]:
            return Mark.FAILED
        if threshold is None or math.isnan(score):
            return Mark.WAITING
        if score > threshold.value:
            return Mark.DEFECT
        return Mark.UNCERTAIN if threshold.lower is not None and score > threshold.lower else Mark.GOOD

    def rows(self, query: Query, threshold: Threshold | None) -> NDArray[np.intp]:
        """(k,) the positions of the images to show, in the order to show them."""
        keep = self._wanted(query.show, threshold)
        if query.search:
            wanted = query.search.casefold()
            keep &= np.fromiter((wanted in name for name in self._names), np.bool_, len(self._names))
        found = np.flatnonzero(keep)
        if query.sort is Sort.NAME:
            return found
        scores = self.scores[found]
        key = -scores if query.sort is Sort.HIGHEST else scores
        return found[np.argsort(key, kind="stable")]  # NaN sorts last both ways

    def _wanted(self, show: Show, threshold: Threshold | None) -> NDArray[np.bool_]:
        if show is Show.ALL:
            return np.ones(len(self.samples), np.bool_)
        if show is Show.UNLABELLED:
            return np.equal(self.groups, Group.UNLABELLED)
        if show is Show.FAILED:
            return self.failed.copy()
        marks = self.marks(threshold)
        flagged = marks == Mark.DEFECT
        passed = (marks == Mark.GOOD) | (marks == Mark.UNCERTAIN)
        judged = self.judged_by_a_person
        good, defect = judged & (self.groups == Group.GOOD), judged & (self.groups == Group.DEFECT)
        choices: dict[Show, NDArray[np.bool_]] = {
            Show.FLAGGED: flagged,
            Show.PASSED: passed,
            Show.UNCERTAIN: marks == Mark.UNCERTAIN,
            Show.FALSE_ALARM: flagged & good,
            Show.MISSED: passed & defect,
            Show.TRUE_DEFECT: flagged & defect,
            Show.TRUE_GOOD: passed & good,
        }
        return choices[show]

    def next_flagged(self, rows: NDArray[np.intp], row: int, threshold: Threshold | None) -> int:
        """The row of the next flagged image after `row`, beginning again at the top; -1 where there is none."""
        flagged = np.flatnonzero(self.marks(threshold)[rows] == Mark.DEFECT)
        if flagged.size == 0:
            return -1
        later = flagged[flagged > row]
        return int(later[0] if later.size else flagged[0])
