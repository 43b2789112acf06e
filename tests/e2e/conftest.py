"""Tiny parts and a model of them; and the same checks as for the window's own tests.

No thread, timer or widget is left, no word of Qt's is overheard.
"""

from pathlib import Path

import pytest

from tests.cfa_gui.conftest import few_objects, no_leaks, pytest_configure
from tests.e2e.desk import write_data_set

__all__ = ["few_objects", "no_leaks", "pytest_configure"]


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data") / "parts")


@pytest.fixture(scope="session")
def saved_model(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the tiny parts, made without a window."""
    from core.dataset import open_dataset
    from core.model_file import save_model
    from core.presets import preset
    from core.training import train

    path = tmp_path_factory.mktemp("model") / "part.cfa"
    config = preset("standard").with_changes(image_size=64, epochs=1)
    save_model(train(open_dataset(data_set).good, config, device="cpu"), path)
    return path
