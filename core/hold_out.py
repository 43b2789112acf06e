"""Which good images are kept out of training, to set the threshold from: all images of a part, or none of them."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.ahead import AHEAD, DECODERS, ahead
from core.dataset import Sample
from core.errors import DatasetError, ImageError
from core.images import read_thumbnail
from core.opencv import cv2
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.same_part import SIDE, same_part


class HoldOut(NamedTuple):
    """Good images in two halves, each by name.

    Attributes:
        training: To learn from.
        held_out: To set the threshold from.
        parts: The number of the part that each of the held-out images shows.
        all_parts: How many parts all of them show.
    """

    training: list[Sample]
    held_out: list[Sample]
    parts: tuple[int, ...]
    all_parts: int


def hold_out(
    good: Sequence[Sample], share: float, seed: int, *, report: Report = silent, cancel: CancelToken | None = None
) -> HoldOut:
    """Hold out whole parts by a seeded draw that does not depend on the order given.

    Images of a part that was learned from score lower than those of a new part, so a threshold from them would promise
    too much. Which images show the same part is told from the images, see `core.same_part`.

    Args:
        good: Defect-free images.
        share: Of the images to hold out, 0..0.5; no more are, and fewer where parts do not fit.
        seed: Of the draw.
        report: Told of progress.
        cancel: Checked for each image.

    Raises:
        DatasetError: There is no image.
        CancelledByUser: The token was set.
    """
    if not good:
        raise DatasetError("There is no good image to train on. Add a folder with images of defect-free parts.")
    ordered, cancel = sorted(good, key=lambda sample: sample.name), cancel or CancelToken()
    count = min(round(share * len(ordered)), len(ordered) - 1)
    if share > 0 and len(ordered) > 1:
        count = max(count, 1)
    if count == 0:
        return HoldOut(ordered, [], (), len(ordered))

    def compared(done: float) -> None:
        cancel.check()
        report(Progress(Phase.PARTS, int(done * len(ordered)), len(ordered)))

    parts = same_part(small_pictures(ordered, report, cancel), count, compared)
    drawn = _drawn(parts, count, seed)
    held_out = [index for index in range(len(ordered)) if index in drawn]
    return HoldOut(
        [sample for index, sample in enumerate(ordered) if index not in drawn],
        [ordered[index] for index in held_out],
        tuple(parts[index] for index in held_out),
        len(set(parts)),
    )


def _drawn(parts: Sequence[int], count: int, seed: int) -> set[int]:
    """Indices of the images of parts drawn at random, `count` at most; parts that do not fit are passed over."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        members[part].append(index)
    drawn: set[int] = set()
    for part in np.random.default_rng(seed).permutation(len(members)).tolist():
        if len(drawn) + len(members[part]) <= count:
            drawn.update(members[part])
    return drawn


def small_pictures(
    samples: Sequence[Sample], report: Report = silent, cancel: CancelToken | None = None
) -> list[NDArray[np.uint8] | None]:
    """(SIDE, SIDE) grey, for `same_part`; None where an image cannot be read: whoever learns from it will say so.

    Raises:
        CancelledByUser: The token was set.
    """

    def small(sample: Sample) -> NDArray[np.uint8]:
        grey = cv2.cvtColor(read_thumbnail(sample.path, SIDE), cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)

    cancel = cancel or CancelToken()
    found: list[NDArray[np.uint8] | None] = []
    with closing(ahead(small, samples, workers=DECODERS, waiting=DECODERS * AHEAD)) as pictures:
        for _, picture in pictures:
            cancel.check()
            try:
                found.append(picture.result())
            except ImageError:
                found.append(None)
            report(Progress(Phase.READING, len(found), len(samples)))
    return found
