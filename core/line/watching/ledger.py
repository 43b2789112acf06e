"""What was inspected, in one SQLite file, so that a watch that was ended, or cut off, goes on where it was.

One transaction holds a result, the word that its file is done, what is still to be done with the file, and a place in
the queue of each target. So a kill at any moment leaves a file either not inspected yet or inspected, with everything
that follows from it still to come. Whoever delivers takes from the queue only what the receiver has.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.errors import StoreError
from core.line.watching.arrivals import Stamp
from core.line.watching.results import Outcome, Result, regions_from_text, regions_to_text
from core.store_file import StoreFile
from core.store_file import to_bytes as _b
from core.store_schema import Schema

_CFAW = 0x43464157
LEDGER = Schema(
    "watch ledger",
    _CFAW,
    (
        (
            "CREATE TABLE ledger (name TEXT NOT NULL, folder TEXT NOT NULL)",
            """CREATE TABLE result (
                number INTEGER PRIMARY KEY, path TEXT NOT NULL, sha256 TEXT NOT NULL, verdict TEXT NOT NULL, score REAL,
                threshold REAL NOT NULL, message TEXT NOT NULL, regions TEXT NOT NULL, inspected TEXT NOT NULL,
                milliseconds REAL NOT NULL, identity TEXT NOT NULL, overlay TEXT NOT NULL, sorted TEXT NOT NULL
            )""",
            """CREATE TABLE file (
                path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
                result INTEGER NOT NULL REFERENCES result
            ) WITHOUT ROWID""",
            """CREATE TABLE target (
                id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, delivered INTEGER NOT NULL DEFAULT 0,
                given_up INTEGER NOT NULL DEFAULT 0
            )""",
            """CREATE TABLE queue (
                target INTEGER NOT NULL REFERENCES target, result INTEGER NOT NULL REFERENCES result,
                PRIMARY KEY (target, result)
            ) WITHOUT ROWID""",
            """CREATE TABLE sorting (
                result INTEGER PRIMARY KEY REFERENCES result, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
                copied INTEGER NOT NULL
            )""",
        ),
    ),
)
_COLUMNS = (
    "number",
    "path",
    "sha256",
    "verdict",
    "score",
    "threshold",
    "message",
    "regions",
    "inspected",
    "milliseconds",
    "identity",
    "overlay",
    "sorted",
)
"""Of the table of results, and fields of a `Result`."""
_FIELDS = ", ".join(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Sorting:
    """An image that is still to be moved or copied.

    Attributes:
        result: Says from where (`path`) and where to (`sorted`).
        stamp: Of the file that was inspected.
        copied: It stays, and a copy goes.
    """

    result: Result
    stamp: Stamp
    copied: bool


class Ledger:
    """An open ledger, for the one program that has it. For one thread."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Open a ledger, make it where it is missing.

        Args:
            path: The file.
            folder: The watched folder.

        Raises:
            StoreError: It cannot be opened, is of another folder, or another watch, still running, has it.
        """
        self.path = path
        self._lock = FileLock(f"{path}.claim")
        self._file: StoreFile | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"Another `cfa watch` works with {path}. End it first; a second watch of the same folder needs a "
                "ledger of its own (--ledger FILE)."
            ) from error
        except OSError as error:
            raise StoreError(
                f"The watch ledger {path} cannot be made: {error.strerror or error}. Name another (--ledger FILE)."
            ) from error
        try:
            self._file = StoreFile(path, LEDGER, read_only=False)
            self.name = self._identify(folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def known(self, name: str) -> Stamp | None:
        """The stamp that an image had when it was last seen; None: it was never inspected."""
        with self._open.reading() as run:
            found = run("SELECT size, mtime_ns FROM file WHERE path = CAST(? AS TEXT)", (_b(name),)).fetchone()
        return None if found is None else Stamp(*found)

    def seen_again(self, name: str, stamp: Stamp, sha256: str) -> bool:
        """Whether the image's last inspection was of this very content; if so, its new stamp is noted."""
        with self._open.writing() as run:
            changed = run(
                "UPDATE file SET size = ?, mtime_ns = ? WHERE path = CAST(? AS TEXT) AND "
                "(SELECT sha256 FROM result WHERE number = file.result) = ?",
                (stamp.size, stamp.mtime_ns, _b(name), sha256),
            )
        return changed.rowcount > 0

    def add(
        self, result: Result, stamp: Stamp, targets: Iterable[int], *, moved: bool = False, copied: bool = False
    ) -> Result:
        """Keep a result, queue it for the targets, and note what is to be done with the file.

        Args:
            result: Without a number.
            stamp: Of the file.
            targets: From `target`.
            moved: The file is to be moved to `result.sorted`.
            copied: The file is to be copied there.

        Returns:
            The result with its number, on the disk.
        """
        text = regions_to_text(result.regions)
        with self._open.writing() as run:
            made = run(
                f"INSERT INTO result ({_FIELDS}) VALUES (NULL, CAST(? AS TEXT), ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, "  # noqa: S608  column names alone
                "?, CAST(? AS TEXT), CAST(? AS TEXT))",
                (
                    _b(result.path),
                    result.sha256,
                    result.verdict.value,
                    result.score,
                    result.threshold,
                    _b(result.message),
                    text,
                    result.inspected,
                    result.milliseconds,
                    result.identity,
                    _b(result.overlay),
                    _b(result.sorted),
                ),
            )
            number = int(made.lastrowid or 0)
            place = (number, stamp.size, stamp.mtime_ns)
            run(
                "INSERT INTO file (result, size, mtime_ns, path) VALUES (?, ?, ?, CAST(? AS TEXT)) ON CONFLICT DO "
                "UPDATE SET result = excluded.result, size = excluded.size, mtime_ns = excluded.mtime_ns",
                (*place, _b(result.path)),
            )
            for target in targets:
                run("INSERT INTO queue (target, result) VALUES (?, ?)", (target, number))
            if moved or copied:
                run("INSERT INTO sorting (result, size, mtime_ns, copied) VALUES (?, ?, ?, ?)", (*place, copied))
        return replace(result, number=number, ledger=self.name)

    def to_sort(self) -> list[Sorting]:
        """What is still to be moved or copied, in order."""
        with self._open.reading() as run:
            rows = run(
                f"SELECT {_FIELDS}, s.size, s.mtime_ns, s.copied FROM sorting s JOIN result ON number = s.result "  # noqa: S608  column names alone
                "ORDER BY number"
            ).fetchall()
        return [
            Sorting(_result(row[:-3], self.name), Stamp(size, mtime), bool(copied))
            for row in rows
            for size, mtime, copied in [row[-3:]]
        ]

    def is_sorted(self, sorting: Sorting) -> None:
        """An image is where it belongs. If it was moved, another of the same name is a new one, whatever it holds."""
        with self._open.writing() as run:
            run("DELETE FROM sorting WHERE result = ?", (sorting.result.number,))
            if not sorting.copied:
                run("DELETE FROM file WHERE result = ?", (sorting.result.number,))

    def target(self, address: str) -> int:
        """The number of a target in this ledger; results from now on can be queued for it."""
        with self._open.writing() as run:
            run("INSERT INTO target (address) VALUES (?) ON CONFLICT DO NOTHING", (address,))
            return int(run("SELECT id FROM target WHERE address = ?", (address,)).fetchone()[0])

    def outbox(self, target: int) -> "Outbox":
        """The queue of a target, for the thread that calls this."""
        return Outbox(self.path, self.name, target)

    def results(self) -> list[Result]:
        """Every result, in order."""
        with self._open.reading() as run:
            rows = run(f"SELECT {_FIELDS} FROM result ORDER BY number").fetchall()  # noqa: S608  column names alone
        return [_result(row, self.name) for row in rows]

    @property
    def _open(self) -> StoreFile:
        assert self._file is not None  # noqa: S101  only __init__ and close see it otherwise
        return self._file

    def _identify(self, folder: Path) -> str:
        """The ledger's name; it is given one when it is new."""
        with self._open.writing() as run:
            found = run("SELECT name, folder FROM ledger").fetchone()
            if found is None:
                found = (uuid.uuid4().hex[:12], str(folder))
                run("INSERT INTO ledger (name, folder) VALUES (?, CAST(? AS TEXT))", (found[0], _b(folder)))
        if found[1] != str(folder):
            raise StoreError(
                f"{self.path} is the ledger of another folder, {found[1]}. Name another file (--ledger FILE)."
            )
        return str(found[0])


