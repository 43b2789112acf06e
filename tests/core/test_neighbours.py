from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core import neighbours
from core.neighbours import distances_to_nearest, nearest_centres


@pytest.fixture(params=["compiled", "torch"], autouse=True, scope="module")
def path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test looks at both ways to search."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(neighbours, "_compiled_search", lambda _count: None)
        else:
            assert neighbours._compiled_search(1) is not None
        yield


def cloud(rows: int, width: int = 5, seed: int = 0, steps: int | None = None) -> Tensor:
    """Random rows; with `steps`, on a coarse lattice, where equal distances and equal rows abound."""
    generator = torch.Generator().manual_seed(seed)
    if steps is not None:
        return torch.randint(0, steps, (rows, width), generator=generator).float()
    return torch.randn(rows, width, generator=generator)


def slowly(queries: Tensor, bank: Tensor, count: int) -> Tensor:
    """(n, count) squared distances by direct subtraction in double precision."""
    differences = queries.double()[:, None] - bank.double()[None]
    return differences.square().sum(dim=2).sort(dim=1).values[:, :count]


@given(
    st.integers(1, 40),
    st.integers(6, 50),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 13),
    st.integers(0, 1000),
    st.sampled_from([None, 3]),
)
@settings(deadline=None)
def test_that_any_tiling_finds_what_the_whole_distance_matrix_holds(
    queries: int, centres: int, count: int, query_tile: int, bank_tile: int, seed: int, steps: int | None
) -> None:
    q, bank = cloud(queries, seed=seed, steps=steps), cloud(centres, seed=seed + 1, steps=steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "QUERY_TILE", query_tile)
        patch.setattr(neighbours, "BANK_TILE", bank_tile)
        distances, rows = nearest_centres(q, bank, count)
    torch.testing.assert_close(distances.double(), slowly(q, bank, count), rtol=1e-5, atol=1e-5)
    assert bool((distances[:, 1:] >= distances[:, :-1]).all())
    assert all(len(set(found)) == count for found in rows.tolist())
    of_rows = (q.double()[:, None] - bank.double()[rows]).square().sum(dim=2)
    torch.testing.assert_close(distances.double(), of_rows, rtol=1e-5, atol=1e-5)


def test_that_tiling_changes_no_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, bank = cloud(301, 8), cloud(257, 8, seed=1)
    whole, whole_rows = nearest_centres(queries, bank, 6)
    monkeypatch.setattr(neighbours, "QUERY_TILE", 17)
    monkeypatch.setattr(neighbours, "BANK_TILE", 23)
    tiled, tiled_rows = nearest_centres(queries, bank, 6)
    torch.testing.assert_close(tiled, whole, rtol=1e-6, atol=1e-6)
    assert torch.equal(tiled_rows, whole_rows)


def test_that_a_query_on_a_centre_is_at_distance_zero_and_never_below() -> None:
    """Far from the origin rounding makes small negatives, of which the root would be NaN."""
    bank = cloud(50, 64) * 100
    distances, rows = nearest_centres(bank, bank, 1)
    assert float(distances.min()) >= 0.0
    assert float(distances.max()) < 0.5  # float32 on squares of about 640,000
    assert rows[:, 0].tolist() == list(range(50))


def test_that_the_same_centre_several_times_counts_several_times() -> None:
    bank = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    distances, rows = nearest_centres(torch.zeros(1, 2), bank, 4)
    assert distances.tolist() == [[0.0, 0.0, 0.0, 25.0]]
    assert sorted(rows[0].tolist()) == [0, 1, 2, 3]


def test_that_too_small_a_bank_is_refused() -> None:
    with pytest.raises(ValueError, match="3 centres, fewer than the 4"):
        nearest_centres(cloud(2), cloud(3), 4)
    with pytest.raises(ValueError, match="0 centres"):
        nearest_centres(cloud(2), cloud(0), 1)


def test_that_no_query_gives_no_distance() -> None:
    distances, rows = nearest_centres(cloud(0), cloud(5), 2)
    assert distances.shape == rows.shape == (0, 2)


def test_that_the_gradient_is_that_of_the_distances_written_out() -> None:
    queries, bank = cloud(40), cloud(30, seed=1)
    weights = cloud(40, 4, seed=2)
    ours = queries.clone().requires_grad_()
    (distances_to_nearest(ours, bank, 4) * weights).sum().backward()  # type: ignore[no-untyped-call]
    theirs = queries.clone().requires_grad_()
    matrix = (theirs[:, None] - bank[None]).square().sum(dim=2)
    (matrix.topk(4, dim=1, largest=False).values * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5)


def test_that_the_distances_with_gradient_are_those_of_the_search() -> None:
    queries, bank = cloud(40).requires_grad_(), cloud(30, seed=1)
    assert torch.equal(distances_to_nearest(queries, bank, 4).detach(), nearest_centres(queries, bank, 4)[0])
    assert not nearest_centres(queries, bank, 4)[0].requires_grad
