"""How well scores tell good from defect: counts at a threshold, curves, and the areas under them.

numpy and OpenCV alone, so that the window can import it before its first paint; the tests compare with scikit-learn.
Everywhere a part, or a pixel, is flagged when its score is above the threshold, strictly. Image figures take `scores`
(n,), finite floats, larger is stranger, and `labels` (n,), True where the part is defective. A figure that does not
exist (no defect, no good part) raises `DatasetError`; a ratio of a `Confusion` that does not exist is None.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import ConfigError, DatasetError
from core.threshold import best_f1_threshold

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Confusion:
    """The four counts at one threshold. "Positive" is defect.

    Attributes:
        true_good: Good and passed (true negatives).
        false_alarm: Good but flagged (false positives).
        missed: Defective but passed (false negatives).
        true_defect: Defective and flagged (true positives).
    """

    true_good: int
    false_alarm: int
    missed: int
    true_defect: int

    @property
    def precision(self) -> float | None:
        """Share of the flagged that are defective."""
        return _ratio(self.true_defect, self.true_defect + self.false_alarm)

    @property
    def recall(self) -> float | None:
        """Share of the defective that are flagged."""
        return _ratio(self.true_defect, self.true_defect + self.missed)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing is defective and nothing is flagged."""
        return _ratio(2 * self.true_defect, 2 * self.true_defect + self.false_alarm + self.missed)

    @property
    def false_alarm_rate(self) -> float | None:
        """Share of the good that are flagged."""
        return _ratio(self.false_alarm, self.false_alarm + self.true_good)

    @property
    def miss_rate(self) -> float | None:
        """Share of the defective that are passed."""
        return _ratio(self.missed, self.missed + self.true_defect)

    @property
    def accuracy(self) -> float | None:
        """Share of all that are judged rightly."""
        right = self.true_good + self.true_defect
        return _ratio(right, right + self.false_alarm + self.missed)


class RocCurve(NamedTuple):
    """Receiver operating characteristic, from nothing flagged (0, 0) to everything flagged (1, 1).

    Attributes:
        false_alarm_rate: (n,), ascending.
        recall: (n,), ascending.
        thresholds: (n,), descending: the highest score, every other distinct score, -inf. Point i flags what is
            above thresholds[i].
    """

    false_alarm_rate: Floats
    recall: Floats
    thresholds: Floats


class PrecisionRecallCurve(NamedTuple):
    """Precision over recall, from nothing flagged (recall 0, precision 1 by convention) to everything flagged.

    Attributes:
        precision: (n,).
        recall: (n,), ascending.
        thresholds: (n,), as in `RocCurve`.
    """

    precision: Floats
    recall: Floats
    thresholds: Floats


class SortedScores:
    """Labelled scores, sorted once, so that moving a threshold costs two binary searches.

    Args:
        scores: (n,), finite.
        labels: (n,), True where defective.

    Raises:
        DatasetError: A score is not finite.
    """

    def __init__(self, scores: ArrayLike, labels: ArrayLike) -> None:
        values, defective = _pair(scores, labels)
        self._good = np.sort(values[~defective])
        self._defects = np.sort(values[defective])

    def confusion_at(self, value: float) -> Confusion:
        """The counts when everything above `value` is flagged; O(log n)."""
        good_passed = int(np.searchsorted(self._good, value, side="right"))
        missed = int(np.searchsorted(self._defects, value, side="right"))
        return Confusion(good_passed, len(self._good) - good_passed, missed, len(self._defects) - missed)


def confusion(scores: ArrayLike, labels: ArrayLike, threshold_value: float) -> Confusion:
    """The counts at one threshold. To move a threshold about, use `SortedScores`.

    Args:
        scores: (n,), finite.
        labels: (n,), True where defective.
        threshold_value: A score above it is flagged.

    Raises:
        DatasetError: A score is not finite.
    """
    return SortedScores(scores, labels).confusion_at(threshold_value)


def image_auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve, 0..1: the chance that a defective part scores above a good one, ties counting half.

    Raises:
        DatasetError: All labels are alike, or a score is not finite.
    """
    return _image_ranks(scores, labels).auroc()


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision, 0..1: the sum of precision times the gain in recall over all thresholds, not interpolated.

    Raises:
        DatasetError: All labels are alike, or a score is not finite.
    """
    return _image_ranks(scores, labels).average_precision()


