import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from core.atomic_file import make_folder, require_writable, require_writable_folder, write_atomically, write_bytes
from core.errors import OutputError


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_that_a_file_is_written_and_nothing_else_stays(tmp_path: Path) -> None:
    write_bytes(tmp_path / "größe 🙂.cfa", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["größe 🙂.cfa"]
    assert (tmp_path / "größe 🙂.cfa").read_bytes() == b"content"


def test_that_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_that_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_that_a_full_disk_leaves_the_old_file_and_no_other(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, function, no_space)
    with pytest.raises(OutputError, match=r"a cannot be written: No space left on device\. Choose another place\."):
        write_bytes(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, OSError("encoder error")])
def test_that_whatever_stops_the_writing_leaves_the_old_file_and_no_other(
    stop: type[BaseException] | BaseException, tmp_path: Path
) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise stop

    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises((KeyboardInterrupt, ValueError, OutputError)):
        write_atomically(path, write)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_that_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        assert not path.exists()

    write_atomically(path, write)
    assert path.read_bytes() == b"half"


def test_that_a_file_is_flushed_to_the_disk_before_it_takes_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append((tmp_path / "a").exists()))
    write_atomically(tmp_path / "a", lambda file: file.write(b"x"))
    assert flushed == [False]


def test_that_a_link_keeps_leading_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/v1").write_bytes(b"old")
    (tmp_path / "latest").symlink_to("models/v1")
    write_bytes(tmp_path / "latest", b"new")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "models/v1").read_bytes() == b"new"


@pytest.mark.parametrize("check", [require_writable, lambda path: write_bytes(path, b"x")])
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (".", "is a folder; name a file in it"),
        ("missing/a", "there is no folder .*missing. Make it first"),
        ("file/a", "Not a directory"),
        ("file/deeper/a", "there is no folder|Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_that_a_place_that_cannot_be_written_is_refused_in_a_sentence(
    check: object, place: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    assert callable(check)
    with pytest.raises(OutputError, match=sentence):
        check(tmp_path / place)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev/null")
def test_that_a_device_is_never_replaced_by_a_file() -> None:
    for act in (require_writable, lambda path: write_bytes(path, b"x")):
        with pytest.raises(OutputError, match="not an ordinary file"):
            act(Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_that_a_folder_that_takes_no_files_is_refused() -> None:
    for check in (require_writable, require_writable_folder):
        with pytest.raises(OutputError, match="cannot be written"):
            check(Path("/proc/sys/a"))


def test_that_seeing_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    require_writable(tmp_path / "there")
    require_writable(tmp_path / "not yet")
    require_writable_folder(tmp_path)
    require_writable_folder(tmp_path / "not/yet")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("there", b"old")]


def test_that_a_file_held_by_another_program_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(b"old")
    really_open = Path.open

    def held(path: Path, mode: str = "r") -> object:
        if mode == "ab":
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(path, mode)

    monkeypatch.setattr(Path, "open", held)
    with pytest.raises(OutputError, match="Permission denied"):
        require_writable(tmp_path / "there")


def test_that_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/a", "file/a/b"):
        with pytest.raises(OutputError, match="Not a directory"):
            require_writable_folder(tmp_path / place)
    with pytest.raises(OutputError, match="File exists"):
        make_folder(tmp_path / "file")


def test_that_a_folder_is_made_with_what_is_missing_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
