import argparse
import json
from pathlib import Path

import pytest
import torch

from benchmarks import speed_cuda
from core.config import Config

training_of = speed_cuda.training_of


def small(backbone: str) -> Config:
    return training_of(backbone).with_changes(image_size=64, bank_ratio=4)


def test_that_without_a_device_a_sentence_says_so_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch finds none here") as told:
        speed_cuda.main(["--out", str(tmp_path / "speed.json")])
    assert told.value.code != 0
    assert not list(tmp_path.iterdir())


def test_that_it_runs_through_and_a_cpu_gives_the_scores_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"DIFFERENT": 4, "PASSES": 2, "PARITY": 2, "TRAINED_ON": 4, "EPOCHS": 1, "WARM_UP": 1}.items():
        monkeypatch.setattr(speed_cuda, name, value)
    monkeypatch.setattr(speed_cuda, "training_of", small)
    asked = argparse.Namespace(
        backbones=["lite0"], ratios=[4], sizes=[64], batches=[2, 4], rounds=2, training=True, device="cpu"
    )
    found = json.loads(json.dumps(speed_cuda.measure(asked, torch.device("cpu"))))
    (row,), (training,) = found["inspection"], found["training"]
    assert row["largest difference of a score from the CPU's"] < 1e-4
    assert set(row["batch 1, ms"]) == {"whole", "backbone, float32", "backbone, TF32", "published"}
    assert all(value > 0 for value in (*row["batch 1, ratios"].values(), *row["images/s"].values()))
    assert set(row["images/s"]) == {"2", "4"}
    assert sum(training["by phase"].values()) + training["after the last step"] == pytest.approx(
        training["seconds"], abs=0.1
    )
    assert training["published / ours"] > 0
    speed_cuda.show(found)
    assert torch.__version__ in capsys.readouterr().out
