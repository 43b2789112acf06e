"""A video file as a source, at its own rate: as a camera would have given the pictures."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SourceError
from core.images import shown
from core.line.live.frames import Frame

FALLBACK_RATE = 25.0
"""Pictures per second of a file that does not say."""
_HIGHEST_RATE = 1000.0


class VideoFile:
    """Gives each picture when it is due. Where reading is too slow for the rate, pictures are left out.

    Args:
        path: The file.
        loop: Begin again at the end.

    Raises:
        SourceError: It is missing, no video, or its codec is not there.
    """

    def __init__(self, path: Path, *, loop: bool = False) -> None:
        self._path = path
        self._loop = loop
        self._ended = False
        self._capture = _opened(path)
        self._rate, stated = _rate_of(self._capture)
        self._waiting = _next_picture(self._capture)
        if self._waiting is None:
            self.close()
            raise SourceError(f"{shown(path)} {_NO_PICTURE}")
        height, width = self._waiting.shape[:2]
        note = "" if stated else ", a rate that the file does not state"
        self._description = f"{width} × {height} at {self._rate:.3g} frames/s{note}"
        self._due = time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether the last picture was given."""
        return self._ended

    @property
    def description(self) -> str:
        """Size and rate."""
        return self._description

    def read(self, wait: float) -> Frame | None:
        """The next picture once it is due; None where that is later than `wait` seconds from now.

        Raises:
            SourceError: The file cannot be opened again for the next round.
        """
        if self._ended:
            return None
        now = time.monotonic()
        if self._due - now > wait:
            time.sleep(wait)
            return None
        if self._due > now:
            time.sleep(self._due - now)
        passed = self._catch_up(now)
        if self._waiting is None:
            return None
        frame = Frame(self._waiting, max(self._due, now), passed=passed)
        self._advance()
        return frame

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()
        self._waiting = None

    def _catch_up(self, now: float) -> int:
        """Leave out what should have been shown by now; returns how many pictures."""
        late = max(0, math.floor((now - self._due) * self._rate))
        for _ in range(late - 1):
            self._due += 1 / self._rate
            if not self._capture.grab():
                break
        if late:
            self._advance()
        return late

    def _advance(self) -> None:
        """Read the next picture ahead, so that it is there when it is due."""
        self._due += 1 / self._rate
        self._waiting = _next_picture(self._capture)
        if self._waiting is not None:
            return
        if not self._loop:
            self._ended = True
            return
        self._capture.release()
        self._capture = _opened(self._path)
        self._waiting = _next_picture(self._capture)
        if self._waiting is None:
            raise SourceError(f"{shown(self._path)} {_NO_PICTURE}")


_NO_PICTURE = (
    "holds no picture that can be decoded: it is empty or damaged, or its codec is not in this OpenCV. "
    "Save it as MP4 (H.264) or AVI (MJPG)."
)


def _opened(path: Path) -> Any:
    from core.opencv import cv2

    if not path.is_file():
        raise SourceError(f"{shown(path)} is not there, or is no file. Choose another video.")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{shown(path)} cannot be opened as a video: it is of an unknown kind, damaged, or may not be read. "
            "Save it as MP4 (H.264) or AVI (MJPG)."
        )
    return capture


def _rate_of(capture: Any) -> tuple[float, bool]:
    """Pictures per second, and whether the file states it."""
    from core.opencv import cv2

    rate = float(capture.get(cv2.CAP_PROP_FPS))
    sane = math.isfinite(rate) and 0 < rate <= _HIGHEST_RATE
    return (rate, True) if sane else (FALLBACK_RATE, False)


def _next_picture(capture: Any) -> NDArray[np.uint8] | None:
    ok, picture = capture.read()
    return to_rgb(picture) if ok and picture is not None else None


def to_rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """What OpenCV reads from a video or a camera, as (H, W, 3) uint8 RGB, read-only.

    Args:
        picture: (H, W, 3) BGR, or (H, W) or (H, W, 1) grey; 8 bits, or 16 bits with 65535 as full scale.
    """
    from core.opencv import cv2

    levels = picture if picture.dtype == np.uint8 else ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    grey = levels.ndim == 2 or levels.shape[2] == 1
    rgb = np.asarray(cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB), np.uint8)
    rgb.flags.writeable = False
    return rgb
