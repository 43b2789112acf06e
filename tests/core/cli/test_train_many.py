"""`cfa train-many`: a model for each data set, each in a process of its own."""

import shutil
import sys
from pathlib import Path

import pytest

from core.model_file import identity, load_model
from tests.core.cli_runs import Command, write_dataset
from tests.core.line.watched import read_table

OPTIONS = ("--preset", "fast", "--image-size", "64", "--epochs", "1", "--device", "cpu")


def test_that_each_data_set_gives_the_model_of_cfa_train_and_one_that_fails_stops_no_other(
    cfa: Command, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "plant/bottle", good=6)
    (tmp_path / "plant/broken/train/good").mkdir(parents=True)
    (tmp_path / "plant/broken/train/good/a.png").write_text("no picture")
    end = cfa("train-many", tmp_path / "plant", "--out", tmp_path / "models", *OPTIONS, "--jobs", "2", "--test")
    assert end.status == 1
    end.assert_one_sentence("1 of 2 failed: broken", "summary.csv")
    rows = {row["name"]: row for row in read_table(tmp_path / "models/summary.csv")}
    assert rows.keys() == {"bottle", "broken"}
    assert rows["broken"]["state"] == "failed"
    assert rows["broken"]["message"]
    assert rows["bottle"]["state"] == "trained"
    assert (int(rows["bottle"]["images"]), int(rows["bottle"]["held_out"])) == (6, 6)
    assert float(rows["bottle"]["image_auroc"]) > 0.5
    alone = cfa("train", tmp_path / "plant/bottle", "--out", tmp_path / "alone.cfa", *OPTIONS)
    assert alone.status == 0, alone.err
    assert identity(load_model(tmp_path / "models/bottle.cfa")) == identity(load_model(tmp_path / "alone.cfa"))


def test_that_what_is_there_is_left_when_resumed(cfa: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "bottle", good=4)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/bottle.cfa").write_bytes(b"a model")
    end = cfa("train-many", tmp_path / "bottle", "--out", tmp_path / "models", *OPTIONS, "--resume", "--json")
    assert end.status == 0, end.err
    assert [model["state"] for model in end.json["models"]] == ["left"]
    assert (tmp_path / "models/bottle.cfa").read_bytes() == b"a model"


def test_that_two_data_sets_of_one_name_are_refused(cfa: Command, tmp_path: Path) -> None:
    for plant in ("one", "Two"):
        write_dataset(tmp_path / plant / "bottle", good=1)
    end = cfa("train-many", tmp_path / "one/bottle", tmp_path / "Two/bottle", "--out", tmp_path / "models", *OPTIONS)
    assert end.status == 2
    end.assert_one_sentence("bottle.cfa")
    assert not (tmp_path / "models").exists()


def test_that_a_crash_of_one_training_is_told_with_its_status(
    cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "bottle", good=4)
    false = shutil.which("false")
    if false is None:
        pytest.skip("there is no program `false`")
    monkeypatch.setattr(sys, "executable", false)
    end = cfa("train-many", tmp_path / "bottle", "--out", tmp_path / "models", *OPTIONS)
    assert end.status == 1
    assert "status 1" in read_table(tmp_path / "models/summary.csv")[0]["message"]
