"""The good parts: open, check, take out, draw regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from PySide6.QtCore import QObject, QTimer, Slot

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.jobs import Job, JobRunner
from cfa_gui.models.engine import Engine
from cfa_gui.models.notices import Notices
from cfa_gui.models.run_state import RunState
from cfa_gui.models.samples import SampleSet, count_sizes, merge, read_dataset
from cfa_gui.models.session import Collection, Session
from cfa_gui.settings import SettingsStore
from core.config import Region
from core.counting import counted
from core.dataset import Dataset, Finding, Sample, check
from core.errors import ConfigError, ImageError
from core.images import read_size
from core.progress import CancelToken, Phase, Progress, Report

_PAINTED = 300
"""Milliseconds within which the rows of a folder are painted."""
_UNDO_TEXT = "Put back"


@dataclass(frozen=True, slots=True)
class _Checked:
    findings: tuple[Finding, ...]
    sizes: tuple[tuple[tuple[int, int], int], ...]


def sample_parts_folder() -> Path:
    """Where the sample parts are written on this machine."""
    return Path(platformdirs.user_data_dir("cfa-gui", appauthor=False)) / "sample-parts"


def _read(paths: tuple[Path, ...]) -> SampleSet:
    samples = SampleSet(read_dataset(paths), checking=True, opened=tuple(path.absolute() for path in paths))
    _ = samples.good, samples.test  # found here, on this thread, and kept: the window's thread would stutter
    return samples


def _examine(dataset: Dataset, report: Report, cancel: CancelToken) -> _Checked:
    sizes: list[tuple[int, int]] = []
    for done, sample in enumerate(dataset.good):
        cancel.check()
        try:
            sizes.append(read_size(sample.path))
        except ImageError:
            continue  # the check below tells of it
        report(Progress(Phase.READING, done + 1, len(dataset.good)))
    return _Checked(check(dataset, report=report, cancel=cancel), count_sizes(sizes))


class SamplesController(QObject):
    """Acts on the good parts."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        tasks: Tasks,
        reader: JobRunner,
        checker: JobRunner,
        notices: Notices,
        settings: SettingsStore,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._engine = engine
        self._tasks = tasks
        self._reader = reader
        self._checker = checker
        self._notices = notices
        self._settings = settings
        self._check: Job | None = None
        self._check_soon = QTimer(self, singleShot=True, interval=_PAINTED)
        self._check_soon.timeout.connect(self._check_now)

    def shutdown(self) -> None:
        """Begin no check any more."""
        self._check_soon.stop()

    def open(self, paths: Sequence[Path]) -> None:
        """Open files and folders as good parts; what is open stays until they are read."""
        wanted = tuple(paths)
        if not wanted or not self._session.allowed().open:
            return
        self._tasks.start(
            Task(
                RunState.OPENING,
                work=lambda _report, _cancel: _read(wanted),
                done=self._take,
                cancelled="Opening was cancelled.",
            ),
            runner=self._reader,
        )

    @Slot()
    def open_sample_parts(self) -> None:
        """Write the sample parts, once, and open them."""
        if not self._session.allowed().open:
            return
        folder, engine = sample_parts_folder(), self._engine

        def work(report: Report, cancel: CancelToken) -> SampleSet:
            return _read((engine.make_sample_parts(folder, report=report, cancel=cancel),))

        self._tasks.start(
            Task(RunState.OPENING, work, self._take, cancelled="The sample parts were not made."),
            runner=self._reader,
        )

    def _take(self, samples: SampleSet) -> None:
        self._settings.remember_folder(samples.dataset.root)
        self._session.set_regions(())
        self._session.set_samples(samples)
        self._session.show(Collection.SAMPLES)
        self._session.reselect((0,), 0)
        self._start_check()

    def bring_back(self, samples: SampleSet) -> None:
        """The good parts of a review that is gone on with, as they were left; they are checked again."""
        self._session.set_samples(samples)
        self._start_check()

    def _start_check(self) -> None:
        """Once the list is painted: the check would hold the window's thread up while that lays 10,000 rows out."""
        if self._check is not None:
            self._check.cancel()
        self._check_soon.start()

    @Slot()
    def _check_now(self) -> None:
        samples = self._session.samples
        if samples is None:
            return
        dataset = samples.dataset
        self._check = job = self._checker.submit(lambda report, cancel: _examine(dataset, report, cancel))
        job.succeeded.connect(self._on_checked)
        job.failed.connect(self._on_check_failed)

    @Slot(object)
    def _on_checked(self, checked: _Checked) -> None:
        samples = self._session.samples
        if samples is not None:
            self._session.set_samples(samples.checked(checked.findings, checked.sizes))

    @Slot(object)
    def _on_check_failed(self, error: BaseException) -> None:
        if self._session.samples is not None:
            self._session.set_samples(self._session.samples.checked())
        self._tasks.tell(error)

    def remove(self, places: Sequence[int]) -> None:
        """Take images out of the good parts; the files stay where they are."""
        samples = self._session.samples
        if samples is None or not places or self._session.state is not RunState.IDLE:
            return
        self.remove_paths([samples.good[place].path for place in places if place < len(samples.good)])

    def remove_paths(self, paths: Sequence[Path]) -> None:
        """Take images out of the good parts by path; can be taken back from the message."""
        before = self._session.samples
        if before is None or not paths:
            return
        after = before.without(paths)
        self._session.set_samples(after)
        if self._session.shown is Collection.SAMPLES:
            place = min(self._session.current, len(after.good) - 1)
            self._session.reselect((place,) if place >= 0 else (), place)
        count = len(before.good) - len(after.good)
        word = counted(count, "image is", "images are")
        self._notices.post(f"{word} left out of the training. The files stay.", action=(_UNDO_TEXT, self.restore))

    @Slot()
    def restore(self) -> None:
        """Take every image in again that was left out."""
        if self._session.samples is not None:
            self._session.set_samples(self._session.samples.with_all())

    def add_good(self, samples: Sequence[Sample]) -> None:
        """Take images from the review into the good parts."""
        if not samples:
            return
        before = self._session.samples
        if before is None:
            opened = tuple(sample.path for sample in samples)
            self._session.set_samples(SampleSet(merge((), tuple(samples)), opened=opened))
        else:
            self._session.set_samples(before.with_good(samples))
        word = counted(len(samples), "image was", "images were")
        self._notices.post(f"{word} added to the good parts. Train again to learn from them.", "success")

    def add_region(self, points: Sequence[tuple[float, float]], ignored: bool) -> None:
        """Keep a region that was drawn."""
        try:
            region = Region(tuple((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)) for x, y in points), ignored)
        except ConfigError as error:
            self._tasks.tell(error)
            return
        self._session.set_regions((*self._session.config.preprocessing.regions, region))

    def remove_region(self, place: int) -> None:
        """Remove one region."""
        regions = self._session.config.preprocessing.regions
        self._session.set_regions(regions[:place] + regions[place + 1 :])

    @Slot()
    def clear_regions(self) -> None:
        """The whole picture counts again."""
        self._session.set_regions(())
