import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.config import DescriptorStart
from core.descriptor import COORDINATE_WEIGHT, Descriptor, coordinate_channels
from tests.core import published

CHANNELS = (3, 5, 7)
PUBLISHED, ORTHOGONAL = DescriptorStart.PUBLISHED, DescriptorStart.ORTHOGONAL


def pyramid(grid: tuple[int, int], shrink: tuple[int, int, int] = (1, 2, 4), seed: int = 0) -> list[Tensor]:
    """Two images, already pooled."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, c, grid[0] // s, grid[1] // s, generator=generator)
        for c, s in zip(CHANNELS, shrink, strict=True)
    ]


def described_slowly(phi: Descriptor, levels: list[Tensor]) -> Tensor:
    grid = levels[0].shape[2:]
    upsampled = [functional.interpolate(level, size=grid, mode="bilinear", align_corners=False) for level in levels]
    return published.coord_conv(torch.cat(upsampled, dim=1), phi.weight, phi.bias)


@pytest.mark.parametrize("grid", [(8, 8), (4, 12), (16, 8)])
@pytest.mark.parametrize("shrink", [(1, 2, 4), (1, 2, 2), (1, 1, 1), (2, 4, 1)])
def test_that_weights_applied_per_level_give_what_upsampling_first_gives(
    grid: tuple[int, int], shrink: tuple[int, int, int]
) -> None:
    phi = Descriptor(CHANNELS, 11, PUBLISHED, torch.Generator().manual_seed(1))
    torch.nn.init.normal_(phi.bias)
    levels = pyramid(grid, shrink)
    torch.testing.assert_close(phi(levels), described_slowly(phi, levels), rtol=1e-5, atol=1e-5)


def test_that_the_gradient_is_that_of_the_slow_form() -> None:
    phi = Descriptor(CHANNELS, 6, PUBLISHED, torch.Generator().manual_seed(1))
    levels = pyramid((8, 12))
    target = torch.randn(2, 6, 8, 12, generator=torch.Generator().manual_seed(2))
    gradients = []
    for form in (phi, lambda maps: described_slowly(phi, maps)):
        phi.zero_grad()
        (form(levels) * target).sum().backward()
        assert phi.weight.grad is not None
        assert phi.bias.grad is not None
        gradients.append(torch.cat((phi.weight.grad.flatten(), phi.bias.grad)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


def test_that_the_first_coordinate_grows_down_the_rows_and_the_second_along_them() -> None:
    down, along = coordinate_channels((3, 5), torch.device("cpu"))
    assert down.tolist() == [[-1.0] * 5, [0.0] * 5, [1.0] * 5]
    assert along.tolist() == [[-1.0, -0.5, 0.0, 0.5, 1.0]] * 3


def test_that_a_grid_of_one_row_has_a_finite_coordinate() -> None:
    down, along = coordinate_channels((1, 4), torch.device("cpu"))
    assert bool(torch.isfinite(down).all())
    assert bool(torch.isfinite(along).all())


def test_that_phi_is_linear_but_for_its_constant_part() -> None:
    phi = Descriptor(CHANNELS, 6, PUBLISHED, torch.Generator().manual_seed(1))
    first, second = pyramid((8, 8)), pyramid((8, 8), seed=5)
    both = [2 * a - 3 * b for a, b in zip(first, second, strict=True)]
    with torch.no_grad():
        expected = 2 * phi.project(first) - 3 * phi.project(second)
        torch.testing.assert_close(phi.project(both), expected, rtol=1e-4, atol=1e-4)
        nothing = [torch.zeros_like(level) for level in first]
        torch.testing.assert_close(phi(nothing)[0], phi.constant((8, 8)))


def test_that_the_weights_are_he_initialised_from_the_generator_and_the_bias_is_zero() -> None:
    phi = Descriptor((64, 128, 256), 448, PUBLISHED, torch.Generator().manual_seed(3))
    assert float(phi.weight.detach().std()) == pytest.approx((2 / 450) ** 0.5, rel=0.01)
    assert not phi.bias.detach().any()
    again = Descriptor((64, 128, 256), 448, PUBLISHED, torch.Generator().manual_seed(3))
    other = Descriptor((64, 128, 256), 448, PUBLISHED, torch.Generator().manual_seed(4))
    assert torch.equal(phi.weight, again.weight)
    assert not torch.equal(phi.weight, other.weight)


@pytest.mark.parametrize("width", [15, 20])
def test_that_an_orthogonal_start_keeps_the_distances_of_patches_as_they_are(width: int) -> None:
    weight = Descriptor(CHANNELS, width, ORTHOGONAL, torch.Generator().manual_seed(3)).weight.detach()
    patches = torch.randn(6, 15, generator=torch.Generator().manual_seed(4))
    described = patches @ weight[:, :-2].T
    torch.testing.assert_close(torch.cdist(described, described), torch.cdist(patches, patches))


def test_that_an_orthogonal_start_with_fewer_channels_keeps_lengths_on_average() -> None:
    weight = Descriptor((64, 128, 256), 112, ORTHOGONAL, torch.Generator().manual_seed(3)).weight.detach()[:, :-2]
    torch.testing.assert_close(weight @ weight.T, 4.0 * torch.eye(112), rtol=0, atol=1e-4)
    patches = torch.randn(500, 448, generator=torch.Generator().manual_seed(4))
    assert float((patches @ weight.T).square().sum() / patches.square().sum()) == pytest.approx(1.0, rel=0.02)


def test_that_an_orthogonal_start_weighs_both_coordinates_alike_and_apart() -> None:
    weight = Descriptor(CHANNELS, 11, ORTHOGONAL, torch.Generator().manual_seed(3)).weight.detach()[:, -2:]
    torch.testing.assert_close(weight.T @ weight, COORDINATE_WEIGHT**2 * torch.eye(2))


def test_that_the_orthogonal_start_comes_from_the_generator() -> None:
    one, again, other = (
        Descriptor(CHANNELS, 11, ORTHOGONAL, torch.Generator().manual_seed(seed)).weight for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_that_there_are_no_parameters_but_one_weight_and_one_bias() -> None:
    phi = Descriptor(CHANNELS, 11, PUBLISHED)
    assert {name: tuple(p.shape) for name, p in phi.named_parameters()} == {"weight": (11, 17), "bias": (11,)}


def test_that_a_pyramid_of_other_levels_is_refused() -> None:
    phi = Descriptor(CHANNELS, 11, PUBLISHED)
    with pytest.raises(ValueError, match="zip"):
        phi(pyramid((8, 8))[:2])
