"""Which images show the same part: several exposures of it, or shots in a row."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Pixels of the small grey pictures that are compared."""
_PATCH, _STEP = 12, 6
_FLAT = 2.0
"""Standard deviation of a patch, in grey levels of 255, below which it tells nothing."""
_SHARE = 0.25
_TIMES_CHANCE = 4.0
_FEWEST = 8
_CHUNK = 512


def same_part(pictures: Sequence[NDArray[np.uint8] | None], largest: int, check: Callable[[], None]) -> list[int]:
    """Which part each picture shows, found without knowing anything of the parts.

    At each of 49 places a picture's patch, free of brightness and contrast, has its nearest among those of all other
    pictures at that place. Of pictures of different parts, however alike, now one is nearest and now another. Where one
    and the same is nearest at a quarter of the places, four times as often as chance would have it and at eight places
    at least, both show one part. So do those that are linked by others, the strongest links first, up to `largest`.

    Args:
        pictures: (SIDE, SIDE) grey; None: cannot be read, which shows a part of its own.
        largest: Most pictures that may be of one part.
        check: Called often; may raise to stop.

    Returns:
        The number of the part that each picture shows, from 0 in the order in which they first appear.
    """
    readable = [index for index, picture in enumerate(pictures) if picture is not None]
    parts = _Parts(len(pictures), largest)
    if len(readable) > 1 and largest > 1:
        stack = np.stack([picture for picture in pictures if picture is not None]).astype(np.float32)
        for one, other in _links(_nearest_at_each_place(stack, check)):
            parts.join(readable[one], readable[other])
    return parts.numbers()


def _nearest_at_each_place(stack: NDArray[np.float32], check: Callable[[], None]) -> NDArray[np.int64]:
    """(places, n): which other picture's patch is nearest; -1 where the patch is flat."""
    starts = range(0, SIDE - _PATCH + 1, _STEP)
    found = np.full((len(starts) ** 2, len(stack)), -1)
    for place, (top, left) in enumerate((top, left) for top in starts for left in starts):
        patches = stack[:, top : top + _PATCH, left : left + _PATCH].reshape(len(stack), -1)
        patches = patches - patches.mean(axis=1, keepdims=True)
        spread = patches.std(axis=1, keepdims=True)
        patches /= spread + _FLAT
        lengths = np.square(patches).sum(axis=1)
        for start in range(0, len(stack), _CHUNK):
            check()
            some = slice(start, start + _CHUNK)
            apart = lengths - 2.0 * patches[some] @ patches.T
            own = np.arange(len(apart))
            apart[own, own + start] = np.inf
            found[place, some] = np.where(spread[some, 0] < _FLAT, -1, apart.argmin(axis=1))
    return found


def _links(nearest: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of pictures of one part, the strongest first."""
    count = nearest.shape[1]
    share = max(_SHARE, _TIMES_CHANCE / (count - 1))
    pairs = []
    for index, of_places in enumerate(nearest.T):
        telling = of_places[of_places >= 0]
        others, times = np.unique(telling, return_counts=True)
        enough = times >= max(share * len(telling), _FEWEST)
        pairs += [(-int(often), index, int(other)) for other, often in zip(others[enough], times[enough], strict=True)]
    return [(one, other) for _, one, other in sorted(pairs)]


class _Parts:
    """Pictures joined to parts, none larger than allowed."""

    def __init__(self, count: int, largest: int) -> None:
        self._of = list(range(count))
        self._members = {index: [index] for index in range(count)}
        self._largest = largest

    def join(self, one: int, other: int) -> None:
        """Both show the same part, if that does not become too large."""
        kept, gone = self._of[one], self._of[other]
        if kept == gone or len(self._members[kept]) + len(self._members[gone]) > self._largest:
            return
        for index in self._members.pop(gone):
            self._of[index] = kept
            self._members[kept].append(index)

    def numbers(self) -> list[int]:
        """Of each picture, from 0 in the order in which they first appear."""
        order = {part: number for number, part in enumerate(dict.fromkeys(self._of))}
        return [order[part] for part in self._of]
