"""Write a file wholly or not at all: a temporary file in the same folder, flushed to the disk, then renamed."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.errors import OutputError

TEMPORARY_PREFIX = ".cfa-partial-"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, then put it in the place of `path`.

    Whatever stops it (an error, Ctrl-C), `path` holds what it held before and no temporary file stays behind.

    Args:
        path: The file wanted.
        write: Called with a binary file open for writing.

    Raises:
        OutputError: The folder is missing, read-only or full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_usual_mode())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another place.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """`write_atomically` for bytes at hand."""
    write_atomically(path, lambda file: file.write(data))


def require_writable(path: Path) -> None:
    """See early, before hours of work, that `path` can be written.

    Raises:
        OutputError: Its folder is missing, read-only or full, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it.")
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another place.") from error


def _usual_mode() -> int:
    """The permissions of a new file; `mkstemp` makes files that nobody else can read."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
