"""What lies in a folder: subfolders by name, and every image below.

Hidden files and folders (a leading dot) and files that are no images by their suffix are passed over. Links to folders
are followed, each folder once, so loops end; a link that leads nowhere is passed over.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from natsort import natsort_keygen, ns

from core.errors import DatasetError
from core.images import IMAGE_SUFFIXES, shown

_natural: Callable[[str], Any] = natsort_keygen(alg=ns.IGNORECASE)


def image_files(root: Path) -> Iterator[Path]:
    """Every image below a folder, to any depth, in natural order, the files of a folder before its subfolders.

    Files are listed, not opened.

    Raises:
        DatasetError: A folder cannot be opened; the text names it.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        entries, identity = _entries(folder)
        if identity in visited:
            continue
        visited.add(identity)
        images, inner = [], []
        for entry in entries:
            if _has_image_suffix(entry.name) and _is(entry.is_file):
                images.append(entry.name)
            elif _is(entry.is_dir):
                inner.append(entry.name)
        yield from (folder / name for name in sorted(images, key=_order))
        waiting.extend(folder / name for name in sorted(inner, key=_order, reverse=True))


def subfolders(folder: Path) -> dict[str, Path]:
    """Name in lower case → path, in natural order.

    Raises:
        DatasetError: The folder cannot be opened.
    """
    found = sorted((entry.name for entry in _entries(folder)[0] if _is(entry.is_dir)), key=_order)
    return {name.casefold(): folder / name for name in found}


def is_folder(path: Path) -> bool:
    """As `Path.is_dir`, and False where that raises (no right to look, a name too long)."""
    return _is(path.is_dir)


def is_file(path: Path) -> bool:
    """As `Path.is_file`, and False where that raises."""
    return _is(path.is_file)


def _entries(folder: Path) -> tuple[list[os.DirEntry[str]], tuple[int, int]]:
    """What is not hidden in a folder, and the folder's identity (device, inode)."""
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")], (status.st_dev, status.st_ino)
    except OSError as error:
        raise DatasetError(
            f"The folder {shown(folder)} cannot be opened ({error.strerror}). Ask for the right to read it, or choose "
            "another."
        ) from error


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  a Path for each name is slow


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except OSError:
        return False


def _order(name: str) -> tuple[Any, str]:
    return _natural(name), name
