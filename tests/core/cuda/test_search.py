"""The search in half precision beside all distances in double precision."""

import pytest
import torch
from torch import Tensor

from core.cuda import search
from core.cuda.search import HalfSearch
from core.neighbours import nearest_centres
from tests.core.cuda.devices import DEVICES


def case(queries: int, centres: int, width: int, device: str, offset: float = 3.0) -> tuple[Tensor, Tensor]:
    """Points far from the origin, some of them centres' neighbours; two centres are the same."""
    generator = torch.Generator().manual_seed(queries + centres + width)
    bank = torch.randn(centres, width, generator=generator) + offset
    bank[-1] = bank[0]
    points = bank[torch.randint(0, centres, (queries,), generator=generator)]
    points = points + 0.7 * torch.randn(queries, width, generator=generator)
    return points.to(device), bank.to(device)


def all_distances(points: Tensor, bank: Tensor) -> Tensor:
    return (points.double()[:, None] - bank.double()[None]).square().sum(dim=2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize(
    ("queries", "centres", "width"),
    [(1, 6, 1), (50, 7, 5), (130, 64, 44), (77, 331, 176), (200, 784, 44), (64, 1000, 450)],
)
def test_that_the_distances_are_those_of_double_precision(
    device: str, count: int, queries: int, centres: int, width: int
) -> None:
    points, bank = case(queries, centres, width, device)
    distances, rows = HalfSearch(bank, count)(points)
    right = all_distances(points, bank)
    best = right.sort(dim=1).values[:, :count]
    torch.testing.assert_close(distances.double(), best, rtol=2e-5, atol=1e-9)
    torch.testing.assert_close(right.gather(1, rows), best, rtol=2e-5, atol=1e-9)
    assert all(len(set(row)) == count for row in rows.tolist())


@pytest.mark.parametrize("device", DEVICES)
def test_that_tiles_change_nothing(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points, bank = case(300, 331, 44, device)
    whole = HalfSearch(bank, 3)(points)
    monkeypatch.setattr(search, "_RANKS", 352 * 37)  # 37 queries at once, the last tile not full
    torch.testing.assert_close(HalfSearch(bank, 3)(points)[0], whole[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_that_the_scale_of_the_features_does_not_matter(device: str, size: float) -> None:
    points, bank = case(100, 200, 30, device)
    distances, _ = HalfSearch(bank * size, 1)(points * size)
    right = all_distances(points * size, bank * size).amin(dim=1)
    torch.testing.assert_close(distances[:, 0].double(), right, rtol=2e-5, atol=0.0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("factor", [100.0, 1e4, 1e7])
def test_that_a_patch_far_from_everything_is_measured_all_the_same(device: str, factor: float) -> None:
    points, bank = case(20, 70, 16, device)
    distances, rows = HalfSearch(bank, 3)(points * factor)
    right = all_distances(points * factor, bank)
    assert bool((rows < len(bank)).all())
    torch.testing.assert_close(distances[:, 0].double(), right.amin(dim=1), rtol=5e-3, atol=0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_that_a_query_which_is_a_centre_has_no_distance(device: str) -> None:
    bank = case(1, 90, 12, device)[1]
    distances, _ = HalfSearch(bank, 1)(bank)
    assert not distances.any()


def test_that_centres_nearer_to_each_other_than_half_precision_tells_are_told_apart() -> None:
    bank = torch.randn(200, 40, generator=torch.Generator().manual_seed(1))
    bank[1] = bank[0] + 1e-5  # the same when rounded; of another group
    bank[2] = bank[0] - 1e-5
    distances, rows = HalfSearch(bank, 1)(bank[:3])
    assert rows[:, 0].tolist() == [0, 1, 2]
    assert not distances.any()


@pytest.mark.parametrize("count", [1, 3])
def test_that_centres_of_one_group_nearer_than_half_precision_tells_are_told_apart(count: int) -> None:
    bank = torch.randn(160, 40, generator=torch.Generator().manual_seed(1))
    bank[5] = bank[0] + 1e-5  # 160 centres make five groups: 0 and 5 are of the same
    distances, rows = HalfSearch(bank, count)(bank[[0, 5]])
    assert rows[:, 0].tolist() == [0, 5]
    assert not distances[:, 0].any()


def test_that_a_bank_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than the 3"):
        HalfSearch(torch.zeros(2, 4), 3)


@pytest.mark.parametrize("count", [1, 6])
def test_that_it_finds_what_the_plain_search_finds(count: int) -> None:
    points, bank = case(500, 777, 50, "cpu")
    distances, _ = HalfSearch(bank, count)(points)
    torch.testing.assert_close(distances, nearest_centres(points, bank, count)[0], rtol=1e-4, atol=1e-6)
