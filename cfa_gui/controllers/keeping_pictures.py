"""Keep pictures of the live view as files, for the next training or the review."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Slot

from cfa_gui.jobs import Job, JobRunner
from cfa_gui.models.live import LiveModel
from cfa_gui.models.notices import Notices
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Session
from cfa_gui.settings import SettingsStore
from core.dataset import Label, Sample
from core.line.live.saving import FOLDERS, save_picture
from core.progress import CancelToken, Report

MOST_WAITING = 8
"""So many pictures may wait to be written; each is held in memory until then."""


class Ask(Protocol):
    """The question; a dialog answers it in the program, a fake in the tests."""

    def folder(self, title: str, folder: Path) -> Path | None:
        """Which folder; None: none."""
        ...


@dataclass(frozen=True, slots=True)
class _Saved:
    """A picture that was written.

    Attributes:
        path: The file.
        label: What a person says of it.
    """

    path: Path
    label: Label


class KeepingPicturesController(QObject):
    """Writes the picture that is shown, on a thread of its own, and offers what to do with it."""

    def __init__(
        self,
        live: LiveModel,
        session: Session,
        writer: JobRunner,
        notices: Notices,
        settings: SettingsStore,
        ask: Ask,
        add_good: Callable[[list[Sample]], object],
        tell: Callable[[BaseException], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._live = live
        self._session = session
        self._writer = writer
        self._notices = notices
        self._settings = settings
        self._ask = ask
        self._add_good = add_good
        self._tell = tell
        self._jobs: list[Job] = []

    @Slot()
    def save_good(self) -> None:
        """The part in the picture is good."""
        self._save(Label.GOOD)

    @Slot()
    def save_defect(self) -> None:
        """The part in the picture is defective."""
        self._save(Label.DEFECT)

    @Slot()
    def choose_folder(self) -> bool:
        """Ask where to save; whether there is such a folder now."""
        known = self._settings.preferences.live_saved
        start = Path(known) if known and Path(known).is_dir() else Path.home()
        path = self._ask.folder("Choose a folder for the pictures you keep", start)
        if path is not None:
            self._settings.update(live_saved=str(path))
            self._live.sources_changed.emit()
        return path is not None

    def _save(self, label: Label) -> None:
        judged = self._live.shown  # before the question: the view goes on meanwhile
        if judged is None or judged.frame is None:
            return
        if len(self._jobs) >= MOST_WAITING:
            self._notices.post("The pictures before are still being written. Press again in a moment.", "warning")
            return
        if not self._settings.preferences.live_saved and not self.choose_folder():
            return
        folder = Path(self._settings.preferences.live_saved)
        pixels, score = judged.frame.pixels, judged.found.score if judged.found else None
        when = datetime.now().astimezone() - timedelta(seconds=time.monotonic() - judged.taken_at)

        def work(_report: Report, _cancel: CancelToken) -> _Saved:
            return _Saved(save_picture(pixels, folder, label, when, score), label)

        job = self._writer.submit(work)
        self._jobs.append(job)
        job.succeeded.connect(self._on_saved)
        job.failed.connect(self._tell)
        job.finished.connect(self._on_finished)

    @Slot()
    def _on_finished(self) -> None:
        self._jobs = [job for job in self._jobs if not job.done]

    @Slot(object)
    def _on_saved(self, saved: _Saved) -> None:
        sample = Sample(saved.path, f"{FOLDERS[saved.label]}/{saved.path.name}", saved.label, "", None)
        good = saved.label is Label.GOOD
        words = "Add to the good parts" if good else "Add to the review"
        self._notices.post(
            f"Saved as {'good' if good else 'defect'}: {saved.path.name}",
            "success",
            None,
            (words, lambda: self._add(sample)),
        )

    def _add(self, sample: Sample) -> None:
        if self._session.state not in (RunState.IDLE, RunState.LIVE):
            self._notices.post(
                "Wait until the present work is done, then open the folder of saved pictures.", "warning"
            )
        elif sample.label is Label.GOOD:
            self._add_good([sample])
        else:
            self._session.add_images((sample,))
            self._notices.post(
                "Added to the review as a defect. “Review”, “Inspect the images that wait” gives it a score.", "success"
            )
