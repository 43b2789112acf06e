"""The list of images as Qt views want it: which rows there are is one array, made by numpy, never by a proxy."""

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt, QTimer, Signal, Slot

from cfa_gui.models.review import Group, Mark, Query
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection, Session
from cfa_gui.models.thumbnails import ThumbnailCache
from core.dataset import Sample

_WORD = {
    Mark.WAITING: "not inspected yet",
    Mark.GOOD: "passed",
    Mark.UNCERTAIN: "uncertain",
    Mark.DEFECT: "flagged",
    Mark.FAILED: "could not be inspected",
}
_RESULTS_MS = 250
_LABEL_WORD = {Group.GOOD: "labelled good", Group.DEFECT: "labelled defect"}


class Role(IntEnum):
    """What the delegate asks for beyond name and tooltip."""

    THUMBNAIL = Qt.ItemDataRole.UserRole + 1
    SCORE = Qt.ItemDataRole.UserRole + 2
    MARK = Qt.ItemDataRole.UserRole + 3
    GROUP = Qt.ItemDataRole.UserRole + 4
    BROKEN = Qt.ItemDataRole.UserRole + 5


def common_folder(names: Sequence[str]) -> int:
    """How many characters of all names are the folders that they share: "train/good/"."""
    if not names:
        return 0
    first, last = min(names), max(names)
    shared = 0
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            break
        if one == "/":
            shared = place + 1
    return shared


class ImageListModel(QStringListModel):
    """Rows of the shown collection in the order of the query.

    How many rows there are, and their names, Qt holds itself: a view asks for that twice for each row whenever it lays
    the list out, and with 10,000 rows the way through Python would stall the window.
    """

    thumbnail_wanted = Signal(object)
    """Path of a visible image whose thumbnail is not there yet."""
    rows_changed = Signal()
    """Other rows or another order; views lost their selection."""
    marks_changed = Signal()
    """The same rows, judged or labelled again: draw what is visible."""

    def __init__(self, session: Session, thumbnails: ThumbnailCache, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = thumbnails
        self._query = Query()
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._samples: tuple[Sample, ...] | list[Sample] = ()
        self._prefix = 0
        self._counted = 0

        self._later = QTimer(self, singleShot=True, interval=_RESULTS_MS)
        self._later.timeout.connect(self.refresh)
        for signal in (
            session.shown_changed,
            session.samples_changed,
            session.images_changed,
            session.labels_changed,
            session.threshold_changed,
        ):
            signal.connect(self.refresh)
        session.results_added.connect(self._on_results)
        session.state_changed.connect(self._on_state)

    @Slot()
    def _on_results(self) -> None:
        """Sort again now and then, not for every result."""
        if not self._later.isActive():
            self._later.start()

    @Slot()
    def _on_state(self) -> None:
        """The last results are in: no more waiting."""
        if self._session.state is RunState.IDLE and self._later.isActive():
            self._later.stop()
            self.refresh()

    @property
    def query(self) -> Query:
        """What is shown of the images under review."""
        return self._query

    @property
    def order(self) -> NDArray[np.intp]:
        """(k,) the position in the collection of each row."""
        return self._order

    def set_query(self, query: Query) -> None:
        """Show something else."""
        if query != self._query:
            self._query = query
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Ask the session which images there are and in which order; resets only where that changed."""
        samples, order = self._wanted()
        if samples is self._samples and np.array_equal(order, self._order):
            self.marks_changed.emit()
            return
        if samples is not self._samples or len(samples) != self._counted:
            self._prefix = common_folder([sample.name for sample in samples])
            self._counted = len(samples)
        self._samples, self._order = samples, order
        self.setStringList([samples[place].name[self._prefix :] for place in order.tolist()])
        self.rows_changed.emit()

    def _wanted(self) -> tuple[tuple[Sample, ...] | list[Sample], NDArray[np.intp]]:
        if self._session.shown is Collection.REVIEW:
            review = self._session.review
            return review.samples, review.rows(self._query, self._session.threshold)
        good = self._session.samples.good if self._session.samples else ()
        good = self._samples if isinstance(self._samples, tuple) and good == self._samples else good
        wanted = self._query.search.casefold()
        keep = [place for place, sample in enumerate(good) if wanted in sample.name.casefold()]
        return good, np.array(keep, np.intp)

    def row_of(self, place: int) -> int:
        """The row that shows an image of the collection, or -1."""
        found = np.flatnonzero(self._order == place)
        return int(found[0]) if found.size else -1

    def runs_of(self, places: Sequence[int]) -> list[tuple[int, int]]:
        """The rows that show some images of the collection, ascending, as runs from the first to the last of each."""
        rows = np.flatnonzero(np.isin(self._order, places)) if places else np.empty(0, np.intp)
        if not rows.size:
            return []
        breaks = np.flatnonzero(np.diff(rows) > 1)
        firsts, lasts = rows[np.r_[0, breaks + 1]], rows[np.r_[breaks, rows.size - 1]]
        return list(zip(firsts.tolist(), lasts.tolist(), strict=True))

    def place_of(self, row: int) -> int:
        """The position in the collection of a row, or -1."""
        return int(self._order[row]) if 0 <= row < self._order.size else -1

    def sample_at(self, row: int) -> Sample | None:
        """The image of a row."""
        place = self.place_of(row)
        return self._samples[place] if place >= 0 else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Rows can be selected; not edited, as Qt would have it for text."""
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable if index.isValid() else Qt.ItemFlag.NoItemFlags

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a view or the delegate asks for."""
        place = self.place_of(index.row())
        if place < 0 or role == Qt.ItemDataRole.DisplayRole:
            return super().data(index, role)
        sample = self._samples[place]
        if role == Role.THUMBNAIL:
            return self._thumbnail(sample.path)
        if role == Role.BROKEN:
            return self._thumbnails.is_broken(sample.path)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._sentence(place, sample)
        return self._verdict(place, role)

    def _verdict(self, place: int, role: int) -> object:
        if self._session.shown is not Collection.REVIEW:
            return None
        review = self._session.review
        if role == Role.SCORE:
            score = float(review.scores[place])
            return score if np.isfinite(score) else None
        if role == Role.MARK:
            return int(review.mark_of(place, self._session.threshold))
        if role == Role.GROUP:
            return int(review.groups[place])
        return None

    def _sentence(self, place: int, sample: Sample) -> str:
        if self._session.shown is not Collection.REVIEW:
            return sample.name
        review = self._session.review
        parts = [sample.name]
        if np.isfinite(review.scores[place]):
            parts.append(f"score {review.scores[place]:.3f}")
        parts.append(_WORD[review.mark_of(place, self._session.threshold)])
        label = _LABEL_WORD.get(Group(int(review.groups[place])))
        sentence = ", ".join([*parts, label] if label else parts)
        return f"{sentence}\n{review.messages[place]}" if place in review.messages else sentence

    def _thumbnail(self, path: Path) -> object:
        image = self._thumbnails.get(path)
        if image is None and not self._thumbnails.is_broken(path):
            self.thumbnail_wanted.emit(path)
        return image
