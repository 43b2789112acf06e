"""Where good ends and defect begins: three ways to set the threshold, and the verdict on one score.

A part is flagged when its score is above the threshold, strictly. Scores are image scores as `core.scoring` gives
them: float, unitless, larger is stranger.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.counting import counted
from core.errors import ThresholdError

DEFAULT_FALSE_ALARM_RATE = 0.05
"""What a new model's threshold promises, where its held-out images can."""


@dataclass(frozen=True, slots=True)
class FalseAlarmRate:
    """Chosen from held-out good images alone; a promise, see `false_alarm_threshold`.

    Attributes:
        rate: The largest share of good parts that may be flagged, above 0 and below 1.
        images: Held-out good images that it was chosen from.
        parts: How many parts these show, 1..images. None: a part each.
    """

    rate: float
    images: int
    parts: int | None = None

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        _require_images(self.images)
        _require(
            self.parts is None or 1 <= self.parts <= self.images,
            f"{counted(self.images, 'image')} cannot show {self.parts} parts.",
        )


@dataclass(frozen=True, slots=True)
class BestF1:
    """Chosen from labelled images, good and defective; see `best_f1_threshold`.

    Attributes:
        images: Labelled images that it was chosen from, held-out good ones among them where they counted.
        f1: What it reaches on them, 0..1.
    """

    images: int
    f1: float

    def __post_init__(self) -> None:
        _require_images(self.images)
        _require(0.0 <= self.f1 <= 1.0, f"F1 lies between 0 and 1; it is given as {self.f1}.")


@dataclass(frozen=True, slots=True)
class Manual:
    """Set by hand."""


Policy = FalseAlarmRate | BestF1 | Manual
_POLICIES: dict[str, type[Policy]] = {"false_alarm_rate": FalseAlarmRate, "best_f1": BestF1, "manual": Manual}


class Verdict(StrEnum):
    """What is said of one part."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    DEFECT = "defect"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A line between good and defect, and where it comes from.

    Attributes:
        value: A score above it is a defect. Finite.
        policy: How it was chosen.
        lower: A second line, at most `value`: above it and up to `value` a score is uncertain. None: no such band.
    """

    value: float
    policy: Policy
    lower: float | None = None

    def __post_init__(self) -> None:
        _require(math.isfinite(self.value), f"The threshold must be a finite number; it is {self.value}.")
        if self.lower is not None:
            _require(math.isfinite(self.lower), f"The lower line must be a finite number; it is {self.lower}.")
            _require(
                self.lower <= self.value,
                f"The lower line ({self.lower:g}) must not be above the threshold ({self.value:g}).",
            )

    def with_lower(self, lower: float | None) -> Self:
        """The same threshold with another second line; None takes it away.

        Raises:
            ThresholdError: It is not finite, or above the threshold.
        """
        return replace(self, lower=lower)

    def sentence(self, besides: str = "") -> str:
        """In plain words how it was chosen.

        Args:
            besides: A sentence on the threshold, said before that on its second line.
        """
        match self.policy:
            case FalseAlarmRate(rate, images, parts):
                text = (
                    f"Set from {images_of_parts(images, parts)}: "
                    f"the chance that the next good part is flagged is at most {percent(rate)}."
                )
            case BestF1(images, f1):
                text = f"Set where F1 is highest on {counted(images, 'labelled image')}: F1 is {f1:.3f}."
            case Manual():
                text = "Set by hand."
        lower = "" if self.lower is None else f"Scores above {self.lower:.4g} are uncertain."
        return " ".join(filter(None, (text, besides, lower)))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, strings and numbers; floats survive `json.dumps` and `json.loads` exactly."""
        kind = next(name for name, policy in _POLICIES.items() if isinstance(self.policy, policy))
        fields = {name: getattr(self.policy, name) for name in self.policy.__slots__}
        if fields.get("parts", 0) is None:
            del fields["parts"]  # versions that know of none read it, too
        return {"value": self.value, "lower": self.lower, "policy": {"kind": kind, **fields}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ThresholdError: Something is missing, unknown, of the wrong type or out of range.
        """
        try:
            fields = dict(data["policy"])
            policy = _POLICIES[fields.pop("kind")](**fields)
            lower = data["lower"]
            return cls(float(data["value"]), policy, None if lower is None else float(lower))
        except (KeyError, TypeError, ValueError) as error:
            raise ThresholdError(f"The threshold cannot be read ({error!r}). Set it again.") from error


