"""Results in files: one JSON file for each in a folder, or a growing CSV table."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.atomic_file import make_folder, require_writable, require_writable_folder, write_bytes
from core.errors import ConfigError, OutputError, TargetError
from core.line.watching.results import COLUMNS, Result
from core.result_files import csv_table


class FolderTarget:
    """One JSON file for each result: the image's name, then the number of the result. Each is there wholly or not."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100
        self.address = str(self._folder)

    def prepare(self) -> None:
        """See `Target`."""
        require_writable_folder(self._folder)

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """See `Target`. A result that comes again is written to the same file."""
        for result in results:
            file = self._folder / f"{result.stem}-{result.number}.json"
            try:
                make_folder(file.parent)
                write_bytes(file, result.to_bytes() + b"\n")
            except OutputError as error:
                raise TargetError(str(error)) from error
            yield result

    def close(self) -> None:
        """See `Target`."""


class CsvTarget:
    """A table that grows. It may be moved away at any moment: a new one is begun.

    Rows are flushed to the disk before they count as delivered. After a kill the end of the file is looked at: half a
    line is taken away, and a result that is there already is not written again.
    """

    def __init__(self, file: Path) -> None:
        self._path = Path(os.path.abspath(file))  # noqa: PTH100
        self.address = str(self._path)
        self._sure = False

    def prepare(self) -> None:
        """See `Target`."""
        require_writable(self._path)
        header = self._header()
        if header and header != list(COLUMNS):
            raise ConfigError(f"{self._path} is a table with other columns. Name another file, or move it away.")

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """See `Target`."""
        try:
            there = 0 if self._sure else self._mend(results[0].ledger)
            self._append([result for result in results if result.number > there])
        except OSError as error:
            self._sure = False
            raise TargetError(f"{self._path} cannot be written: {error.strerror or error}.") from error
        self._sure = True
        yield from results

    def close(self) -> None:
        """See `Target`."""

    def _header(self) -> list[str]:
        try:
            with self._path.open(encoding="utf-8", errors="replace", newline="") as file:
                return next(csv.reader([file.readline(10_000)]), [])
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OutputError(f"{self._path} cannot be read: {error.strerror or error}. Name another file.") from error

    def _append(self, results: Sequence[Result]) -> None:
        table = csv_table(COLUMNS, [_on_one_line(result.to_row()) for result in results])
        header, rows = table.split(b"\r\n", 1)
        with self._path.open("ab") as file:
            file.write(rows if file.tell() else header + b"\r\n" + rows)
            file.flush()
            os.fsync(file.fileno())

    def _mend(self, ledger: str) -> int:
        """Take half a line away; returns the highest number of that ledger's results that are in the table."""
        try:
            file = self._path.open("r+b")
        except FileNotFoundError:
            return 0
        with file:
            end, highest = 0, 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(end)
                    break
                end += len(line)
                name, _, number = line.split(b",", 1)[0].decode("utf-8", "replace").strip('"').rpartition("-")
                if name == ledger and number.isdigit():
                    highest = max(highest, int(number))
        return highest


def _on_one_line(row: dict[str, object]) -> dict[str, object]:
    """Line breaks as escapes, so that half a line can be told from a whole one after a kill."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in row.items()}


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
