"""How the same part may come to the camera: in other light, blurred, beside its place, turned; also learned so then."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.config import Training
from core.placement import Placement, cut, resized

_QUARTERS = ((1, 1), (-1, -1), (1, -1), (-1, 1))
"""Across and down: the picture is moved once into each."""


def how_many(training: Training) -> int:
    """How many pictures `variants` makes of one."""
    blurred = int(training.blur_variation > 0)
    return len(_exposures(training)) + blurred + (len(_QUARTERS) if _moves(training) else 0)


def variants(
    image: NDArray[np.uint8], placement: Placement, training: Training, random: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """The picture as it is and, where light, focus, place or angle may vary, as it may then be.

    Light: at both ends. Focus: blurred as far as it may be. Place and angle: moved once into each quarter and turned,
    as far as is drawn, in one of the lights by turns, and every other one blurred. What would come in from beyond the
    picture is taken for the edge repeated, as plain ground goes on.

    Args:
        image: (H, W, 3) uint8 RGB.
        placement: Where it lies on the network's input.
        training: What may vary, and by how much.
        random: Draws how far.

    Returns:
        Each (canvas H, canvas W, 3) uint8 RGB.
    """
    picture, factors = resized(image, placement), _exposures(training)
    found = [_exposed(cut(picture, placement), factor) for factor in factors]
    sharp_or_not = [picture]
    if training.blur_variation > 0:
        sharp_or_not.append(_blurred(picture, placement, training.blur_variation))
        found.append(cut(sharp_or_not[-1], placement))
    if _moves(training):
        for number, matrix in enumerate(_drawn(placement, training, random)):
            moved = cut(_moved(sharp_or_not[number % len(sharp_or_not)], matrix), placement)
            found.append(_exposed(moved, factors[number % len(factors)]))
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


def _blurred(picture: NDArray[np.uint8], placement: Placement, share: float) -> NDArray[np.uint8]:
    """A resized picture, out of focus: a Gaussian whose sigma is a share of the original's width, across and down."""
    from core.opencv import cv2

    down, across = np.divide(placement.resized, placement.source) * share * placement.source[1]
    blurred = cv2.GaussianBlur(picture, (0, 0), across, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)


def _drawn(placement: Placement, training: Training, random: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Ways to move a resized picture: (2, 3) matrices on its continuous pixels (x, y, 1).

    As long as nothing is turned, by whole pixels, so that nothing is blurred.
    """
    (height, width), scale = placement.source, np.divide(placement.resized, placement.source)[::-1]
    middle = np.array((width / 2, height / 2))
    parts = random.permutation(len(_QUARTERS))
    for quarter, part in zip(_QUARTERS, parts, strict=True):
        shift = training.position_variation * width * random.uniform(size=2) * quarter
        if training.angle_variation == 0:
            yield np.column_stack((np.eye(2), np.rint(shift * scale)))
            continue
        share = 2 * (part + random.uniform()) / len(_QUARTERS) - 1  # of -1..1, in another part of it each time
        angle = np.radians(training.angle_variation * share)
        turn = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
        linear = turn * scale[:, None] / scale[None, :]  # the picture may be squashed, the part is not
        yield np.column_stack((linear, scale * (middle + shift - turn @ middle)))


def _moved(picture: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A resized picture, moved."""
    from core.opencv import cv2

    height, width = picture.shape[:2]
    on_middles = matrix.copy()  # OpenCV counts from the middle of the first pixel
    on_middles[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    moved = cv2.warpAffine(picture, on_middles, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
