"""A camera, with OpenCV's capture replaced: no test machine has one."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import SourceError, SourceLostError
from core.line.live import camera, cameras
from core.line.live.camera import Camera, Mode
from core.line.live.cameras import FoundCamera, find_cameras, told_apart
from core.line.live.sources import CameraChoice, open_source
from core.opencv import cv2

MODE = Mode(640, 480, 30)


class FakeCapture:
    """As cv2.VideoCapture.

    Attributes:
        pictures: What `read` gives; None: nothing. The last one is repeated.
    """

    made: "list[FakeCapture]" = []  # noqa: RUF012  cleared for each test
    pictures: "list[Any]" = []  # noqa: RUF012  set by each test
    there = True

    def __init__(self, index: int, backend: int = 0) -> None:
        self.index, self.backend = index, backend
        self.asked: dict[int, float] = {}
        self.released = 0
        self._left = list(FakeCapture.pictures)
        FakeCapture.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return FakeCapture.there and not self.released

    def read(self) -> tuple[bool, Any]:
        picture = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return picture is not None, picture

    def set(self, key: int, value: float) -> bool:
        self.asked[key] = value
        return True

    def get(self, key: int) -> float:
        return self.asked.get(key, 0.0)

    def release(self) -> None:
        self.released += 1


def picture(blue: int, size: tuple[int, int] = (480, 640)) -> Any:
    made = np.zeros((*size, 3), np.uint8)
    made[..., 0] = blue
    return made


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    FakeCapture.made.clear()
    FakeCapture.pictures, FakeCapture.there = [picture(200)], True
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(camera, "_PAUSE", 0.0)
    monkeypatch.setattr(camera, "_FIRST_PICTURE", 0.0)
    yield


def test_that_a_camera_gives_rgb_frames_with_a_time() -> None:
    source = open_source(CameraChoice(3, "Top", backend=200))
    frame = source.read(0.05)
    source.close()
    made = FakeCapture.made[0]
    assert (made.index, made.backend, made.released) == (3, 200, 1)
    assert frame is not None
    assert frame.pixels[0, 0].tolist() == [0, 0, 200]  # type: ignore[union-attr]
    assert frame.taken_at > 0


def test_that_a_mode_and_an_exposure_are_asked_for_and_old_pictures_are_not_queued() -> None:
    source = Camera(0, mode=MODE, exposure=120.0)
    asked = FakeCapture.made[0].asked
    assert (asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (640, 480)
    assert asked[cv2.CAP_PROP_FPS] == 30
    assert asked[cv2.CAP_PROP_EXPOSURE] == 120.0
    assert asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert source.description == "640 × 480 at 30 frames/s"
    source.close()


def test_that_without_an_exposure_the_camera_is_set_to_automatic() -> None:
    Camera(0).close()
    asked = FakeCapture.made[0].asked
    assert cv2.CAP_PROP_EXPOSURE not in asked
    assert asked[cv2.CAP_PROP_AUTO_EXPOSURE] in (3, 0.75)


def test_that_a_camera_that_gives_another_size_than_asked_for_says_so() -> None:
    source = Camera(0, mode=Mode(1920, 1080, 30))
    assert source.description == "640 × 480 at 30 frames/s (asked for 1920 × 1080 at 30 frames/s)"
    source.close()


def test_that_an_absent_camera_is_told_and_released() -> None:
    FakeCapture.there = False
    with pytest.raises(SourceError, match="Top cannot be opened"):
        Camera(0, name="Top")
    assert FakeCapture.made[0].released


def test_that_a_camera_without_pictures_is_told_and_released() -> None:
    FakeCapture.pictures = [None]
    with pytest.raises(SourceError, match="gives no picture"):
        Camera(0)
    assert FakeCapture.made[0].released


def test_that_a_single_missing_picture_is_forgiven() -> None:
    FakeCapture.pictures = [picture(1), None, None, picture(2)]
    source = Camera(0)
    reads = [source.read(0.05) for _ in range(4)]
    source.close()
    assert [frame is None for frame in reads] == [False, True, True, False]


def test_that_an_unplugged_camera_is_lost() -> None:
    FakeCapture.pictures = [picture(1), None]
    source = Camera(0, name="Top")
    source.read(0.05)
    with pytest.raises(SourceLostError, match="Top gives no picture any more"):
        for _ in range(20):
            source.read(0.05)
    source.close()
    assert FakeCapture.made[0].released


# which cameras there are


def test_that_linux_cameras_have_the_names_that_the_kernel_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node, index, name in (
        ("video0", "0", "Top"),
        ("video1", "1", "Top"),
        ("video10", "0", "Side\n"),
        ("x", "0", ""),
    ):
        folder = tmp_path / node
        folder.mkdir()
        (folder / "index").write_text(index)
        (folder / "name").write_text(name)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(cameras, "SYSTEM_CAMERAS", tmp_path)
    assert find_cameras() == (FoundCamera(0, "Top"), FoundCamera(10, "Side"))


def test_that_no_camera_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(cameras, "SYSTEM_CAMERAS", tmp_path / "none")
    assert find_cameras() == ()


def test_that_cameras_of_one_name_are_told_apart() -> None:
    listed = told_apart([FoundCamera(2, "Cam"), FoundCamera(0, "Cam"), FoundCamera(1, "Other")])
    assert [one.name for one in listed] == ["Cam (0)", "Other", "Cam (2)"]


def test_that_elsewhere_the_library_names_the_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    enumerating = pytest.importorskip("cv2_enumerate_cameras")
    info = enumerating.CameraInfo(1, "Line camera", None, None, None, 1400)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(enumerating, "enumerate_cameras", lambda _backend: [info])
    assert find_cameras() == (FoundCamera(1, "Line camera", 1400),)


def test_that_without_the_library_the_first_numbers_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    assert [one.index for one in find_cameras()] == [0, 1, 2, 3]
