"""Arrays in a file: the same as before, and no memory while nobody reads them."""

import errno
import mmap
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from core.set_aside import SetAside
from tests.core.nameless_files import in_memory

can_release = pytest.mark.skipif(not hasattr(mmap.mmap, "madvise"), reason="this system cannot take memory back")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much of a file is in memory")


def some_arrays() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in ((3, 5), (400, 700), (1,), (64, 2, 9))]


def test_that_they_are_the_same_before_and_after_their_memory_was_given_back() -> None:
    arrays = some_arrays()
    aside = SetAside(arrays)
    for _ in range(2):
        assert [copy.tolist() for copy in aside.arrays] == [array.tolist() for array in arrays]
        assert all(copy.dtype == np.float32 and copy.flags.aligned for copy in aside.arrays)
        aside.release()


@on_linux
def test_that_they_need_no_memory_until_somebody_reads_them() -> None:
    before = in_memory()
    aside = SetAside(some_arrays())
    total = float(aside.arrays[1].sum())
    assert in_memory() - before >= 1000
    aside.release()
    assert in_memory() - before < 100
    assert float(aside.arrays[1].sum()) == total


@can_release
def test_that_no_file_is_left_even_while_they_are_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    aside = SetAside(some_arrays())
    assert not list(tmp_path.iterdir())
    assert aside.arrays[1].shape == (400, 700)


def test_that_they_stay_where_they_are_if_they_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    arrays = some_arrays()
    aside = SetAside(arrays)
    assert all(copy is array for copy, array in zip(aside.arrays, arrays, strict=True))
    aside.release()
