"""A video file as a source."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import SourceError
from core.line.live import video
from core.line.live.frames import Frame
from core.line.live.video import VideoFile, to_rgb
from tests.core.line.sources import write_video


class Clock:
    """Time that passes when someone sleeps, and at no other moment."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(video, "time", made)
    return made


def read_all(source: VideoFile, most: int = 1000) -> list[Frame]:
    frames = []
    for _ in range(most):
        if source.ended:
            break
        taken = source.read(0.05)
        if taken is not None:
            frames.append(taken)
    return frames


def greys(frames: list[Frame]) -> list[int]:
    return [round(float(frame.pixels.mean()) / 10) * 10 for frame in frames]


def test_that_a_video_comes_at_its_own_rate_and_in_order(tmp_path: Path, clock: Clock) -> None:
    source = VideoFile(write_video(tmp_path / "line.avi", range(10, 110, 10), rate=10))
    frames = read_all(source)
    source.close()
    assert greys(frames) == list(range(10, 110, 10))
    assert np.allclose(np.diff([frame.taken_at for frame in frames]), 0.1)
    assert source.description == "64 × 48 at 10 frames/s"


def test_that_a_frame_is_read_only_rgb(tmp_path: Path, clock: Clock) -> None:
    source = VideoFile(write_video(tmp_path / "line.avi", [50, 60]))
    frame = source.read(1.0)
    source.close()
    assert frame is not None
    assert frame.pixels.shape == (48, 64, 3)
    assert frame.pixels.dtype == np.uint8
    assert not frame.pixels.flags.writeable


def test_that_what_is_due_while_nobody_reads_is_passed_over_and_counted(tmp_path: Path, clock: Clock) -> None:
    source = VideoFile(write_video(tmp_path / "line.avi", range(10, 210, 10), rate=10))
    first = source.read(1.0)
    clock.now += 0.55  # five more are due by now
    late = source.read(1.0)
    rest = read_all(source)
    source.close()
    assert first is not None
    assert late is not None
    assert greys([first, late]) == [10, 60]
    assert (first.passed, late.passed) == (0, 4)
    assert greys(rest) == list(range(70, 210, 10))
    assert clock.now == pytest.approx(100.0 + 1.9, abs=0.06)  # the rate is kept, nothing is made up for


def test_that_a_video_in_a_loop_begins_again_and_does_not_end(tmp_path: Path, clock: Clock) -> None:
    source = VideoFile(write_video(tmp_path / "line.avi", [10, 60, 110], rate=10), loop=True)
    frames = read_all(source, most=40)
    source.close()
    assert not source.ended
    assert greys(frames)[:7] == [10, 60, 110, 10, 60, 110, 10]
    assert np.allclose(np.diff([frame.taken_at for frame in frames]), 0.1)


def test_that_a_video_without_a_loop_ends(tmp_path: Path, clock: Clock) -> None:
    source = VideoFile(write_video(tmp_path / "line.avi", [10, 60]))
    assert len(read_all(source)) == 2
    assert source.ended
    assert source.read(0.05) is None
    source.close()


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100, None])
def test_that_what_is_no_video_is_told_in_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "line.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=r"line\.avi") as caught:
        VideoFile(path)
    assert "\n" not in str(caught.value)


def test_that_a_video_cut_off_in_its_header_is_refused(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", range(10, 60, 10)).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[:300])
    with pytest.raises(SourceError, match=r"cut\.avi"):
        VideoFile(tmp_path / "cut.avi")


def test_that_a_video_that_disappears_ends_the_loop_with_an_error(tmp_path: Path, clock: Clock) -> None:
    path = write_video(tmp_path / "line.avi", [10, 60])
    source = VideoFile(path, loop=True)
    path.unlink()
    with pytest.raises(SourceError, match="not there"):
        read_all(source, most=10)
    source.close()


def test_that_grey_and_sixteen_bit_pictures_become_rgb() -> None:
    grey = np.array([[0, 255]], np.uint8)
    assert to_rgb(grey).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    deep = np.array([[[0], [65535]]], np.uint16)
    assert to_rgb(deep).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert to_rgb(np.array([[[1, 2, 3]]], np.uint8)).tolist() == [[[3, 2, 1]]]
