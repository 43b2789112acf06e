"""How much the position tells: what the coordinates of a new model weigh by."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from core.alignment import told_by_position
from core.config import DescriptorStart
from core.descriptor import COORDINATE_WEIGHT
from core.samples import Sample
from core.training import train
from tests.core.parts import TINY

CHANNELS, SIDES = (6, 4), (32, 16)
Levels = list[Tensor]


def noise(generator: torch.Generator, sides: Sequence[int] = SIDES) -> Levels:
    return [
        torch.randn(1, channels, side, side, generator=generator)
        for channels, side in zip(CHANNELS, sides, strict=True)
    ]


def enlarged(cells: Tensor, times: int) -> Tensor:
    return cells.repeat_interleave(times, 2).repeat_interleave(times, 3)


def pictures(count: int, told: float, seed: int = 0) -> Iterator[tuple[Levels, Tensor]]:
    """One pattern and noise of their own, constant in every cell; `told` of the variance is the pattern's."""
    generator = torch.Generator().manual_seed(seed)
    pattern = noise(generator, (16, 16))
    for _ in range(count):
        own = noise(generator, (16, 16))
        cells = [told**0.5 * one + (1 - told) ** 0.5 * other for one, other in zip(pattern, own, strict=True)]
        yield (
            [enlarged(cell, side // 16) for cell, side in zip(cells, SIDES, strict=True)],
            torch.ones(SIDES[0], SIDES[0], dtype=torch.bool),
        )


@pytest.mark.parametrize("told", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_that_the_square_is_the_share_of_the_variance_that_the_position_tells(told: float, count: int) -> None:
    found = sum(told_by_position(pictures(count, told, seed)) ** 2 for seed in range(4)) / 4
    assert found == pytest.approx(told, abs=0.05)


def test_that_one_picture_leaves_the_coordinates_their_weight() -> None:
    assert told_by_position(pictures(1, 0.0)) == 1.0


def test_that_pictures_without_any_variance_are_no_error() -> None:
    flat = [torch.ones(1, channels, side, side) for channels, side in zip(CHANNELS, SIDES, strict=True)]
    assert 0.0 <= told_by_position([(flat, torch.ones(32, 32, dtype=torch.bool))] * 3) <= 1.0


def test_that_what_is_masked_tells_nothing() -> None:
    plain, spoiled = [], []
    for levels, valid in pictures(8, 0.5):
        mask = valid.clone()
        mask[15:] = False  # from the middle of a cell on
        other = [level.clone() for level in levels]
        for level, first in zip(other, (15, 8), strict=True):
            level[:, :, first:] = 1e3 * torch.randn(level[:, :, first:].shape)
        plain.append((levels, mask))
        spoiled.append((other, mask))
    assert told_by_position(spoiled) == pytest.approx(told_by_position(plain), rel=1e-6)


def test_that_pictures_of_several_sizes_are_compared_where_they_lie() -> None:
    mixed = []
    for number, (levels, valid) in enumerate(pictures(8, 0.9)):
        wide = [level.repeat_interleave(1 + number % 2, 3) for level in levels]
        mixed.append((wide, valid.repeat_interleave(1 + number % 2, 1)))
    assert told_by_position(mixed) ** 2 == pytest.approx(0.9, abs=0.05)


def test_that_the_coordinates_of_an_aligned_start_weigh_less_by_it(parts: tuple[Sample, ...]) -> None:
    weights = {
        start: train(parts, TINY.with_changes(descriptor_start=start, epochs=0)).network.descriptor.weight.detach()
        for start in (DescriptorStart.ORTHOGONAL, DescriptorStart.ALIGNED)
    }
    fixed, aligned = weights[DescriptorStart.ORTHOGONAL], weights[DescriptorStart.ALIGNED]
    torch.testing.assert_close(aligned[:, :-2], fixed[:, :-2], rtol=0, atol=0)
    norms = aligned[:, -2:].norm(dim=0) / COORDINATE_WEIGHT
    assert norms[0] == pytest.approx(float(norms[1]))
    assert 0.05 < float(norms[0]) < 0.999
