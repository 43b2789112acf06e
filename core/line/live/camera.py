"""A camera through OpenCV."""

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

from core.errors import SourceError, SourceLostError
from core.line.live.frames import Frame
from core.line.live.video import to_rgb

_FAILURES = 5
"""So many pictures in a row may be missing; then the camera is lost."""
_PAUSE = 0.02
_FIRST_PICTURE = 5.0
"""Seconds that a camera may take until its first picture."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What a camera is asked for.

    Attributes:
        width: Pixels.
        height: Pixels.
        rate: Frames per second.
    """

    width: int
    height: int
    rate: float

    def words(self) -> str:
        """As the user reads it."""
        return f"{self.width} × {self.height} at {self.rate:.3g} frames/s"


class Camera:
    """An open camera.

    Args:
        index: OpenCV's number.
        backend: OpenCV's number of the interface; 0: whichever works.
        mode: What to ask for; None: as the camera is set.
        exposure: In the camera's own unit; None: automatic.
        name: For messages.

    Raises:
        SourceError: It is not there, another program has it, or it gives no picture.
    """

    def __init__(
        self, index: int, *, backend: int = 0, mode: Mode | None = None, exposure: float | None = None, name: str = ""
    ) -> None:
        from core.opencv import cv2

        self._name = name or f"Camera {index}"
        self._missed = 0
        self._capture: Any = cv2.VideoCapture(index, backend)
        if not self._capture.isOpened():
            self.close()
            raise SourceError(
                f"{self._name} cannot be opened: it is not connected, another program has it, or this program may not "
                "use it. Plug it in, close the other program, then try again."
            )
        try:
            self._ask_for(mode, exposure)
            self._first: Frame | None = self._first_picture()
        except BaseException:
            self.close()
            raise
        self._description = self._describe(mode, self._first)

    @property
    def ended(self) -> bool:
        """Never: a camera goes on."""
        return False

    @property
    def description(self) -> str:
        """What it gives, and what it was asked for where that is something else."""
        return self._description

    def read(self, wait: float) -> Frame | None:
        """The next picture. Blocks until the camera has it, at most for the interface's own limit.

        Raises:
            SourceLostError: It gives no picture any more.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        frame = self._grabbed()
        if frame is not None:
            self._missed = 0
            return frame
        self._missed += 1
        if self._missed >= _FAILURES or not self._capture.isOpened():
            raise SourceLostError(f"{self._name} gives no picture any more. Check its cable.")
        time.sleep(min(_PAUSE, wait))
        return None

    def close(self) -> None:
        """Free the camera."""
        self._capture.release()

    def _grabbed(self) -> Frame | None:
        ok, picture = self._capture.read()
        if not ok or picture is None or 0 in picture.shape:
            return None
        return Frame(to_rgb(picture), time.monotonic())

    def _first_picture(self) -> Frame:
        """Cameras need a moment, and some give nothing in a mode that they accepted."""
        deadline = time.monotonic() + _FIRST_PICTURE
        for attempt in range(1000):
            frame = self._grabbed()
            if frame is not None:
                return frame
            if time.monotonic() > deadline and attempt >= _FAILURES:
                break
            time.sleep(_PAUSE)
        raise SourceError(f"{self._name} is open but gives no picture. Choose another size, or plug it in again.")

    def _ask_for(self, mode: Mode | None, exposure: float | None) -> None:
        from core.opencv import cv2

        capture = self._capture
        if mode is not None:
            # most USB cameras reach their large sizes at full rate only as Motion JPEG
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.height)
            capture.set(cv2.CAP_PROP_FPS, mode.rate)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in the driver is old
        automatic, manual = (0.75, 0.25) if sys.platform == "win32" else (3, 1)  # as the interfaces have it
        if exposure is None:
            capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, automatic)
        else:
            capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, manual)
            capture.set(cv2.CAP_PROP_EXPOSURE, exposure)

    def _describe(self, mode: Mode | None, first: Frame) -> str:
        from core.opencv import cv2

        height, width = first.pixels.shape[:2]
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        given = f"{width} × {height}"
        if math.isfinite(rate) and rate > 0:
            given += f" at {rate:.3g} frames/s"
        other = mode is not None and (width, height) != (mode.width, mode.height)
        return f"{given} (asked for {mode.words()})" if other and mode is not None else given
