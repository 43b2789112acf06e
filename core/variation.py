"""How the same part may come to the camera: in other light, beside its place, turned; it is then also learned so."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.config import Training
from core.geometry import Geometry
from core.placement import Placement, cut, resized

_QUARTERS = ((1, 1), (-1, -1), (1, -1), (-1, 1))
"""Across and down: the picture is moved once into each."""


class Variant(NamedTuple):
    """A picture of a part as it may come.

    Attributes:
        canvas: (H, W, 3) uint8 RGB, the network's input.
        valid: (h, w) bool, patches that count and of which the picture tells.
    """

    canvas: NDArray[np.uint8]
    valid: NDArray[np.bool_]


def how_many(training: Training) -> int:
    """How many pictures `variants` makes of one."""
    return len(_exposures(training)) + (len(_QUARTERS) if _moves(training) else 0)


def variants(
    image: NDArray[np.uint8], where: Geometry, training: Training, random: np.random.Generator
) -> list[Variant]:
    """The picture as it is and, where light, place or angle may vary, as it may then be.

    Light: at both ends. Place and angle: moved once into each quarter, as far as is drawn, in one of the lights by
    turns. What comes in from beyond the picture is not known and does not count.

    Args:
        image: (H, W, 3) uint8 RGB.
        where: Where it lies on the network's input.
        training: What may vary, and by how much.
        random: Draws how far.
    """
    picture, factors = resized(image, where.placement), _exposures(training)
    as_it_is = cut(picture, where.placement)
    found = [Variant(_exposed(as_it_is, factor), where.valid) for factor in factors]
    if _moves(training):
        for number, matrix in enumerate(_drawn(where.placement, training, random)):
            moved = _moved(picture, where, matrix)
            if not moved.valid.any():  # nothing is known of what would lie in the regions
                moved = found[0]
            found.append(moved._replace(canvas=_exposed(moved.canvas, factors[number % len(factors)])))
    return found


def _exposures(training: Training) -> tuple[float, ...]:
    """By which shares the light differs."""
    share = training.light_variation
    return (0.0, -share, share) if share else (0.0,)


def _moves(training: Training) -> bool:
    return training.position_variation > 0 or training.angle_variation > 0


def _exposed(canvas: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """In light that differs by that share; values are proportional to it up to 255."""
    if share == 0:
        return canvas
    return np.asarray(np.clip(np.rint(canvas.astype(np.float32) * (1 + share)), 0, 255), np.uint8)


def _drawn(placement: Placement, training: Training, random: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Ways to move a resized picture: (2, 3) matrices on its continuous pixels (x, y, 1).

    As long as nothing is turned, by whole pixels, so that nothing is blurred.
    """
    (height, width), scale = placement.source, np.divide(placement.resized, placement.source)[::-1]
    middle = np.array((width / 2, height / 2))
    turns = random.permutation(len(_QUARTERS))
    for quarter, turn in zip(_QUARTERS, turns, strict=True):
        shift = training.position_variation * width * random.uniform(size=2) * quarter
        share = (2 * (turn + random.uniform()) / len(_QUARTERS)) - 1  # of -1..1, another part of it each time
        angle = np.radians(training.angle_variation * share)
        turned = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
        linear = turned * scale[:, None] / scale[None, :]  # an oblong picture may be squashed
        if training.angle_variation == 0:
            yield np.column_stack((np.eye(2), np.rint(shift * scale)))
        else:
            yield np.column_stack((linear, scale * (middle + shift - turned @ middle)))


def _moved(picture: NDArray[np.uint8], where: Geometry, matrix: NDArray[np.float64]) -> Variant:
    """A resized picture moved on the canvas."""
    from core.opencv import cv2

    height, width = picture.shape[:2]
    on_centres = matrix.copy()  # OpenCV counts from the middle of the first pixel
    on_centres[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    size = width, height
    moved = cv2.warpAffine(picture, on_centres, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.warpAffine(np.ones((height, width, 1), np.uint8), on_centres, size, flags=cv2.INTER_NEAREST)
    seen = cut(np.asarray(known, np.uint8).reshape(height, width, 1), where.placement)
    cell = len(seen) // len(where.valid)
    told = seen.reshape(len(seen), -1)[cell // 2 :: cell, cell // 2 :: cell] > 0
    return Variant(cut(np.asarray(moved, np.uint8), where.placement), where.valid & told)
