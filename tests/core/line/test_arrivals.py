"""Which images are there, and when they count as completely written."""

import os
from pathlib import Path

import pytest

from core.errors import DatasetError
from core.line.watching.arrivals import CLOSED_SECONDS, NotYet, Settling, Stamp, WatchedFolder
from tests.core.line.watched import stamp_of

ONE, TWO = Stamp(1, 1), Stamp(2, 2)


def names(folder: WatchedFolder) -> set[str]:
    return {name for name, _ in folder.scan()}


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_that_images_of_all_subfolders_are_found_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.png", "b/c.JPG", "b/d/e.tif", "x.txt", "a.png.part", ".hidden.png", ".dir/f.png", "out/g.png"):
        touch(tmp_path / name)
    folder = WatchedFolder(tmp_path, left_out=[tmp_path / "out"])
    assert names(folder) == {"a.png", "b/c.JPG", "b/d/e.tif"}
    told = {folder.name_of(str(path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert told == {None, "a.png", "b/c.JPG", "b/d/e.tif"}


def test_that_links_that_lead_round_end(tmp_path: Path) -> None:
    touch(tmp_path / "in/a.png")
    try:
        (tmp_path / "in/round").symlink_to(tmp_path / "in")
    except OSError:
        pytest.skip("no right to make links")
    assert names(WatchedFolder(tmp_path / "in")) == {"a.png"}


def test_that_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be opened"):
        list(WatchedFolder(tmp_path / "gone").scan())


def test_that_a_file_is_read_only_as_it_was_when_it_stood_still(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.png", b"abc")
    folder = WatchedFolder(tmp_path)
    stamp = stamp_of(path)
    assert folder.read("a.png", stamp) == b"abc"
    os.utime(path, ns=(0, stamp.mtime_ns + 1))
    with pytest.raises(NotYet):
        folder.read("a.png", stamp)
    with pytest.raises(NotYet):
        folder.read("gone.png", stamp)


def test_that_a_file_settles_once_it_has_stood_still_for_long_enough() -> None:
    settling = Settling(1.0)
    settling.saw("a", ONE, 0.0)
    assert settling.settled(0.9, lambda _: ONE) == []
    assert settling.settled(1.0, lambda _: ONE) == [("a", ONE)]
    assert len(settling) == 0


def test_that_a_file_that_is_still_written_waits_anew() -> None:
    settling = Settling(1.0)
    settling.saw("a", ONE, 0.0)
    settling.saw("a", TWO, 0.8)
    assert settling.settled(1.1, lambda _: TWO) == []
    assert settling.settled(1.8, lambda _: Stamp(3, 3)) == []  # no event told of it
    assert settling.settled(2.7, lambda _: Stamp(3, 3)) == []
    assert settling.settled(2.8, lambda _: Stamp(3, 3)) == [("a", Stamp(3, 3))]


def test_that_events_without_a_change_do_not_hold_a_file_up() -> None:
    settling = Settling(1.0)
    settling.saw("a", ONE, 0.0)
    settling.saw("a", ONE, 0.9)
    assert settling.settled(1.0, lambda _: ONE) == [("a", ONE)]


def test_that_a_closed_file_settles_soon_and_one_written_after_that_does_not() -> None:
    settling = Settling(1.0)
    settling.saw("a", ONE, 0.0, closed=True)
    settling.saw("b", ONE, 0.0, closed=True)
    settling.saw("b", TWO, 0.01)
    stamps = {"a": ONE, "b": TWO}
    assert settling.settled(CLOSED_SECONDS, stamps.get) == [("a", ONE)]
    assert "b" in settling


def test_that_files_settle_in_the_order_they_were_written_and_lost_ones_are_forgotten() -> None:
    settling = Settling(0.0)
    stamps = {"a": Stamp(1, 30), "b": Stamp(1, 10), "c": Stamp(1, 20)}
    for name, stamp in stamps.items():
        settling.saw(name, stamp, 0.0)
    del stamps["c"]
    assert [name for name, _ in settling.settled(0.0, stamps.get)] == ["b", "a"]
    assert settling.next_due() is None
