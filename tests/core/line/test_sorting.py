"""Images go where their verdict belongs; none is lost or overwritten, whatever happens in between."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import OutputError
from core.line.watching import sorting as module
from core.line.watching.arrivals import WatchedFolder
from core.line.watching.ledger import Sorting
from core.line.watching.results import Outcome
from core.line.watching.sorting import place_for, sort_image
from tests.core.cli_runs import files
from tests.core.line.watched import result_of, stamp_of

_link, _rename = os.link, Path.rename


def refuse_link(*_: object) -> None:
    raise OSError(errno.EPERM, "no second names")


def link_in_folder(source: Path, target: Path) -> None:
    if source.parent.name != target.parent.name:
        raise OSError(errno.EXDEV, "another drive")
    _link(source, target)


def rename_in_folder(self: Path, target: Path) -> Path:
    if self.parent.name != target.parent.name:
        raise OSError(errno.EXDEV, "another drive")
    return _rename(self, target)


DRIVES = {
    "one drive": (_link, _rename),
    "no second names": (refuse_link, _rename),
    "two drives": (link_in_folder, rename_in_folder),
    "two drives without second names": (refuse_link, rename_in_folder),
}


@pytest.fixture(params=DRIVES)
def drive(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system can."""
    link, rename = DRIVES[request.param]
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(Path, "rename", rename)


def prepared(root: Path, content: bytes = b"image", *, copied: bool = False) -> tuple[WatchedFolder, Sorting]:
    """An image in `in`, to be sorted to `out/flagged`."""
    image = root / "in/a.png"
    image.parent.mkdir()
    image.write_bytes(content)
    result = result_of("a.png", content, number=7, ledger="l", sorted=str(root / "out/flagged/a.png"))
    return WatchedFolder(root / "in"), Sorting(result, stamp_of(image), copied)


@pytest.mark.usefixtures("drive")
def test_that_an_image_is_moved(tmp_path: Path) -> None:
    folder, sorting = prepared(tmp_path)
    modified = sorting.stamp.mtime_ns
    sort_image(folder, sorting)
    sort_image(folder, sorting)  # told twice, it is done once
    assert files(tmp_path) == {"out/flagged/a.png": b"image"}
    assert (tmp_path / "out/flagged/a.png").stat().st_mtime_ns == modified


@pytest.mark.usefixtures("drive")
def test_that_an_image_is_copied(tmp_path: Path) -> None:
    folder, sorting = prepared(tmp_path, copied=True)
    sort_image(folder, sorting)
    sort_image(folder, sorting)
    assert files(tmp_path) == {"in/a.png": b"image", "out/flagged/a.png": b"image"}


@pytest.mark.usefixtures("drive")
@pytest.mark.parametrize("copied", [False, True])
def test_that_nothing_is_overwritten(tmp_path: Path, *, copied: bool) -> None:
    folder, sorting = prepared(tmp_path, copied=copied)
    (tmp_path / "out/flagged").mkdir(parents=True)
    (tmp_path / "out/flagged/a.png").write_bytes(b"another")
    sort_image(folder, sorting)
    left = files(tmp_path)
    left.pop("in/a.png", None)
    assert left == {"out/flagged/a.png": b"another", "out/flagged/a-2.png": b"image"}


@pytest.mark.usefixtures("drive")
@pytest.mark.parametrize("copied", [False, True])
def test_that_an_image_that_was_written_anew_stays(tmp_path: Path, *, copied: bool) -> None:
    folder, sorting = prepared(tmp_path, copied=copied)
    (tmp_path / "in/a.png").write_bytes(b"the next part")
    sort_image(folder, sorting)
    assert files(tmp_path) == {"in/a.png": b"the next part"}


@pytest.mark.usefixtures("drive")
def test_that_an_image_that_was_replaced_without_a_trace_gets_its_name_back(tmp_path: Path) -> None:
    """Same size, same time, other content: only its content gives it away."""
    folder, sorting = prepared(tmp_path, b"image")
    image = tmp_path / "in/a.png"
    image.write_bytes(b"other")
    os.utime(image, ns=(0, sorting.stamp.mtime_ns))
    sort_image(folder, sorting)
    assert files(tmp_path) == {"in/a.png": b"other"}


@pytest.mark.usefixtures("drive")
def test_that_a_newer_image_that_was_taken_by_mistake_is_kept_beside_an_even_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sorting = prepared(tmp_path, b"image")
    image = tmp_path / "in/a.png"

    def write_meanwhile(path: Path) -> str:
        image.write_bytes(b"newest")
        return "digest of another"

    monkeypatch.setattr(module, "file_digest", write_meanwhile)
    sort_image(folder, sorting)
    assert files(tmp_path) == {"in/a.png": b"newest", "in/a-2.png": b"image"}


@pytest.mark.usefixtures("drive")
@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("copied", [False, True])
def test_that_a_cut_at_any_step_loses_nothing_and_the_next_time_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, *, copied: bool
) -> None:
    """A cut is an exception that nobody catches, before each change to the disk in turn."""
    folder, sorting = prepared(tmp_path, copied=copied)

    class Cut(BaseException):
        pass

    left = iter(range(step))
    with monkeypatch.context() as patched:

        def cut_before(owner: object, name: str) -> None:
            act = getattr(owner, name)

            def acted(*arguments: object, **options: object) -> object:
                if next(left, None) is None:
                    raise Cut
                return act(*arguments, **options)

            patched.setattr(owner, name, acted)

        for owner, name in (
            (os, "link"),
            (os, "fsync"),
            (shutil, "copyfileobj"),
            (shutil, "copystat"),
            (Path, "rename"),
            (Path, "unlink"),
        ):
            cut_before(owner, name)
        try:
            sort_image(folder, sorting)
        except Cut:
            assert b"image" in files(tmp_path).values()
    sort_image(folder, sorting)
    wanted = {"out/flagged/a.png": b"image"}
    assert files(tmp_path) == (wanted | {"in/a.png": b"image"} if copied else wanted)


def test_that_a_copy_unlike_its_original_does_not_cost_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sorting = prepared(tmp_path, copied=True)
    monkeypatch.setattr(shutil, "copyfileobj", lambda _source, target: target.write(b"damaged"))
    with pytest.raises(OutputError, match="not like the original"):
        sort_image(folder, sorting)
    assert files(tmp_path) == {"in/a.png": b"image"}


def test_that_a_place_that_is_taken_or_planned_is_left_to_the_other(tmp_path: Path) -> None:
    first = place_for(tmp_path, Outcome.DEFECT, "sub/a.png", set())
    assert first == tmp_path / "flagged/sub/a.png"
    second = place_for(tmp_path, Outcome.DEFECT, "sub/a.png", {str(first)})
    assert second == tmp_path / "flagged/sub/a-2.png"
    second.parent.mkdir(parents=True)
    second.touch()
    assert place_for(tmp_path, Outcome.DEFECT, "sub/a.png", {str(first)}) == tmp_path / "flagged/sub/a-3.png"


def test_that_what_cannot_be_written_is_told_and_the_image_is_kept(tmp_path: Path) -> None:
    folder, sorting = prepared(tmp_path)
    (tmp_path / "out").write_bytes(b"a file in its place")
    with pytest.raises(OutputError):
        sort_image(folder, sorting)
    assert b"image" in files(tmp_path).values()
    (tmp_path / "out").unlink()
    sort_image(folder, sorting)
    assert files(tmp_path) == {"out/flagged/a.png": b"image"}
    assert replace(sorting) == sorting
