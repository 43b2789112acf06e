from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core import centre_shapes as shapes_module
from core.centre_shapes import Shapes, centre_shapes
from core.memory_bank import Described
from core.neighbours import ellipsoids, nearest_centres, nearest_ellipsoid

WIDTH = 12


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def images_around(centres: Tensor, spread: Tensor, count: int, seed: int = 0) -> list[Described]:
    """Images of 6 × 6 patches that vary about randomly drawn centres as (D', D') `spread` says."""
    which = torch.randint(len(centres), (count, 6, 6), generator=torch.Generator().manual_seed(seed))
    phi = centres[which] + random(count, 6, 6, centres.shape[1], seed=seed + 1) @ spread
    return [Described(values, torch.ones(6, 6, dtype=torch.bool)) for values in phi]


def directions(count: int, width: int = WIDTH, seed: int = 9) -> Tensor:
    """(count, width) orthonormal rows."""
    basis: Tensor = torch.linalg.qr(random(width, width, seed=seed)).Q
    return basis[:count]


def spread_along(main: Tensor, much: float, little: float) -> Tensor:
    """The root of a covariance that is large along the rows of `main`."""
    return little * torch.eye(main.shape[1]) + (much - little) * main.T @ main


def counted(queries: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
    """Squared distances (n,) to the nearest of three ellipsoids, and its rows (n,)."""
    rows = nearest_centres(queries, shapes.centres, 3)[1]
    squared, nearest = nearest_ellipsoid(queries, ellipsoids(shapes.centres, shapes.axes, shapes.basis), rows)
    return squared[:, 0], nearest[:, 0]


def test_that_each_centre_comes_to_the_mean_of_its_patches_and_one_without_any_stays() -> None:
    means, away = 20 * random(4, WIDTH, seed=3), torch.full((1, WIDTH), 1e3)
    images = images_around(means, 0.1 * torch.eye(WIDTH), 40)
    patches = torch.cat([image.phi.flatten(0, 1) for image in images])
    nearest = torch.cdist(patches, means).argmin(dim=1)
    expected = torch.stack([patches[nearest == row].mean(dim=0) for row in range(4)])
    found = centre_shapes(images, 40, torch.cat((means + 1.0, away)), 2, seed=0)  # as if training had moved the patches
    torch.testing.assert_close(found.centres[:4], expected, atol=2e-3, rtol=0)
    assert torch.equal(found.centres[4:], away)


def test_that_the_axes_are_the_directions_in_which_the_good_patches_vary_most() -> None:
    bank, main = 20 * random(4, WIDTH, seed=3), directions(2)
    found = centre_shapes(images_around(bank, spread_along(main, 1.0, 0.1), 40), 40, bank, 2, seed=0)
    unit = found.axes @ found.basis / found.axes.norm(dim=2, keepdim=True)
    torch.testing.assert_close(unit.transpose(1, 2) @ unit, (main.T @ main).expand(4, -1, -1), atol=0.06, rtol=0)


def test_that_a_step_along_an_axis_counts_less_and_any_other_as_before() -> None:
    bank, main = 20 * random(4, WIDTH, seed=3), directions(2)
    found = centre_shapes(images_around(bank, spread_along(main, 1.0, 0.1), 40), 40, bank, 2, seed=0)
    lengths = found.axes[1].norm(dim=1)
    unit = found.axes[1] @ found.basis / lengths[:, None]
    across = random(WIDTH, seed=5)
    across -= unit.T @ (unit @ across)
    squared, rows = counted(found.centres[1] + torch.stack((unit[0], unit[1], across)), found)
    plain = torch.cat((1.0 - lengths**2, across.square().sum()[None]))
    assert rows.tolist() == [1, 1, 1]
    assert squared.tolist() == pytest.approx(plain.tolist(), rel=1e-2)
    assert float((1.0 - lengths**2).max()) < 0.4


@given(st.integers(0, 50), st.integers(1, 14), st.integers(1, 12), st.sampled_from([0.0, 0.1, 1.0]))
@settings(deadline=None, max_examples=30)
def test_that_no_axis_is_longer_than_a_step_and_no_distance_grows_or_falls_below_zero(
    seed: int, axes: int, count: int, little: float
) -> None:
    """Of any images: few, without any variance in most directions, centres that no patch is nearest to."""
    bank = random(5, WIDTH, seed=seed)
    images = images_around(bank[:3], spread_along(directions(1, seed=seed), 1.0, little), count, seed)
    found = centre_shapes(images, count, bank, axes, seed)
    assert found.axes.shape == (5, min(axes, WIDTH - 1), WIDTH)
    assert torch.equal(found.axes, found.axes.half().float())
    overlap = found.axes @ found.axes.transpose(1, 2)
    lengths = overlap.diagonal(dim1=1, dim2=2)
    assert bool((lengths <= 1.001).all())
    assert float((overlap - torch.diag_embed(lengths)).abs().max()) < 5e-3
    queries = 3 * random(50, WIDTH, seed=seed + 7)
    squared, rows = counted(queries, found)
    assert bool((squared >= 0).all())
    assert bool((squared <= (queries - found.centres[rows]).square().sum(dim=1) * 1.001).all())
    assert bool(torch.isfinite(found.radii).all())


def test_that_the_squared_radius_is_half_the_mean_squared_distance_drawn_to_that_of_all() -> None:
    bank = 20 * random(4, WIDTH, seed=3)
    images = images_around(bank, spread_along(directions(2), 1.0, 0.3), 40)
    found = centre_shapes(images, 40, bank, 2, seed=0)
    patches = torch.cat([image.phi.flatten(0, 1) for image in images])
    squared, rows = counted(patches, found)
    for row in range(4):
        own = squared[rows == row]
        expected = (own.sum() + 10 * squared.mean()) / (len(own) + 10) / 2
        assert found.radii[row].item() ** 2 == pytest.approx(expected.item(), rel=1e-3)


def test_that_a_centre_without_patches_gets_the_common_shape() -> None:
    near, far = 20 * random(4, WIDTH, seed=3), torch.full((1, WIDTH), 1e3)
    bank, main = torch.cat((near, far)), directions(1)
    found = centre_shapes(images_around(near, spread_along(main, 1.0, 0.1), 40), 40, bank, 1, seed=0)
    unit = found.axes @ found.basis / found.axes.norm(dim=2, keepdim=True)
    assert abs(float(unit[4, 0] @ main[0])) == pytest.approx(1.0, abs=1e-2)
    mean = found.radii[:4].mean().item()
    assert found.radii[4].item() == pytest.approx(mean, rel=0.1)


def test_that_patches_without_any_spread_have_no_axes() -> None:
    bank = random(3, WIDTH)
    found = centre_shapes(images_around(bank, torch.zeros(WIDTH, WIDTH), 5), 5, bank, 3, seed=0)
    assert float(found.axes.abs().max()) == 0.0
    assert float(found.radii.max()) < 1e-3


def test_that_masked_patches_are_not_looked_at_and_the_order_of_centres_plays_no_part() -> None:
    bank = 20 * random(4, WIDTH, seed=3)
    images = images_around(bank, spread_along(directions(2), 1.0, 0.1), 10)
    valid = torch.ones(6, 6, dtype=torch.bool)
    valid[2:4] = False
    spoiled = [Described(torch.where(valid[..., None], phi, torch.tensor(1e4)), valid) for phi, _ in images]
    whole = [Described(phi, valid) for phi, _ in images]
    masked, clean = (centre_shapes(part, 10, bank, 2, seed=0) for part in (spoiled, whole))
    assert all(torch.equal(one, other) for one, other in zip(masked, clean, strict=True))
    order = torch.tensor([2, 0, 3, 1])
    turned = centre_shapes(whole, 10, bank[order].contiguous(), 2, seed=0)
    torch.testing.assert_close(turned.radii, clean.radii[order], rtol=1e-4, atol=1e-6)


def test_that_the_seed_draws_the_patches_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_module, "_SAMPLE", 10 * 8 * WIDTH)  # 8 of the 36 patches of each image
    monkeypatch.setattr(shapes_module, "_AT_ONCE", 2 * WIDTH**2)
    bank = 20 * random(5, WIDTH, seed=3)

    def measured(seed: int) -> Shapes:
        def images() -> Iterator[Described]:
            yield from images_around(bank, spread_along(directions(2), 1.0, 0.2), 10)

        return centre_shapes(images(), 10, bank, 2, seed)

    assert all(torch.equal(one, other) for one, other in zip(measured(4), measured(4), strict=True))
    assert not torch.equal(measured(4).radii, measured(5).radii)


def test_that_it_tells_of_itself_and_may_be_stopped_long_before_the_first_axes_are_found() -> None:
    bank = 20 * random(4, WIDTH, seed=3)
    images, told = images_around(bank, spread_along(directions(2), 1.0, 0.1), 10), []

    def report(done: int) -> None:
        told.append(done)
        if len(told) == stop:
            raise InterruptedError

    stop = 0
    centre_shapes(images, 10, bank, 2, seed=0, report=report)
    assert told == sorted(told)
    assert told[-1] == 4
    assert told.count(0) == 2  # while the centres are moved, and while what is common to all is measured
    for last in (1, 2):
        stop = last
        told.clear()
        with pytest.raises(InterruptedError):
            centre_shapes(images, 10, bank, 2, seed=0, report=report)