def f1_max(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The highest F1 over all thresholds, 0..1, and the threshold that reaches it, as `best_f1_threshold` sets it.

    Raises:
        DatasetError: All labels are alike, or a score is not finite.
    """
    values, defective = _both(scores, labels)
    value = best_f1_threshold(values, defective).value
    return SortedScores(values, defective).confusion_at(value).f1 or 0.0, value


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> RocCurve:
    """The ROC curve at every distinct score.

    Raises:
        DatasetError: All labels are alike, or a score is not finite.
    """
    thresholds, false_alarms, found = _sweep(*_both(scores, labels))
    return RocCurve(false_alarms / false_alarms[-1], found / found[-1], thresholds)


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> PrecisionRecallCurve:
    """The precision-recall curve at every distinct score.

    Raises:
        DatasetError: All labels are alike, or a score is not finite.
    """
    thresholds, false_alarms, found = _sweep(*_both(scores, labels))
    flagged = false_alarms + found
    precision = np.where(flagged > 0, found / np.maximum(flagged, 1), 1.0)
    return PrecisionRecallCurve(precision, found / found[-1], thresholds)


class PixelMetrics:
    """Figures over all pixels of many anomaly maps, added one at a time. Exact: no bins, no sampling.

    Pixels where the map is NaN (not inspected) take part in nothing. Images without a defect count among the good
    pixels. Memory: about 8 bytes a good pixel and 32 a defective one while a figure is computed (40 million pixels:
    0.4 GB). The cost is one sort of the good pixels, kept until the next `add`; every curve bends only at the scores
    of defective pixels, which are few.
    """

    def __init__(self) -> None:
        self._good: list[NDArray[np.float32]] = []
        self._defects: list[NDArray[np.float32]] = []
        self._shares: list[Floats] = []
        self._regions = 0
        self._ranks: _Ranks | None = None

    def add(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Take in one image.

        Args:
            anomaly_map: (h, w) float32; NaN where not inspected.
            mask: (h, w), True where defective.

        Raises:
            DatasetError: The sizes differ, or a score is infinite.
        """
        if anomaly_map.shape != mask.shape or mask.ndim != 2:
            raise DatasetError(
                f"A ground-truth mask is {mask.shape} and its anomaly map {anomaly_map.shape}; they must be alike."
            )
        values = np.asarray(anomaly_map, np.float32)
        if np.isinf(values).any():
            raise DatasetError("An anomaly map holds infinite scores. Train the model again.")
        inspected = ~np.isnan(values)
        defective = np.asarray(mask, np.bool_) & inspected
        self._ranks = None
        self._good.append(values[inspected & ~defective])
        if defective.any():
            self._defects.append(values[defective])
            self._shares.append(self._shares_of_regions(defective))

    def _shares_of_regions(self, defective: NDArray[np.bool_]) -> Floats:
        """1 / (pixels of its region) for each defective pixel, in reading order."""
        from core.opencv import cv2

        regions, labels = cv2.connectedComponents(defective.view(np.uint8), connectivity=8)
        own = labels[defective]
        self._regions += regions - 1
        return np.asarray(1.0 / np.bincount(own)[own])

    def auroc(self) -> float:
        """Pixel AUROC, 0..1.

        Raises:
            DatasetError: No pixel is defective, or none is good.
        """
        return self._sorted().auroc()

    def average_precision(self) -> float:
        """Pixel average precision, 0..1.

        Raises:
            DatasetError: No pixel is defective, or none is good.
        """
        return self._sorted().average_precision()

    def f1_max(self) -> tuple[float, float]:
        """The highest F1 over all thresholds on pixels, 0..1, and the highest threshold that reaches it.

        Raises:
            DatasetError: No pixel is defective, or none is good.
        """
        return self._sorted().f1_max()

    def aupro(self, limit: float = 0.3) -> float:
        """Area under the per-region-overlap curve up to a false-positive rate, divided by that rate, 0..1.

        As Bergmann et al. (MVTec AD, IJCV 2021) define it: PRO is the mean over all 8-connected ground-truth regions,
        of all images, of the share of the region that is flagged; FPR is the share of all good pixels that is flagged.
        The curve is taken at every distinct score, joined by straight lines, cut at exactly `limit` (interpolated),
        integrated, and divided by `limit`. The program published with the CFA paper instead stretches the FPR axis of
        the points below the limit to 0..1; its figures differ by a little and are not comparable to the last digit.

        Args:
            limit: Largest false-positive rate, above 0 and up to 1.

        Raises:
            ConfigError: The limit is outside that range.
            DatasetError: No pixel is defective, or none is good.
        """
        if not 0.0 < limit <= 1.0:
            raise ConfigError(f"The limit of the false-positive rate is {limit}; use above 0 and up to 1.")
        return self._sorted().area_of_overlap(limit)

    def _sorted(self) -> "_Ranks":
        if self._ranks is None:
            if not self._defects or not sum(map(len, self._good)):
                missing = "defective" if not self._defects else "good"
                raise DatasetError(
                    f"Pixel figures need good and defective pixels; none of the {len(self._good)} images has a "
                    f"{missing} one. Add ground-truth masks."
                )
            self._good, self._defects = [np.concatenate(self._good)], [np.concatenate(self._defects)]
            self._shares = [np.concatenate(self._shares)]
            self._good[0].sort()
            self._ranks = _Ranks(self._good[0], self._defects[0], self._shares[0] / self._regions)
        return self._ranks


class _Ranks:
    """Where the defects stand among the good: all that any of the curves needs.

    Between two scores of defects, neither recall nor PRO changes; so it is enough to know, for every distinct score of
    a defect, how many good ones are above it and how many equal it. Arrays are (d,), d distinct scores, descending.

    Args:
        good: Scores, ascending.
        defects: Scores in any order.
        shares: What each defect adds to PRO; in all 1.
    """

    def __init__(self, good: NDArray[Any], defects: NDArray[Any], shares: Floats) -> None:
        distinct, place = np.unique(defects, return_inverse=True)
        self._good = good
        self._values = distinct[::-1]
        self._total = len(defects)
        self._each: Counts = np.bincount(place)[::-1]
        self._found: Counts = np.cumsum(self._each)
        self._overlap = np.cumsum(np.bincount(place, weights=shares)[::-1])
        self._above: Counts = len(good) - np.searchsorted(good, self._values, side="right")
        self._at_or_above: Counts = len(good) - np.searchsorted(good, self._values, side="left")

    def auroc(self) -> float:
        beaten = len(self._good) - (self._above + self._at_or_above) / 2
        return float((self._each * beaten).sum() / (len(self._good) * self._total))

    def average_precision(self) -> float:
        precision = self._found / (self._found + self._at_or_above)
        return float((self._each * precision).sum() / self._total)

    def f1_max(self) -> tuple[float, float]:
        f1 = 2 * self._found / (self._found + self._at_or_above + self._total)
        best = int(f1.argmax())
        here = self._values[best]
        passed = len(self._good) - int(self._at_or_above[best])
        if passed == 0:  # everything is flagged
            return float(f1[best]), float(np.nextafter(here, -np.inf))
        below = self._good[passed - 1]  # the next score down; if it were a defect's, flagging it would raise F1
        return float(f1[best]), float(below) / 2 + float(here) / 2

    def area_of_overlap(self, limit: float) -> float:
        rate, overlap = np.zeros(2 * len(self._found) + 2), np.zeros(2 * len(self._found) + 2)
        rate[1:-1:2], rate[2:-1:2] = self._above / len(self._good), self._at_or_above / len(self._good)
        overlap[2:-1:2] = self._overlap
        overlap[3::2] = self._overlap  # flat until the next score of a defect, or to the end
        rate[-1] = 1.0
        end = np.interp(limit, rate, overlap)
        within = int(np.searchsorted(rate, limit, side="right"))
        rate, overlap = np.append(rate[:within], limit), np.append(overlap[:within], end)
        area = (np.diff(rate) * (overlap[1:] + overlap[:-1])).sum() / 2
        return min(float(area) / limit, 1.0)  # rounding may pass 1 by a hair


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _pair(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    values, defective = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    if values.ndim != 1 or values.shape != defective.shape:
        raise ValueError(f"scores are {values.shape} and labels {defective.shape}; both must be (n,)")
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise DatasetError(f"{broken} of {len(values)} scores are not finite numbers. Train the model again.")
    return values, defective


def _both(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    values, defective = _pair(scores, labels)
    if defective.all() or not defective.any():
        missing = "defective" if not defective.any() else "good"
        raise DatasetError(f"This figure needs labelled images of both kinds; none is {missing}. Label some.")
    return values, defective


def _image_ranks(scores: ArrayLike, labels: ArrayLike) -> _Ranks:
    values, defective = _both(scores, labels)
    shares = np.full(np.count_nonzero(defective), 1 / np.count_nonzero(defective))
    return _Ranks(np.sort(values[~defective]), values[defective], shares)


def _sweep(values: Floats, defective: NDArray[np.bool_]) -> tuple[Floats, Counts, Counts]:
    """Thresholds descending (highest score ... -inf), good flagged, defects flagged; each (distinct scores + 1,)."""
    distinct, place = np.unique(values, return_inverse=True)
    good = np.bincount(place, weights=~defective)[::-1].astype(np.int64)
    defects = np.bincount(place, weights=defective)[::-1].astype(np.int64)
    thresholds = np.concatenate([distinct[::-1], [-np.inf]])
    return thresholds, np.concatenate([[0], np.cumsum(good)]), np.concatenate([[0], np.cumsum(defects)])
