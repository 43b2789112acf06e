import errno
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core import sample_drawing
from core.dataset import Layout, open_dataset
from core.errors import CancelledByUser, ConfigError, OutputError
from core.opencv import cv2
from core.progress import CancelToken, Progress
from core.sample_drawing import DEFECTS, Scene, photograph
from core.sample_parts import make_sample_parts

KINDS = {"scratch", "dent", "chip", "stain"}


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def small(folder: Path, good: int = 2, seed: int = 0) -> Path:
    return make_sample_parts(folder, good=good, test_good=1, defects_per_kind=1, seed=seed)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("samples") / "below" / "parts")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(0)


# --- what is written -------------------------------------------------------------------------------------------------


def test_that_the_folder_is_in_mvtec_ad_layout(parts: Path) -> None:
    images = {"train/good/000.jpg", "train/good/001.jpg", "test/good/000.jpg"}
    images |= {f"test/{kind}/000.jpg" for kind in KINDS}
    masks = {f"ground_truth/{kind}/000_mask.png" for kind in KINDS}
    assert files(parts) == images | masks | {"sample_parts.json"}
    assert [path.name for path in parts.parent.iterdir()] == ["parts"]


def test_that_the_data_set_is_recognised_whole(parts: Path) -> None:
    dataset = open_dataset(parts)
    assert (dataset.layout, len(dataset.good), len(dataset.test)) == (Layout.MVTEC, 2, 5)
    assert {sample.kind: sample.mask is not None for sample in dataset.test} == dict.fromkeys(KINDS, True) | {
        "good": False
    }


def test_that_images_are_colour_and_not_square_and_masks_are_black_and_white(parts: Path) -> None:
    for image in parts.rglob("*.jpg"):
        assert read(image).shape == (400, 480, 3)
        assert image.stat().st_size < 100_000  # 107 of them stay below 12 MB
    for mask in parts.rglob("*_mask.png"):
        pixels = read(mask)
        assert pixels.shape == (400, 480)
        assert set(np.unique(pixels)) == {0, 255}


def test_that_the_same_seed_gives_the_same_pixels_however_many_are_asked_for(parts: Path, tmp_path: Path) -> None:
    more = small(tmp_path / "more", good=3)
    for name in files(parts) - {"sample_parts.json"}:
        np.testing.assert_array_equal(read(more / name), read(parts / name), err_msg=name)


def test_that_another_seed_gives_other_pixels(parts: Path, tmp_path: Path) -> None:
    other = small(tmp_path / "other", seed=1)
    for name in files(parts) - {"sample_parts.json"}:
        assert (read(other / name) != read(parts / name)).any(), name


def test_that_no_two_images_are_alike(parts: Path) -> None:
    assert len({image.read_bytes() for image in parts.rglob("*.jpg")}) == 7


def test_that_each_image_is_reported(tmp_path: Path) -> None:
    seen: list[Progress] = []
    make_sample_parts(tmp_path / "parts", good=2, test_good=1, defects_per_kind=0, report=seen.append)
    assert [(progress.done, progress.total) for progress in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]


# --- what is drawn ---------------------------------------------------------------------------------------------------


def test_that_good_parts_differ_a_little_and_only_a_little(scene: Scene) -> None:
    pictures = [photograph(scene, "", np.random.default_rng(i))[0].astype(int) for i in range(3)]
    for one, other in ((0, 1), (1, 2)):
        assert 2 < np.abs(pictures[one] - pictures[other]).mean() < 15
    assert not photograph(scene, "", np.random.default_rng(0))[1].any()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_that_the_ground_truth_covers_what_a_defect_changes(scene: Scene, kind: str) -> None:
    for seed in range(3):
        change, mask = drawn(scene, kind, seed)
        assert 60 < mask.sum() < 24_000
        assert change[mask].mean() > 0.02, "invisible"
        assert change[mask].sum() > 0.75 * change.sum(), "changes beyond the mask"


