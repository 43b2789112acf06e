"""Which images show the same part: several exposures of it, or shots in a row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 48
"""Pixels of the small grey pictures that are compared."""
_PATCH, _STEP = 12, 6
_REACH = 3
"""Pixels by which a patch may have moved, at most."""
_MOST = 5e11
"""Multiplications: of very many pictures patches may move less."""
_FLAT = 2.0
"""Standard deviation of a patch, in grey levels of 255, below which it tells nothing."""
_LEVELS = 16.0
"""Per standard deviation. Whole numbers add up to the same in whatever order, on every machine."""
_SHARE = 0.25
_TIMES_CHANCE = 4.0
_FEWEST = 8
_ROOM = 2**23
"""Distances at a time."""


def same_part(pictures: Sequence[NDArray[np.uint8] | None], largest: int, check: Callable[[], None]) -> list[int]:
    """Which part each picture shows, found without knowing anything of the parts.

    At each of 49 places a picture's patch, free of brightness and contrast, has its nearest among those of all other
    pictures about that place. Of pictures of different parts, however alike, now one is nearest and now another. Where
    one and the same is nearest at a quarter of the places, four times as often as chance would have it and at eight
    places at least, both show one part. So do those that are linked by others, the strongest links first, up to
    `largest`. A part that was turned, or moved by more than a tenth of the picture, is not known again.

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
        stack = np.stack([picture for picture in pictures if picture is not None])
        for one, other in _links(_nearest_at_each_place(torch.from_numpy(stack), check)):
            parts.join(readable[one], readable[other])
    return parts.numbers()


def _nearest_at_each_place(pictures: Tensor, check: Callable[[], None]) -> NDArray[np.int64]:
    """(places, n): which other picture has the nearest patch; -1 where the patch is flat."""
    starts, count = range(0, SIDE - _PATCH + 1, _STEP), len(pictures)
    found = np.full((len(starts) ** 2, count), -1)
    reach = _reach(count)
    for place, (top, left) in enumerate((top, left) for top in starts for left in starts):
        about = [range(max(at - reach, 0), min(at + reach, SIDE - _PATCH) + 1) for at in (top, left)]
        codes, flat = _codes(pictures, *about)
        unmoved = about[0].index(top) * len(about[1]) + about[1].index(left)
        own = codes[unmoved]  # (n, _PATCH²)
        others, lengths = codes.flatten(0, 1).T.contiguous(), codes.square().sum(dim=2)  # (offsets, n)
        step = max(1, _ROOM // lengths.numel())
        for start in range(0, count, step):
            check()
            some = torch.arange(start, min(start + step, count))
            apart = (own[some] @ others).mul_(-2.0).view(len(some), *lengths.shape).add_(lengths).amin(dim=1)
            apart[some - start, some] = torch.inf
            found[place, some.numpy()] = apart.numpy().argmin(axis=1)
        found[place, flat[unmoved].numpy()] = -1
    return found


def _reach(count: int) -> int:
    """How far patches may have moved, by what it costs."""
    places = (len(range(0, SIDE - _PATCH + 1, _STEP)) * _PATCH) ** 2
    return next((reach for reach in range(_REACH, 0, -1) if (count * (2 * reach + 1)) ** 2 * places <= _MOST), 0)


def _codes(pictures: Tensor, rows: range, columns: range) -> tuple[Tensor, Tensor]:
    """(offsets, n, _PATCH²) patches free of brightness and contrast, in whole numbers; (offsets, n) which are flat."""
    part = pictures[:, rows[0] : rows[-1] + _PATCH, columns[0] : columns[-1] + _PATCH].float()
    patches = part.unfold(1, _PATCH, 1).unfold(2, _PATCH, 1).flatten(3).flatten(1, 2).transpose(0, 1)
    mean = patches.sum(dim=2, keepdim=True) / _PATCH**2
    spread = (patches.square().sum(dim=2, keepdim=True) / _PATCH**2 - mean.square()).clamp_(min=0).sqrt()
    codes = patches.sub(mean).mul_(_LEVELS / (spread + _FLAT)).round_()
    return codes, (spread < _FLAT)[:, :, 0]


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
