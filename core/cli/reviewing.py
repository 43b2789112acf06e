"""`cfa review`: list, export, check and tidy review stores. Imports no torch."""

from pathlib import Path

from core.atomic_file import write_bytes
from core.cli import output as out
from core.counting import counted
from core.errors import ConfigError, StoreError
from core.result_files import csv_table, parquet_table
from core.review import ReviewStore, default_store
from core.review_records import COLUMNS, LOG_COLUMNS, Project

_FORMATS = {".csv": csv_table, ".parquet": parquet_table}


def list_projects(path: Path | None, *, as_json: bool) -> None:
    """`cfa review list`."""
    with _opened(path) as store:
        projects = store.projects()
    if as_json:
        out.json_object({"store": str(store.path), "reviews": [_json(project) for project in projects]})
        return
    if not projects:
        out.line(f"No review in {store.path}.")
    for project in projects:
        images, labels = counted(project.images, "image"), counted(project.labels, "label")
        out.line(f"{project.id:>4}  {project.changed[:16].replace('T', ' ')}  {images}, {labels}  {project.name}")


def export(project: int, output: Path, path: Path | None, *, log: bool, as_json: bool) -> None:
    """`cfa review export`."""
    table = _FORMATS.get(output.suffix.lower())
    if table is None:
        raise ConfigError(f"{output} must end in .csv or .parquet.")
    with _opened(path) as store:
        _found(store, project)
        rows = store.history(project) if log else store.rows(project)
    write_bytes(output, table(LOG_COLUMNS if log else COLUMNS, rows))
    if as_json:
        out.json_object({"file": str(output), "rows": len(rows)})
    else:
        out.line(f"{counted(len(rows), 'row')} written to {output}.")


def remove(project: int, path: Path | None, *, really: bool, as_json: bool) -> None:
    """`cfa review remove`."""
    with _opened(path) as store:
        found = _found(store, project)
    images, labels = counted(found.images, "image"), counted(found.labels, "label")
    what = f"review {project}, {found.name} ({images}, {labels})"
    if not really:
        raise ConfigError(f"Nothing was removed. Add --yes to remove {what} for good.")
    with ReviewStore(store.path) as store:
        if not store.claim(project):
            raise StoreError(f"Nothing was removed: a window has {what} open. Close it first.")
        store.remove_project(project)
    if as_json:
        out.json_object({"store": str(store.path), "removed": _json(found)})
    else:
        out.line(f"Removed {what}.")


def check(path: Path | None, *, as_json: bool) -> None:
    """`cfa review check`."""
    with _opened(path) as store:
        wrong = store.check()
        projects = store.projects()
        gone = {project.id: store.missing(project.id) for project in projects}
    if as_json:
        missing = {str(number): [str(image) for image in images] for number, images in gone.items()}
        out.json_object({"store": str(store.path), "sound": not wrong, "problems": wrong, "missing": missing})
    else:
        for sentence in wrong:
            out.line(sentence)
        for project in projects:
            if gone[project.id]:
                images = counted(len(gone[project.id]), "image")
                out.line(f"{project.name}: {images} not where they were, the first {gone[project.id][0]}.")
        if not wrong:
            out.line(f"{store.path} is sound: {counted(len(projects), 'review')}.")
    if wrong:
        raise StoreError(f"{store.path} is damaged. Export what can be read, and use a copy from a backup.")


def _opened(path: Path | None) -> ReviewStore:
    return ReviewStore(path or default_store(), read_only=True)


def _found(store: ReviewStore, project: int) -> Project:
    for known in store.projects():
        if known.id == project:
            return known
    raise StoreError(f"There is no review {project} in {store.path}. `cfa review list` shows those there are.")


def _json(project: Project) -> dict[str, object]:
    return {
        "id": project.id,
        "name": project.name,
        "created": project.created,
        "changed": project.changed,
        "images": project.images,
        "labels": project.labels,
    }