def judge(score: float, threshold: Threshold) -> Verdict:
    """The verdict on one score.

    Raises:
        ThresholdError: The score is not a number (NaN); it must not pass as good.
    """
    if math.isnan(score):
        raise ThresholdError("The score is not a number: no verdict can be given. Train the model again.")
    if score > threshold.value:
        return Verdict.DEFECT
    if threshold.lower is not None and score > threshold.lower:
        return Verdict.UNCERTAIN
    return Verdict.GOOD


def manual_threshold(value: float, lower: float | None = None) -> Threshold:
    """A threshold set by hand.

    Raises:
        ThresholdError: A number is not finite, or `lower` is above `value`.
    """
    return Threshold(float(value), Manual(), None if lower is None else float(lower))


def images_of_parts(images: int, parts: int | None, image: str = "held-out good image") -> str:
    """Like "152 held-out good images of 35 parts"; of parts nothing is said where each image shows its own."""
    text = counted(images, image)
    return text if parts in (None, images) else f"{text} of {counted(parts or 0, 'part')}"


def smallest_rate(parts: int) -> float:
    """The smallest false-alarm rate that held-out good images of so many parts can promise: 1 / (parts + 1).

    It is rounded up to the next float where needed, so that `false_alarm_threshold` grants it.

    Raises:
        ThresholdError: There is no image.
    """
    _require(parts > 0, "No good image is held out, so no false-alarm rate can be promised. Hold out some.")
    rate = 1 / (parts + 1)
    return rate if _exactly(rate) >= Fraction(1, parts + 1) else math.nextafter(rate, 1.0)


def images_needed(rate: float) -> int:
    """How many held-out good images, each of another part, the promise of a rate needs: the least n >= 1 / rate - 1.

    Raises:
        ThresholdError: The rate is not between 0 and 1.
    """
    _check_rate(rate)
    return max(1, math.ceil(1 / _exactly(rate) - 1))