class Outbox:
    """What waits for one target. For one thread; the ledger may be written to by another meanwhile."""

    def __init__(self, path: Path, ledger: str, target: int) -> None:
        self._file = StoreFile(path, LEDGER, read_only=False)
        self._ledger = ledger
        self._target = target

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def waiting(self, most: int) -> list[Result]:
        """The results that wait longest, at most so many."""
        with self._file.reading() as run:
            rows = run(
                f"SELECT {_FIELDS} FROM queue JOIN result ON number = result WHERE target = ? ORDER BY result LIMIT ?",  # noqa: S608  column names alone
                (self._target, most),
            ).fetchall()
        return [_result(row, self._ledger) for row in rows]

    def delivered(self, results: Sequence[Result]) -> None:
        """The receiver has these."""
        self._take_out(results, "delivered")

    def give_up(self, results: Sequence[Result]) -> None:
        """The receiver is not to get these any more; the ledger keeps them."""
        self._take_out(results, "given_up")

    def shorten(self, most: int) -> int:
        """Give up those that wait longest, so that at most so many wait; returns how many those were."""
        excess = self.counts()[0] - most
        if excess <= 0:
            return 0
        self.give_up(self.waiting(excess))
        return excess

    def counts(self) -> tuple[int, int, int]:
        """How many wait; how many the receiver has got, ever; how many were given up, ever."""
        with self._file.reading() as run:
            row = run(
                "SELECT (SELECT count(*) FROM queue WHERE target = id), delivered, given_up FROM target WHERE id = ?",
                (self._target,),
            ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def _take_out(self, results: Sequence[Result], column: str) -> None:
        with self._file.writing() as run:
            for result in results:
                gone = run("DELETE FROM queue WHERE target = ? AND result = ?", (self._target, result.number))
                run(f"UPDATE target SET {column} = {column} + ? WHERE id = ?", (gone.rowcount, self._target))  # noqa: S608  one of two words


def _result(row: Sequence[Any], ledger: str) -> Result:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["verdict"] = Outcome(values["verdict"])
    values["regions"] = regions_from_text(values["regions"])
    return Result(ledger=ledger, **values)
