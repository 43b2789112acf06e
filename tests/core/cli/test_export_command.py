"""`cfa export` as it is typed."""

import json
from pathlib import Path

from core.model_file import load_model, save_model
from tests.core.cli_runs import Command, write_dataset


def test_that_an_export_says_what_was_compared_and_what_was_written(cfa: Command, model: Path, tmp_path: Path) -> None:
    parts = write_dataset(tmp_path / "parts", good=1)
    out = tmp_path / "out"
    done = cfa("export", model, "--format", "torchscript", "--out", out, "--check", parts, "--json")
    assert done.status == 0, done.err
    assert done.json["files"] == ["model.pt", "run.py", "model.json"]
    assert done.json["parity"]["images"] == 10 and done.json["parity"]["holds"]
    assert done.json["parity"]["largest"]["relative"] < 1e-3 and done.json["parity"]["flips"] == []
    assert json.loads((out / "model.json").read_text())["parity"]["images"] == 10


def test_that_an_export_without_images_says_that_the_check_is_of_drawn_ones(
    cfa: Command, model: Path, tmp_path: Path
) -> None:
    done = cfa("export", model, "--format", "torchscript", "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert "Checked on images drawn from the model's seed alone" in done.err
    assert "On 8 drawn images" in done.out and "0 verdicts differ" in done.out
    assert "Exporting" in done.err and "Checking" in done.err and "Warning" not in done.err


def test_that_a_model_without_a_threshold_is_refused(cfa: Command, model: Path, tmp_path: Path) -> None:
    save_model(load_model(model).with_threshold(None), model)
    done = cfa("export", model, "--format", "torchscript", "--out", tmp_path / "out")
    assert done.status == 1
    done.assert_one_sentence("no threshold yet")
    assert not (tmp_path / "out").exists()


def test_that_an_unknown_format_is_wrong_use(cfa: Command, model: Path, tmp_path: Path) -> None:
    done = cfa("export", model, "--format", "coreml", "--out", tmp_path / "out")
    assert done.status == 2
    assert "'coreml'" in done.err
