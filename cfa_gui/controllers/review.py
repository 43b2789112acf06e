"""Walk through the images and label them."""

import numpy as np
from PySide6.QtCore import QObject, Slot

from cfa_gui.controllers.threshold import ThresholdController
from cfa_gui.models.image_list import ImageListModel
from cfa_gui.models.notices import Notices
from cfa_gui.models.review import Group
from cfa_gui.models.session import Collection, Session


class ReviewController(QObject):
    """Acts on labels and on what is looked at."""

    def __init__(
        self,
        session: Session,
        images: ImageListModel,
        threshold: ThresholdController,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._images = images
        self._threshold = threshold
        self._notices = notices
        self._last_row = -1
        images.rows_changed.connect(self._on_rows)
        session.current_changed.connect(self._on_current)

    @Slot()
    def _on_current(self) -> None:
        row = self._row()
        if row >= 0:
            self._last_row = row

    @Slot()
    def _on_rows(self) -> None:
        """What is not in the list is not selected either: no label must go to an image that nobody sees.

        Where the current image left the list, the one that took its row comes next.
        """
        session = self._session
        order = self._images.order
        if session.current < 0 and not session.selection:
            return
        selected = np.array(session.selection, np.intp)
        shown = tuple(selected[np.isin(selected, order)].tolist())
        current = session.current if self._row() >= 0 else (shown[0] if shown else -1)
        if current < 0 and order.size:
            current = self._images.place_of(min(max(self._last_row, 0), order.size - 1))
            shown = (current,)
        session.select(shown, current)
        self._on_current()

    def label(self, group: Group) -> None:
        """Say what the selected images are."""
        session = self._session
        if not session.allowed().label:
            return
        if session.review.label(session.selection, group):
            self._announce()
            count = len(session.selection)
            if count > 1:
                word = {Group.GOOD: "good", Group.DEFECT: "defect", Group.UNLABELLED: "not labelled"}[group]
                self._notices.post(f"{count} images are now labelled {word}.", action=("Undo", self.undo))

    @Slot()
    def good(self) -> None:
        """Label the selected images good."""
        self.label(Group.GOOD)

    @Slot()
    def defect(self) -> None:
        """Label the selected images defect."""
        self.label(Group.DEFECT)

    @Slot()
    def unlabel(self) -> None:
        """Take the label off the selected images."""
        self.label(Group.UNLABELLED)

    @Slot()
    def undo(self) -> None:
        """Take the latest change of labels back."""
        changed = self._session.review.undo()
        if changed.size:
            self._announce()

    def _announce(self) -> None:
        self._session.labels_changed.emit()
        self._session.state_changed.emit()
        self._threshold.labels_changed()

    @Slot()
    def next(self) -> None:
        """Go to the next image of the list."""
        self._go(self._row() + 1)

    @Slot()
    def previous(self) -> None:
        """Go to the image before."""
        self._go(max(0, self._row() - 1))

    @Slot()
    def next_flagged(self) -> None:
        """Go to the next flagged image; from the last one to the first."""
        session = self._session
        if session.shown is not Collection.REVIEW:
            return
        row = session.review.next_flagged(self._images.order, self._row(), session.threshold)
        if row < 0:
            self._notices.post("No image in this list is flagged.")
        self._go(row)

    def _row(self) -> int:
        return self._images.row_of(self._session.current)

    def _go(self, row: int) -> None:
        place = self._images.place_of(row)
        if place >= 0:
            self._session.select((place,), place)
