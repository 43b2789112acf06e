import errno
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from core.cli import output as cli_output
from core.cli import work as cli_work
from core.images import read_image
from core.inspection import Inspector
from core.model_file import load_model, save_model
from core.presets import PRESETS
from core.progress import CancelToken
from core.sample_parts import SAMPLE_PARTS_GOOD, make_sample_parts
from core.threshold import BestF1, manual_threshold
from core.trained_model import Skipped
from tests.core.cli_runs import (
    GOOD,
    HELD_OUT,
    TRAIN_OPTIONS,
    Command,
    files,
    model_bytes,
    picture,
    write,
    write_dataset,
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("train", "good"),
        ("train", "good", "--out", "x", "--preset", "slow"),
        ("train", "good", "--out", "x", "--bank", "swiss"),
        ("train", "good", "--out", "x", "--epochs", "many"),
        ("train", "good", "--out", "x", "--device", "tpu"),
        ("train", "good", "--out", "x", "--surprise"),
        ("inspect", "part.cfa"),
        ("inspect", "part.cfa", "a.png", "--threshold", "high"),
        ("inspect", "part.cfa", "a.png", "--threshold", "nan"),
        ("threshold", "part.cfa"),
        ("threshold", "part.cfa", "--value", "1", "--false-alarms", "0.1"),
        ("threshold", "part.cfa", "--f1", "parts", "--false-alarms", "0.1"),
        ("threshold", "part.cfa", "--false-alarms", "2"),
        ("threshold", "part.cfa", "--false-alarms", "0"),
        ("threshold", "part.cfa", "--false-alarms", "nan"),
        ("threshold", "part.cfa", "--value", "inf"),
        ("evaluate", "part.cfa"),
        ("samples", "x", "--seed", "-1"),
        ("teleport",),
    ],
    ids=" ".join,
)
def test_that_wrong_use_ends_with_2_and_nothing_on_standard_output(arguments: tuple[str, ...], cfa: Command) -> None:
    done = cfa(*arguments)
    assert done.status == 2
    assert done.out == ""
    done.assert_one_sentence()


