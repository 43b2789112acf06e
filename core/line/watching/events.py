"""What the platform tells of a folder (inotify, FSEvents, ReadDirectoryChangesW), by watchdog.

A hint, no more: events get lost (a full queue, a network share, a folder made a moment ago), so the folder is scanned
now and then as well, and the stamps decide.
"""

import contextlib
import os
import threading

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from core.line.watching.arrivals import WatchedFolder

_WANTED: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_MOST_NAMES = 100_000
"""Names kept until they are taken; with more, the folder is scanned instead."""


class Events(FileSystemEventHandler):
    """Listens to a folder from `start` to `stop`; what it hears is taken with `take`."""

    def __init__(self, folder: WatchedFolder) -> None:
        self._folder = folder
        self._observer = Observer()
        self._lock = threading.Condition()
        self._closed: dict[str, bool] = {}
        self._scan = False
        self._woken = False

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: The platform cannot: too many folders, or the folder is not there.
        """
        self._observer.schedule(self, str(self._folder.root), recursive=True, event_filter=_WANTED)
        self._observer.start()

    def stop(self) -> None:
        """Listen no more. May be called before `start`, and twice."""
        with contextlib.suppress(RuntimeError):  # it never began
            self._observer.stop()
            self._observer.join()

    def take(self, timeout: float) -> tuple[dict[str, bool], bool]:
        """What was heard since the last call; waits for the first event, at most so many seconds.

        Returns:
            Names of images → whether the last that was heard of it is that its writer closed it; and whether the folder
            should be scanned.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._closed or self._scan or self._woken, timeout)
            heard, self._closed = self._closed, {}
            scan, self._scan, self._woken = self._scan, False, False
        return heard, scan

    def wake(self) -> None:
        """Let `take` return at once. May be called from any thread."""
        with self._lock:
            self._woken = True
            self._lock.notify()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by watchdog, on its own thread."""
        if event.is_directory:
            self._hear(None)
            return
        moved = isinstance(event, FileMovedEvent)
        name = self._folder.name_of(os.fsdecode(event.dest_path if moved else event.src_path))
        if name is not None:
            self._hear(name, closed=moved or isinstance(event, FileClosedEvent))

    def _hear(self, name: str | None, *, closed: bool = False) -> None:
        with self._lock:
            if name is None or len(self._closed) >= _MOST_NAMES:
                self._scan = True
            else:
                self._closed[name] = closed
            self._lock.notify()
