"""What the user is told of a data set before training on it."""

import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.dataset import Dataset, Finding, check, open_dataset
from core.duplicates import find_copies, find_near_duplicates
from core.errors import CancelledByUser
from core.progress import CancelToken, Phase, Progress


def part(seed: int, size: tuple[int, int] = (96, 128)) -> NDArray[np.uint8]:
    """A smooth picture of its own for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def save(path: Path, pixels: NDArray[np.uint8], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound data set in MVTec AD layout: 12 good, 2 + 2 to test; the names begin again in every folder."""
    for number in range(12):
        save(tmp_path / f"set/train/good/{number:03}.png", part(number))
    for number in range(2):
        save(tmp_path / f"set/test/good/{number:03}.png", part(100 + number))
        save(tmp_path / f"set/test/crack/{number:03}.png", part(200 + number))
    return tmp_path / "set"


def only(dataset: Dataset) -> Finding:
    (finding,) = check(dataset)
    return finding


def names(finding: Finding) -> list[str]:
    return [sample.name for sample in finding.samples]


def test_that_a_sound_data_set_gives_no_findings(root: Path) -> None:
    assert check(open_dataset(root)) == ()


def test_that_few_good_images_are_warned_of(root: Path) -> None:
    for number in range(5):
        (root / f"train/good/{number:03}.png").unlink()
    finding = only(open_dataset(root))
    assert finding.severity == "warning"
    assert "only 7 good images" in finding.what
    for number in range(5, 11):
        (root / f"train/good/{number:03}.png").unlink()
    assert "only 1 good image." in only(open_dataset(root)).what


