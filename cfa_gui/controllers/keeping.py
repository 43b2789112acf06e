"""Keeps the review in the store as it goes, and brings it back after a restart."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.errors import user_message
from cfa_gui.jobs import Job, JobRunner
from cfa_gui.models.engine import Engine
from cfa_gui.models.keeper import Keeper, Resumed
from cfa_gui.models.notices import Notices
from cfa_gui.models.review import GROUP_OF, Review
from cfa_gui.models.run_state import RunState
from cfa_gui.models.samples import SampleSet
from cfa_gui.models.session import Collection, Keeping, Session
from core.counting import counted
from core.review_records import Project, Scored
from core.samples import Sample
from core.trained_model import TrainedModel

_LABEL_OF = {int(group): label for label, group in GROUP_OF.items()}
_SETTLE = 500
"""Milliseconds after which a threshold, or the image looked at, counts as chosen."""


class KeepingController(QObject):
    """Compares the review with what the store has, and queues the difference on a thread of its own.

    Args:
        session: What is kept.
        engine: For the models.
        tasks: Runs the opening of a kept review.
        notices: Where it is told that something cannot be kept.
        store: The store's file; None: nothing is kept.
        inspect_again: Makes the heat maps of a kept review anew.
        ask_folder: Asks for the folder in which moved images are.
        bring_back: Takes the good parts that were open beside the review.
        parent: The Qt parent.
    """

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        notices: Notices,
        store: Path | None,
        inspect_again: Callable[[Sequence[Sample]], object],
        ask_folder: Callable[[], Path | None],
        bring_back: Callable[[SampleSet], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._tasks = tasks
        self._notices = notices
        self._inspect_again = inspect_again
        self._ask_folder = ask_folder
        self._bring_back = bring_back
        self._runner = JobRunner("keeper", self)
        self._keeper = None if store is None else Keeper(store, engine)
        self._restoring = False
        self._told = False
        self._closed = False
        self._model: tuple[TrainedModel, Path | None] | None = None
        self._forget()
        self._settle = QTimer(self, interval=_SETTLE, singleShot=True)
        self._settle.timeout.connect(self._keep_threshold)
        self._look = QTimer(self, interval=_SETTLE, singleShot=True)
        self._look.timeout.connect(self._keep_view)
        self._runner.busy_changed.connect(self._on_busy)
        if self._keeper is not None:
            session.model_changed.connect(self._on_model)
            session.images_changed.connect(self._on_review)
            session.results_added.connect(self._on_review)
            session.labels_changed.connect(self._on_review)
            session.threshold_changed.connect(self._settle.start)
            session.current_changed.connect(self._look.start)
            session.samples_changed.connect(self._look.start)
            session.labels_changed.connect(self._look.start)

    def _forget(self) -> None:
        """Of an empty review nothing is in the store."""
        self._review: Review = self._session.review
        self._kept_images = 0
        self._kept_scores: NDArray[np.float64] = np.empty(0, np.float64)
        self._kept_failed: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._kept_groups: NDArray[np.int8] = np.empty(0, np.int8)
        self._kept_changes = 0
        self._kept_threshold = self._session.threshold
        self._current: Path | None = None
        self._kept_view: dict[str, object] = {}
        self._gone: object = None

    @property
    def keeps(self) -> bool:
        """Whether labels are safe in the store, or will be once the queue is empty."""
        return self._session.keeping in (Keeping.SAVED, Keeping.SAVING)

    def start(self) -> None:
        """Open the store and see what can be gone on with."""
        if self._keeper is not None:
            job = self._submit(self._keeper.open)
            job.succeeded.connect(self._session.set_resumable)

    def shutdown(self) -> None:
        """Write what waits, and close the store. Harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        self._tasks.cancel()  # the opening of a review, the one task that is done here
        for timer in (self._settle, self._look):
            if timer.isActive():
                timer.stop()
                timer.timeout.emit()
        if self._keeper is not None:
            self._runner.submit(_plain(self._keeper.close))
        self._runner.shutdown(finish=True)

    # --- writing ------------------------------------------------------------------------------------------------------

    @Slot()
    def _on_model(self) -> None:
        """Another network, or where it is saved now; a threshold alone changes neither."""
        session, keeper = self._session, self._keeper
        if keeper is None or session.model is None or not self._writes:
            return
        if self._model is not None and self._model[1] == session.model_path and _alike(self._model[0], session.model):
            return
        self._model, self._kept_threshold = (session.model, session.model_path), None
        self._settle.start()
        self._submit(partial(keeper.use_model, session.model, session.model_path))

    @Slot()
    def _on_review(self) -> None:
        """New images, results that have changed, labels that have changed."""
        session, keeper = self._session, self._keeper
        if session.keeping is Keeping.READ_ONLY and session.review is not self._review and not self._restoring:
            self._end_looking()
        if keeper is None or not self._writes:
            return
        review = session.review
        if review is not self._review:
            self._forget()
            self._submit(keeper.leave)
        if len(review) > self._kept_images:
            self._submit(partial(keeper.add_images, tuple(review.samples[self._kept_images :])))
            self._take_note_of_images()
        self._keep_results(keeper)
        self._keep_labels(keeper)

    def _end_looking(self) -> None:
        """The review that another window has is gone from this one; what comes now is its own."""
        self._session.set_keeping(Keeping.SAVED)
        self._model = None
        self._on_model()

    def _take_note_of_images(self) -> None:
        """The store has the images, and the labels that their folders say."""
        review = self._review
        fresh = len(review) - self._kept_images
        self._kept_images = len(review)
        self._kept_scores = np.concatenate([self._kept_scores, np.full(fresh, np.nan)])
        self._kept_failed = np.concatenate([self._kept_failed, np.zeros(fresh, np.bool_)])
        given = np.array([GROUP_OF[sample.label] for sample in review.samples[len(review) - fresh :]], np.int8)
        self._kept_groups = np.concatenate([self._kept_groups, given])

    def _keep_results(self, keeper: Keeper) -> None:
        review = self._review
        if not (review.scored.any() or review.failed.any()):
            self._kept_scores[:], self._kept_failed[:] = np.nan, False  # of a model before
            return
        fresh = (review.scored & (review.scores != self._kept_scores)) | (review.failed & ~self._kept_failed)
        if not fresh.any():
            return
        self._kept_scores, self._kept_failed = review.scores.copy(), review.failed.copy()
        self._submit(partial(keeper.add_scores, [self._scored(int(place)) for place in np.flatnonzero(fresh)]))

    def _scored(self, place: int) -> Scored:
        review = self._review
        path, placement = review.samples[place].path, review.placements.get(place)
        if review.failed[place]:
            return Scored(path, None, review.messages[place])
        return Scored(path, float(review.scores[place]), None, None if placement is None else placement.source)

    def _keep_labels(self, keeper: Keeper) -> None:
        review = self._review
        changed = np.flatnonzero(review.groups != self._kept_groups)
        undo = review.changes < self._kept_changes
        self._kept_changes = review.changes
        if changed.size:
            self._kept_groups = review.groups.copy()
            labels = {review.samples[place].path: _LABEL_OF[int(review.groups[place])] for place in changed}
            self._submit(partial(keeper.label, labels, undo=undo))

    @Slot()
    def _keep_threshold(self) -> None:
        threshold = self._session.threshold
        if self._keeper is None or threshold is None or threshold == self._kept_threshold or not self._writes:
            return
        self._kept_threshold = threshold
        self._submit(partial(self._keeper.set_threshold, threshold))

    @Slot()
    def _keep_view(self) -> None:
        """The image looked at, the good parts, and which images under review the model has learned from."""
        session = self._session
        if self._keeper is None or not self._writes:
            return
        sample = session.current_sample() if session.shown is Collection.REVIEW else None
        self._current = self._current if sample is None else sample.path
        view: dict[str, object] = {"current": None if self._current is None else str(self._current)}
        if session.samples is not None or self._gone is not None:
            view["good"] = self._gone if session.samples is None else session.samples.to_json()
        review = session.review
        view["learned"] = [str(review.samples[place].path) for place in np.flatnonzero(review.learned)]
        if view != self._kept_view:
            self._kept_view = view
            self._submit(partial(self._keeper.set_view, view))

    @property
    def _writes(self) -> bool:
        return not self._restoring and self._session.keeping is not Keeping.READ_ONLY

    def _submit(self, write: Callable[[], object]) -> Job:
        job = self._runner.submit(_plain(write))
        job.failed.connect(self._on_failed)
        return job

    @Slot(object)
    def _on_failed(self, error: BaseException) -> None:
        self._session.set_keeping(Keeping.FAILED)
        if not self._told:
            self._told = True
            text, details = user_message(error)
            self._notices.post(f"Labels and scores are in this window only. {text}", "error", details)

    @Slot(bool)
    def _on_busy(self, busy: bool) -> None:
        if self._session.keeping in (Keeping.OFF, Keeping.SAVED, Keeping.SAVING):
            self._session.set_keeping(Keeping.SAVING if busy else Keeping.SAVED)

    # --- going on -----------------------------------------------------------------------------------------------------

    @Slot()
    def resume(self) -> None:
        """Open the review that was left last."""
        project, keeper = self._session.resumable, self._keeper
        if project is None or keeper is None or not self._session.allowed().open:
            return
        self._tasks.start(
            Task(
                RunState.OPENING,
                work=lambda _report, _cancel: keeper.read(project),
                done=self._take,
                ended=self._look_again,
                cancelled="Opening was cancelled.",
            ),
            runner=self._runner,
        )

    def _look_again(self) -> None:
        """After a review that could not be opened: it may be gone, and another one the last."""
        if self._keeper is not None and self._session.resumable is not None and not self._closed:
            self._submit(self._keeper.latest).succeeded.connect(self._session.set_resumable)

    def _take(self, resumed: Resumed) -> None:
        session, stored, model = self._session, resumed.stored, resumed.model
        self._restoring = True
        if model is not None and stored.model_path is not None and self._keeper is not None:
            own = self._keeper.is_kept_model(stored.model_path)
            session.set_model(model, None if own else stored.model_path)
            session.set_config(model.config)
            self._model = model, session.model_path
        session.restore_images(stored)
        session.note_training(_paths(resumed.project.view.get("learned")), None)
        if resumed.good is not None:
            self._bring_back(resumed.good)
        if model is not None and stored.threshold is not None:
            session.set_threshold(stored.threshold)
        session.show(Collection.REVIEW)
        self._select(resumed)
        self._forget()
        self._gone = None if resumed.good else resumed.project.view.get("good")  # of a drive that may come back
        self._take_note_of_images()
        self._kept_scores, self._kept_failed = session.review.scores.copy(), session.review.failed.copy()
        self._restoring = False
        if self._keeper is not None and not resumed.taken:
            self._submit(partial(self._keeper.adopt, resumed))
        session.set_resumable(None)
        self._tell(resumed)
        if model is not None:
            self._inspect_again(tuple(sample for sample in stored.samples if sample.path.is_file()))

    def _select(self, resumed: Resumed) -> None:
        current = resumed.project.view.get("current")
        places = [place for place, sample in enumerate(resumed.stored.samples) if str(sample.path) == current]
        place = places[0] if places else (0 if resumed.stored.samples else -1)
        self._session.select((place,) if place >= 0 else (), place)

    def _tell(self, resumed: Resumed) -> None:
        name, post = resumed.project.name, self._notices.post
        if resumed.taken:
            self._session.set_keeping(Keeping.READ_ONLY)
            post(f"“{name}” is open in another window. Here you can look at it, but not label.", "warning")
        for why in (resumed.why_no_model, resumed.why_no_good):
            if why:
                post(why, "warning")
        gone = sum(not sample.path.is_file() for sample in resumed.stored.samples)
        if gone and not resumed.taken:
            word = counted(gone, "image is", "images are")
            post(
                f"{word} no longer where the review left them. If their folder was moved, show where it is now.",
                "warning",
                action=("Find them…", partial(self._find_moved, resumed.project)),
            )
        elif not resumed.taken:
            post(f"“{name}” is as you left it. Its heat maps are being made again.", "success")

    def _find_moved(self, project: Project) -> None:
        keeper, folder = self._keeper, self._ask_folder()
        if keeper is None or folder is None:
            return
        job = self._submit(partial(keeper.relocate, project, folder))
        job.succeeded.connect(partial(self._on_relocated, project))

    def _on_relocated(self, project: Project, found: int) -> None:
        if not found:
            self._notices.post("None of them is in that folder. Images are known by their content.", "warning")
            return
        self._session.set_resumable(project)
        self.resume()


def _alike(one: TrainedModel, other: TrainedModel) -> bool:
    """Whether both are one training's model, whatever their thresholds."""
    return one.network is other.network and one.calibration is other.calibration


def _paths(kept: object) -> frozenset[Path]:
    """What the store says of files; whatever else it says counts as nothing."""
    return frozenset(Path(path) for path in kept if isinstance(path, str)) if isinstance(kept, list) else frozenset()


def _plain(write: Callable[[], object]) -> Callable[[object, object], object]:
    """As work for a job that reports nothing and is not cancelled."""
    return lambda _report, _cancel: write()
