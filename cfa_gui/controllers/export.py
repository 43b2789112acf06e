"""Results as files for others: a table of scores, pictures with heat maps, a report."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from cfa_gui.controllers.tasks import Task, Tasks
from cfa_gui.models.exports import Written, write_overlays, write_scores
from cfa_gui.models.notices import Notices
from cfa_gui.models.results import Results
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.settings import SettingsStore
from core.counting import counted
from core.progress import CancelToken, Report

CSV, HTML = ".csv", ".html"
REPORTS = (HTML, ".htm", ".pdf")


class Ask(Protocol):
    """The questions; a dialog answers them in the program, a fake in the tests."""

    def scores_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the table of scores; None: nowhere."""
        ...

    def overlays_to_write(self, flagged: int, scored: int, folder: Path) -> tuple[Path, bool] | None:
        """Into which folder, and whether the flagged images alone; None: nowhere."""
        ...

    def report_to_write(self, suggestion: Path) -> Path | None:
        """Where to write the report; None: nowhere."""
        ...


def show_file(path: Path) -> None:
    """Open a file or a folder in the program that the system has for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


class ExportController(QObject):
    """Writes what was found, on the worker thread."""

    def __init__(
        self,
        session: Session,
        tasks: Tasks,
        notices: Notices,
        settings: SettingsStore,
        ask: Ask,
        parent: QObject | None = None,
        *,
        show: Callable[[Path], object] = show_file,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._tasks = tasks
        self._notices = notices
        self._settings = settings
        self._ask = ask
        self._show = show

    @Slot()
    def scores(self) -> None:
        """Ask where, and write a table of all images."""
        if not self._ready():
            return
        path = self._ask.scores_to_write(self._suggestion(f"scores{CSV}"))
        results = self._results()
        if path is None or results is None:
            return
        target, precious = _with_suffix(path, (CSV,)), self._precious()
        self._start(
            lambda _report, _cancel: write_scores(results, target, precious),
            lambda _nothing: self._on_scores(
                f"The scores of {counted(len(results.images), 'image')} are in {target.name}.", target
            ),
        )

    def _on_scores(self, sentence: str, target: Path) -> None:
        self._session.review.note_labels_kept()
        self._tell(sentence, target)

    @Slot()
    def overlays(self) -> None:
        """Ask for which images and where, and write a picture with its heat map for each."""
        if not self._ready():
            return
        results = self._results()
        if results is None:
            return
        answer = self._ask.overlays_to_write(len(results.flagged), len(results.scored), self._folder())
        if answer is None:
            return
        folder, only_flagged = answer
        images = results.flagged if only_flagged else results.scored
        if not images:
            self._notices.post("No image is flagged, so there is no overlay to write.", "warning")
            return
        line, map_of, precious = results.threshold.value, self._session.maps.get, self._precious()

        def work(report: Report, cancel: CancelToken) -> Written:
            return write_overlays(images, line, map_of, folder, precious, report, cancel)

        self._start(work, partial(self._on_overlays, folder))

    @Slot()
    def report(self) -> None:
        """Ask where, and write a report: HTML or PDF, as the file's suffix says."""
        if not self._ready():
            return
        path = self._ask.report_to_write(self._suggestion(f"report{HTML}"))
        results, session = self._results(), self._session
        if path is None or results is None or session.model is None:
            return
        from cfa_gui.reports.build import Subject
        from cfa_gui.reports.write import write_report

        subject = Subject(
            results,
            session.model,
            self._name(),
            session.facilities,
            self._settings.preferences.device,
            datetime.now().astimezone(),
        )
        target, map_of, precious = _with_suffix(path, REPORTS), session.maps.get, self._precious()

        def work(report: Report, cancel: CancelToken) -> None:
            write_report(subject, map_of, target, precious, report, cancel)

        self._start(work, lambda _nothing: self._tell(f"The report is in {target.name}.", target))

    def _on_overlays(self, folder: Path, written: Written) -> None:
        if written.skipped:
            rest = "" if len(written.skipped) == 1 else f" The same holds for {len(written.skipped) - 1} more."
            self._notices.post(
                f"{counted(written.count, 'image')} written to {folder.name}, {len(written.skipped)} left out. "
                f"{written.skipped[0]}{rest}",
                "warning",
                "\n".join(written.skipped),
            )
        else:
            self._tell(f"{counted(written.count, 'image')} written to {folder.name}.", folder)
        self._settings.update(last_folder=str(folder.parent))

    def _ready(self) -> bool:
        if not self._session.allowed().export:
            return False
        if self._session.threshold is None:
            self._notices.post(
                "There is no threshold yet. Set one, then export: the verdicts follow from it.", "warning"
            )
            return False
        return True

    def _results(self) -> Results | None:
        session = self._session
        return None if session.threshold is None else Results.of(session.review, session.threshold)

    def _precious(self) -> tuple[Path, ...]:
        """Files that no export may overwrite."""
        session = self._session
        images = tuple(sample.path for sample in session.review.samples)
        learned = tuple(sample.path for sample in session.samples.good) if session.samples else ()
        return (*images, *learned, *((session.model_path,) if session.model_path else ()))

    def _start(self, work: Callable[[Report, CancelToken], object], done: Callable[..., object]) -> None:
        cancelled = "The export was cancelled. Nothing was written."
        self._tasks.start(Task(RunState.EXPORTING, work, done, cancelled=cancelled))

    def _tell(self, sentence: str, path: Path) -> None:
        self._settings.update(last_folder=str(path.parent))
        self._notices.post(sentence, "success", None, ("Show", partial(self._show, path)))

    def _name(self) -> str:
        path = self._session.model_path
        return path.name if path else "not saved yet"

    def _suggestion(self, name: str) -> Path:
        path = self._session.model_path
        return self._folder() / (f"{path.stem} {name}" if path else name)

    def _folder(self) -> Path:
        last = self._settings.preferences.last_folder
        return Path(last) if last and Path(last).is_dir() else Path.home()


def _with_suffix(path: Path, known: tuple[str, ...]) -> Path:
    """The path itself where its suffix is known, else with the first of them at its end."""
    return path if path.suffix.lower() in known else path.with_name(path.name + known[0])
