"""The engine's cheap forms give the numbers of the published formulas, as `tests.core.published` transcribes them."""

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core import feature_scale, member_training, memory_bank, training
from core.backbone import Backbone
from core.config import Bank, DescriptorStart, FeatureScale, Score
from core.descriptor import Descriptor
from core.feature_scale import set_level_scale
from core.inspection import Inspector
from core.loss import cfa_loss
from core.model import CfaModel
from core.neighbours import distances_to_nearest
from core.samples import Sample
from core.scoring import anomaly_map, image_score
from core.training_steps import Features
from tests.core import published
from tests.core.parts import TINY, UNSCALED, WHOLE_64, write_parts


class Layout(NamedTuple):
    """What the authors take from one backbone."""

    channels: tuple[int, int, int]
    shrink: tuple[int, int, int] = (1, 2, 4)
    divide_by_channels: bool = False
    width_factor: int = 1


LAYOUTS = {
    "resnet18": Layout((64, 128, 256)),
    "wide_resnet50_2": Layout((256, 512, 1024)),
    "vgg19_bn": Layout((256, 512, 512), shrink=(1, 2, 8)),
    "efficientnet_b5": Layout((200, 192, 176), divide_by_channels=True, width_factor=2),
}
R = 0.9
"""With this radius, and distances about r squared, both terms of the loss count."""


class FixedMaps(nn.Module):
    """A backbone that gives the maps it is told to, whatever the images."""

    def __init__(self, layout: Layout, maps: list[Tensor]) -> None:
        super().__init__()
        self.channels, self.width_factor = layout.channels, layout.width_factor
        self.divide_by_channels = layout.divide_by_channels
        self.strides = tuple(4 * s for s in layout.shrink)
        self.maps = maps

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.maps


class Case(NamedTuple):
    """Fixed inputs: the engine's model and the slow form's numbers before the search."""

    model: CfaModel
    features: Tensor
    bank: Tensor


def fixed_case(layout: Layout, grid: tuple[int, int], descriptor_ratio: int = 1, images: int = 2) -> Case:
    generator = torch.Generator().manual_seed(7)
    scale = layout.channels if layout.divide_by_channels else (1, 1, 1)
    maps = [
        factor * torch.randn(images, c, grid[0] // s, grid[1] // s, generator=generator)
        for c, s, factor in zip(layout.channels, layout.shrink, scale, strict=True)
    ]
    backbone = cast("Backbone", FixedMaps(layout, maps))
    model = CfaModel(backbone, descriptor_ratio=descriptor_ratio, initial_radius=R, generator=generator)
    if layout.divide_by_channels:
        model.level_scale.copy_(1.0 / torch.tensor(layout.channels))
    nn.init.normal_(model.descriptor.bias, std=0.1, generator=generator)
    features = published.concatenated_features(maps, divide_by_channels=layout.divide_by_channels)
    # descriptors of length 1, and around every fifth of them centres on both sides of where the loss bends
    with torch.no_grad():
        rows = published.as_rows(published.coord_conv(features, model.descriptor.weight, model.descriptor.bias))
        length = rows.norm(dim=2).mean()
        for values in (model.descriptor.weight, model.descriptor.bias, rows):
            values.div_(length)
        around = rows.flatten(0, 1)[::5].repeat_interleave(7, dim=0)
        noise = torch.randn(around.shape, generator=generator)
        distance = 0.6 + 0.7 * torch.rand(len(around), 1, generator=generator)
        bank = around + distance * noise / noise.norm(dim=1, keepdim=True)
    model.set_bank(bank)
    return Case(model, features, bank)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    ("grid", "k", "j", "descriptor_ratio"),
    [((8, 8), 3, 3, 1), ((16, 8), 2, 4, 2), ((8, 24), 4, 1, 1), ((16, 8), 3, 0, 4)],
)
def test_that_features_to_loss_gradients_and_score_equal_the_published_formulas(
    name: str, grid: tuple[int, int], k: int, j: int, descriptor_ratio: int
) -> None:
    layout = LAYOUTS[name]
    model, features, bank = fixed_case(layout, grid, descriptor_ratio)
    weight, bias = (p.detach().double().requires_grad_() for p in (model.descriptor.weight, model.descriptor.bias))
    r = torch.tensor([R], dtype=torch.float64, requires_grad=True)
    phi = published.coord_conv(features.double(), weight, bias)
    distances = published.all_distances(phi, bank.double())
    attraction, repulsion = published.loss_terms(distances, r, k, j)
    assert float(attraction.detach()) > 0.1
    assert (float(repulsion.detach()) > 0.1) == (j > 0)
    (attraction + repulsion).backward()  # type: ignore[no-untyped-call]

    no_images = torch.empty(0)
    described = model.describe(model.pyramid(no_images))
    near = distances_to_nearest(described.flatten(0, 2), model.bank, k + j)
    terms = cfa_loss(near, model.radius, neighbours=k, alpha=0.1, nu=1e-3)
    terms.total.backward()  # type: ignore[no-untyped-call]

    width = layout.width_factor * sum(layout.channels) // descriptor_ratio
    assert model.descriptor.weight.shape == (width, sum(layout.channels) + 2)
    torch.testing.assert_close(described.permute(0, 3, 1, 2).double(), phi, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms.attraction.double(), attraction, rtol=1e-5, atol=0)
    torch.testing.assert_close(terms.repulsion.double(), repulsion, rtol=1e-5, atol=0)
    torch.testing.assert_close(terms.total.double(), attraction + repulsion, rtol=1e-5, atol=0)
    for ours, theirs in ((model.descriptor.weight, weight), (model.descriptor.bias, bias), (model.radius, r)):
        assert_nearly(ours.grad, theirs.grad, 2e-5)

    with torch.no_grad():
        grid_scores = model(no_images, Score.CERTAINTY, k)
    expected = published.scores(distances.detach(), k).view(2, *grid)
    torch.testing.assert_close(grid_scores.double(), expected, rtol=2e-5, atol=1e-6)
    everywhere = np.ones(grid, np.bool_), np.ones((4 * grid[0], 4 * grid[1]), np.bool_)
    for ours, theirs in zip(grid_scores, expected, strict=True):
        ours_large = anomaly_map(ours.numpy(), *everywhere, 4, 4.0)
        theirs_large = published.anomaly_map(theirs, (4 * grid[0], 4 * grid[1]))
        np.testing.assert_allclose(ours_large, theirs_large, rtol=5e-5)
        assert image_score(ours_large, everywhere[1]) == pytest.approx(theirs_large.max(), rel=5e-5)


