import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock

from core.atomic_file import TEMPORARY_PREFIX
from core.leftovers import IN_USE, MAPS_PREFIX, OLD, remove_leftovers
from core.review import ReviewStore

PARTIAL = f"{TEMPORARY_PREFIX}{'0123456789abcdef' * 2}"


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of these tests alone, so that nobody's maps are touched."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def aged(path: Path, seconds: float = OLD + 60) -> Path:
    """As if it had been left some time ago; made where it is missing."""
    if not path.exists():
        path.write_bytes(b"half")
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


def test_that_a_half_written_file_goes_once_it_is_old(tmp_path: Path) -> None:
    old = aged(tmp_path / PARTIAL)
    young = aged(tmp_path / PARTIAL.replace("0", "1"), OLD - 60)
    assert remove_leftovers([tmp_path, tmp_path]) == [old]
    assert list(tmp_path.iterdir()) == [young]


@pytest.mark.parametrize(
    "name",
    ["part.cfa", "part.cfa.unfinished", f"{PARTIAL}.png", TEMPORARY_PREFIX, "a.lock", "reviews.sqlite", "cfa-maps-x"],
)
def test_that_what_is_not_surely_ours_stays(name: str, tmp_path: Path) -> None:
    aged(tmp_path / name)
    (tmp_path / "inner").mkdir()
    aged(tmp_path / "inner" / PARTIAL)
    assert remove_leftovers([tmp_path]) == []
    assert (tmp_path / name).exists()


def test_that_a_link_is_neither_followed_nor_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "a").touch()
    (tmp_path / PARTIAL).symlink_to(precious, target_is_directory=True)
    assert remove_leftovers([tmp_path], now=time.time() + 10 * OLD) == []
    assert (precious / "a").exists()


def test_that_a_clock_set_back_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).touch()
    assert remove_leftovers([tmp_path], now=0.0) == []
    assert remove_leftovers([tmp_path / "missing", tmp_path / PARTIAL]) == []


def test_that_a_claim_that_is_held_stays_and_one_that_is_not_goes(tmp_path: Path) -> None:
    path = tmp_path / "reviews.sqlite"
    with ReviewStore(path) as store:
        mine, gone = store.create_project("mine"), store.create_project("gone")
        assert store.claim(mine)
        assert store.claim(gone)
        store.release(gone)
        for lock in tmp_path.glob("*.lock"):
            aged(lock)
        removed = {lock.name for lock in remove_leftovers([tmp_path])}
        assert f"reviews.sqlite.{gone}.lock" in removed
        assert f"reviews.sqlite.{mine}.lock" not in removed
        with ReviewStore(path) as other:
            assert not other.claim(mine)
            assert other.claim(gone)


def test_that_the_maps_of_a_window_that_is_open_stay_and_others_go(temporary_folder: Path) -> None:
    mine, gone = temporary_folder / f"{MAPS_PREFIX}mine", temporary_folder / f"{MAPS_PREFIX}gone"
    for folder in (mine, gone):
        folder.mkdir()
        (folder / "0.npy").touch()
    with FileLock(mine / IN_USE):
        aged(mine)
        assert remove_leftovers([], now=time.time() + 2 * OLD) == [gone]
    assert (mine / "0.npy").exists()
    assert not gone.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_that_what_a_kill_leaves_is_gone_after_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.atomic_file import write_atomically\n"
        "stop = lambda file: (file.write(b'half'), os.kill(os.getpid(), signal.SIGKILL))\n"
        "write_atomically(Path(sys.argv[1]), stop)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "part.cfa")], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert remove_leftovers([tmp_path]) == []
    aged(left)
    assert remove_leftovers([tmp_path]) == [left]
