"""What an inspection leaves in files: a table that spreadsheets read, and a picture for each image.

Shared by the command line and the window, so that both write the same. Imports no torch.
"""

import csv
import io
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from core.atomic_file import make_folder, write_atomically
from core.errors import OutputError

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MOST_BYTES = 230
"""Of the last part of a stem; file systems allow 255 with suffix and number."""
_OPTIONS: dict[str, dict[str, Any]] = {
    ".tiff": {"format": "TIFF"},
    ".png": {"format": "PNG", "compress_level": 1},  # six times as fast as the usual level, for a tenth more bytes
}


def csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Rows as CSV in UTF-8, with a line of column names; None is an empty cell.

    No text begins as a spreadsheet's formula would: a `path` then has `./` before it, any other text an apostrophe.
    What UTF-8 cannot hold (a file's name that is no text) is written as escapes.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({column: _harmless(column, row[column]) for column in columns})
    return text.getvalue().encode("utf-8", "backslashreplace")


def parquet_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """The same rows as Parquet, by pyarrow; texts stay as they are, for no spreadsheet computes them.

    Raises:
        OutputError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise OutputError("Parquet needs pyarrow. Install it with `pip install pyarrow`, or write CSV.") from error
    kept = list(rows)
    table = pa.table({column: [_encodable(row[column]) for row in kept] for column in columns})
    written = io.BytesIO()
    parquet.write_table(table, written)
    return written.getvalue()


def _encodable(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _harmless(column: str, value: object) -> object:
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS):
        return value
    return f"./{value}" if column == "path" else f"'{value}"


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture, .tiff or .png, wholly or not at all; the folder is made where it is missing.

    Raises:
        OutputError: It cannot be written.
    """
    make_folder(path.parent)
    write_atomically(path, lambda file: picture.save(file, **_OPTIONS[path.suffix]))


def refuse_overwriting(written: Iterable[Path], precious: Iterable[Path]) -> None:
    """See that no image that was inspected, nor the model, would be overwritten, be it through a link.

    Raises:
        OutputError: One would be; the text names it.
    """
    kept = {_identity(path) for path in precious}
    for path in written:
        if _identity(path) in kept:
            raise OutputError(f"{path} would be overwritten, but is itself an image to inspect or the model.")


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """For each image's name the path, without suffix, of what is written for it: relative, never leading outside.

    It is the name without its suffix. Of images that differ in nothing else (or only in capitals, which many disks do
    not tell apart) the first has it, the others keep their suffix.
    """
    stems: dict[str, str] = {}
    taken: set[str] = set()

    def take(name: str, stem: str) -> bool:
        key = unicodedata.normalize("NFC", stem).casefold()
        free = key not in taken
        if free:
            taken.add(key)
            stems[name] = stem
        return free

    inside = {name: _fitting(_inside(name)) for name in names}
    later = [name for name, place in inside.items() if not take(name, str(place).removesuffix(place.suffix))]
    for name in later:
        own = str(inside[name])
        candidates = itertools.chain([own], (f"{own}-{number}" for number in itertools.count(2)))
        next(stem for stem in candidates if take(name, stem))
    return stems


def _fitting(path: PurePath) -> PurePath:
    """The path with the end of its name cut off where another suffix would make it too long; its own suffix stays."""
    name = path.name.encode("utf-8", "surrogateescape")
    if len(name) <= _MOST_BYTES:
        return path
    suffix = path.suffix.encode("utf-8", "surrogateescape")
    kept = name[: _MOST_BYTES - len(suffix)] + suffix if len(suffix) < _MOST_BYTES // 2 else name[:_MOST_BYTES]
    return path.with_name(kept.decode("utf-8", "ignore"))


def _inside(name: str) -> PurePath:
    """A relative path for a name that may be absolute (images on several drives) or lead upwards."""
    path = PurePath(name)
    drive = re.sub(r"\W+", "_", path.drive).strip("_")
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return PurePath(drive, *parts) if parts else PurePath(drive or "picture")
