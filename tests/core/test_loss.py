import pytest
import torch
from torch import Tensor

from core.loss import LossTerms, cfa_loss

DISTANCES = torch.tensor([[0.1, 0.4, 0.7, 1.1], [0.3, 0.5, 0.6, 0.9]])


def terms(distances: Tensor = DISTANCES, r: float = 0.8, k: int = 2, alpha: float = 0.1, nu: float = 0.5) -> LossTerms:
    return cfa_loss(distances, torch.tensor(r), neighbours=k, alpha=alpha, nu=nu)


def test_that_the_terms_are_those_worked_out_by_hand() -> None:
    """r squared = 0.64. Attraction: none above it. Repulsion with alpha 0.01: 0.64 - 0.6 - 0.01 alone is positive."""
    found = terms(alpha=0.01)
    assert float(found.attraction) == 0.0
    assert float(found.repulsion) == pytest.approx(0.03 / 4 / 0.5, rel=1e-5)
    assert float(found.repulsion_active) == 0.25
    assert float(found.total) == pytest.approx(0.03 / 4 / 0.5, rel=1e-5)


def test_that_attraction_counts_what_lies_beyond_the_radius() -> None:
    found = terms(r=0.6)  # r squared = 0.36; beyond it: 0.4 - 0.36 and 0.5 - 0.36
    assert float(found.attraction) == pytest.approx((0.04 + 0.14) / 4 / 0.5, rel=1e-4)
    assert float(found.repulsion) == 0.0


def test_that_the_total_is_the_sum_of_both_terms() -> None:
    distances = torch.rand(50, 6, generator=torch.Generator().manual_seed(0)).sort(dim=1).values
    found = terms(distances, r=0.8, k=4)
    assert float(found.attraction) > 0
    assert float(found.repulsion) > 0
    assert float(found.total) == pytest.approx(float(found.attraction + found.repulsion), rel=1e-6)
    assert 0 < float(found.repulsion_active) < 1


def test_that_without_hard_negatives_only_attraction_counts() -> None:
    found = terms(DISTANCES[:, :2], r=0.6)
    assert float(found.total) == float(found.attraction) > 0
    assert float(found.repulsion) == float(found.repulsion_active) == 0.0


def test_that_a_term_is_a_mean_over_its_own_neighbours_whatever_k_and_j() -> None:
    """Equal terms: their mean is the term, for one repelling neighbour as for five."""
    for j in (1, 2, 5):
        found = terms(torch.full((3, 2 + j), 0.3), r=1.0, alpha=0.1, nu=1.0)
        assert float(found.repulsion) == pytest.approx(0.6)
    for k in (1, 4):
        found = terms(torch.full((3, k + 1), 3.0), r=1.0, k=k, nu=1.0)
        assert float(found.attraction) == pytest.approx(2.0)


def test_that_the_radius_is_pushed_out_by_attraction_and_in_by_repulsion() -> None:
    for distance, sign in ((3.0, -1), (0.1, 1)):
        r = torch.tensor(1.0, requires_grad=True)
        found = cfa_loss(torch.full((2, 6), distance), r, neighbours=3, alpha=0.1, nu=1e-3)
        found.total.backward()  # type: ignore[no-untyped-call]
        assert r.grad is not None
        assert float(r.grad) == pytest.approx(sign * 2.0 * 1000, rel=1e-5)  # d r^2 / dr = 2 r, over nu


def test_that_the_share_of_active_repulsion_asks_for_no_gradient() -> None:
    distances = DISTANCES.clone().requires_grad_()
    found = cfa_loss(distances, torch.tensor(0.8, requires_grad=True), neighbours=2, alpha=0.1, nu=1.0)
    assert not found.repulsion_active.requires_grad
    assert found.total.requires_grad


def test_that_a_radius_near_zero_never_repels() -> None:
    assert float(terms(torch.zeros(4, 4), r=1e-5).repulsion) == 0.0
