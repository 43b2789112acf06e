"""A folder as a source: always the newest image in it that is completely written."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import ImageError, SourceError, SourceLostError
from core.images import IMAGE_SUFFIXES, read_image, shown
from core.line.live.frames import Frame, Taken, Unreadable

LOOK_SECONDS = 0.1
"""Between two looks into the folder; more where a look takes long."""
_LOOKING_SHARE = 0.2
"""Of the time, at most so much is spent looking."""
SETTLED_SECONDS = 0.2
"""A file that has not changed for so long is complete."""
PATIENCE_SECONDS = 2.0
"""A file that cannot be read is tried again for so long: its writer may have paused."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Time of a file's last change in ns, and its size in bytes."""

    changed: int
    size: int


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A file that was not there at the last look, or was another.

    Attributes:
        since: When it was first seen as it is now, seconds of `time.monotonic`.
        changed: Time of its last change, ns.
        name: Within the folder.
    """

    since: float
    changed: int
    name: str

    def order(self) -> tuple[float, int, str]:
        """The newest is the largest."""
        return self.since, self.changed, self.name


class NewestImage:
    """Looks into a folder, not below it. A file that is overwritten, or moved in, counts as new.

    What is there at the start is old, but for the newest image.

    Args:
        folder: The folder.

    Raises:
        SourceError: It is not there or cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrived: dict[str, _Arrived] = {}
        try:
            self._known = _images(folder)
        except OSError as error:
            raise SourceError(
                f"The folder {shown(folder)} cannot be opened ({error.strerror}). Choose another one."
            ) from error
        self._pause = LOOK_SECONDS
        if self._known:
            del self._known[max(self._known, key=lambda name: (self._known[name].changed, name))]

    @property
    def ended(self) -> bool:
        """Never: new images may always come."""
        return False

    @property
    def description(self) -> str:
        """Which folder."""
        return f"New images in {shown(self._folder.name)}"

    def read(self, wait: float) -> Taken | None:
        """The newest image, once; None where no new one is complete.

        Raises:
            SourceLostError: The folder is gone.
        """
        began = time.monotonic()
        try:
            found = _images(self._folder)
        except OSError as error:
            raise SourceLostError(
                f"The folder {shown(self._folder)} cannot be opened any more ({error.strerror}). Check the drive or "
                "the network."
            ) from error
        now = time.monotonic()
        self._pause = max(LOOK_SECONDS, (now - began) / _LOOKING_SHARE)
        self._note(found, now)
        taken = self._newest_settled(now)
        if taken is None:
            time.sleep(min(wait, self._pause))
        return taken

    def close(self) -> None:
        """Nothing is held."""

    def _note(self, found: dict[str, _Stamp], now: float) -> None:
        """What has come or changed since the last look."""
        for name, stamp in found.items():
            if self._known.get(name) != stamp:
                self._arrived[name] = _Arrived(now, stamp.changed, name)
        for name in self._arrived.keys() - found.keys():
            del self._arrived[name]
        self._known = found

    def _newest_settled(self, now: float) -> Taken | None:
        """The newest complete image; those that settled before it are passed over."""
        settled = [one for one in self._arrived.values() if now - one.since >= SETTLED_SECONDS]
        if not settled:
            return None
        newest = max(settled, key=_Arrived.order)
        taken: Taken
        try:
            pixels = read_image(self._folder / newest.name)
        except ImageError as error:
            if now - newest.since < PATIENCE_SECONDS:
                return None
            taken = Unreadable(str(error), now, newest.name)
        else:
            pixels.flags.writeable = False
            taken = Frame(pixels, now, newest.name, passed=len(settled) - 1)
        for one in settled:
            del self._arrived[one.name]
        return taken


def _images(folder: Path) -> dict[str, _Stamp]:
    """The image files of a folder by name; hidden ones, as unfinished copies often are, do not count."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122  a Path for each name is slow
            stamp = _stamp(entry) if suffix in IMAGE_SUFFIXES and not entry.name.startswith(".") else None
            if stamp is not None:
                found[entry.name] = stamp
    return found


def _stamp(entry: "os.DirEntry[str]") -> _Stamp | None:
    """None where it has just gone, or is no file."""
    try:
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError:
        return None
    return _Stamp(status.st_mtime_ns, status.st_size)
