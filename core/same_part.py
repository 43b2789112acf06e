"""Which images show the same part: several exposures of it, or shots in a row."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 48
"""Pixels of the small grey pictures that are compared."""
_PATCH, _STEP = 12, 6
_PLACES = tuple(product(range(0, SIDE - _PATCH + 1, _STEP), repeat=2))
_FEWEST_PLACES = 8
_REACH = 3
"""Pixels by which a patch may have moved, at most."""
_MOST = 5e11
"""Multiplications: of very many pictures patches may move less."""
_FLAT = 2.0
"""Standard deviation of a patch, in grey levels of 255, below which it tells nothing."""
_LEVELS = 16.0
"""Per standard deviation. Whole numbers add up to the same in whatever order, on every machine."""
_NEAR, _FAR = 8, 24
_CHANCE = 0.02
"""How often a picture of a part of its own may be linked to another."""
_KEPT = 64
_ROOM = 2**23
"""Distances at a time."""
Report = Callable[[float], None]


def same_part(pictures: Sequence[NDArray[np.uint8] | None], largest: int, report: Report) -> list[int]:
    """Which part each picture shows, found without knowing anything of the parts.

    Parts that are made alike still differ, and the more of them there are the nearer is the nearest other one: as
    points in a space of some dimensions, which the distances to the 8th and the 24th nearest tell (and those to the
    nearest quarter and half, where a part may have many pictures). A picture that is nearer than the nearest of such
    points would be in one of fifty cases shows the same part. So do pictures that are linked by others, the strongest
    links first, up to `largest`.

    How far two pictures are from each other is the mean logarithm of the squared distance of their patches at 49
    places, free of brightness and contrast, each moved by up to a sixteenth of the picture.

    Args:
        pictures: (SIDE, SIDE) grey; None: cannot be read, which shows a part of its own.
        largest: Most pictures that may be of one part.
        report: Told often how much is done, 0..1; may raise to stop.

    Returns:
        The number of the part that each picture shows, from 0 in the order in which they first appear.
    """
    readable = [index for index, picture in enumerate(pictures) if picture is not None]
    parts = _Parts(len(pictures), largest)
    if largest > 1 and _scales(len(readable)):
        stack = np.stack([picture for picture in pictures if picture is not None])
        for one, other in _links(torch.from_numpy(stack), report):
            parts.join(readable[one], readable[other])
    return parts.numbers()


def _scales(count: int) -> list[tuple[int, int]]:
    """Ranks of the neighbours that tell how parts lie, of so many pictures."""
    scales = [(_NEAR, _FAR)] if count > 2 * _FAR else []
    return [*scales, (count // 4, count // 2)] if count >= 2 * _NEAR else scales


class _Neighbours(NamedTuple):
    """Of each picture those nearest to it.

    Attributes:
        logs: (n, k) mean logarithms of squared distances, ascending.
        who: (n, k) which pictures.
        at_rank: By rank from 1, (n,) logarithms of the distance to the neighbour of that rank.
    """

    logs: NDArray[np.float32]
    who: NDArray[np.int64]
    at_rank: dict[int, NDArray[np.float32]]


def _links(pictures: Tensor, report: Report) -> list[tuple[int, int]]:
    """Pairs of pictures of one part, the strongest first."""
    scales = _scales(len(pictures))
    neighbours = _neighbours(pictures, {rank for scale in scales for rank in scale}, report)
    beyond = np.min([_beyond_chance(neighbours, near, far) for near, far in scales], axis=0)  # (n, k)
    pairs = [(beyond[one, at], one, int(neighbours.who[one, at])) for one, at in np.argwhere(beyond <= 0).tolist()]
    return [(one, other) for _, one, other in sorted(pairs)]


def _beyond_chance(neighbours: _Neighbours, near: int, far: int) -> NDArray[np.float32]:
    """(n, k): 0 where a neighbour is as near as chance would have the nearest in one of fifty cases; below 0: nearer.

    Logarithms of volumes. A ball holds so many neighbours as its volume is large, and that grows as its radius to the
    power of the dimensions. Of the far - 1 neighbours in the ball up to the last of them each may lie anywhere.
    """
    with np.errstate(invalid="ignore"):  # infinite where a picture is all but flat
        growth = neighbours.at_rank[far] - neighbours.at_rank[near]
    telling = np.isfinite(growth)
    if not telling.any() or (middle := float(np.median(growth[telling]))) <= 0:
        return np.full(neighbours.logs.shape, np.inf, np.float32)
    dimensions = math.log(far / near) / middle  # of volumes, as distances are squared: half of them
    limit = math.log(1.0 - (1.0 - _CHANCE) ** (1.0 / (far - 1)))
    outer = np.where(telling, neighbours.at_rank[far], -np.inf)[:, None]
    return ((neighbours.logs - outer) * dimensions - limit).astype(np.float32)


def _neighbours(pictures: Tensor, ranks: set[int], report: Report) -> _Neighbours:
    count = len(pictures)
    step = max(1, 2 * _ROOM // count)
    logs, who, at_rank = [], [], []
    for start in range(0, count, step):
        apart = _apart(pictures, range(start, min(start + step, count)), report)
        order = np.argsort(apart, axis=1, kind="stable")
        who.append(order[:, : min(_KEPT, count - 1)])
        logs.append(np.take_along_axis(apart, who[-1], axis=1))
        at_rank.append({rank: np.take_along_axis(apart, order[:, rank - 1 : rank], axis=1)[:, 0] for rank in ranks})
    whole = {rank: np.concatenate([part[rank] for part in at_rank]) for rank in ranks}
    return _Neighbours(np.concatenate(logs), np.concatenate(who), whole)


def _apart(pictures: Tensor, rows: range, report: Report) -> NDArray[np.float32]:
    """(rows, n) how far pictures are from all others; infinite to themselves, and where a picture is all but flat."""
    count, reach = len(pictures), _reach(len(pictures))
    total, places = torch.zeros(len(rows), count), torch.zeros(len(rows), 1)
    for place, (top, left) in enumerate(_PLACES):
        about = [range(max(at - reach, 0), min(at + reach, SIDE - _PATCH) + 1) for at in (top, left)]
        codes, flat = _codes(pictures, *about)
        unmoved = about[0].index(top) * len(about[1]) + about[1].index(left)
        others, lengths = codes.flatten(0, 1).T.contiguous(), codes.square().sum(dim=2)  # (offsets, n)
        step = max(1, _ROOM // lengths.numel())
        for start in range(0, len(rows), step):
            done = (place + start / len(rows)) / len(_PLACES)
            report((rows[0] + done * len(rows)) / count)
            some = torch.arange(rows[start], rows[min(start + step, len(rows)) - 1] + 1)
            squared = (codes[unmoved, some] @ others).mul_(-2.0).view(len(some), *lengths.shape).add_(lengths)
            squared = squared.amin(dim=1).add_(lengths[unmoved, some][:, None])  # (some, n)
            tells = (~flat[unmoved, some]).float()[:, None]
            total[start : start + len(some)] += squared.add_(1.0).log_() * tells
            places[start : start + len(some)] += tells
    total /= places
    total[(places < _FEWEST_PLACES).expand_as(total)] = torch.inf
    total[torch.arange(len(rows)), torch.tensor(rows)] = torch.inf
    return total.numpy()


def _reach(count: int) -> int:
    """How far patches may have moved, by what it costs."""
    once = len(_PLACES) * _PATCH**2 * count**2
    return next((reach for reach in range(_REACH, 0, -1) if once * (2 * reach + 1) ** 2 <= _MOST), 0)


def _codes(pictures: Tensor, rows: range, columns: range) -> tuple[Tensor, Tensor]:
    """(offsets, n, _PATCH²) patches free of brightness and contrast, in whole numbers; (offsets, n) which are flat."""
    part = pictures[:, rows[0] : rows[-1] + _PATCH, columns[0] : columns[-1] + _PATCH].float()
    patches = part.unfold(1, _PATCH, 1).unfold(2, _PATCH, 1).flatten(3).flatten(1, 2).transpose(0, 1)
    mean = patches.sum(dim=2, keepdim=True) / _PATCH**2
    spread = (patches.square().sum(dim=2, keepdim=True) / _PATCH**2 - mean.square()).clamp_(min=0).sqrt()
    codes = patches.sub(mean).mul_(_LEVELS / (spread + _FLAT)).round_()
    return codes, (spread < _FLAT)[:, :, 0]


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
