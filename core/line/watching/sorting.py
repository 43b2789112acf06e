"""Move or copy an inspected image to where its verdict belongs, so that no image is ever lost or overwritten.

An image is first taken out of its writer's reach under a hidden name that nobody else has, then looked at: only if it
is still the file that was inspected does it get its new name, and only where nothing has that name. To another drive it
is copied, flushed to the disk, read back and compared before the original goes. Each step can be cut off and is gone on
with the next time.
"""

import contextlib
import hashlib
import itertools
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from core.atomic_file import make_folder
from core.digests import file_digest
from core.errors import OutputError
from core.line.watching.arrivals import WatchedFolder
from core.line.watching.ledger import Sorting
from core.line.watching.results import Outcome

FOLDERS = {
    Outcome.GOOD: "good",
    Outcome.DEFECT: "flagged",
    Outcome.UNCERTAIN: "uncertain",
    Outcome.UNREADABLE: "unreadable",
}
"""Verdict → subfolder."""
_HIDDEN = ".cfa-sorting-"


def place_for(root: Path, outcome: Outcome, name: str, planned: Collection[str]) -> Path:
    """A free place for an image below its verdict's folder: its own name, or that with a number.

    Args:
        root: The folder of the verdicts' folders.
        outcome: The verdict.
        name: The image's name, with forward slashes.
        planned: Places where other images are still to go.
    """
    places = _places(root / FOLDERS[outcome] / name)
    return next(place for place in places if not os.path.lexists(place) and str(place) not in planned)


def sort_image(folder: WatchedFolder, sorting: Sorting) -> None:
    """Move or copy an image; nothing where that is done already, or where the image is gone or another by now.

    Raises:
        OutputError: It cannot be done now; the image is not lost, and the next try goes on.
    """
    source, place = folder.path(sorting.result.path), Path(sorting.result.sorted)
    mark = f"{_HIDDEN}{hashlib.sha256(sorting.result.id.encode()).hexdigest()[:20]}"
    try:
        if not sorting.copied:
            _move(folder, sorting, mark)
        elif not _holds(place, sorting.result.sha256):
            _copy(source, place, sorting.result.sha256, mark)
        _copy_of(place, mark).unlink(missing_ok=True)  # a second name that a cut has left
    except OSError as error:
        raise OutputError(
            f"{source} cannot be sorted to {place}: {error.strerror or error}. It will be tried again."
        ) from error


def _move(folder: WatchedFolder, sorting: Sorting, mark: str) -> None:
    source, place, digest = folder.path(sorting.result.path), Path(sorting.result.sorted), sorting.result.sha256
    taken = source.with_name(f"{mark}-from{source.suffix}")
    if not taken.exists():
        if folder.stamp(sorting.result.path) != sorting.stamp:  # moved already, or written anew, or taken away
            return
        make_folder(place.parent)
        source.rename(taken)
    if file_digest(taken) != digest:  # its writer was quicker: this is another image
        if not _name_it(taken, source):
            raise OSError(None, f"{taken} holds a newer image, which cannot have its name back")
        return
    if _holds(place, digest) and not place.samefile(taken):  # cut off when the copy was in place
        taken.unlink()
        return
    make_folder(place.parent)
    if not _name_it(taken, place):
        _copy(taken, place, digest, mark)
        taken.unlink()


def _copy(source: Path, place: Path, digest: str, mark: str) -> None:
    """Copy a file wholly or not at all; nothing where it is not, or no longer, the one that was inspected."""
    make_folder(place.parent)
    temporary = _copy_of(place, mark)
    try:
        original = source.open("rb")
    except FileNotFoundError:
        return
    with original, temporary.open("wb") as file:
        shutil.copyfileobj(original, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.copystat(source, temporary)
    if file_digest(temporary) != digest:
        temporary.unlink()
        if file_digest(source) == digest:
            raise OSError(None, "the copy is not like the original")
    elif not _name_it(temporary, place):
        raise OSError(None, f"{temporary} cannot be given that name")


def _copy_of(place: Path, mark: str) -> Path:
    return place.with_name(f"{mark}-to{place.suffix}")


def _name_it(hidden: Path, wanted: Path) -> bool:
    """Give a file the name wanted, or that with a number where others have it; False: not on that drive."""
    for place in _places(wanted):
        if _is_named(hidden, place):
            return True
        if not os.path.lexists(place):
            return False
    return False


def _is_named(hidden: Path, place: Path) -> bool:
    """Give a file its name if nothing has it."""
    try:
        os.link(hidden, place)  # unlike a renaming it never replaces what is there
    except FileExistsError:
        if not place.samefile(hidden):
            return False
    except OSError:  # no second names on this drive, or another drive
        return _is_renamed(hidden, place)
    _flush(place.parent)
    hidden.unlink()
    return True


def _is_renamed(hidden: Path, place: Path) -> bool:
    if os.path.lexists(place):
        return False
    try:
        hidden.rename(place)
    except OSError:
        return False
    _flush(place.parent)
    return True


def _places(wanted: Path) -> Iterator[Path]:
    """The path wanted, then with -2, -3 and so on before its suffix."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")


def _holds(place: Path, digest: str) -> bool:
    return place.exists() and file_digest(place) == digest


def _flush(folder: Path) -> None:
    """Let the disk have a folder's entries, where the platform can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
