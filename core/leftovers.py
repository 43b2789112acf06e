"""What a program that was killed has left behind: found at the next start and removed, where it is surely ours.

Only what has a name that nothing else gives, lies where this program writes, was not touched for an hour, and has no
lock that a running program holds is removed. The features of a training need no cleaning: their file has no name.
"""

import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from core.atomic_file import TEMPORARY_PREFIX

OLD = 3600.0
"""Seconds without a change, after which nobody writes a file any more. The slowest write of ours takes a minute."""
MAPS_PREFIX = "cfa-maps-"
"""Of the temporary folders with the anomaly maps of a window."""
IN_USE = "in-use.lock"
"""The file in such a folder that its window holds."""


def remove_leftovers(folders: Iterable[Path], *, now: float | None = None) -> list[Path]:
    """Remove half-written files and locks that nobody holds from some folders, and maps from the temporary folder.

    Subfolders are not looked into. What cannot be read or removed stays; links are never followed.

    Args:
        folders: Where this program writes.
        now: Seconds since 1970; the clock's where None.

    Returns:
        What was removed.
    """
    present = time.time() if now is None else now
    found = [path for folder in dict.fromkeys(folders) for path in _entries(folder) if _is_ours(path)]
    found += [path for path in _entries(Path(tempfile.gettempdir())) if path.name.startswith(MAPS_PREFIX)]
    return [path for path in found if _is_old(path, present - OLD) and _remove(path)]


def _is_ours(path: Path) -> bool:
    partial = path.name.startswith(TEMPORARY_PREFIX) and len(path.name) == len(TEMPORARY_PREFIX) + 32
    return partial or (".sqlite." in path.name and path.suffix == ".lock")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_old(path: Path, before: float) -> bool:
    """An ordinary file or folder, not changed since then. A clock that was set back makes things younger, not older."""
    try:
        status = path.lstat()
    except OSError:
        return False
    ordinary = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return ordinary and status.st_mtime < before


def _remove(path: Path) -> bool:
    try:
        if path.is_dir():
            with FileLock(path / IN_USE, timeout=0):
                pass
            shutil.rmtree(path)
        elif path.suffix == ".lock":
            with FileLock(path, timeout=0):
                path.unlink()
        else:
            path.unlink()
    except (OSError, Timeout):
        return False
    return True
