"""`cfa train`: what it writes, says and refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.cli import work as cli_work
from core.model_file import load_model
from tests.core.cli_runs import (
    GOOD,
    TRAIN_OPTIONS,
    Command,
    files,
    picture,
    write,
    write_dataset,
)


def test_that_training_writes_one_model_and_says_what_it_is(cfa: Command, parts: Path, tmp_path: Path) -> None:
    done = cfa("train", parts, "--out", tmp_path / "part.cfa", "--test", parts, *TRAIN_OPTIONS)
    assert done.status == 0
    for said in ("part.cfa", "40 images", "40 good images", "at most 5 %", "Image AUROC", "AUPRO", "Pixel AUROC"):
        assert said in done.out
    assert "━" not in done.out
    for phase in ("Reading", "Features", "Memory bank", "Training", "held out 2 of 2", "Calibrating", "Inspecting"):
        assert phase in done.err
    assert list(files(tmp_path)) == ["part.cfa"]
    assert len(load_model(tmp_path / "part.cfa").calibration.scores) == GOOD


def test_that_training_says_which_defects_it_does_not_learn_from(cfa: Command, parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts / "train/good", tmp_path / "day/OK")
    shutil.copytree(parts / "test", tmp_path / "day/NG")
    done = cfa("train", tmp_path / "day", "--out", tmp_path / "day.cfa", *TRAIN_OPTIONS, "--holdout", "0")
    count = sum(1 for _ in (tmp_path / "day/NG").rglob("*.png"))
    assert f"Not learned from, by the folders' names: {count} images (NG)." in done.err
    learned = sum(1 for _ in (tmp_path / "day/OK").rglob("*.png"))
    assert f"{learned} images, seed 0" in done.out


def test_that_training_prints_one_json_object_for_machines(cfa: Command, parts: Path, tmp_path: Path) -> None:
    done = cfa("train", parts, "--out", tmp_path / "part.cfa", "--test", parts, *TRAIN_OPTIONS, "--seed", "1", "--json")
    assert done.status == 0
    assert done.json["model"] == str(tmp_path / "part.cfa")
    assert done.json["config"]["training"]["seed"] == 1
    assert done.json["summary"]["images"] == done.json["calibration"]["images"] == GOOD
    assert done.json["threshold"]["policy"] == {"kind": "false_alarm_rate", "rate": 0.05, "images": GOOD}
    assert done.json["evaluation"]["image_auroc"] == 1.0


def test_that_every_option_of_training_reaches_the_model(cfa: Command, parts: Path, tmp_path: Path) -> None:
    options = "--image-size 48 --bank mean --bank-ratio 2 --descriptor-ratio 4 --epochs 2 --holdout 0.25 --seed 7"
    options += (
        " --light-variation 0.1 --blur-variation 0.01 --position-variation 0.05 --angle-variation 3 --calibration split"
    )
    done = cfa("train", parts, "--out", tmp_path / "part.cfa", "--backbone", "lite0", *options.split(), "--json")
    assert done.status == 0
    config = load_model(tmp_path / "part.cfa").config
    assert (config.preprocessing.image_size, config.backbone) == (48, "lite0")
    assert (config.method.bank.value, config.method.bank_ratio, config.method.descriptor_ratio) == ("mean", 2, 4)
    assert (config.training.epochs, config.training.holdout, config.training.seed) == (2, 0.25, 7)
    assert (config.training.light_variation, config.training.position_variation) == (0.1, 0.05)
    assert (config.training.angle_variation, config.training.blur_variation) == (3.0, 0.01)
    assert config.training.calibration.value == "split"


@pytest.mark.parametrize("as_json", [False, True])
def test_that_unreadable_images_among_many_are_named_skipped_and_counted(
    as_json: bool, cfa: Command, tmp_path: Path
) -> None:
    for i in range(6):
        write(tmp_path / f"good/{i}.png", picture(i))
    (tmp_path / "good/text.png").write_text("a text file")
    whole = (tmp_path / "good/0.png").read_bytes()
    (tmp_path / "good/cut\n[red].png").write_bytes(whole[: len(whole) // 2])
    options = ["--holdout", "0", "--image-size", "48", "--preset", "fast", *(["--json"] if as_json else [])]
    done = cfa("train", tmp_path / "good", "--out", tmp_path / "part.cfa", *options)
    assert done.status == 0
    if as_json:
        assert done.json["summary"]["images"] == 6
        assert sorted(skip["name"] for skip in done.json["summary"]["skipped"]) == ["cut\n[red].png", "text.png"]
    else:
        assert "6 images" in done.out
        assert "text.png: " in done.out
        assert "cut\\n[red].png: " in done.out


def empty(tmp: Path) -> tuple[object, ...]:
    (tmp / "empty").mkdir()
    return tmp / "empty", "--out", tmp / "part.cfa"


def unreadable(tmp: Path) -> tuple[object, ...]:
    (tmp / "bad").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp / "bad" / name).write_text("a text file")
    return tmp / "bad", "--out", tmp / "part.cfa"


def into(place: str) -> Callable[[Path], tuple[object, ...]]:
    def arguments(tmp: Path) -> tuple[object, ...]:
        write(tmp / "good/a.png", picture(0))
        (tmp / "file").write_text("old")
        return tmp / "good", "--out", tmp / place

    return arguments


def sharing(tmp: Path) -> tuple[object, ...]:
    root = write_dataset(tmp / "set", good=3)
    shutil.copy(root / "train/good/01.png", root / "test/good/copy.png")
    return root, "--out", tmp / "part.cfa"


def sharing_with_test(tmp: Path) -> tuple[object, ...]:
    root = write_dataset(tmp / "set", good=3)
    shutil.copytree(root / "train/good", tmp / "good")
    shutil.copy(root / "train/good/01.png", root / "test/good/copy.png")
    return tmp / "good", "--test", root, "--out", tmp / "part.cfa"


def with_options(*options: str) -> Callable[[Path], tuple[object, ...]]:
    return lambda tmp: (*into("part.cfa")(tmp), *options)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (empty, 1, "There are no images in"),
        (unreadable, 1, "None of the"),
        (lambda tmp: (tmp / "missing", "--out", tmp / "part.cfa"), 1, "There is no folder"),
        (into("good"), 1, "is a folder; name a file in it"),
        (into("good/a.png"), 1, "is one of the images"),
        (into("file/part.cfa"), 1, "cannot be written: Not a directory"),
        (into("missing/part.cfa"), 1, "Make it first"),
        (lambda tmp: (*into("x")(tmp)[:1], "--out", "/proc/part.cfa"), 1, "cannot be written"),
        (sharing, 1, "also among the good images"),
        (sharing_with_test, 1, "also among the good images"),
        (lambda tmp: (*into("part.cfa")(tmp), "--test", tmp / "good"), 1, "is labelled"),
        (lambda tmp: (*into("part.cfa")(tmp), "--weights", tmp / "w.pth"), 1, "There is no weights file"),
        (with_options("--device", "cuda"), 1, "no usable CUDA device"),
        (with_options("--epochs", "-1"), 2, "The number of epochs is -1"),
        (with_options("--holdout", "0.9"), 2, "The hold-out share is 0.9"),
        (with_options("--holdout", "nan"), 2, "holdout is nan"),
        (with_options("--image-size", "5"), 2, "The image size is 5"),
        (with_options("--bank-ratio", "0"), 2, "The bank ratio is 0"),
        (with_options("--preset", "paper", "--image-size", "64"), 2, "The crop (224) is larger"),
        (with_options("--backbone", "no_such_net"), 2, "There is no backbone 'no_such_net'"),
    ],
)
def test_that_bad_input_to_training_gives_one_sentence_and_leaves_nothing(
    arguments: Callable[[Path], tuple[object, ...]],
    status: int,
    sentence: str,
    as_json: bool,
    cfa: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    given = arguments(tmp_path)
    before = files(tmp_path)
    done = cfa("train", *given, *(["--json"] if as_json else []))
    assert done.status == status
    done.assert_one_sentence(sentence)
    if as_json:
        assert done.json.keys() == {"error"}
        assert sentence in done.json["error"]
    else:
        assert done.out == ""
    assert files(tmp_path) == before


def test_that_a_place_that_cannot_be_written_is_told_before_the_training(
    cfa: Command, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_work, "train_model", None)
    done = cfa("train", parts, "--out", tmp_path / "missing/part.cfa")
    assert done.status == 1
    done.assert_one_sentence("Make it first")
