"""An SQLite file of this program: opened, brought up to date, read and written, with a sentence for every error."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from core.errors import StoreError
from core.store_schema import Schema

_BUSY_SECONDS = 10.0


class Run(Protocol):
    """Carries out one statement."""

    def __call__(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As `sqlite3.Connection.execute`."""
        ...


class StoreFile:
    """An open file. For one thread at a time; other programs may have it open too.

    Args:
        path: The file; made, with its folder, where it is missing.
        schema: What the file must be.
        read_only: It must be there, and nothing is written.

    Raises:
        StoreError: It cannot be opened or made, is damaged, of a newer version, or of another program.
    """

    def __init__(self, path: Path, schema: Schema, *, read_only: bool) -> None:
        self._path = path
        self._schema = schema
        with self.told("opened"):
            if read_only or path.exists():
                path.open("rb").close()  # a clear reason where that fails
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
            mode = "ro" if read_only else "rwc"
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.text_factory = _from_bytes
            try:
                self._prepare(read_only=read_only)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, *, read_only: bool) -> None:
        self._connection.execute("PRAGMA foreign_keys = ON")
        with self._transaction("DEFERRED"):  # one moment, though another program may just be making the tables
            version = self._schema.version_of(self._connection)
        self._require_known(version, read_only=read_only)
        if not read_only:
            with FileLock(f"{self._path}.lock", timeout=_BUSY_SECONDS):  # SQLite does not wait for a change to WAL
                self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        if not read_only and version < self._schema.version:
            with self._transaction("IMMEDIATE"):  # the other one may have been quicker
                self._schema.migrate(self._connection, self._schema.version_of(self._connection))

    def _require_known(self, version: int, *, read_only: bool) -> None:
        if version < 0 or (read_only and version == 0):
            raise StoreError(f"{self._path} is no {self._schema.name}. Name another file.")
        if version > self._schema.version:
            raise StoreError(
                f"{self._path} was written by a newer program (version {version}; this one knows "
                f"{self._schema.version}). Install the newer version to open it."
            )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Run]:
        """For statements that change nothing."""
        with self.told("read"):
            yield self._connection.execute

    @contextlib.contextmanager
    def writing(self) -> Iterator[Run]:
        """One transaction, on the disk at its end, or nothing of it."""
        with self.told("written"), self._transaction("IMMEDIATE"):
            yield self._connection.execute

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def told(self, done: str) -> Iterator[None]:
        """What SQLite and the disk raise, as a `StoreError`: the store cannot be `done`."""
        name = f"The {self._schema.name} {self._path} cannot be {done}"
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{name}: {error}. Check the drive and your rights.") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{name}: it is damaged or no {self._schema.name} ({error}). Use a copy, or name another file."
            ) from error
        except OSError as error:
            raise StoreError(f"{name}: {error.strerror or error}. Check the drive and your rights.") from error


def to_bytes(text: str | Path | None) -> bytes | None:
    """As bytes, which a statement casts to text: a file's name may hold what is no UTF-8."""
    return None if text is None else str(text).encode("utf-8", "surrogateescape")


def _from_bytes(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
