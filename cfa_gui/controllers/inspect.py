"""Inspect images; results arrive in the session while the inspection still runs."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.controllers.threshold import ThresholdController
from cfa_gui.jobs import JobRunner
from cfa_gui.models.engine import Engine, Inspected, NotInspected
from cfa_gui.models.notices import Notices
from cfa_gui.models.review import Group
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection, Session
from cfa_gui.settings import SettingsStore
from core.counting import counted
from core.dataset import Sample, find_samples
from core.progress import CancelToken, Progress, Report
from core.threshold import Threshold

_ENOUGH = 8
_NEARLY_ALL = 0.8


class InspectController(QObject):
    """Runs inspections."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        reader: JobRunner,
        notices: Notices,
        settings: SettingsStore,
        threshold: ThresholdController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._engine = engine
        self._tasks = tasks
        self._reader = reader
        self._notices = notices
        self._settings = settings
        self._threshold = threshold
        self._arrived: deque[Inspected | NotInspected] = deque()
        self._chosen = -1

    def open(self, paths: Sequence[Path], *, waiting: bool = False) -> None:
        """Find the images below some files and folders and inspect them, and if told so all that wait."""
        wanted = tuple(paths)
        if not wanted or not self._session.allowed().inspect:
            return
        self._tasks.start(
            Task(
                RunState.OPENING,
                work=lambda _report, _cancel: find_samples(wanted),
                done=lambda found: self._inspect_found(found, waiting=waiting),
                cancelled="Opening was cancelled.",
            ),
            runner=self._reader,
        )

    def _inspect_found(self, found: Sequence[Sample], *, waiting: bool) -> None:
        wanted = (*self._waiting(), *found) if waiting else found
        self.inspect(tuple({sample.path: sample for sample in wanted}.values()))

    @Slot()
    def inspect_waiting(self) -> None:
        """Inspect the images that have no score yet."""
        self.inspect(self._waiting())

    def _waiting(self) -> tuple[Sample, ...]:
        review = self._session.review
        return tuple(sample for sample, scored in zip(review.samples, review.scored, strict=True) if not scored)

    def inspect(self, samples: Sequence[Sample]) -> None:
        """Inspect images, adding them to the review where they are not there yet."""
        session, model = self._session, self._session.model
        if not samples or model is None or not session.allowed().inspect:
            return
        wanted, engine, device = tuple(samples), self._engine, self._settings.preferences.device
        arrived = self._arrived = deque()

        def work(report: Report, cancel: CancelToken) -> tuple[Sample, ...]:
            for result in engine.inspect_many(model, wanted, device=device, report=report, cancel=cancel):
                arrived.append(result)
            return wanted

        self._chosen = -1
        session.add_images(wanted)
        session.show(Collection.REVIEW)
        self._tasks.start(
            Task(
                RunState.INSPECTING,
                work,
                self._on_done,
                progressed=self._on_progressed,
                ended=self._take_arrived,
                cancelled="Inspection cancelled. The results so far are kept.",
            )
        )

    def _on_progressed(self, _progress: Progress) -> None:
        self._take_arrived()

    def _take_arrived(self) -> None:
        session = self._session
        if not self._arrived:
            return
        first = not session.review.scored.any()
        places = {self._take_one(self._arrived.popleft()) for _ in range(len(self._arrived))}
        if session.current < 0:
            self._chosen = int(session.review.scored.argmax())
            session.select((self._chosen,), self._chosen)
        session.results_added.emit()
        if session.current in places:
            session.current_result_changed.emit()
        if first:
            session.state_changed.emit()

    def _take_one(self, result: Inspected | NotInspected) -> int:
        """Put one result into the session; returns its position, or -1 where the list was emptied meanwhile."""
        session = self._session
        place = session.review.index_of(result.sample)
        if place < 0:
            return place
        if isinstance(result, NotInspected):
            session.review.record_failure(place, result.message)
        else:
            session.review.record(place, result.score, result.placement)
            session.maps.put(place, result.anomaly_map)
        return place

    def _show_highest(self) -> None:
        """Where the user has not chosen an image meanwhile, the one with the highest score is shown."""
        scores = self._session.review.scores
        if self._session.current == self._chosen and self._session.review.scored.any():
            highest = int(np.nanargmax(scores))
            self._session.select((highest,), highest)

    def _on_done(self, inspected: tuple[Sample, ...]) -> None:
        session = self._session
        self._threshold.require_one()
        self._show_highest()
        failed = int(session.review.failed.sum())
        if failed:
            self._notices.post(
                f"{counted(failed, 'image')} could not be inspected. The filter “Failed” lists them, with the reason.",
                "warning",
            )
        threshold = session.threshold
        if threshold is None:
            return
        flagged = int((session.review.scores > threshold.value).sum())
        self._notices.post(
            f"{counted(len(inspected), 'image')} inspected, {flagged} of {len(session.review)} are flagged.", "success"
        )
        self._doubt(inspected, threshold)

    def _doubt(self, inspected: Sequence[Sample], threshold: Threshold) -> None:
        """Where nearly all are flagged, and nobody said that they are defective, it may be the camera."""
        review = self._session.review
        places = np.array([place for sample in inspected if (place := review.index_of(sample)) >= 0], np.intp)
        seen = places[(review.groups[places] != Group.DEFECT) & review.scored[places]]
        flagged = int((review.scores[seen] > threshold.value).sum())
        if len(seen) >= _ENOUGH and flagged >= _NEARLY_ALL * len(seen):
            self._notices.post(
                f"{flagged} of {len(seen)} images without a defect label are flagged. If they show good parts, light, "
                "focus, distance or position have changed since the training: bring them back, train with such "
                "pictures too, or say on the Train panel what may vary on the line.",
                "warning",
            )