def test_that_unreadable_images_come_first_and_are_errors(root: Path) -> None:
    data = (root / "train/good/003.png").read_bytes()
    (root / "train/good/003.png").write_bytes(data[: len(data) // 2])
    (root / "test/crack/001.png").write_bytes(b"")
    save(root / "train/good/big.png", part(50, (200, 200)))
    first, second = check(open_dataset(root))
    assert first.severity == "error"
    assert "2 images cannot be read" in first.what
    assert "003.png is damaged" in first.what
    assert names(first) == ["train/good/003.png", "test/crack/001.png"]
    assert second.severity == "warning"


def test_that_mixed_sizes_name_the_usual_one_and_show_the_others(root: Path) -> None:
    save(root / "train/good/big.png", part(50, (200, 300)))
    finding = only(open_dataset(root))
    assert "2 different sizes" in finding.what
    assert "128 × 96 pixels (12 of 13)" in finding.what
    assert names(finding) == ["train/good/big.png"]


def test_that_where_no_size_is_usual_no_image_is_the_odd_one(root: Path) -> None:
    for number in range(12):
        save(root / f"train/good/{number + 100}.png", part(number, (200 + number, 300 - number)))
    finding = only(open_dataset(root))
    assert "13 different sizes; 128 to 300 pixels wide and 96 to 211 high" in finding.what
    assert names(finding) == []


def test_that_exact_copies_are_found_whatever_their_name(root: Path) -> None:
    for name in ("copy of 004.png", "x/again.png"):
        path = root / "train/good" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((root / "train/good/004.png").read_bytes())
    finding = only(open_dataset(root))
    assert finding.severity == "warning"
    assert "2 good images are exact copies" in finding.what
    assert sorted(names(finding)) == ["train/good/copy of 004.png", "train/good/x/again.png"]


def test_that_an_image_saved_again_is_a_near_duplicate(root: Path) -> None:
    save(root / "train/good/again.jpg", part(4), quality=90)
    finding = only(open_dataset(root))
    assert "1 pair of good images can hardly be told apart" in finding.what
    assert names(finding) == ["train/good/again.jpg"]


def test_that_parts_that_look_alike_are_no_near_duplicates(tmp_path: Path) -> None:
    for number in range(12):  # the same part, put down a pixel further each time, with the noise of a camera
        noise = np.random.default_rng(number).normal(0, 2, (192, 256, 3))
        placed = np.roll(part(0, (192, 256)), number, axis=1)
        save(tmp_path / f"{number}.png", np.clip(placed + noise, 0, 255).astype(np.uint8))
    assert check(open_dataset(tmp_path)) == ()
    flat = np.full((128, 128, 3), 128.0)
    images = [np.clip(flat + np.random.default_rng(n).normal(0, 3, flat.shape), 0, 255) for n in range(12)]
    thumbnails = [np.asarray(Image.fromarray(i.astype(np.uint8)).convert("L").resize((64, 64))) for i in images]
    assert find_near_duplicates(thumbnails, lambda: None) == ()


def test_that_images_both_good_and_test_are_errors(root: Path) -> None:
    (root / "test/good/other name.png").write_bytes((root / "train/good/007.png").read_bytes())
    finding = only(open_dataset(root))
    assert finding.severity == "error"
    assert "1 test image is also among the good images" in finding.what
    assert "test/good/other name.png is train/good/007.png" in finding.what
    assert names(finding) == ["test/good/other name.png"]


def test_that_a_test_image_saved_again_from_a_good_one_is_warned_of(root: Path) -> None:
    save(root / "test/good/again.jpg", part(7), quality=90)
    finding = only(open_dataset(root))
    assert finding.severity == "warning"
    assert "test/good/again.jpg is train/good/007.png" in finding.what


def test_that_a_serial_number_on_both_sides_is_warned_of(root: Path) -> None:
    save(root / "train/good/exp1_num_301474.png", part(60))
    save(root / "test/good/exp1_num_301474.png", part(61))
    finding = only(open_dataset(root))
    assert finding.severity == "warning"
    assert "1 file name with a serial number" in finding.what
    assert names(finding) == ["test/good/exp1_num_301474.png"]


def test_that_checking_reports_every_image_and_can_be_cancelled(root: Path) -> None:
    seen: list[Progress] = []
    check(open_dataset(root), report=seen.append)
    assert seen == [Progress(Phase.READING, done, 16) for done in range(1, 17)]
    token = CancelToken()

    def cancel_at_three(progress: Progress) -> None:
        if progress.done == 3:
            token.cancel()

    seen.clear()
    with pytest.raises(CancelledByUser):
        check(open_dataset(root), report=cancel_at_three, cancel=token)


def test_that_copies_are_grouped_and_only_files_of_equal_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"aa", b"bb", b"aa", b"ccc", b"", b"", b"bb", b"aa"]
    paths = [tmp_path / str(index) for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    read: list[Path] = []
    real = Path.open

    def spy(path: Path, mode: str) -> IO[Any]:
        read.append(path)
        return real(path, mode)

    monkeypatch.setattr(Path, "open", spy)
    assert find_copies([*paths, tmp_path / "gone"], lambda: None) == ((0, 2, 7), (1, 6))
    assert set(read) == {paths[index] for index in (0, 1, 2, 6, 7)}


def test_that_near_duplicates_agree_with_comparing_every_pair() -> None:
    chance = np.random.default_rng(3)
    thumbnails: list[NDArray[np.uint8] | None] = []
    for seed in range(60):
        pixels = np.asarray(Image.fromarray(part(seed % 40, (48, 64))).convert("L"))
        wobble = chance.choice([0, 0, 1], pixels.shape) * (seed % 3)
        thumbnails.append(np.clip(pixels + wobble, 0, 255).astype(np.uint8))
    thumbnails[5] = None
    thumbnails[50] = np.ascontiguousarray(np.asarray(thumbnails[10]).T)  # of another shape
    expected = []
    for i, first in enumerate(thumbnails):
        for j, second in enumerate(thumbnails[:i]):
            if first is None or second is None or first.shape != second.shape:
                continue
            bits = [np.asarray(Image.fromarray(t).resize((17, 16), Image.Resampling.BOX)) for t in (first, second)]
            distance = ((bits[0][:, :-1] < bits[0][:, 1:]) != (bits[1][:, :-1] < bits[1][:, 1:])).sum()
            if distance <= 2 and np.abs(first.astype(float) - second).mean() < 0.5:
                expected.append((j, i))
    assert find_near_duplicates(thumbnails, lambda: None) == tuple(sorted(expected))
    assert len(expected) >= 5


def test_that_thousands_of_thumbnails_are_compared_quickly() -> None:
    chance = np.random.default_rng(0)
    many: list[NDArray[np.uint8] | None] = [chance.integers(0, 256, (16, 64), dtype=np.uint8) for _ in range(3000)]
    start = time.perf_counter()
    assert find_near_duplicates(many, lambda: None) == ()
    assert time.perf_counter() - start < 10  # all means within one grey level: the worst case; about 1 s