def test_that_the_published_scale_divides_each_level_by_its_channel_count_where_the_authors_do() -> None:
    config = TINY.with_changes(feature_scale=FeatureScale.PUBLISHED)
    for layout in LAYOUTS.values():
        model = fixed_case(layout, (8, 8)).model
        model.level_scale.fill_(1.0)
        set_level_scale(model, cast("Features", None), config, 1, lambda: None)
        expected = [1 / c if layout.divide_by_channels else 1.0 for c in layout.channels]
        assert model.level_scale.tolist() == pytest.approx(expected)


def test_that_the_mean_bank_equals_the_running_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    phis = [torch.randn(1, 6, 5, 7, generator=generator) for _ in range(9)]
    whole = torch.ones(5, 7, dtype=torch.bool)
    images = [memory_bank.Described(phi[0].permute(1, 2, 0), whole) for phi in phis]
    bank = memory_bank.mean_bank(images, ratio=1, seed=0, minimum=6)
    torch.testing.assert_close(bank, published.mean_bank(phis), rtol=1e-5, atol=1e-6)


def slow_features(sample: Sample, backbone: Backbone, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Full-resolution features (1, D, h, w) in double precision, and the mask of the cells that hold picture."""
    image = np.array(Image.open(sample.path))
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    with torch.no_grad():
        maps = backbone(torch.from_numpy(padded)[None])
    features = published.concatenated_features([m.double() * s for m, s in zip(maps, scale.double(), strict=True)])
    mask = torch.zeros(features.shape[2:], dtype=torch.bool)
    mask[: -(-height // 4), : -(-width // 4)] = True
    return features, mask


@pytest.mark.parametrize(
    ("sizes", "learning_rate"), [(((64, 64),) * 6, 1e-3), (UNSCALED * 2, 2e-4)], ids=["one size", "mixed sizes"]
)
def test_that_cached_training_takes_the_steps_of_the_published_form(
    sizes: tuple[tuple[int, int], ...],
    learning_rate: float,
    tmp_path: Path,
    backbone: Backbone,
    shared_backbone: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several epochs of the engine's path against full-resolution features, the whole distance matrix and autograd."""
    monkeypatch.setattr(member_training, "_STEPS_PER_RECORD", 1)
    monkeypatch.setattr(CfaModel, "compile_backbone", lambda _network: None)  # a millionth grows in some steps
    samples = write_parts(tmp_path, sizes)
    config = WHOLE_64.with_changes(
        epochs=3,
        holdout=0.0,
        initial_radius=R,
        batch_size=4,
        seed=3,
        hard_negatives=2,
        learning_rate=learning_rate,
        radius_learning_rate=1e-3,
    )
    assert (config.method.bank, config.method.bank_ratio) == (Bank.MEAN, 1)
    ours = training.train(samples, config, device="cpu")
    images = [slow_features(sample, backbone, ours.network.level_scale) for sample in samples]

    generator = torch.Generator().manual_seed(3)
    start = Descriptor(backbone.channels, sum(backbone.channels), DescriptorStart.PUBLISHED, generator)
    weight = start.weight.detach().double().requires_grad_()
    bias = start.bias.detach().double().requires_grad_()
    r = torch.tensor([R], dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        phis = [published.coord_conv(features, weight, bias) for features, _ in images]
    bank = published.mean_bank_of_sizes(phis, [mask for _, mask in images])
    torch.testing.assert_close(ours.network.bank.double(), bank, rtol=1e-4, atol=1e-5)
    batches = []
    for _ in range(3):
        order = torch.randperm(len(images), generator=generator).tolist()
        batches += [order[:4], order[4:]]
    losses = published.optimise(images, (weight, bias, r), bank, batches, k=3, j=2, learning_rate=learning_rate)

    assert all(record.attraction > 0 and record.repulsion > 0 for record in ours.summary.history)
    np.testing.assert_allclose([record.loss for record in ours.summary.history], losses, rtol=1e-4)
    moved = (weight - start.weight).detach().norm()
    assert float((ours.network.descriptor.weight - weight).detach().norm() / moved) < 1e-4
    torch.testing.assert_close(ours.network.radius.double(), r[0].detach(), rtol=1e-5, atol=0)
    assert abs(float(r.detach()) - R) > 1e-3

    inspector = Inspector(ours, device="cpu")
    for sample, (features, mask) in zip(samples, images, strict=True):
        with torch.no_grad():
            distances = published.all_distances(published.coord_conv(features, weight, bias), bank)
        grid = published.scores(distances, 3).view(mask.shape)
        image = np.array(Image.open(sample.path))
        result = inspector.inspect(image, sample)
        expected = published.masked_anomaly_map(
            grid, mask, 4, (image.shape[0], image.shape[1]), config.method.smoothing
        )
        np.testing.assert_allclose(result.anomaly_map, expected, rtol=1e-3)
        assert result.score == pytest.approx(expected.max(), rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "weight_of_the_finest"), [(FeatureScale.REFERENCE, 0.7), (FeatureScale.EXPLAINED, 0.9)]
)
def test_that_our_scales_bring_the_untrained_distance_to_one_half(
    kind: FeatureScale,
    weight_of_the_finest: float,
    backbone: Backbone,
    parts: tuple[Sample, ...],
    shared_backbone: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Random patches against as many others, by hand; one factor for all, the finest level weighing less."""
    monkeypatch.setattr(feature_scale, "explained_by_others", lambda *_arguments: 0.9)
    trained = training.train(parts, TINY.with_changes(epochs=0, holdout=0.0, feature_scale=kind), device="cpu")
    scale = trained.network.level_scale
    assert float(scale[1]) == float(scale[2])
    assert float(scale[0] / scale[1]) == pytest.approx(weight_of_the_finest)
    assert float(scale[0]) != 1.0
    weight = trained.network.descriptor.weight.detach().double().clone()
    weight[:, -2:] = 0  # without coordinates
    rows = []
    for sample in parts:
        features, _ = slow_features(sample, backbone, scale)
        rows.append(published.as_rows(published.coord_conv(features, weight, torch.zeros(len(weight)).double()))[0])
    everything = torch.cat(rows)
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(99))
    half = len(everything) // 2
    distances = torch.cdist(everything[order[:half]], everything[order[half:]]).square()
    assert float(distances.min(dim=1).values.mean()) == pytest.approx(0.5, rel=0.1)


def assert_nearly(ours: Tensor | None, theirs: Tensor | None, tolerance: float) -> None:
    """Relative in the Euclidean norm: single entries of a gradient may all but vanish."""
    assert ours is not None
    assert theirs is not None
    difference = (ours.double().flatten() - theirs.flatten()).norm()
    assert float(difference) <= tolerance * float(theirs.norm())
