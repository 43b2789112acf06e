"""What a stranger's model file may name is checked before memory for it is taken."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core import model_file
from core.errors import ModelFileError
from core.model_file import load_model
from core.model_header import MAX_TENSORS, parse, require_layout, require_shallow
from tests.core.cli_runs import model_bytes
from tests.core.test_model_file import Tensors, assembled, change, parts_of, put, refusal

GOOD = {
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
}


def test_that_tensors_that_fill_the_file_are_taken() -> None:
    require_layout(GOOD, 32)
    require_layout({"b": GOOD["b"], "a": GOOD["a"]}, 32)


@pytest.mark.parametrize(
    ("name", "entry", "room"),
    [
        ("a", {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, 33),
        ("a", {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, 24),
        ("a", {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 24]}, 32),
        ("a", {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]}, 32),
        ("a", {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 0]}, 32),
        ("a", {"dtype": "F32", "shape": [2, 3], "data_offsets": [4, 28]}, 32),
        ("a", {"dtype": "F32", "shape": [True, 6], "data_offsets": [0, 24]}, 32),
        ("a", {"dtype": "F32", "shape": [2.0, 3], "data_offsets": [0, 24]}, 32),
        ("a", {"dtype": "U8", "shape": [MAX_TENSORS + 1], "data_offsets": [0, MAX_TENSORS + 1]}, MAX_TENSORS + 9),
    ],
)
def test_that_a_tensor_of_another_size_than_its_place_is_refused(name: str, entry: dict[str, Any], room: int) -> None:
    with pytest.raises(ValueError, match=r"tensor|size|GB"):
        require_layout(GOOD | {name: entry}, room)


@pytest.mark.parametrize("entry", [None, 3, {}, {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}])
def test_that_an_entry_of_another_kind_is_refused(entry: object) -> None:
    with pytest.raises((LookupError, TypeError)):
        require_layout({"a": entry}, 4)


@pytest.mark.parametrize("text", ["[" * 13 + "]" * 13, '{"a":' * 13 + "1" + "}" * 13, "[", "]", "[}", "[" * 5_000_000])
def test_that_json_that_is_too_deep_or_open_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too deep"):
        require_shallow(text.encode())


@pytest.mark.parametrize("text", ["[" * 12 + "]" * 12, '{"[[[[[[[[[[[[[[": "\\"]]]]{{{{{{{{{{{{{{{"}', "1", '""'])
def test_that_brackets_in_texts_do_not_count(text: str) -> None:
    require_shallow(text.encode())


def test_that_a_header_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        parse(b"[1]")


def spoiled(spoil: Callable[[dict[str, Any], Tensors], None]) -> bytes:
    content, tensors = parts_of(model_bytes())
    spoil(content, tensors)
    return assembled(content, tensors)


def test_that_a_field_that_no_model_has_is_refused_by_name(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "a.cfa", spoiled(change("sur\nprise", to=1)))
    assert "has a field that no model has (sur�prise)" in sentence


def test_that_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A score that is no number would pass every part."""
    data = spoiled(put("bank", lambda bank: torch.full_like(bank, float("nan"))))
    assert "do not fit together" in refusal(tmp_path / "a.cfa", data)


def test_that_the_name_of_a_large_network_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("memory for the network was taken")

    data = spoiled(change("config", "backbone", to="wide_resnet50_2"))
    monkeypatch.setattr(model_file, "restore_backbone", forbidden)
    assert "do not fit together" in refusal(tmp_path / "a.cfa", data)


def test_that_a_tensor_as_large_as_the_disk_is_refused_before_it_is_read(tmp_path: Path) -> None:
    data = model_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["more"] = {"dtype": "U8", "shape": [2**40], "data_offsets": [len(data) - start, len(data) - start + 2**40]}
    text = json.dumps(header).encode()
    path = tmp_path / "a.cfa"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + len(data) - start + 2**40)  # sparse
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="its tensors do not fill it"):
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_that_a_header_beyond_the_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.cfa"
    with path.open("wb") as file:
        file.write((50_000_000).to_bytes(8, "little"))
        file.truncate(60_000_000)
    with pytest.raises(ModelFileError, match="it is no model file, or cut short"):
        load_model(path)
