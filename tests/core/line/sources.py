"""Sources for the tests of a line: scripted ones without a device, and small videos."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.line.live.frames import Frame, Taken
from core.opencv import cv2

RATE = 50.0


def plain(grey: int, size: tuple[int, int] = (24, 32)) -> NDArray[np.uint8]:
    """A plain grey picture, (h, w, 3)."""
    return np.full((*size, 3), grey, np.uint8)


def frame(grey: int, taken_at: float | None = None) -> Frame:
    """A plain grey frame of now."""
    return Frame(plain(grey), time.monotonic() if taken_at is None else taken_at)


class ScriptedSource:
    """Gives what it is told, one after another; an exception in the script is raised. Ends with the script.

    Args:
        script: Pictures, None for "nothing yet", and exceptions.
        endless: Does not end, but gives nothing more.
    """

    description = "scripted"

    def __init__(self, script: Iterable[Taken | Exception | None], *, endless: bool = False) -> None:
        self._script = list(script)
        self._endless = endless
        self.closed = 0
        self.empty = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether all was given."""
        return not self._script and not self._endless

    def read(self, wait: float) -> Taken | None:
        """The next of the script."""
        if not self._script:
            self.empty.set()
            time.sleep(min(wait, 0.002))
            return None
        taken = self._script.pop(0)
        if isinstance(taken, Exception):
            raise taken
        return taken

    def close(self) -> None:
        """Count."""
        self.closed += 1


def write_video(path: Path, greys: Iterable[int], rate: float = RATE, size: tuple[int, int] = (48, 64)) -> Path:
    """A Motion JPEG video of plain grey pictures."""
    height, width = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    assert writer.isOpened()
    for grey in greys:
        writer.write(plain(grey, size))
    writer.release()
    return path
