"""Folders become samples: what is good, what is a defect, and where the masks are."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset import Label, Layout, Sample, find_samples, good_samples, open_dataset, require_disjoint
from core.errors import CancelledByUser, DatasetError
from core.progress import CancelToken, Phase, Progress


def draw(path: Path, seed: int = 0) -> Path:
    """A small picture; another seed, another picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """Two good to train on, one good and two cracks and one hole to test on."""
    root = tmp_path / "bottle"
    good = ("train/good/000.png", "train/good/001.png", "test/good/000.png")
    defects = ("test/crack/000.png", "test/crack/001.png", "test/hole/000.png")
    masks = ("ground_truth/crack/000_mask.png", "ground_truth/hole/000.bmp")
    for seed, name in enumerate((*good, *defects, *masks)):
        draw(root / name, seed)
    return root


def names(samples: tuple[Sample, ...]) -> list[str]:
    return [sample.name for sample in samples]


def test_that_mvtec_layout_is_recognised_whole(mvtec: Path) -> None:
    dataset = open_dataset(mvtec)
    assert dataset.layout is Layout.MVTEC
    assert dataset.root == mvtec
    truth = mvtec / "ground_truth"
    assert dataset.good == tuple(
        Sample(mvtec / name, name, Label.GOOD, "good", None) for name in ("train/good/000.png", "train/good/001.png")
    )
    assert dataset.test == (
        Sample(mvtec / "test/crack/000.png", "test/crack/000.png", Label.DEFECT, "crack", truth / "crack/000_mask.png"),
        Sample(mvtec / "test/crack/001.png", "test/crack/001.png", Label.DEFECT, "crack", None),
        Sample(mvtec / "test/good/000.png", "test/good/000.png", Label.GOOD, "good", None),
        Sample(mvtec / "test/hole/000.png", "test/hole/000.png", Label.DEFECT, "hole", truth / "hole/000.bmp"),
    )
    assert good_samples(mvtec) == dataset.good


def test_that_folder_names_of_the_layout_may_be_in_any_case(tmp_path: Path) -> None:
    draw(tmp_path / "Train/Good/1.png")
    draw(tmp_path / "TEST/Good/1.png")
    draw(tmp_path / "TEST/Scratch/1.png")
    mask = draw(tmp_path / "Ground_Truth/Scratch/1_mask.png")
    dataset = open_dataset(tmp_path)
    assert [(s.label, s.kind, s.mask) for s in dataset.test] == [("good", "good", None), ("defect", "Scratch", mask)]


def test_that_a_picture_directly_in_test_has_no_label(mvtec: Path) -> None:
    draw(mvtec / "test/loose.png")
    assert open_dataset(mvtec).test[0] == Sample(mvtec / "test/loose.png", "test/loose.png", None, "", None)


def test_that_masks_are_found_in_nested_folders_and_by_dotted_names(mvtec: Path) -> None:
    draw(mvtec / "test/crack/line 2/a.b.png")
    mask = draw(mvtec / "ground_truth/crack/line 2/a.b_mask.png")
    assert {s.name: s.mask for s in open_dataset(mvtec).test}["test/crack/line 2/a.b.png"] == mask


def test_that_every_image_below_a_plain_folder_is_good_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "9.PNG", "b/2.jpg", "b/1.tiff", "B10/x.bmp", "b9/x.webp", "deep/er/x.gif"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    dataset = open_dataset(tmp_path)
    assert dataset.layout is Layout.FOLDER
    assert names(dataset.good) == ["9.PNG", "10.png", "b/1.tiff", "b/2.jpg", "b9/x.webp", "B10/x.bmp", "deep/er/x.gif"]
    assert dataset.test == ()
    assert {(s.label, s.kind, s.mask) for s in dataset.good} == {(Label.GOOD, "good", None)}


def test_that_hidden_files_and_folders_that_look_like_images_are_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / ".thumbnails/a.png")
    draw(tmp_path / "._a.png")
    draw(tmp_path / "folder.png/b.png")
    assert names(open_dataset(tmp_path).good) == ["a.png", "folder.png/b.png"]


