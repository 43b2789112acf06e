"""Which good images are kept out of training, to set the threshold from: all images of a part, or none of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
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

_MOST_TURNS = 10


class HoldOut(NamedTuple):
    """Good images, and which of them are held out together, turn after turn.

    Attributes:
        images: All of them, by name.
        parts: The number of the part that each of them shows.
        turns: Of each turn the indices of its images, ascending; none is held out twice. Empty: none is held out.
    """

    images: list[Sample]
    parts: tuple[int, ...]
    turns: tuple[tuple[int, ...], ...]

    @property
    def held_out(self) -> list[Sample]:
        """Those that are held out in some turn, turn after turn."""
        return [self.images[index] for turn in self.turns for index in turn]

    @property
    def held_out_parts(self) -> tuple[int, ...]:
        """The part that each of `held_out` shows."""
        return tuple(self.parts[index] for turn in self.turns for index in turn)

    @property
    def never_held_out(self) -> list[Sample]:
        """Those that are held out in no turn."""
        held_out = {index for turn in self.turns for index in turn}
        return [sample for index, sample in enumerate(self.images) if index not in held_out]

    @property
    def part_count(self) -> int:
        """How many parts all images show."""
        return len(set(self.parts))


def hold_out(
    good: Sequence[Sample],
    share: float,
    seed: int,
    parts_wanted: int = 1,
    *,
    report: Report = silent,
    cancel: CancelToken | None = None,
) -> HoldOut:
    """Hold out whole parts by a seeded draw that does not depend on the order given.

    Images of a part that was learned from score lower than those of a new part, so a threshold from them would promise
    too much. Which images show the same part is told from the images, see `core.same_part`.

    Args:
        good: Defect-free images.
        share: Of the images to hold out in a turn, 0..0.5; no more are, and fewer where parts do not fit.
        seed: Of the draw.
        parts_wanted: How many parts to hold out at least, in all turns together; one turn holds out what its share
            gives. Fewer where there are no more, where more than ten turns would be needed, or another turn would hold
            out less than half of the share.
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
        return HoldOut(ordered, tuple(range(len(ordered))), ())

    def compared(done: float) -> None:
        cancel.check()
        report(Progress(Phase.PARTS, int(done * len(ordered)), len(ordered)))

    parts = same_part(small_pictures(ordered, report, cancel), count, compared)
    return HoldOut(ordered, tuple(parts), tuple(_drawn(parts, count, seed, parts_wanted)))


def _drawn(parts: Sequence[int], count: int, seed: int, parts_wanted: int) -> Iterator[tuple[int, ...]]:
    """Indices of the images of parts drawn at random, `count` at most in a turn; what does not fit may in the next."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        members[part].append(index)
    left, shown = np.random.default_rng(seed).permutation(len(members)).tolist(), 0
    for _ in range(_MOST_TURNS):
        turn: list[int] = []
        passed_over = []
        for part in left:
            if len(turn) + len(members[part]) <= count:
                turn += members[part]
            else:
                passed_over.append(part)
        yield tuple(sorted(turn))
        shown += len(left) - len(passed_over)
        left = passed_over
        if shown >= parts_wanted or 2 * sum(len(members[part]) for part in left) < count:
            return


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
