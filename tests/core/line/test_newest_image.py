"""A watched folder as a source."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import SourceError, SourceLostError
from core.line.live import newest_image
from core.line.live.frames import Frame, Taken, Unreadable
from core.line.live.newest_image import NewestImage
from tests.core.line.sources import plain
from tests.core.line.test_video import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(newest_image, "time", made)
    return made


def write(path: Path, grey: int, changed: int | None = None) -> Path:
    Image.fromarray(plain(grey)).save(path)
    if changed is not None:
        os.utime(path, (changed, changed))
    return path


def read(source: NewestImage, looks: int = 8) -> list[Taken]:
    """What comes of some looks, 0.05 s apart."""
    return [taken for taken in (source.read(0.05) for _ in range(looks)) if taken is not None]


def names(taken: list[Taken]) -> list[str]:
    return [one.name for one in taken]


def test_that_the_newest_image_is_given_once(tmp_path: Path, clock: Clock) -> None:
    write(tmp_path / "b.png", 10, 1000)
    write(tmp_path / "a.png", 20, 2000)
    (tmp_path / "notes.txt").write_text("no image")
    source = NewestImage(tmp_path)
    taken = read(source, 20)
    assert names(taken) == ["a.png"]
    assert isinstance(taken[0], Frame)
    assert np.array_equal(taken[0].pixels, plain(20))
    assert not taken[0].pixels.flags.writeable


def test_that_a_file_is_not_read_before_it_has_settled(tmp_path: Path, clock: Clock) -> None:
    source = NewestImage(tmp_path)
    whole = write(tmp_path.parent / "whole.png", 30).read_bytes()
    target = tmp_path / "slow.png"
    for share in (0.3, 0.6, 0.9, 1.0):
        target.write_bytes(whole[: int(len(whole) * share)])
        assert read(source, 2) == []
    taken = read(source)
    assert names(taken) == ["slow.png"]
    assert isinstance(taken[0], Frame)


def test_that_older_new_images_are_passed_over_and_counted(tmp_path: Path, clock: Clock) -> None:
    source = NewestImage(tmp_path)
    for number in range(5):
        write(tmp_path / f"{number}.png", 10 * number, 1000 + number)
    taken = read(source, 20)
    assert names(taken) == ["4.png"]
    assert isinstance(taken[0], Frame)
    assert taken[0].passed == 4


def test_that_a_stream_quicker_than_files_settle_does_not_starve_the_view(tmp_path: Path, clock: Clock) -> None:
    source = NewestImage(tmp_path)
    seen: list[Taken] = []
    for number in range(40):
        write(tmp_path / f"{number:02}.png", number)
        seen += read(source, 1)
    assert len(seen) > 5
    assert names(seen) == sorted(names(seen))


def test_that_a_file_moved_in_counts_as_new_though_its_date_is_old(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    write(folder / "first.png", 10)
    source = NewestImage(folder)
    assert names(read(source)) == ["first.png"]
    write(tmp_path / "old.png", 20, 1000).rename(folder / "old.png")
    assert names(read(source)) == ["old.png"]


def test_that_a_file_that_is_overwritten_counts_as_new(tmp_path: Path, clock: Clock) -> None:
    write(tmp_path / "latest.png", 10, 1000)
    source = NewestImage(tmp_path)
    read(source)
    write(tmp_path / "latest.png", 20, 2000)
    taken = read(source)
    assert isinstance(taken[0], Frame)
    assert int(taken[0].pixels[0, 0, 0]) == 20


def test_that_a_damaged_file_is_told_after_a_while_and_once(tmp_path: Path, clock: Clock) -> None:
    source = NewestImage(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    assert read(source, 10) == []  # its writer may have paused
    taken = read(source, 60)
    assert len(taken) == 1
    assert isinstance(taken[0], Unreadable)
    assert "bad.png" in taken[0].message
    write(tmp_path / "good.png", 40)
    assert names(read(source)) == ["good.png"]


def test_that_hidden_files_and_folders_do_not_count(tmp_path: Path, clock: Clock) -> None:
    source = NewestImage(tmp_path)
    write(tmp_path / ".cfa-partial-1.png", 10)
    (tmp_path / "folder.png").mkdir()
    assert read(source) == []


def test_that_a_missing_folder_is_an_error_and_one_that_goes_is_lost(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        NewestImage(tmp_path / "none")
    folder = tmp_path / "share"
    folder.mkdir()
    source = NewestImage(folder)
    shutil.rmtree(folder)
    with pytest.raises(SourceLostError, match="any more"):
        source.read(0.05)
