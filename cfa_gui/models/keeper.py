"""Writes the review into the store; lives on a worker thread and knows no Qt."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfa_gui.models.engine import Engine
from cfa_gui.models.samples import SampleSet, reopened
from core.dataset import Sample, find_samples
from core.errors import CfaError, DatasetError
from core.review import ReviewStore
from core.review_records import Project, Scored, Stored
from core.samples import Label
from core.threshold import Threshold
from core.trained_model import TrainedModel

MODELS = "models"
"""The folder beside the store with models that are not saved elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Resumed:
    """A review that is gone on with.

    Attributes:
        project: Which.
        stored: As it was left.
        model: The one in use; None where there was none, or it cannot be opened.
        why_no_model: Why it cannot be opened, for the user.
        taken: Another program has the project: nothing may be written.
        good: The good parts as they were left; None where there were none, or they cannot be opened.
        why_no_good: Why they cannot be opened, for the user.
    """

    project: Project
    stored: Stored
    model: TrainedModel | None
    why_no_model: str
    taken: bool
    good: SampleSet | None = None
    why_no_good: str = ""


class Keeper:
    """The store, the project that is written to, and the model that its scores are by.

    Args:
        store: The store's file.
        engine: Saves models and tells them apart.
    """

    def __init__(self, store: Path, engine: Engine) -> None:
        self._path = store
        self._engine = engine
        self._store: ReviewStore | None = None
        self._project: int | None = None
        self._identity = ""
        self._threshold: Threshold | None = None
        self._view: Mapping[str, Any] = {}

    def open(self) -> Project | None:
        """Open the store; the project to go on with, where there is one."""
        self._store = ReviewStore(self._path)
        return self.latest()

    def latest(self) -> Project | None:
        """The project that was left last and has images."""
        return next((project for project in self._opened.projects() if project.images), None)

    def close(self) -> None:
        """Let go of the store and of the project."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def leave(self) -> None:
        """What comes next belongs to another project."""
        if self._project is not None:
            self._opened.release(self._project)
            self._project = None

    def use_model(self, model: TrainedModel, path: Path | None) -> None:
        """Later scores are by this model; where it is in no file, a copy is kept beside the store."""
        before, self._identity, self._threshold = self._identity, "", None  # if this fails no score is the old one's
        identity = self._engine.identity(model)
        if path is None:
            path = self._kept_model(identity)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._engine.save(model, path)
        self._opened.add_model(identity, path)
        self._identity = identity
        if self._project is not None:
            self._opened.use_model(self._project, identity)
        if before not in {"", identity, *self._opened.models_in_use()}:
            with contextlib.suppress(OSError):
                self._kept_model(before).unlink(missing_ok=True)

    def add_images(self, samples: Sequence[Sample]) -> None:
        """Images that come under review; the first ones begin a project."""
        if self._project is None:
            self._project = self._opened.create_project(_name(samples))
            self._opened.claim(self._project)
            if self._identity:
                self._opened.use_model(self._project, self._identity)
            self._write_threshold()
            self._write_view()
        self._opened.add_images(self._project, samples)

    def add_scores(self, results: Sequence[Scored]) -> None:
        """Results of images under review."""
        self._opened.add_scores(self._current, self._identity, results)

    def label(self, labels: Mapping[Path, Label | None], *, undo: bool) -> None:
        """Labels that a person gave, or took back."""
        self._opened.label(self._current, labels, undo=undo)

    def set_threshold(self, threshold: Threshold) -> None:
        """The threshold in force; it is written with the project that comes, where there is none yet."""
        self._threshold = threshold
        self._write_threshold()

    def _write_threshold(self) -> None:
        if self._project is not None and self._identity and self._threshold is not None:
            self._opened.set_threshold(self._project, self._identity, self._threshold)

    def set_view(self, view: Mapping[str, Any]) -> None:
        """What is looked at, and the good parts; written with the project that comes, where there is none yet."""
        self._view = view
        self._write_view()

    def _write_view(self) -> None:
        if self._project is not None and self._view:
            self._opened.set_view(self._project, self._view)

    def read(self, project: Project) -> Resumed:
        """A project as it was left, with its model; it is taken for this program, where no other one has it."""
        mine = self._opened.claim(project.id)
        stored = self._opened.load(project.id)
        model, why = None, ""
        if stored.model_path is not None:
            try:
                model = self._engine.load(stored.model_path)
            except CfaError as error:
                why = str(error)
        good, why_no_good = _good_parts(project)
        return Resumed(project, stored, model, why, not mine, good, why_no_good)

    def adopt(self, resumed: Resumed) -> None:
        """From now on what is done to the review is written to this project."""
        if self._project != resumed.project.id:
            self.leave()
        self._project, self._identity = resumed.project.id, resumed.stored.model_identity
        self._threshold = resumed.stored.threshold
        self._view = resumed.project.view

    def relocate(self, project: Project, folder: Path) -> int:
        """Look below a folder for images of a project that were moved; returns how many were found."""
        try:
            candidates = [sample.path for sample in find_samples([folder])]
        except DatasetError:
            return 0
        return self._opened.relocate(project.id, candidates)

    def is_kept_model(self, path: Path) -> bool:
        """Whether a model file is the copy beside the store, not one that the user saved."""
        return path.parent == self._path.absolute().with_name(MODELS)

    def _kept_model(self, identity: str) -> Path:
        return self._path.absolute().with_name(MODELS) / f"{identity}.cfa"

    @property
    def _opened(self) -> ReviewStore:
        if self._store is None:
            self._store = ReviewStore(self._path)
        return self._store

    @property
    def _current(self) -> int:
        if self._project is None:
            raise RuntimeError("no project is being written")
        return self._project


def _good_parts(project: Project) -> tuple[SampleSet | None, str]:
    """The good parts that were open beside a review, or why they cannot be opened again."""
    try:
        kept = project.view.get("good")
        return (None if kept is None else reopened(kept)), ""
    except DatasetError as error:
        return None, f"The good parts are not where they were. {error}"
    except (LookupError, TypeError, ValueError):
        return None, "What the store says of the good parts is damaged. Open their folder again."


def _name(samples: Sequence[Sample]) -> str:
    """Of the folder that holds all images; "test" and the like say little, so with the one above it."""
    folders = [str(sample.path.parent) for sample in samples]
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:  # on several drives
        return samples[0].path.parent.name
    return "/".join(common.parts[-2:]) if len(common.parts) > 2 else str(common)
