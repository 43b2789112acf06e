"""The factor of each level: what a new model's features are multiplied by before anything else is made of them."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from core import feature_scale
from core.backbone import Backbone
from core.config import Config, FeatureScale
from core.feature_scale import explained_by_others
from core.samples import Sample
from core.training import train
from tests.core.parts import TINY

PATCHES, CHANNELS = 400, 16


def pictures(count: int, noise: float, seed: int = 0) -> Iterator[Tensor]:
    """Patches around three points that all images share; `noise` is the standard deviation around them."""
    generator = torch.Generator().manual_seed(seed)
    points = 10 * torch.randn(3, CHANNELS, generator=generator)
    for _ in range(count):
        which = torch.randint(3, (PATCHES,), generator=generator)
        yield points[which] + noise * torch.randn(PATCHES, CHANNELS, generator=generator)


def test_that_what_all_images_repeat_is_explained_wholly() -> None:
    assert explained_by_others(pictures(6, 0.0), 6, 1, 0) == pytest.approx(1.0, abs=1e-6)


def test_that_grain_of_its_own_is_not_explained() -> None:
    found = [explained_by_others(pictures(6, noise), 6, 1, 0) for noise in (0.5, 2.0, 5.0, 20.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.98
    assert found[-1] < 0.9


def test_that_it_is_one_minus_the_squared_error_over_the_variance() -> None:
    """Few enough patches that all of them are drawn; the nearest ones found the long way."""
    images = [patches[:50].double().numpy() for patches in pictures(4, 3.0)]
    known, asked = np.concatenate(images[0::2]), np.concatenate(images[1::2])
    errors = [np.square(known - patch).sum(axis=1).min() for patch in asked]
    expected = 1 - np.mean(errors) / np.square(asked - asked.mean(axis=0)).sum(axis=1).mean()
    found = explained_by_others((torch.from_numpy(image).float() for image in images), 4, 1, 0)
    assert found == pytest.approx(expected, rel=1e-5)


def test_that_the_scale_of_the_features_does_not_matter() -> None:
    plain = explained_by_others(pictures(6, 3.0), 6, 1, 0)
    assert explained_by_others((1e-3 * patches for patches in pictures(6, 3.0)), 6, 1, 0) == pytest.approx(plain)


def test_that_an_image_is_not_explained_by_its_own_exposures() -> None:
    alone = list(pictures(6, 20.0))
    exposed = [picture for image in alone for picture in (image, 1.001 * image, 0.999 * image)]
    apart = explained_by_others(exposed, len(exposed), 3, 0)
    assert apart == pytest.approx(explained_by_others(alone, len(alone), 1, 0), abs=0.03)
    assert explained_by_others(exposed, len(exposed), 1, 0) > apart + 0.05  # taken for images, they do


def test_that_a_single_image_leaves_the_finest_level_its_weight() -> None:
    assert explained_by_others(pictures(1, 20.0), 1, 1, 0) == 1.0
    assert explained_by_others(pictures(3, 20.0), 3, 3, 0) == 1.0
    nothing = torch.empty(0, CHANNELS)
    assert explained_by_others([nothing, *pictures(1, 20.0), nothing], 3, 1, 0) == 1.0


def test_that_patches_which_are_all_alike_are_no_error() -> None:
    assert explained_by_others([torch.ones(9, CHANNELS)] * 4, 4, 1, 0) == 1.0


def weight_of_the_finest_level(parts: tuple[Sample, ...], config: Config) -> float:
    finest, *others = train(parts, config).network.level_scale.tolist()
    assert others == pytest.approx([others[0]] * len(others))
    return float(finest / others[0])


@pytest.mark.parametrize(("told", "weight"), [(0.9, 0.9), (0.5, 0.5), (0.1, 0.5), (-3.0, 0.5), (1.0, 1.0)])
def test_that_the_finest_level_weighs_what_is_explained_of_it_and_no_less_than_half(
    told: float, weight: float, parts: tuple[Sample, ...], backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explained(pictures: Iterator[Tensor], count: int, exposures: int, _seed: int) -> float:
        images = list(pictures)
        assert len(images) == count
        assert exposures == 1
        assert {image.ndim for image in images} == {2}
        assert {image.shape[1] for image in images} == {backbone.channels[0]}
        return told

    config = TINY.with_changes(feature_scale=FeatureScale.EXPLAINED, epochs=0)
    monkeypatch.setattr(feature_scale, "explained_by_others", explained)
    assert weight_of_the_finest_level(parts, config) == pytest.approx(weight)


def test_that_the_finest_level_weighs_less_where_parts_have_grain_of_their_own(parts: tuple[Sample, ...]) -> None:
    config = TINY.with_changes(feature_scale=FeatureScale.EXPLAINED, epochs=0)
    assert 0.5 <= weight_of_the_finest_level(parts, config) < 0.999
    assert weight_of_the_finest_level(parts, config.with_changes(feature_scale="reference")) == pytest.approx(0.7)
    assert weight_of_the_finest_level(parts, config.with_changes(feature_scale="published")) == pytest.approx(1.0)


@pytest.mark.parametrize("light", [0.0, 0.2])
def test_that_exposures_of_an_image_are_told_as_such(
    light: float, parts: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def explained(_pictures: Iterator[Tensor], count: int, exposures: int, _seed: int) -> float:
        told.append((count, exposures))
        return 1.0

    monkeypatch.setattr(feature_scale, "explained_by_others", explained)
    config = TINY.with_changes(feature_scale=FeatureScale.EXPLAINED, epochs=0, light_variation=light)
    images = train(parts, config).summary.images
    assert told == [(images * (3 if light else 1), 3 if light else 1)]
