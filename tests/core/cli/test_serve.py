"""`cfa serve`: what it refuses before it serves."""

import sys
from pathlib import Path

import pytest

from core.line.service.token import VARIABLE
from core.model_file import load_model, save_model
from tests.core.cli_runs import Command, model_in


@pytest.fixture
def cfa(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv(VARIABLE, raising=False)
    return Command(capsys)


def test_that_listening_to_other_machines_without_a_token_is_refused(cfa: Command, tmp_path: Path) -> None:
    result = cfa("serve", model_in(tmp_path), "--host", "0.0.0.0", "--port", 0)
    assert result.status == 2
    result.assert_one_sentence("0.0.0.0 is reached from other machines", "--token-file", "CFA_TOKEN")


def test_that_a_missing_extra_is_named(cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = cfa("serve", model_in(tmp_path), "--port", 0)
    assert result.status == 1
    result.assert_one_sentence("needs fastapi", 'pip install "cfa-gui[serve]"')


def test_that_two_models_of_one_name_are_refused(cfa: Command, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    result = cfa("serve", model_in(tmp_path), model_in(tmp_path), "--port", 0)
    assert result.status == 2
    result.assert_one_sentence("Two models have the name part")


def test_that_a_model_without_a_threshold_is_refused(cfa: Command, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    model = model_in(tmp_path)
    save_model(load_model(model).with_threshold(None), model)
    result = cfa("serve", model, "--port", 0, "--device", "cpu")
    assert result.status == 1
    result.assert_one_sentence("part.cfa has no threshold yet", "cfa threshold")


def test_that_a_missing_model_is_told(cfa: Command, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    result = cfa("serve", tmp_path / "none.cfa", "--port", 0)
    assert result.status == 1
    result.assert_one_sentence("There is no model file", "none.cfa")
