"""A picture at several sizes, each made when it is first needed."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

SMOOTH_LIMIT = 6_000_000
"""Pixels up to which a level is halved by averaging; above, by leaving pixels out, which is quick at any size."""


class Pyramid:
    """Levels 0, 1, 2, ... of a picture, each half as wide as the one before.

    Args:
        picture: (H, W, 3) RGB uint8; kept, not copied where its rows lie together in memory.
    """

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = np.ascontiguousarray(picture)
        self._levels: dict[int, QImage] = {}
        self._kept: list[NDArray[np.uint8]] = []  # what the images look into

    @property
    def width(self) -> int:
        """Of level 0, in pixels."""
        return int(self._picture.shape[1])

    @property
    def height(self) -> int:
        """Of level 0, in pixels."""
        return int(self._picture.shape[0])

    def level_for(self, zoom: float) -> int:
        """The smallest level that is not coarser than the screen at `zoom` device pixels per pixel."""
        level = 0
        while zoom * 2 ** (level + 1) <= 1 and min(self.width, self.height) >> (level + 1) >= 1:
            level += 1
        return level

    def image(self, level: int) -> QImage:
        """The picture at a level."""
        if level not in self._levels:
            self._levels[level] = self._make(level)
        return self._levels[level]

    def _make(self, level: int) -> QImage:
        step = 2**level
        above_limit = self.width * self.height > SMOOTH_LIMIT * (step // 2) ** 2
        if level == 0 or above_limit:
            return self._strided(step)
        finer = self.image(level - 1)
        size = QSize(max(1, -(-self.width // step)), max(1, -(-self.height // step)))
        return finer.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)

    def _strided(self, step: int) -> QImage:
        pixels = self._picture if step == 1 else np.ascontiguousarray(self._picture[::step, ::step])
        self._kept.append(pixels)
        height, width = pixels.shape[:2]
        return QImage(pixels.data, width, height, width * 3, QImage.Format.Format_RGB888)
