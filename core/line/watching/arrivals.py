"""Which images of a folder are there, and which of them are completely written.

No platform says when a file is complete: a copy over a network stalls, a camera writes a header first, an editor closes
and opens again. So a file counts as complete once its size and time have stood still for a while, sooner where the
platform has told that its writer closed it; whoever reads it then looks again afterwards (`WatchedFolder.read`).
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import DatasetError
from core.images import IMAGE_SUFFIXES, shown

CLOSED_SECONDS = 0.1
"""How long a file must stand still that its writer has closed; or as long as any other, where that is shorter."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file is written.

    Attributes:
        size: Bytes.
        mtime_ns: When it was last written, in nanoseconds, by the clock of whoever keeps the file.
    """

    size: int
    mtime_ns: int


class NotYet(Exception):  # noqa: N818  an outcome, not an error
    """The file is gone, held by its writer, or changed while it was read."""


class WatchedFolder:
    """A folder and the images below it, each by its name: the path from the folder on, with forward slashes.

    Files and folders that begin with a dot are passed over, and so is what has no image's suffix: writers that work on
    `.part.png` or `part.png.tmp` and rename are served at once.
    """

    def __init__(self, root: Path, left_out: Collection[Path] = ()) -> None:
        """Look at a folder.

        Args:
            root: The folder; it need not be there all the time.
            left_out: Folders, inside or not, that are passed over with all that is in them.
        """
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  links stay: the target may move
        self._left_out = frozenset(os.path.normcase(os.path.realpath(folder)) for folder in left_out)

    def path(self, name: str) -> Path:
        """Where an image lies."""
        return self.root / name

    def name_of(self, path: str) -> str | None:
        """The name of a file in the folder; None where it is not an image that counts."""
        if not _has_image_suffix(path):
            return None
        name = os.path.relpath(path, self.root)
        parts = Path(name).parts
        if any(part.startswith(".") for part in parts):
            return None
        inner = (self.root.joinpath(*parts[:depth]) for depth in range(1, len(parts)))
        return None if any(self._is_left_out(folder) for folder in inner) else Path(name).as_posix()

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of an image as it is now; None where it is gone or no ordinary file."""
        try:
            return _stamp(self.path(name).stat())
        except OSError:
            return None

    def read(self, name: str, stamp: Stamp) -> bytes:
        """The bytes of an image, all of the moment that the stamp is of.

        Raises:
            NotYet: It is no longer as the stamp says, or its writer does not let others read.
        """
        try:
            data = self.path(name).read_bytes()
        except OSError as error:
            raise NotYet(error.strerror or "it cannot be opened") from error
        except MemoryError as error:
            raise NotYet("too little memory") from error
        if len(data) != stamp.size or self.stamp(name) != stamp:
            raise NotYet("it is being written")
        return data

    def identity(self) -> tuple[int, int] | None:
        """What changes when the folder is another one under the same path; None where it is not there."""
        try:
            status = self.root.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def scan(self) -> Iterator[tuple[str, Stamp]]:
        """Every image below the folder. Links to folders are followed, each folder once.

        Subfolders that cannot be opened are passed over: they may have been removed a moment ago.

        Raises:
            DatasetError: The folder itself cannot be opened.
        """
        visited: set[tuple[int, int]] = set()
        waiting = [self.root]
        while waiting:
            folder = waiting.pop()
            try:
                status = folder.stat()
                with os.scandir(folder) as listed:
                    entries = [entry for entry in listed if not entry.name.startswith(".")]
            except OSError as error:
                if folder == self.root:
                    raise _unreachable(folder, error) from error
                continue
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            for entry in entries:
                if _has_image_suffix(entry.name):
                    yield from self._found(entry)
                elif _is_folder(entry) and not self._is_left_out(Path(entry.path)):
                    waiting.append(Path(entry.path))

    def _found(self, entry: os.DirEntry[str]) -> Iterator[tuple[str, Stamp]]:
        try:
            stamp = _stamp(entry.stat())
        except OSError:
            return
        if stamp is not None:
            yield Path(os.path.relpath(entry.path, self.root)).as_posix(), stamp

    def _is_left_out(self, folder: Path) -> bool:
        return bool(self._left_out) and os.path.normcase(os.path.realpath(folder)) in self._left_out


@dataclass(slots=True)
class _Waiting:
    stamp: Stamp
    due: float


class Settling:
    """Files that are being written, until they stand still. Knows no clock: each call is told the time, in seconds."""

    def __init__(self, seconds: float) -> None:
        """Wait that long for a file to stand still."""
        self._seconds = seconds
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, name: str) -> bool:
        return name in self._waiting

    def saw(self, name: str, stamp: Stamp, now: float, *, closed: bool = False) -> None:
        """A file was seen; `closed`: its writer has just closed it.

        The time starts anew when the stamp has changed, and is cut short by a close.
        """
        waiting = self._waiting.get(name)
        due = now + (min(self._seconds, CLOSED_SECONDS) if closed else self._seconds)
        if waiting is None or waiting.stamp != stamp:
            self._waiting[name] = _Waiting(stamp, due)
        elif closed:
            waiting.due = min(waiting.due, due)

    def wait_longer(self, name: str, stamp: Stamp, until: float) -> None:
        """What stands still could not be read: look at it again then, or a while after it changes."""
        self._waiting[name] = _Waiting(stamp, until)

    def settled(self, now: float, stamp_of: Callable[[str], Stamp | None]) -> list[tuple[str, Stamp]]:
        """Take out the files that have stood still, those written first first; forget those that are gone."""
        found = []
        for name in [name for name, waiting in self._waiting.items() if waiting.due <= now]:
            stamp = stamp_of(name)
            if stamp is None:
                del self._waiting[name]
            elif stamp != self._waiting[name].stamp:
                self._waiting[name] = _Waiting(stamp, now + self._seconds)
            else:
                del self._waiting[name]
                found.append((name, stamp))
        return sorted(found, key=lambda entry: (entry[1].mtime_ns, entry[0]))

    def next_due(self) -> float | None:
        """When to look again; None: nothing waits."""
        return min((waiting.due for waiting in self._waiting.values()), default=None)


def _stamp(status: os.stat_result) -> Stamp | None:
    return Stamp(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  a Path for each name is slow


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unreachable(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"The folder {shown(folder)} cannot be opened ({error.strerror}). Make it, or check the drive or the network."
    )