def test_that_train_and_train_good_are_plain_folders(mvtec: Path) -> None:
    draw(mvtec / "train/broken/000.png")
    train = open_dataset(mvtec / "train")
    assert names(train.good) == ["good/000.png", "good/001.png"]
    assert (train.layout, train.test) == (Layout.FOLDER, ())
    dataset = open_dataset(mvtec / "train" / "good")
    assert names(dataset.good) == ["000.png", "001.png"]
    assert dataset.layout is Layout.FOLDER
    assert names(open_dataset(mvtec / "test" / "good").good) == ["000.png"]


def test_that_a_relative_path_is_understood(mvtec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(mvtec / "train/broken/000.png")
    monkeypatch.chdir(mvtec / "train")
    assert names(open_dataset(Path()).good) == ["good/000.png", "good/001.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids these names")
def test_that_odd_names_are_kept(tmp_path: Path) -> None:
    odd = ["line\nbreak.png", "部品 ä.png", "'quote\".png", os.fsdecode(b"latin\xe9.png")]
    for name in odd:
        draw(tmp_path / "a.png").rename(tmp_path / name)
    samples = open_dataset(tmp_path).good
    assert sorted(names(samples)) == sorted(odd)
    assert all(sample.path.is_file() for sample in samples)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_that_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    draw(root / "a" / "1.png")
    draw(tmp_path / "elsewhere" / "2.png")
    (root / "a" / "loop").symlink_to(root)
    (root / "itself.png").symlink_to(root / "itself.png")
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    (root / "again").symlink_to(root / "a")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "file.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    assert names(open_dataset(root).good) == ["file.png", "a/1.png", "linked/2.png"]


def test_that_listing_a_folder_does_not_touch_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        (tmp_path / f"part_{number}.png").touch()
    asked: list[object] = []
    stat = os.stat

    def count(path: Path, **options: bool) -> os.stat_result:
        asked.append(path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", count)
    samples = open_dataset(tmp_path).good
    assert names(samples) == [f"part_{number}.png" for number in range(2000)]
    assert 0 < len(asked) < 10


def expect_error(path: Path, *words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_that_what_is_no_folder_is_refused_with_a_hint(tmp_path: Path) -> None:
    expect_error(tmp_path / "gone", "There is no folder", "Check the path")
    expect_error(draw(tmp_path / "a.png"), "is a file", "Choose the folder it is in")
    expect_error(tmp_path / ("x" * 5000), "There is no folder")


def test_that_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    expect_error(tmp_path, "There are no images", "png")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "table.csv").write_text("1,2")
    expect_error(tmp_path, "There are no images")


def test_that_an_empty_train_good_is_refused_by_name(mvtec: Path) -> None:
    for path in (mvtec / "train/good").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"no images in .*good"):
        open_dataset(mvtec)


def test_that_a_layout_without_train_good_is_never_taken_as_all_good(mvtec: Path) -> None:
    (mvtec / "train/good").rename(mvtec / "train/fine")
    expect_error(mvtec, "test and ground_truth", "train/good")
    (mvtec / "train").rename(mvtec.parent / "train")
    expect_error(mvtec, "train/good")


@pytest.mark.parametrize("folder", ["test", "test/crack", "ground_truth", "ground_truth/hole"])
def test_that_the_folders_of_defects_are_refused_as_good(mvtec: Path, folder: str) -> None:
    expect_error(mvtec / folder, "where the defects are", str(mvtec))


def test_that_a_folder_of_several_data_sets_names_them(mvtec: Path) -> None:
    expect_error(mvtec.parent, "holds 1 (bottle)", "Choose one")


def test_that_a_folder_that_may_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / "locked" / "2.png")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"locked cannot be opened \(Permission denied\)"):
        open_dataset(tmp_path)


