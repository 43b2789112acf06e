"""Results in an SQLite file, which other programs may read at the same time."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import StoreError, TargetError
from core.line.watching.results import COLUMNS, Result
from core.store_file import StoreFile, to_bytes
from core.store_schema import Schema

_CFAL = 0x4346414C
_NUMBERS = {"score": "REAL", "threshold": "REAL NOT NULL", "regions": "INTEGER NOT NULL", "milliseconds": "REAL"}
_TYPED = ", ".join(f"{column} {_NUMBERS.get(column, 'TEXT NOT NULL')}" for column in COLUMNS)
RESULTS = Schema(
    "file of results",
    _CFAL,
    (
        (
            f"CREATE TABLE results ({_TYPED.replace('id TEXT', 'id TEXT PRIMARY KEY', 1)}) WITHOUT ROWID",
            "CREATE INDEX results_by_time ON results (inspected)",
            "CREATE INDEX results_by_path ON results (path)",
        ),
    ),
)
_INSERT = (
    f"INSERT INTO results ({', '.join(COLUMNS)}) "  # noqa: S608  column names alone
    f"VALUES ({', '.join('?' if column in _NUMBERS else 'CAST(? AS TEXT)' for column in COLUMNS)}) "
    "ON CONFLICT DO NOTHING"
)


class SqliteTarget:
    """A table `results` that grows. A result that comes again is not written again."""

    def __init__(self, file: Path) -> None:
        self._path = Path(os.path.abspath(file))  # noqa: PTH100
        self.address = str(self._path)
        self._file: StoreFile | None = None

    def prepare(self) -> None:
        """See `Target`."""
        StoreFile(self._path, RESULTS, read_only=False).close()

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """See `Target`."""
        try:
            if self._file is None or not self._path.exists():
                self.close()
                self._file = StoreFile(self._path, RESULTS, read_only=False)
            with self._file.writing() as run:
                for result in results:
                    run(_INSERT, [_cell(result.to_row()[column]) for column in COLUMNS])
        except StoreError as error:
            self.close()
            raise TargetError(str(error)) from error
        yield from results

    def close(self) -> None:
        """See `Target`."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: object) -> object:
    return to_bytes(value) if isinstance(value, str) else value
