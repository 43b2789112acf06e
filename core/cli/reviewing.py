"""`cfa review`: list, export and check review stores. Imports no torch."""

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
        if project not in {known.id for known in store.projects()}:
            raise StoreError(f"There is no review {project} in {store.path}. `cfa review list` shows those there are.")
        rows = store.history(project) if log else store.rows(project)
    write_bytes(output, table(LOG_COLUMNS if log else COLUMNS, rows))
    if as_json:
        out.json_object({"file": str(output), "rows": len(rows)})
    else:
        out.line(f"{counted(len(rows), 'row')} written to {output}.")


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


def _json(project: Project) -> dict[str, object]:
    return {
        "id": project.id,
        "name": project.name,
        "created": project.created,
        "changed": project.changed,
        "images": project.images,
        "labels": project.labels,
    }