def test_that_of_a_layout_only_the_test_is_inspected_with_its_labels(mvtec: Path) -> None:
    found = find_samples([mvtec])
    assert found == open_dataset(mvtec).test
    inside = find_samples([mvtec / "test"])
    assert [(s.label, s.kind, s.mask) for s in inside] == [(s.label, s.kind, s.mask) for s in found]
    assert names(inside)[0] == "crack/000.png"
    one = find_samples([mvtec / "test/hole/000.png"])
    assert one == (
        Sample(mvtec / "test/hole/000.png", "000.png", Label.DEFECT, "hole", mvtec / "ground_truth/hole/000.bmp"),
    )


def test_that_other_pictures_to_inspect_have_no_label(mvtec: Path, tmp_path: Path) -> None:
    draw(tmp_path / "line" / "test" / "crack" / "1.png")
    for path in (mvtec / "train/good", tmp_path / "line"):
        assert {(s.label, s.kind, s.mask) for s in find_samples([path])} == {(None, "", None)}


@pytest.mark.parametrize(
    ("good", "defect"), [("OK", "NG"), ("good", "defect"), ("i.O.", "n.i.O."), ("pass", "scratch")]
)
def test_that_known_defects_beside_good_parts_are_never_learned_from(tmp_path: Path, good: str, defect: str) -> None:
    for name in (f"{good}/1.png", f"{good}/later/2.png", f"{defect}/1.png", f"{defect}/later/2.png", "loose.png"):
        draw(tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert dataset.layout is Layout.SORTED
    assert sorted(names(dataset.good)) == [f"{good}/1.png", f"{good}/later/2.png"]
    assert {(s.label, s.kind) for s in dataset.good} == {(Label.GOOD, "good")}
    assert {(s.name, s.label, s.kind) for s in dataset.test} == {
        ("loose.png", None, ""),
        (f"{defect}/1.png", Label.DEFECT, defect),
        (f"{defect}/later/2.png", Label.DEFECT, defect),
    }


def test_that_a_folder_of_defects_among_good_pictures_is_left_out_of_them(tmp_path: Path) -> None:
    for name in ("1.png", "monday/2.png", "Defective/3.png"):
        draw(tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert names(dataset.good) == ["1.png", "monday/2.png"]
    assert [(s.name, s.label, s.kind) for s in dataset.test] == [("Defective/3.png", Label.DEFECT, "Defective")]


def test_that_what_was_only_flagged_is_neither_learned_from_nor_called_a_defect(tmp_path: Path) -> None:
    for name in ("good/1.png", "flagged/2.png", "uncertain/3.png"):
        draw(tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert names(dataset.good) == ["good/1.png"]
    assert {(s.name, s.label) for s in dataset.test} == {("flagged/2.png", None), ("uncertain/3.png", None)}


def test_that_several_folders_of_good_parts_are_a_plain_folder(tmp_path: Path) -> None:
    for name in ("ok/1.png", "good/2.png"):
        draw(tmp_path / name)
    assert open_dataset(tmp_path).layout is Layout.FOLDER


@pytest.mark.parametrize(
    ("folders", "telling"),
    [(("NG", "fail"), "fail, NG is full of defects"), (("OK/old", "NG"), "OK is without an image")],
)
def test_that_defects_without_a_good_part_are_refused(tmp_path: Path, folders: tuple[str, ...], telling: str) -> None:
    for folder in folders:
        draw(tmp_path / folder / "1.png")
    for file in (tmp_path / "OK").rglob("*.png"):
        file.unlink()
    with pytest.raises(DatasetError, match=f"no image of a good part.*{telling}"):
        open_dataset(tmp_path)


def test_that_pictures_of_a_sorted_folder_are_inspected_with_its_labels(tmp_path: Path) -> None:
    for name in ("OK/1.png", "NG/2.png", "flagged/3.png", "4.png"):
        draw(tmp_path / name)
    found = {sample.name: (sample.label, sample.kind) for sample in find_samples([tmp_path])}
    assert found == {
        "OK/1.png": (Label.GOOD, "good"),
        "NG/2.png": (Label.DEFECT, "NG"),
        "flagged/3.png": (None, ""),
        "4.png": (None, ""),
    }
    assert find_samples([tmp_path / "NG"])[0].label is None, (
        "the folder alone was chosen, nobody sorted anything into it"
    )


def test_that_a_folder_that_holds_nothing_but_good_parts_labels_them_when_inspected(tmp_path: Path) -> None:
    draw(tmp_path / "good/1.png")
    draw(tmp_path / "ok/2.png")
    assert {sample.label for sample in find_samples([tmp_path])} == {Label.GOOD}


def test_that_several_paths_are_taken_in_order_once_and_named_apart(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "b" / "1.png"), draw(tmp_path / "a" / "1.png")
    odd = tmp_path / "a" / "camera.raw"
    odd.write_bytes(b"?")
    found = find_samples([first.parent, second, odd, second.parent])
    assert [(s.path, s.name) for s in found] == [(first, "b/1.png"), (second, "a/1.png"), (odd, "a/camera.raw")]


def test_that_nothing_to_inspect_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pictures to inspect"):
        find_samples([tmp_path])
    with pytest.raises(DatasetError, match="no pictures to inspect"):
        find_samples([])
    with pytest.raises(DatasetError, match=r"gone\.png"):
        find_samples([tmp_path / "gone.png"])
    with pytest.raises(DatasetError, match="There is no"):
        find_samples([tmp_path / ("x" * 5000)])


def test_that_a_test_on_training_images_is_refused_by_content(mvtec: Path) -> None:
    dataset = open_dataset(mvtec)
    require_disjoint(dataset.good, dataset.test)  # the same names, other pictures
    copied = mvtec / "test/good/renamed.png"
    copied.write_bytes((mvtec / "train/good/001.png").read_bytes())
    dataset = open_dataset(mvtec)
    with pytest.raises(DatasetError) as caught:
        require_disjoint(dataset.good, dataset.test)
    assert "1 test image is also among" in str(caught.value)
    assert "test/good/renamed.png is train/good/001.png" in str(caught.value)


def test_that_of_many_shared_files_three_are_named_and_all_counted(tmp_path: Path) -> None:
    for seed in range(5):
        draw(tmp_path / f"good/{seed}.png", seed)
    good = good_samples(tmp_path / "good")
    with pytest.raises(DatasetError, match=r"5 test images are .*0\.png is 0\.png.*2\.png is 2\.png; and 2 more"):
        require_disjoint(good, find_samples([tmp_path / "good"]))


def test_that_empty_and_vanished_files_are_no_shared_files(tmp_path: Path) -> None:
    for name in ("good/1.png", "good/2.png", "test/1.png", "test/2.png"):
        draw(tmp_path / name)
    good, test = good_samples(tmp_path / "good"), find_samples([tmp_path / "test"])
    for folder in ("good", "test"):
        (tmp_path / folder / "1.png").write_bytes(b"")
    (tmp_path / "good/2.png").unlink()
    require_disjoint(good, test)


def test_that_looking_for_shared_files_reports_and_can_be_cancelled(mvtec: Path) -> None:
    dataset = open_dataset(mvtec)
    for path in [*(mvtec / "train/good").iterdir(), *(mvtec / "test/crack").iterdir()]:
        path.write_bytes(path.name.encode() + path.parent.name[:4].encode())
    seen: list[Progress] = []
    require_disjoint(dataset.good, dataset.test, report=seen.append)
    assert seen
    assert {p.phase for p in seen} == {Phase.READING}
    assert [p.done for p in seen] == list(range(1, len(seen) + 1))
    assert all(p.done <= p.total for p in seen)
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledByUser):
        require_disjoint(dataset.good, dataset.test, cancel=token)


@pytest.mark.skipif("CFA_DATA" not in os.environ, reason="CFA_DATA (folder of bottle and magnetic_tile) is not set")
def test_that_the_real_data_sets_open_as_documented() -> None:
    expected = {"bottle": (209, 83, 63), "magnetic_tile": (762, 582, 392)}
    for name, counts in expected.items():
        dataset = open_dataset(Path(os.environ["CFA_DATA"]) / name)
        masks = sum(sample.mask is not None for sample in dataset.test)
        assert (len(dataset.good), len(dataset.test), masks) == counts
        require_disjoint(dataset.good, dataset.test)
