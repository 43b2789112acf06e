"""Brings pictures and thumbnails from disk without blocking the window."""

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from cfa_gui.errors import user_message
from cfa_gui.jobs import LatestLoader
from cfa_gui.models.image_list import ImageListModel
from cfa_gui.models.pictures import Picture, PictureKey
from cfa_gui.models.session import Session
from cfa_gui.models.thumbnails import SIDE, ThumbnailCache, to_image
from core.dataset import Sample
from core.errors import CfaError
from core.images import read_image, read_mask, read_thumbnail

_KEPT_BYTES = 96 * 1024 * 1024


def _load_picture(key: Hashable) -> Picture:
    assert isinstance(key, PictureKey)  # noqa: S101  a slip of this file, not of the user
    pixels = read_image(key.path)
    try:
        truth = read_mask(key.mask) if key.mask is not None else None
    except CfaError:
        truth = None
    if truth is not None and truth.shape != pixels.shape[:2]:
        truth = None
    return Picture(key.path, pixels, truth)


def _load_thumbnail(key: Hashable) -> NDArray[np.uint8]:
    assert isinstance(key, Path)  # noqa: S101  a slip of this file, not of the user
    return read_thumbnail(key, SIDE)


def _key(sample: Sample) -> PictureKey:
    return PictureKey(sample.path, sample.mask)


class PicturesController(QObject):
    """Feeds the canvas and the list with pictures; the one chosen last comes first."""

    picture_ready = Signal(object)
    """Picture of the current image."""
    picture_failed = Signal(str)
    """Why the current image cannot be shown."""
    thumbnail_ready = Signal()

    def __init__(
        self, session: Session, thumbnails: ThumbnailCache, images: ImageListModel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = thumbnails
        self._images = images
        self._kept: OrderedDict[Path, Picture] = OrderedDict()
        self._pictures = LatestLoader(_load_picture, limit=2, name="pictures", parent=self)
        self._small = LatestLoader(_load_thumbnail, limit=96, name="thumbnails", parent=self)
        self._pictures.loaded.connect(self._on_picture)
        self._pictures.failed.connect(self._on_picture_failed)
        self._small.loaded.connect(self._on_thumbnail)
        self._small.failed.connect(self._on_thumbnail_failed)
        images.thumbnail_wanted.connect(self._on_wanted)
        session.current_changed.connect(self._on_current)
        session.samples_changed.connect(self._on_files_changed)

    def shutdown(self) -> None:
        """Stop loading."""
        self._pictures.shutdown()
        self._small.shutdown()

    @Slot()
    def _on_current(self) -> None:
        sample = self._session.current_sample()
        if sample is None:
            return
        picture = self._kept.get(sample.path)
        if picture is not None:
            self.picture_ready.emit(picture)
        else:
            self._pictures.request(_key(sample))

    @Slot(object, object)
    def _on_picture(self, key: PictureKey, picture: Picture) -> None:
        self._keep(picture)
        sample = self._session.current_sample()
        if sample is not None and sample.path == key.path:
            self.picture_ready.emit(picture)
            self._prefetch()

    def _prefetch(self) -> None:
        row = self._images.row_of(self._session.current)
        sample = self._images.sample_at(row + 1) if row >= 0 else None
        if sample is not None and sample.path not in self._kept:
            self._pictures.request(_key(sample))

    def _keep(self, picture: Picture) -> None:
        self._kept[picture.path] = picture
        self._kept.move_to_end(picture.path)
        while len(self._kept) > 1 and sum(p.pixels.nbytes for p in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        while len(self._kept) > 6:
            self._kept.popitem(last=False)

    @Slot(object, object)
    def _on_picture_failed(self, key: PictureKey, error: BaseException) -> None:
        sample = self._session.current_sample()
        if sample is not None and sample.path == key.path:
            self.picture_failed.emit(user_message(error)[0])

    @Slot(object)
    def _on_wanted(self, path: Path) -> None:
        self._small.request(path)

    @Slot(object, object)
    def _on_thumbnail(self, path: Path, picture: NDArray[np.uint8]) -> None:
        self._thumbnails.put(path, to_image(picture))
        self.thumbnail_ready.emit()

    @Slot(object, object)
    def _on_thumbnail_failed(self, path: Path, _error: BaseException) -> None:
        self._thumbnails.put_broken(path)
        self.thumbnail_ready.emit()

    @Slot()
    def _on_files_changed(self) -> None:
        self._thumbnails.forget_broken()