def test_that_a_full_disk_loses_nothing_but_the_new_model(
    cfa: Command, parts: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for arguments in (
        ("train", parts, "--out", model, *TRAIN_OPTIONS, "--holdout", "0"),
        ("threshold", model, "--value", "1"),
    ):
        done = cfa(*arguments)
        assert done.status == 1
        done.assert_one_sentence("cannot be written: No space left on device")
        assert files(model.parent) == {"part.cfa": model_bytes()}


@pytest.mark.parametrize("command", ["inspect", "evaluate", "threshold", "info"])
@pytest.mark.parametrize("as_json", [False, True])
def test_that_a_missing_or_damaged_model_is_refused_in_a_sentence(
    command: str, as_json: bool, cfa: Command, parts: Path, tmp_path: Path
) -> None:
    of_command: dict[str, list[object]] = {"inspect": [parts], "evaluate": [parts], "threshold": ["--value", "1"]}
    extra = of_command.get(command, [])
    (tmp_path / "short.cfa").write_bytes(model_bytes()[:-100])
    for name, sentence in (("missing.cfa", "There is no model file"), ("short.cfa", "is damaged")):
        done = cfa(command, tmp_path / name, *extra, *(["--json"] if as_json else []))
        assert done.status == 1
        done.assert_one_sentence(sentence)
        assert (sentence in done.json["error"]) if as_json else done.out == ""
    assert list(files(tmp_path)) == ["short.cfa"]


def test_that_an_evaluation_gives_shares_and_changes_nothing(cfa: Command, parts: Path, model: Path) -> None:
    figures = cfa("evaluate", model, parts, "--json").json
    assert {"image_auroc", "pixel_auroc", "aupro", "f1_max"} <= figures.keys()
    assert all(0 <= figures[name] <= 1 for name in ("image_auroc", "pixel_auroc", "aupro", "f1_max", "recall"))
    assert (figures["good"], figures["defects"], figures["masks"]) == (5, 5, 5)
    printed = cfa("evaluate", model, parts)
    assert printed.status == 0
    assert "Image AUROC               1.0000" in printed.out
    assert model.read_bytes() == model_bytes()


def test_that_an_evaluation_says_null_where_the_images_do_not_tell(cfa: Command, model: Path, tmp_path: Path) -> None:
    """A folder with `good` beside the kinds of defects, and no masks, is enough; here one image cannot be read."""
    write(tmp_path / "shots/good/a.png", picture(500))
    write(tmp_path / "shots/Scratch/deep/b.png", picture(501, defect=True))
    (tmp_path / "shots/good/c.png").write_text("a text file")
    figures = cfa("evaluate", model, tmp_path / "shots", "--json").json
    assert (figures["good"], figures["defects"], figures["failed"]) == (1, 1, 1)
    assert figures["skipped"][0]["name"] == "good/c.png"
    assert figures["image_auroc"] == 1.0
    assert figures["pixel_auroc"] is None
    printed = cfa("evaluate", model, tmp_path / "shots").out
    assert "good/c.png: " in printed
    assert "Pixel AUROC               -" in printed
    done = cfa("evaluate", model, tmp_path / "shots/good")
    assert done.status == 1
    done.assert_one_sentence("No image in", "is labelled")


def test_that_a_threshold_is_set_by_hand(cfa: Command, model: Path) -> None:
    done = cfa("threshold", model, "--value", "1.25")
    assert (done.status, done.out) == (
        0,
        "Threshold 1.25. Set by hand. It flags none of 20 held-out good images.\n",
    )
    assert load_model(model).threshold == manual_threshold(1.25)
    assert list(files(model.parent)) == ["part.cfa"]


def test_that_a_threshold_promises_a_false_alarm_rate(cfa: Command, model: Path) -> None:
    done = cfa("threshold", model, "--false-alarms", "0.1", "--json")
    scores = sorted(done.json["calibration"]["scores"])
    assert done.json["threshold"]["value"] == scores[18]  # ceil(21 * 0.9) = 19th smallest of 20
    stored = load_model(model).threshold
    assert stored is not None
    assert stored.value == scores[18]


def test_that_a_threshold_is_fitted_to_labelled_images(cfa: Command, model: Path, parts: Path) -> None:
    done = cfa("threshold", model, "--f1", parts, "--json")
    assert done.status == 0
    assert done.json["threshold"]["policy"] == {"kind": "best_f1", "images": 10, "f1": 1.0}
    counts = cfa("inspect", model, parts, "--json").json["counts"]
    assert counts == {"defect": 5, "uncertain": 0, "good": 5, "error": 0}


def test_that_defects_alone_set_the_best_f1_beside_what_was_held_out(cfa: Command, model: Path, tmp_path: Path) -> None:
    write(tmp_path / "shots/NG/d.png", picture(2, defect=True))
    done = cfa("threshold", model, "--f1", tmp_path / "shots")
    assert done.status == 0
    assert "no image is good: 20 held-out good images stand for the good ones" in done.err
    line = load_model(model).threshold
    assert line is not None
    assert line.policy == BestF1(21, 1.0)
    assert line.value > max(load_model(model).calibration.scores)


def test_that_what_the_held_out_images_cannot_promise_is_refused(cfa: Command, model: Path) -> None:
    done = cfa("threshold", model, "--false-alarms", "0.001")
    assert done.status == 1
    done.assert_one_sentence("20 held-out good images can promise", "4.8 % at best", "0.1 % needs 999")
    assert model.read_bytes() == model_bytes()


def test_that_labelled_images_that_cannot_be_read_set_no_threshold(cfa: Command, model: Path, tmp_path: Path) -> None:
    for name in ("good/a.png", "bad/b.png"):
        (tmp_path / "shots" / name).parent.mkdir(parents=True)
        (tmp_path / "shots" / name).write_text("a text file")
    done = cfa("threshold", model, "--f1", tmp_path / "shots")
    assert done.status == 1
    done.assert_one_sentence("None of the 2 labelled images can be read")
    write(tmp_path / "shots/good/c.png", picture(1))
    assert cfa("threshold", model, "--f1", tmp_path / "shots").status == 1  # only good ones are left
    write(tmp_path / "shots/bad/d.png", picture(2, defect=True))
    done = cfa("threshold", model, "--f1", tmp_path / "shots", "--json")
    assert [skip["name"] for skip in done.json["skipped"]] == ["bad/b.png", "good/a.png"]


def test_that_info_tells_a_person_and_a_machine_the_same(cfa: Command, model: Path) -> None:
    content, printed = cfa("info", model, "--json").json, cfa("info", model).out
    assert content["summary"]["images"] == GOOD - HELD_OUT
    assert content["calibration"]["smallest_false_alarm_rate"] == pytest.approx(1 / 21)
    assert "a false-alarm rate of 4.77 % at best" in printed  # 4.76 % would promise too much
    assert content["threshold"]["in_words"] in printed
    assert "custom (settings of your own)" in printed


def test_that_an_ensemble_is_trained_described_and_inspected_with(cfa: Command, tmp_path: Path) -> None:
    root, model = write_dataset(tmp_path / "parts", good=12), tmp_path / "two.cfa"
    trained = cfa("train", root, *TRAIN_OPTIONS, "--second-scale", "1.5", "--out", model, "--json").json
    assert trained["config"]["preprocessing"]["second_scale"] == 1.5
    printed = cfa("info", model).out
    assert "once more at 96 × 96 (CFA++)" in printed
    assert "one centre per 4 patches, about as many for the second scale" in printed
    assert "Loss, scale 1" in printed and "Loss, scale 2" in printed
    rows = cfa("inspect", model, root / "test/dot", "--device", "cpu", "--json").json["results"]
    inspector = Inspector(load_model(model), device="cpu")
    for row in rows:
        alone = inspector.inspect(read_image(root / "test/dot" / row["path"]))
        assert row["score"] == pytest.approx(alone.score, rel=1e-6)
    assert not list(tmp_path.glob("*unfinished*"))


@pytest.mark.parametrize(
    ("preset", "backbone", "origin", "words"),
    [
        ("fast", "lite0", "ours", "our settings, not the paper's"),
        ("standard", "resnet18", "ours", "our settings, not the paper's"),
        ("thorough", "lite0", "ours", "our settings, not the paper's"),
        ("paper", "wide_resnet50_2", "paper", "the paper's settings, as published"),
        ("paper", "lite0", "paper", "as published, but for the backbone: lite0 is none of the paper's"),
    ],
)
def test_that_info_says_whose_settings_a_preset_has_and_what_they_are(
    preset: str, backbone: str, origin: str, words: str, cfa: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(PRESETS[preset], backbone=backbone)
    trained = replace(load_model(model), config=config, threshold=None)
    monkeypatch.setattr(cli_work, "load_model", lambda _: trained)
    content, printed = cfa("info", model, "--json").json, cfa("info", model).out
    assert content["preset"]["name"] == preset
    assert content["preset"]["origin"] == origin
    assert words in content["preset"]["in_words"]
    assert words in printed
    for said in ("pixels", "memory bank: ", "one centre per ", "K = ", "epoch", "held out"):
        assert said in content["preset"]["in_words"]
    assert f"none yet. Set one: cfa threshold {model}" in printed


def test_that_many_skipped_images_do_not_flood_the_terminal(cfa: Command, model: Path) -> None:
    trained = load_model(model)
    skipped = tuple(Skipped(f"{i}.png", "is damaged") for i in range(500))
    save_model(replace(trained, summary=replace(trained.summary, skipped=skipped)), model)
    printed = cfa("info", model).out
    assert printed.count("is damaged") == 20
    assert "and 480 more" in printed
    assert len(cfa("info", model, "--json").json["summary"]["skipped"]) == 500


@pytest.fixture
def few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(make_sample_parts, good=6, test_good=1, defects_per_kind=1)
    monkeypatch.setattr(cli_work, "make_sample_parts", few)


@pytest.mark.usefixtures("few_parts")
def test_that_samples_are_drawn_where_asked_and_nowhere_else(cfa: Command, tmp_path: Path) -> None:
    done = cfa("samples", tmp_path / "parts", "--json")
    assert (done.status, done.json) == (0, {"folder": str(tmp_path / "parts")})
    assert len(list((tmp_path / "parts/train/good").iterdir())) == 6
    (tmp_path / "file").touch()
    done = cfa("samples", tmp_path / "file" / "parts")
    assert done.status == 1
    done.assert_one_sentence("cannot be written")


@pytest.mark.usefixtures("few_parts")
def test_that_the_demo_does_the_main_job_and_prints_what_it_flagged(
    cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_work, "preset", lambda name: PRESETS[name].with_changes(image_size=128))
    done = cfa("demo", tmp_path / "demo", "--device", "cpu")
    assert done.status == 0
    assert "5 images: " in done.out
    assert re.search(r"^defect +\d+\.\d{4}  [a-z]+/000.jpg$", done.out, re.MULTILINE)
    written = files(tmp_path / "demo")
    assert {"sample-parts.cfa", "results.csv", "overlays/good/000.png"} <= written.keys()
    assert not any(".cfa-partial" in name or ".sample-parts-" in name for name in written)


def test_that_the_sample_parts_are_enough_to_promise_five_percent() -> None:
    assert round(SAMPLE_PARTS_GOOD * PRESETS["fast"].training.holdout) >= 19


def test_that_a_cancelled_command_says_so_and_leaves_nothing(
    cfa: Command, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = CancelToken()
    token.cancel()
    monkeypatch.setattr(cli_output, "_interrupted", token)
    for arguments in (
        ("train", parts, "--out", tmp_path / "part.cfa"),
        ("inspect", tmp_path / "part.cfa", parts, "--csv", tmp_path / "a.csv"),
        ("evaluate", tmp_path / "part.cfa", parts),
        ("threshold", tmp_path / "part.cfa", "--value", "1"),
        ("info", tmp_path / "part.cfa"),
        ("samples", tmp_path / "parts"),
    ):
        done = cfa(*arguments, "--json")
        assert done.status == 1
        assert done.err == "cfa: Cancelled. Nothing was left half-written.\n"
        assert done.json.keys() == {"error"}
        assert not files(tmp_path)


def test_that_the_version_and_help_are_printed(cfa: Command) -> None:
    assert cfa("--version").out.startswith("cfa ")
    for command in ("train", "inspect", "evaluate", "threshold", "info", "samples", "demo"):
        done = cfa(command, "--help")
        assert done.status == 0
        assert f"Usage: cfa {command}" in done.out
        assert max(map(len, done.out.splitlines())) <= 80
        assert command in cfa("--help").out
