"""What the tests of every command need."""

from pathlib import Path

import pytest

from tests.core.cli_runs import Command, model_in, write_dataset


@pytest.fixture
def cfa(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of good and defective parts."""
    return write_dataset(tmp_path_factory.mktemp("data") / "parts")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file, alone in its folder."""
    (tmp_path / "model").mkdir()
    return model_in(tmp_path / "model")
