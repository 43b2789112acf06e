import pytest
import torch
from torch import Tensor

from core.cuda.clustering import lloyd
from core.errors import CancelledByUser
from core.memory_bank import k_means, mean_nearest_squared
from tests.core.cuda.devices import DEVICES


def silent(_done: int, _total: int) -> None:
    """Nobody listens."""


def clusters(count: int, each: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points around centres far apart, and the centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = 20 * torch.randn(count, width, generator=generator)
    points = centres.repeat_interleave(each, 0) + 0.1 * torch.randn(count * each, width, generator=generator)
    return points, centres


@pytest.mark.parametrize("device", DEVICES)
def test_that_it_is_as_good_as_scikit_learn(device: str) -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(6000, 8, generator=generator) * torch.linspace(0.2, 2.0, 8)
    ours = mean_nearest_squared(points, lloyd(points.to(device), 60, 0, silent).cpu())
    theirs = mean_nearest_squared(points, k_means(points, 60, 0))
    assert ours < 1.03 * theirs


@pytest.mark.parametrize("device", DEVICES)
def test_that_each_centre_is_the_mean_of_its_points(device: str) -> None:
    points, _ = clusters(2, 200, 5)
    found = lloyd(points.to(device), 2, 1, silent).cpu()
    nearest = torch.cdist(points, found).argmin(dim=1)
    for index, centre in enumerate(found):
        torch.testing.assert_close(centre, points[nearest == index].mean(dim=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_that_the_same_seed_gives_the_same_bits_and_another_does_not(device: str) -> None:
    points = torch.randn(3000, 12, generator=torch.Generator().manual_seed(5)).to(device)
    one, same, other = (lloyd(points, 40, seed, silent) for seed in (7, 7, 8))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("device", DEVICES)
def test_that_centres_that_lose_all_points_move_to_where_they_are_needed(device: str) -> None:
    same = torch.zeros(50, 3)
    same[-3:] = torch.eye(3) * 9
    found = lloyd(same.to(device), 4, 0, silent).cpu()
    assert mean_nearest_squared(same, found) == pytest.approx(0.0, abs=1e-6)


def test_that_as_many_centres_as_points_are_the_points() -> None:
    points = torch.randn(37, 4)
    assert mean_nearest_squared(points, lloyd(points, 37, 0, silent)) == 0


def test_that_whoever_is_told_may_cancel() -> None:
    def cancel(done: int, total: int) -> None:
        assert 0 <= done <= total
        if done == 1:
            raise CancelledByUser

    with pytest.raises(CancelledByUser):
        lloyd(torch.randn(500, 4), 10, 0, cancel)