def percent(rate: float, digits: int = 3) -> str:
    """A rate as a percentage ("4.77 %"): without exponent, to so many significant digits, rounded up.

    Rounded up, a promised false-alarm rate stays a promise kept.
    """
    text = f"{Context(prec=digits, rounding=ROUND_CEILING).multiply(Decimal(str(float(rate))), Decimal(100)):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def false_alarm_threshold(good_scores: ArrayLike, rate: float, parts: Sequence[int] = ()) -> Threshold:
    """The threshold that flags at most a share `rate` of good parts, from good images alone.

    Split conformal prediction: of n held-out good scores the ceil((n + 1)(1 - rate))-th smallest. If the held-out
    parts and the next good part are exchangeable (made and photographed alike, not trained on), the chance that the
    next one is flagged is at most `rate`, whatever the distribution of the scores, ties included. The chance is over
    the draw of the held-out parts as well as of the next one. The rank is computed in exact arithmetic, the rate being
    read as the decimal number that it prints as.

    Where several images show one part, it is the m parts that are exchangeable, and what is promised is about one image
    of the next part. Each of n_k images of a part counts 1 / n_k: the threshold is the smallest score up to which these
    add up to (m + 1)(1 - rate) (Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023).
    With one image of each part that is the same.

    Where images are held out in turns, the scores are of networks that learned from fewer images than the model did,
    which scores new good parts no higher; the promise then rests on that and is no theorem (cross-conformal prediction:
    Vovk 2015; with the models kept, twice the rate is one: Barber, Candès, Ramdas and Tibshirani 2021, CV+).

    Args:
        good_scores: Scores of good images by a network that was not trained on them, (n,).
        rate: Above 0 and below 1.
        parts: The number of the part that each image shows, (n,); empty: a part each.

    Raises:
        ThresholdError: There are too few parts for that rate (m < 1 / rate - 1), a score is not finite, or the rate is
            not between 0 and 1.
    """
    scores = _finite(good_scores)
    _check_rate(rate)
    of_part = parts or range(len(scores))
    if len(of_part) != len(scores):
        raise ValueError(f"{len(scores)} scores but {len(of_part)} numbers of parts")
    sizes = Counter(of_part)
    m, unit = len(sizes), math.lcm(*sizes.values())
    needed = (m + 1) * (1 - _exactly(rate)) * unit
    if needed > m * unit:
        raise ThresholdError(
            f"{images_of_parts(len(scores), m)} can promise a false-alarm rate of "
            f"{percent(smallest_rate(m), digits=2)} at best; {percent(rate)} needs {images_needed(rate):,}"
            f"{' parts' if m < len(scores) else ''}. Hold out more images or ask for a higher rate."
        )
    order = np.argsort(scores, kind="stable").tolist()
    up_to = accumulate(unit // sizes[of_part[index]] for index in order)
    last = next(index for index, total in zip(order, up_to, strict=True) if total >= needed)
    told = None if m == len(scores) else m
    return Threshold(float(scores[last]), FalseAlarmRate(float(rate), len(scores), told))


def best_f1_threshold(scores: ArrayLike, labels: ArrayLike) -> Threshold:
    """The threshold of the highest F1 over all cuts, halfway between the two scores that it parts.

    Of equal cuts the one with the widest gap between its two scores is taken, then the lowest. If flagging every image
    is best, the threshold is half a mean gap below the lowest score.

    Args:
        scores: (n,), finite.
        labels: (n,), True where the part is defective.

    Raises:
        ThresholdError: All labels are alike, or a score is not finite.
    """
    values, defective = _finite(scores), np.asarray(labels, np.bool_)
    if values.shape != defective.shape:
        raise ValueError(f"{values.shape} scores but {defective.shape} labels")
    total = int(defective.sum())
    if total in (0, len(values)):
        missing = "defective" if total == 0 else "good"
        raise ThresholdError(f"The best F1 needs labelled images of both kinds; none is {missing}. Label some.")
    distinct, place = np.unique(values, return_inverse=True)
    at_or_above = np.cumsum(np.bincount(place)[::-1])[::-1]  # images flagged by a cut just below each distinct score
    found = np.cumsum(np.bincount(place, weights=defective)[::-1])[::-1]
    f1 = 2 * found / (at_or_above + total)
    gap = np.concatenate([[0.0], np.diff(distinct)])  # the cut that flags everything has nothing below it
    best = int(np.lexsort((np.arange(len(f1)), -gap, -f1))[0])
    return Threshold(_cut_below(distinct, best), BestF1(len(values), float(f1[best])))


def _cut_below(distinct: NDArray[np.float64], index: int) -> float:
    """A threshold that flags distinct[index] and nothing lower; `distinct` ascends."""
    here = float(distinct[index])
    if index > 0:
        below = float(distinct[index - 1])
        middle = below / 2 + here / 2
        return middle if middle < here else below  # neighbouring floats have no middle
    gaps = len(distinct) - 1
    margin = (float(distinct[-1]) / gaps - here / gaps) / 2 if gaps else max(abs(here), 1.0) / 2
    return min(here - margin, math.nextafter(here, -math.inf))


def _finite(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64).ravel()
    _require(values.size > 0, "There is no score to set a threshold from. Hold out or label some images.")
    broken = int((~np.isfinite(values)).sum())
    _require(broken == 0, f"{broken} of {values.size} scores are not finite numbers. Train the model again.")
    return values


def _exactly(rate: float) -> Fraction:
    return Fraction(str(float(rate)))


def _check_rate(rate: float) -> None:
    _require(0.0 < rate < 1.0, f"The false-alarm rate is {rate}; use a share above 0 and below 1 (0.05 is 5 %).")


def _require_images(images: int) -> None:
    _require(images >= 1, f"A threshold is set from 1 image or more; it is given as {images}.")


def _require(ok: bool, sentence: str) -> None:
    if not ok:
        raise ThresholdError(sentence)
