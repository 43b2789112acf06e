"""Small pictures in bounded memory."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

SIDE = 128
"""Longest side of a thumbnail in pixels; enough for the grid at two device pixels per pixel."""


def to_image(picture: NDArray[np.uint8]) -> QImage:
    """An own copy of a picture, (h, w, 3) RGB uint8, as Qt wants it."""
    height, width = picture.shape[:2]
    rows = np.ascontiguousarray(picture)
    return QImage(rows.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


class ThumbnailCache:
    """The thumbnails used last, and which files have none."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._images: OrderedDict[Path, QImage] = OrderedDict()
        self._broken: set[Path] = set()

    def __len__(self) -> int:
        return len(self._images)

    def get(self, path: Path) -> QImage | None:
        """The thumbnail of a file, if it is there."""
        image = self._images.get(path)
        if image is not None:
            self._images.move_to_end(path)
        return image

    def is_broken(self, path: Path) -> bool:
        """Whether the file could not be read."""
        return path in self._broken

    def put(self, path: Path, image: QImage) -> None:
        """Keep one; the one that was not used for longest goes."""
        self._broken.discard(path)
        self._images[path] = image
        self._images.move_to_end(path)
        while len(self._images) > self._limit:
            self._images.popitem(last=False)

    def put_broken(self, path: Path) -> None:
        """Note that a file has no thumbnail."""
        self._broken.add(path)

    def forget_broken(self) -> None:
        """Try broken files again: they may have been mended."""
        self._broken.clear()