def drawn(scene: Scene, kind: str, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much a defect changes the drawing, (800, 960), and where it says that it does."""
    part = sample_drawing._turned(scene, np.random.default_rng(seed))
    before = sample_drawing._lit(part, np.random.default_rng(0)) * part.alpha
    mask = DEFECTS[kind](part, np.random.default_rng(seed)) > 0.5
    after = sample_drawing._lit(part, np.random.default_rng(0)) * part.alpha
    tint = 1.0 if part.stain is None else part.stain.mean(2)
    return np.abs(after * tint - before), mask


def test_that_the_mask_moves_with_the_part(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def white_square(part: sample_drawing._Part, rng: np.random.Generator) -> NDArray[np.float32]:
        where = np.zeros_like(part.light)
        where[330:380, 680:740] = 1.0
        part.light += 9 * where
        return where

    monkeypatch.setitem(DEFECTS, "square", white_square)
    for seed in range(5):
        picture, mask = photograph(scene, "square", np.random.default_rng(seed))
        white = picture.min(2) > 200
        near = np.zeros_like(mask)
        near[155:205, 330:380] = True
        assert (white & near & mask).sum() > 0.9 * (mask | (white & near)).sum()


def test_that_every_kind_of_defect_is_drawn() -> None:
    assert set(DEFECTS) == KINDS


# --- whole or not at all ---------------------------------------------------------------------------------------------


def test_that_complete_sample_parts_are_returned_at_once_and_untouched(parts: Path) -> None:
    before = {name: (parts / name).stat().st_mtime_ns for name in files(parts)}
    token = CancelToken()
    token.cancel()  # anything drawn would notice
    again = make_sample_parts(parts, good=2, test_good=1, defects_per_kind=1, cancel=token)
    assert again == parts
    assert {name: (parts / name).stat().st_mtime_ns for name in files(parts)} == before


@pytest.mark.parametrize("what", ["a stranger", "other parameters", "a file missing", "a damaged marker", "a file"])
def test_that_a_folder_that_holds_anything_else_is_refused_and_untouched(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "parts"
    if what == "a file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        recipe = {"good": 1, "test_good": 0, "defects_per_kind": 0, "seed": 0, "version": 1}
        marker = {
            "a stranger": None,
            "other parameters": json.dumps(recipe | {"seed": 7}),
            "a file missing": json.dumps(recipe),
            "a damaged marker": '{"good": 1',
        }[what]
        (folder / "holiday.jpg").write_text("mine")
        if what != "a file missing":
            (folder / "train" / "good").mkdir(parents=True)
            (folder / "train" / "good" / "000.jpg").write_text("mine")
        if marker is not None:
            (folder / "sample_parts.json").write_text(marker)
    before = files(tmp_path)
    with pytest.raises(OutputError, match="choose another folder"):
        make_sample_parts(folder, good=1, test_good=0, defects_per_kind=0)
    assert files(tmp_path) == before


def test_that_beside_a_folder_that_is_taken_there_is_room_for_them(tmp_path: Path) -> None:
    few = partial(make_sample_parts, tmp_path / "parts", good=1, test_good=0, defects_per_kind=0, or_beside=True)
    assert few() == few() == tmp_path / "parts"
    (tmp_path / "parts" / "train" / "good" / "000.jpg").unlink()  # somebody has tidied up
    (tmp_path / "parts-2").mkdir()
    (tmp_path / "parts-2" / "holiday.jpg").write_text("mine")
    assert few() == few() == tmp_path / "parts-3"
    assert files(tmp_path / "parts") == {"sample_parts.json"}
    assert files(tmp_path / "parts-2") == {"holiday.jpg"}


def test_that_cancelling_leaves_an_empty_folder_empty(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledByUser):
        make_sample_parts(tmp_path, cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_that_cancelling_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    token = CancelToken()

    def stop_at_two(progress: Progress, /) -> None:
        if progress.done == 2:
            token.cancel()

    with pytest.raises(CancelledByUser):
        make_sample_parts(tmp_path / "parts", good=5, test_good=0, report=stop_at_two, cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_that_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = Path.write_bytes, []

    def write_bytes(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match=r"No space left on device.*make room"):
        make_sample_parts(tmp_path / "parts", good=5, test_good=0)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_that_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        make_sample_parts(tmp_path / "file" / "parts", good=1)


def test_that_the_folder_one_stands_in_is_filled_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_sample_parts(Path(), good=1, test_good=0, defects_per_kind=0)
    assert files(Path.cwd()) == files(tmp_path) == {"train/good/000.jpg", "sample_parts.json"}
    assert make_sample_parts(Path(), good=1, test_good=0, defects_per_kind=0) == Path()


@pytest.mark.parametrize(
    ("good", "test_good", "defects", "seed"), [(0, 1, 1, 0), (1, -1, 1, 0), (1, 1, -1, 0), (1, 1, 1, -1)]
)
def test_that_numbers_that_make_no_data_set_are_refused(
    tmp_path: Path, good: int, test_good: int, defects: int, seed: int
) -> None:
    with pytest.raises(ConfigError, match="at least 1 good image"):
        make_sample_parts(tmp_path / "parts", good=good, test_good=test_good, defects_per_kind=defects, seed=seed)
    assert list(tmp_path.iterdir()) == []
