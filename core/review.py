"""The review store: one SQLite file with the images reviewed, their scores, thresholds and labels, and who set them.

Scores, thresholds and labels are logs: nothing in them is ever changed, the latest entry counts, and an undo is an
entry too. So every verdict can be traced to a model, a threshold and a person. Imports no torch.
"""

import getpass
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from core.digests import file_digest, file_size
from core.errors import StoreError
from core.review_records import COLUMNS, LOG_COLUMNS, Project, Scored, Stored
from core.review_schema import REVIEW_STORE
from core.samples import Label, Sample
from core.store_file import Run, StoreFile
from core.store_file import to_bytes as _b
from core.threshold import Threshold, judge

NO_LABEL = ""
BY_FOLDER = "folder"
"""The user of a label that an image has from the folder it lies in."""


def default_store() -> Path:
    """The store in the user's data folder."""
    return Path(platformdirs.user_data_dir("cfa-gui", appauthor=False)) / "reviews.sqlite"


class ReviewStore:
    """An open store. Each method that writes has it on the disk when it returns. For one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False, user: str | None = None) -> None:
        """Open a store, make it where it is missing, bring an older one up to date.

        Args:
            path: The file.
            read_only: Nothing is written; the store must be there.
            user: Who labels; the user of this computer where None.

        Raises:
            StoreError: It cannot be opened or made, is damaged, of a newer version, or no review store.
        """
        self.path = path
        self._user = user or _user()
        self._locks: dict[int, FileLock] = {}
        self._file = StoreFile(path, REVIEW_STORE, read_only=read_only)

    def close(self) -> None:
        """Let go of the file and of the projects claimed."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()
        self._file.close()

    def __enter__(self) -> "ReviewStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- projects -----------------------------------------------------------------------------------------------------

    def projects(self) -> list[Project]:
        """All projects, the one changed last first."""
        with self._file.reading() as run:
            rows = run(
                "SELECT p.id, p.name, p.created, p.changed, p.view, (SELECT count(*) FROM image WHERE project = p.id), "
                "(SELECT count(DISTINCT image.id) FROM image JOIN label ON label.image = image.id "
                "WHERE project = p.id AND label.user <> ?) FROM project p ORDER BY p.changed DESC, p.id DESC",
                (BY_FOLDER,),
            ).fetchall()
        return [Project(i, name, made, changed, n, k, _view(view)) for i, name, made, changed, view, n, k in rows]

    def create_project(self, name: str) -> int:
        """A new, empty project; returns its id."""
        now = _now()
        with self._file.writing() as run:
            made = run(
                "INSERT INTO project (name, created, changed) VALUES (CAST(? AS TEXT), ?, ?)", (_b(name), now, now)
            )
            return int(made.lastrowid or 0)

    def remove_project(self, project: int) -> None:
        """Forget a project and all that belongs to it."""
        with self._file.writing() as run:
            run("DELETE FROM project WHERE id = ?", (project,))

    def claim(self, project: int) -> bool:
        """Take a project for this program alone; False where another one, still running, has it."""
        if project in self._locks:
            return True
        lock = FileLock(self.path.with_name(f"{self.path.name}.{project}.lock"))
        with self._file.told("claimed"):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return False
        self._locks[project] = lock
        return True

    def release(self, project: int) -> None:
        """Let others claim it."""
        lock = self._locks.pop(project, None)
        if lock is not None:
            lock.release()

    def set_view(self, project: int, view: Mapping[str, Any]) -> None:
        """Keep what is looked at; plain JSON values."""
        with self._file.writing() as run:
            run("UPDATE project SET view = ? WHERE id = ?", (json.dumps(dict(view)), project))

    # --- writing ------------------------------------------------------------------------------------------------------

    def add_images(self, project: int, samples: Sequence[Sample]) -> None:
        """Add images that are not there yet, with the labels that their folders say."""
        with self._file.writing() as run:
            _touch(run, project)
            for sample in samples:
                made = run(
                    "INSERT INTO image (project, path, name, kind, mask) VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT), "
                    "CAST(? AS TEXT), CAST(? AS TEXT)) ON CONFLICT DO NOTHING",
                    (project, _b(sample.path), _b(sample.name), _b(sample.kind), _b(sample.mask)),
                )
                if made.rowcount and sample.label is not None:
                    run(
                        "INSERT INTO label (image, label, user, at) VALUES (?, ?, ?, ?)",
                        (made.lastrowid, sample.label.value, BY_FOLDER, _now()),
                    )

    def add_model(self, identity: str, path: Path) -> None:
        """Note where a model is, or is now."""
        with self._file.writing() as run:
            run(
                "INSERT INTO model (identity, path, added) VALUES (?, CAST(? AS TEXT), ?) "
                "ON CONFLICT (identity) DO UPDATE SET path = excluded.path",
                (identity, _b(path.absolute()), _now()),
            )

    def use_model(self, project: int, identity: str) -> None:
        """From now on a project's images are judged by this model, added before."""
        with self._file.writing() as run:
            self._use_model(run, project, identity)

    def models_in_use(self) -> set[str]:
        """Identities of the models that the projects' images are judged by."""
        with self._file.reading() as run:
            return {row[0] for row in run("SELECT identity FROM model JOIN project ON project.model = model.id")}

    def add_scores(self, project: int, identity: str, results: Sequence[Scored]) -> None:
        """Note what a model, added before, said of images, added before; the same result again is not repeated."""
        contents = [(file_digest(result.path), file_size(result.path)) for result in results]  # before it is locked
        with self._file.writing() as run:
            _touch(run, project)
            model = self._use_model(run, project, identity)
            for result, (content_hash, size) in zip(results, contents, strict=True):
                image = self._image(run, project, result.path)
                height, width = result.size or (None, None)
                run(
                    "UPDATE image SET content_hash = coalesce(?, content_hash), bytes = coalesce(?, bytes), "
                    "height = coalesce(?, height), width = coalesce(?, width) WHERE id = ?",
                    (content_hash, size, height, width, image),
                )
                latest = run(
                    "SELECT model, score, message FROM score WHERE image = ? ORDER BY id DESC LIMIT 1", (image,)
                )
                if latest.fetchone() != (model, result.score, result.message):
                    run(
                        "INSERT INTO score (image, model, score, message, at) VALUES (?, ?, ?, CAST(? AS TEXT), ?)",
                        (image, model, result.score, _b(result.message), _now()),
                    )

    def set_threshold(self, project: int, identity: str, threshold: Threshold) -> None:
        """Note the threshold in force from now on."""
        with self._file.writing() as run:
            _touch(run, project)
            run(
                "INSERT INTO threshold (project, model, threshold, user, at) VALUES (?, ?, ?, ?, ?)",
                (project, self._use_model(run, project, identity), json.dumps(threshold.to_json()), self._user, _now()),
            )

    def label(self, project: int, labels: Mapping[Path, Label | None], *, undo: bool = False) -> None:
        """Note what a person says of images.

        Args:
            project: Their project.
            labels: The label that each has from now on; None takes it off.
            undo: These take the latest entry of each image back, and say so.
        """
        with self._file.writing() as run:
            _touch(run, project)
            for path, label in labels.items():
                image = self._image(run, project, path)
                latest = run("SELECT max(id) FROM label WHERE image = ?", (image,)).fetchone()[0]
                run(
                    "INSERT INTO label (image, label, user, at, undoes) VALUES (?, ?, ?, ?, ?)",
                    (image, NO_LABEL if label is None else label.value, self._user, _now(), latest if undo else None),
                )

    # --- reading ------------------------------------------------------------------------------------------------------

    def load(self, project: int) -> Stored:
        """The present state of a project."""
        with self._file.reading() as run:
            images = run(
                "SELECT id, path, name, kind, mask FROM image WHERE project = ? ORDER BY id", (project,)
            ).fetchall()
            labels = dict(
                run(
                    "SELECT image, label FROM label WHERE id IN (SELECT max(label.id) FROM label JOIN image "
                    "ON image.id = label.image WHERE project = ? GROUP BY image)",
                    (project,),
                )
            )
            of_good = run(
                "SELECT path FROM image JOIN label ON label.image = image.id "
                "WHERE project = ? AND user = ? AND label = ?",
                (project, BY_FOLDER, Label.GOOD.value),
            )
            good_by_folder = frozenset(Path(path) for (path,) in of_good)
            row = run("SELECT model FROM project WHERE id = ?", (project,)).fetchone()
            if row is None:
                raise StoreError(
                    f"There is no review {project} in {self.path}. `cfa review list` shows those there are."
                )
            model = row[0]
            samples = tuple(
                Sample(Path(path), name, _label(labels.get(image)), kind, None if mask is None else Path(mask))
                for image, path, name, kind, mask in images
            )
            if model is None:
                return Stored(samples, good_by_folder)
            identity, path = run("SELECT identity, path FROM model WHERE id = ?", (model,)).fetchone()
            scores = self._scores(run, project, model)
            text = run(
                "SELECT threshold FROM threshold WHERE project = ? AND model = ? ORDER BY id DESC LIMIT 1",
                (project, model),
            ).fetchone()
            threshold = None if text is None else Threshold.from_json(json.loads(text[0]))
        return Stored(samples, good_by_folder, scores, identity, Path(path), threshold)

    def rows(self, project: int) -> list[dict[str, Any]]:
        """One row an image with score, verdict, label and where each comes from; see `COLUMNS`."""
        stored = self.load(project)
        with self._file.reading() as run:
            details = run(
                "SELECT path, content_hash, bytes, height, width, label.user, label.at FROM image LEFT JOIN label "
                "ON label.id = (SELECT max(id) FROM label WHERE image = image.id) WHERE project = ? ORDER BY image.id",
                (project,),
            ).fetchall()
            who = run(
                "SELECT user, at FROM threshold WHERE project = ? ORDER BY id DESC LIMIT 1", (project,)
            ).fetchone()
        line = stored.threshold
        rows = []
        for sample, (_, content_hash, size, height, width, by, at) in zip(stored.samples, details, strict=True):
            result = stored.scores.get(sample.path)
            score = None if result is None else result.score
            message = None if result is None else result.message
            values = (
                *(str(sample.path), sample.name, content_hash, size, height, width, score),
                None if line is None else line.value,
                _verdict(score, message, line),
                *("" if sample.label is None else sample.label.value, by, at, stored.model_identity or None),
                *(who if who is not None and line is not None else (None, None)),
                message,
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        return rows

    def history(self, project: int) -> list[dict[str, Any]]:
        """The log of labels and thresholds, oldest first; see `LOG_COLUMNS`."""
        with self._file.reading() as run:
            rows = run(
                "SELECT label.at, label.user, 'label', name, label.label, undoes IS NOT NULL FROM label JOIN image "
                "ON image.id = label.image WHERE project = :project UNION ALL "
                "SELECT at, user, 'threshold', '', threshold, 0 FROM threshold WHERE project = :project ORDER BY 1",
                {"project": project},
            ).fetchall()
        return [dict(zip(LOG_COLUMNS, row, strict=True)) for row in rows]

    def check(self) -> list[str]:
        """What is wrong with the file, a sentence each; empty where it is sound."""
        with self._file.reading() as run:
            found = [row[0] for row in run("PRAGMA integrity_check") if row[0] != "ok"]
            strays = run("PRAGMA foreign_key_check").fetchall()
        return found + [f"A row of {table} belongs to nothing in {parent}." for table, _, parent, _ in strays]

    # --- moved files --------------------------------------------------------------------------------------------------

    def missing(self, project: int) -> list[Path]:
        """The images that are no longer where they were."""
        return [sample.path for sample in self.load(project).samples if not sample.path.is_file()]

    def relocate(self, project: int, candidates: Sequence[Path]) -> int:
        """Find images that were moved, by their content; returns how many were found.

        Args:
            project: Whose missing images are looked for.
            candidates: Files among which they may be. Only those of a size that is missing are read.
        """
        missing = {str(path) for path in self.missing(project)}
        with self._file.reading() as run:
            rows = run("SELECT id, path, content_hash, bytes FROM image WHERE project = ?", (project,)).fetchall()
        known = {path for _, path, _, _ in rows}
        wanted: dict[str, list[int]] = {}
        for image, path, content_hash, _ in rows:
            if path in missing and content_hash is not None:
                wanted.setdefault(content_hash, []).append(image)
        sizes = {size for _, path, _, size in rows if path in missing and size is not None}
        found: list[tuple[int, Path]] = []
        for path in (path.absolute() for path in candidates):
            if str(path) not in known and file_size(path) in sizes:
                waiting = wanted.get(file_digest(path) or "")
                if waiting:
                    found.append((waiting.pop(0), path))
        with self._file.writing() as run:
            _touch(run, project)
            for image, path in found:
                run("UPDATE image SET path = CAST(? AS TEXT) WHERE id = ?", (_b(path), image))
        return len(found)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _image(self, run: Run, project: int, path: Path) -> int:
        row = run("SELECT id FROM image WHERE project = ? AND path = CAST(? AS TEXT)", (project, _b(path))).fetchone()
        if row is None:
            raise StoreError(f"{path} is not in this review. Add it first.")
        return int(row[0])

    def _use_model(self, run: Run, project: int, identity: str) -> int:
        row = run("SELECT id FROM model WHERE identity = ?", (identity,)).fetchone()
        if row is None:
            raise StoreError(f"The model {identity[:12]} is not in this store. Add it first.")
        run("UPDATE project SET model = ? WHERE id = ?", (row[0], project))
        return int(row[0])

    def _scores(self, run: Run, project: int, model: int) -> dict[Path, Scored]:
        rows = run(
            "SELECT path, score, message, height, width FROM score JOIN image ON image.id = score.image "
            "WHERE score.id IN (SELECT max(score.id) FROM score JOIN image ON image.id = score.image "
            "WHERE project = ? AND model = ? GROUP BY image)",
            (project, model),
        )
        return {
            Path(path): Scored(Path(path), score, message, None if height is None else (height, width))
            for path, score, message, height, width in rows
        }


def _touch(run: Run, project: int) -> None:
    run("UPDATE project SET changed = ? WHERE id = ?", (_now(), project))


def _verdict(score: float | None, message: str | None, line: Threshold | None) -> str | None:
    if message is not None:
        return "error"
    if score is None or line is None:
        return None
    return judge(score, line).value


def _label(text: str | None) -> Label | None:
    return Label(text) if text else None


def _view(text: str) -> dict[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
