"""What a live view can look at, as plain data; and how each is opened."""

from dataclasses import dataclass
from pathlib import Path

from core.line.live.camera import Camera, Mode
from core.line.live.frames import FrameSource
from core.line.live.newest_image import NewestImage
from core.line.live.video import VideoFile


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A camera and how it is to be set.

    Attributes:
        index: OpenCV's number.
        name: As the system calls it.
        backend: OpenCV's number of the interface; 0: whichever works.
        mode: What to ask for; None: as the camera is set.
        exposure: In the camera's own unit; None: automatic.
    """

    index: int
    name: str
    backend: int = 0
    mode: Mode | None = None
    exposure: float | None = None


@dataclass(frozen=True, slots=True)
class FolderChoice:
    """A folder whose newest image is looked at.

    Attributes:
        path: The folder.
    """

    path: Path


@dataclass(frozen=True, slots=True)
class VideoChoice:
    """A video file, at its own rate.

    Attributes:
        path: The file.
        loop: Begin again at the end.
    """

    path: Path
    loop: bool = True


SourceChoice = CameraChoice | FolderChoice | VideoChoice


def open_source(choice: SourceChoice) -> FrameSource:
    """Open a source; `close` must be called.

    Raises:
        SourceError: It is not there, or gives nothing.
    """
    match choice:
        case CameraChoice(index, name, backend, mode, exposure):
            return Camera(index, backend=backend, mode=mode, exposure=exposure, name=name)
        case FolderChoice(path):
            return NewestImage(path)
        case VideoChoice(path, loop):
            return VideoFile(path, loop=loop)


def name_of(choice: SourceChoice) -> str:
    """What the user calls it."""
    return choice.name if isinstance(choice, CameraChoice) else choice.path.name


def flows(choice: SourceChoice) -> bool:
    """Whether pictures come by themselves, one after another, so that a pause is a fault.

    In a folder each image is a part, and nothing comes while no part does.
    """
    return not isinstance(choice, FolderChoice)
