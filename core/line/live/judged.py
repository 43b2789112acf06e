"""A picture of a live view with what was found in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, ThresholdError
from core.line.live.frames import Frame, Taken, Unreadable
from core.placement import Placement
from core.threshold import Threshold, Verdict, judge


class Found(NamedTuple):
    """What an inspection says of a picture.

    Attributes:
        score: Anomaly score.
        anomaly_map: (h, w) float32, read-only.
        placement: Where the picture lay on the network's input.
    """

    score: float
    anomaly_map: NDArray[np.float32]
    placement: Placement


Inspect = Callable[[NDArray[np.uint8]], Found]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One picture with what was found.

    Attributes:
        frame: The picture; None where it could not be read.
        found: The result; None without a model, or where the picture could not be inspected.
        verdict: None without a model or a threshold, or where the picture could not be inspected.
        message: Why it could not be read or inspected; empty where it could.
        taken_at: When the source gave it, seconds of `time.monotonic`.
        name: Of its file.
    """

    frame: Frame | None
    found: Found | None
    verdict: Verdict | None
    message: str
    taken_at: float
    name: str


def judge_picture(taken: Taken, inspect: Inspect | None, threshold: Threshold | None) -> Judged:
    """Look at a picture, and say what it is.

    Args:
        taken: From a source.
        inspect: By which model; None: the picture alone.
        threshold: Where its verdict changes; None: no verdict.
    """
    if isinstance(taken, Unreadable):
        return Judged(None, None, None, taken.message, taken.taken_at, taken.name)
    found, verdict, message = None, None, ""
    if inspect is not None:
        try:
            found = inspect(taken.pixels)
            verdict = None if threshold is None else judge(found.score, threshold)
        except (ImageError, ThresholdError) as error:
            message = str(error)
    return Judged(taken, found, verdict, message, taken.taken_at, taken.name)
