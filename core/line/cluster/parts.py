"""The folder of results: Parquet files, each written wholly or not at all, and never again.

What is in it is done. One run at a time writes to a folder.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from core.atomic_file import make_folder, require_writable_folder, write_atomically
from core.errors import ClusterError, OutputError
from core.leftovers import remove_leftovers

LOCK = ".cfa-in-use.lock"
"""Hidden, as what reads a folder of Parquet files passes over hidden files."""
ROWS = 10_000
"""In one file at most (about 1 MB)."""
SECONDS = 20.0
"""After which results are written though they are few."""
_KNOWN = ["path", "verdict", "threshold", "lower", "model"]
"""Columns that a later run looks at."""
_NAME = re.compile(r"part-(\d{6,})\.parquet")


class Row(NamedTuple):
    """The result of one image.

    Attributes:
        path: The image, as `Place.path`.
        score: None where it cannot be read as an image.
        verdict: good, uncertain, defect or error.
        threshold: The score that the verdict is by.
        lower: Above it a score is uncertain; None: no such band.
        model: The model's identity.
        error: Why it cannot be read; else None.
    """

    path: str
    score: float | None
    verdict: str
    threshold: float
    lower: float | None
    model: str
    error: str | None


@dataclass(slots=True)
class Parts:
    """An open folder of results. Close it; what was added is on the disk then.

    Attributes:
        folder: Where.
        model: Identity of the model that all rows are of.
        threshold: That all verdicts are by.
        lower: Its second line, or None.
        done: Paths of the images that have a row on the disk.
        counts: Verdict → rows, those that wait for the disk too.
    """

    folder: Path
    model: str
    threshold: float
    lower: float | None = None
    clock: Callable[[], float] = time.monotonic
    done: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    _waiting: list[Row] = field(default_factory=list)
    _written: float = 0.0
    _number: int = 0
    _lock: FileLock | None = None

    def __enter__(self) -> "Parts":
        """Open it, make it where it is missing, and look at what is there.

        Raises:
            ClusterError: pyarrow is not installed.
            OutputError: It cannot be written, another run is at work in it, or it holds something else: a damaged
                file, the results of another model or by another threshold.
        """
        require_writable_folder(self.folder)
        make_folder(self.folder)
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"Another run writes to {self.folder}. Wait for its end, or name another folder."
            ) from error
        self._lock = lock
        try:
            remove_leftovers([self.folder])
            for path in sorted(self.folder.glob("*.parquet")):
                self._take(path)
        except BaseException:
            lock.release()
            raise
        self._written = self.clock()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            if self._lock is not None:
                self._lock.release()

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows in; they are on the disk after a while, or with `flush`.

        Raises:
            OutputError: They cannot be written.
        """
        self._waiting += rows
        self.counts.update(row.verdict for row in rows)
        if len(self._waiting) >= ROWS or self.clock() - self._written >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits into a file of its own.

        Raises:
            OutputError: It cannot be written; what waited waits on.
        """
        self._written = self.clock()
        if not self._waiting:
            return
        arrow, parquet = arrow_and_parquet()
        table = arrow.Table.from_pylist([row._asdict() for row in self._waiting], schema=_schema(arrow))
        path = self.folder / f"part-{self._number + 1:06d}.parquet"
        write_atomically(path, lambda file: parquet.write_table(table, file))
        self._number += 1
        self.done.update(row.path for row in self._waiting)
        self._waiting.clear()

    def _take(self, path: Path) -> None:
        """Learn what a file holds, and see that it belongs to this run."""
        arrow, parquet = arrow_and_parquet()
        try:
            table = parquet.read_table(path, columns=_KNOWN, partitioning=None)
            models = set(table["model"].to_pylist())
            lines = set(zip(table["threshold"].to_pylist(), table["lower"].to_pylist(), strict=True))
        except (OSError, ValueError, LookupError, arrow.ArrowException) as error:
            raise OutputError(
                f"{path} is damaged, or no table of an inspection. Move it away, or name another folder."
            ) from error
        if models - {self.model}:
            raise OutputError(f"{path} holds the results of another model. Name another folder for this one's.")
        if others := lines - {(self.threshold, self.lower)}:
            raise OutputError(
                f"{path} holds verdicts by {_line(*others.pop())}, and this run has "
                f"{_line(self.threshold, self.lower)}. Name another folder, or inspect by the same."
            )
        self.done.update(table["path"].to_pylist())
        self.counts.update(table["verdict"].to_pylist())
        if known := _NAME.fullmatch(path.name):
            self._number = max(self._number, int(known[1]))


def arrow_and_parquet() -> tuple[Any, Any]:
    """The two modules.

    Raises:
        ClusterError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise ClusterError('--cluster needs pyarrow. Install it with `pip install "cfa-gui[cluster]"`.') from error
    return pa, parquet


def _schema(arrow: Any) -> Any:
    text = arrow.string()
    number = arrow.float64()
    kinds = {"path": text, "score": number, "verdict": text, "threshold": number, "lower": number}
    return arrow.schema(kinds | {"model": text, "error": text})


def _line(threshold: float, lower: float | None) -> str:
    return f"the threshold {threshold:.6g}" + ("" if lower is None else f" (uncertain above {lower:.6g})")
