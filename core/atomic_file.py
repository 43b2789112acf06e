"""Write a file wholly or not at all: a temporary file in the same folder, flushed to the disk, then renamed."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import OutputError

TEMPORARY_PREFIX = ".cfa-partial-"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, then put it in the place of `path`.

    Whatever stops it (an error, Ctrl-C), `path` holds what it held before and no temporary file stays behind.

    Args:
        path: The file wanted. What a link leads to is replaced, not the link.
        write: Called with a binary file open for writing.

    Raises:
        OutputError: The folder is missing, read-only or full, or `path` is a folder or a device.
    """
    with _reported(path):
        target = _ordinary(path)
        with _temporary_beside(target) as temporary:
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())  # so that even a power cut leaves the old file or the new one
            temporary.replace(target)


def write_bytes(path: Path, data: bytes | bytearray) -> None:
    """`write_atomically` for bytes at hand."""
    write_atomically(path, lambda file: file.write(data))


def require_writable(path: Path) -> None:
    """See early, before hours of work, that a file can be written.

    Raises:
        OutputError: Its folder is missing, read-only or full, `path` is a folder or a device, or the file that is there
            may not be changed (read-only, or held by another program).
    """
    with _reported(path):
        target = _ordinary(path)
        if _is_there(target):
            target.open("ab").close()
        with _temporary_beside(target) as temporary:
            temporary.touch(exist_ok=False)


def require_writable_folder(folder: Path) -> None:
    """See early that files can be written below a folder, which is not made yet where it is missing.

    Raises:
        OutputError: It, or the closest folder above it that is there, is read-only or full, or is no folder.
    """
    with _reported(folder):
        existing = Path(os.path.abspath(folder))  # noqa: PTH100  a link to a folder is as good
        while not _is_there(existing) and existing != existing.parent:
            existing = existing.parent
        with _temporary_beside(existing / "any") as temporary:
            temporary.touch(exist_ok=False)


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it; nothing where it is there.

    Raises:
        OutputError: It cannot be made, or a file is in its place.
    """
    with _reported(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _ordinary(path: Path) -> Path:
    """Where `path` leads; only an ordinary file may be there."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it.")
    if _is_there(target) and not target.is_file():
        raise OutputError(f"{path} is not an ordinary file; name another.")
    if not _is_there(target.parent):
        raise OutputError(f"{path} cannot be written: there is no folder {target.parent}. Make it first.")
    return target


def _is_there(path: Path) -> bool:
    """Whether anything is there. What keeps us from looking is raised; `Path.exists` hides it from Python 3.14 on."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """A free name in the same folder; whatever lies there is gone afterwards."""
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another place.") from error
