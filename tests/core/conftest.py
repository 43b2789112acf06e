"""A model trained once on tiny pictures. torch is imported only by the tests that ask for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from core.config import Config
from core.samples import Sample
from tests.core.parts import TINY, write_parts

if TYPE_CHECKING:
    from core.backbone import Backbone
    from core.trained_model import TrainedModel


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Twelve good parts of 32 x 32 pixels."""
    return write_parts(tmp_path_factory.mktemp("parts"), [(32, 32)] * 12)


@pytest.fixture(scope="session")
def backbone() -> "Backbone":
    """The embedded backbone with its weights. It is frozen and stateless: every model may share it."""
    from core.backbone import build_backbone

    return build_backbone("lite0")


@pytest.fixture
def shared_backbone(backbone: "Backbone", monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings take the session's backbone instead of reading the weights again."""
    from core import training

    def take(_name: str, _weights: object = None) -> "Backbone":
        return backbone

    monkeypatch.setattr(training, "build_backbone", take)


@pytest.fixture(scope="session")
def trained(parts: tuple[Sample, ...]) -> "TrainedModel":
    """A model trained by the real path on the tiny parts; do not change it."""
    from core.training import train

    return train(parts, TINY, device="cpu")


@pytest.fixture
def trained_with(
    parts: tuple[Sample, ...], shared_backbone: None, request: pytest.FixtureRequest
) -> "Callable[..., TrainedModel]":
    """Train on the tiny parts with single settings changed."""
    from core.training import train

    def run(**changes: object) -> "TrainedModel":
        config: Config = TINY.with_changes(**changes)
        return train(parts, config, device="cpu")

    return run
