"""Which cameras there are, and by what name a person knows them."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.line.live.camera import Mode

SYSTEM_CAMERAS = Path("/sys/class/video4linux")
USUAL_MODES = (
    Mode(640, 480, 30),
    Mode(1280, 720, 30),
    Mode(1280, 960, 30),
    Mode(1920, 1080, 30),
    Mode(2592, 1944, 15),
    Mode(3840, 2160, 30),
)
"""What may be asked for. A camera that has not got it gives what is closest, and the source says so."""
_UNNAMED = 4
_PLATFORM_BACKENDS = {"win32": "CAP_MSMF", "darwin": "CAP_AVFOUNDATION"}


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera of this machine.

    Attributes:
        index: OpenCV's number.
        name: As the system calls it.
        backend: OpenCV's number of the interface; 0: whichever works.
    """

    index: int
    name: str
    backend: int = 0


def find_cameras() -> tuple[FoundCamera, ...]:
    """The cameras that the system names, none twice.

    On Linux the kernel tells. Elsewhere `cv2-enumerate-cameras` does; where that is not installed, the first four
    numbers stand for what may be there.
    """
    if sys.platform.startswith("linux"):
        return told_apart(_kernel_cameras(SYSTEM_CAMERAS))
    named = _named_cameras()
    if named is None:
        return tuple(FoundCamera(index, f"Camera {index}") for index in range(_UNNAMED))
    return told_apart(named)


def told_apart(cameras: Iterable[FoundCamera]) -> tuple[FoundCamera, ...]:
    """In order of their numbers; of several with one name each gets its number."""
    listed = sorted(cameras, key=lambda camera: camera.index)
    names = [camera.name for camera in listed]
    return tuple(
        FoundCamera(camera.index, f"{camera.name} ({camera.index})", camera.backend)
        if names.count(camera.name) > 1
        else camera
        for camera in listed
    )


def _kernel_cameras(folder: Path) -> Iterable[FoundCamera]:
    """What Video4Linux lists; of one camera's several nodes the first gives the pictures."""
    for node in folder.glob("video*"):
        number = node.name.removeprefix("video")
        if number.isdecimal() and _line(node / "index") in ("", "0"):
            yield FoundCamera(int(number), _line(node / "name") or f"Camera {number}")


def _line(path: Path) -> str:
    try:
        return "".join(c for c in path.read_text("utf-8", "replace").strip() if c.isprintable())
    except OSError:
        return ""


def _named_cameras() -> list[FoundCamera] | None:
    """By cv2-enumerate-cameras; None where it is not installed."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:
        return None
    from core.opencv import cv2

    backend = int(getattr(cv2, _PLATFORM_BACKENDS.get(sys.platform, ""), 0))
    return [FoundCamera(info.index, info.name, info.backend) for info in enumerate_cameras(backend)]
