"""A picture on its way from a source to the verdict, and the one place where it waits: the newest wins."""

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, read-only.
        taken_at: When the source gave it, seconds of `time.monotonic`.
        name: Of its file; empty where it has none.
        passed: How many older pictures, which nobody had asked for in time, the source passed over for it.
    """

    pixels: NDArray[np.uint8]
    taken_at: float
    name: str = ""
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that a source had but that cannot be read.

    Attributes:
        message: Why, for the user.
        taken_at: When the source gave it, seconds of `time.monotonic`.
        name: Of its file.
    """

    message: str
    taken_at: float
    name: str = ""


Taken = Frame | Unreadable


class FrameSource(Protocol):
    """An open source. `close` frees the device, at once and however often it is called."""

    @property
    def ended(self) -> bool:
        """Whether no picture will come any more, and nothing is wrong."""
        ...

    @property
    def description(self) -> str:
        """What it gives, for the user: "1280 × 720 at 30 frames/s"."""
        ...

    def read(self, wait: float) -> Taken | None:
        """The next picture, or None where there is none within about `wait` seconds.

        Raises:
            SourceLostError: It gave pictures and has stopped.
            SourceError: It cannot give any.
        """
        ...

    def close(self) -> None:
        """Free the device."""
        ...


class Newest:
    """Holds one picture; a newer one takes its place. Between two threads, so that memory cannot grow."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._held: Taken | None = None

    def put(self, taken: Taken) -> bool:
        """Leave a picture.

        Returns:
            Whether an older one, which nobody had taken, was thrown away for it.
        """
        with self._condition:
            replaced = self._held is not None
            self._held = taken
            self._condition.notify()
        return replaced

    def take(self, wait: float) -> Taken | None:
        """The picture that is there, or comes within `wait` seconds; None where none does."""
        with self._condition:
            if self._held is None:
                self._condition.wait(wait)
            taken, self._held = self._held, None
        return taken
