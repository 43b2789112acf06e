"""No step of scoring or training waits for the device or leaves it, seen on a device that is not there."""

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

from core.config import Score
from core.cuda import kernels
from core.cuda.network import PooledMaps
from core.cuda.scoring import BatchScorer
from core.cuda.training import DeviceSearch
from core.inspection import Inspector
from core.training_steps import gradients
from tests.core.cuda.fake_device import CUDA, META, StaysThere, fake, moved
from tests.core.cuda.test_scoring import HOLE, RIGHT, model
from tests.core.parts import TINY, WHOLE_64, picture


@pytest.fixture(autouse=True)
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """It compiles for real devices alone."""
    monkeypatch.setattr(kernels, "triton_kernels", lambda *, cuda: None)


@pytest.mark.parametrize("score", list(Score))
@pytest.mark.parametrize("backbone", ["lite0", "resnet18"])
def test_that_scoring_stays_on_the_device_from_pixels_to_maps(score: Score, backbone: str) -> None:
    trained = model(WHOLE_64.with_changes(score=score, backbone=backbone, regions=(RIGHT, HOLE)))
    (place_of,), (canvas,) = Inspector(trained, device="cpu")._prepared(picture(0, 56, 73))
    scorer = BatchScorer(trained.network, trained.config.method, torch.device("cpu"))
    if backbone == "resnet18":
        scorer._pooled = PooledMaps(trained.network.backbone, torch.device("cpu"), splits=True)
        assert scorer._pooled.splits
    maker = scorer._size(place_of).maker
    with fake(), torch.no_grad():
        moved(scorer, CUDA)
        moved(maker, CUDA)
        images = torch.empty(3, *canvas.shape, dtype=torch.uint8, device=CUDA)
        with StaysThere(CUDA):
            maps, scores = scorer._compute(images, maker)
        assert maps.shape == (3, *place_of.inspected.shape)
        assert scores.shape == (3,)
        with pytest.raises(DataDependentOutputException):
            scores[0].item()  # so would a wait anywhere above


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_that_a_step_of_training_stays_on_the_device(share: float) -> None:
    config = TINY.with_changes(hard_negatives=5)
    network = copy.deepcopy(model(config).network)
    with torch.no_grad():
        pyramid = network.pyramid(torch.zeros(4, 32, 64, 3, dtype=torch.uint8))
    valid = torch.rand(4, 8, 16, generator=torch.Generator().manual_seed(0)) < share
    chosen = valid.flatten().nonzero()[:, 0] if share < 1 else None
    network.requires_grad_()
    patches = int(valid.sum())
    with fake():
        moved(network, CUDA)
        search = DeviceSearch(network.bank, config.method.neighbours + config.method.hard_negatives)
        with StaysThere(CUDA):
            distances = search.of_chosen(moved(pyramid, CUDA), network.descriptor, moved(chosen, CUDA))
        assert distances.shape == (patches, 8)
    moved(network, META)
    search = DeviceSearch(network.bank, config.method.neighbours + config.method.hard_negatives)
    with StaysThere(META):
        distances = search.of_chosen(moved(pyramid, META), network.descriptor, moved(chosen, META))
        figures = gradients(network, distances, config.method)
    assert figures.shape == (6,)
    for parameter in (*network.descriptor.parameters(), network.radius):
        assert parameter.grad is not None
        assert parameter.grad.device == META
