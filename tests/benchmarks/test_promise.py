import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.promise import Scored, f1_of_other_half, observed

NONE = np.empty(0)


def one_image_a_part(good: NDArray[np.float64]) -> Scored:
    return Scored(good, np.arange(len(good)), NONE)


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_that_the_promise_holds_on_scores_of_one_distribution(rate: float) -> None:
    random = np.random.default_rng(0)
    shares = observed(one_image_a_part(random.exponential(size=2000)), 100, rate, 400, random)
    assert 0.7 * rate < shares.mean() <= 1.05 * rate


def test_that_the_promise_holds_for_new_parts_where_the_images_of_a_part_score_alike() -> None:
    random = np.random.default_rng(0)
    of_parts = random.exponential(size=300)
    images = random.integers(1, 9, size=300)
    parts = np.repeat(np.arange(300), images)
    good = of_parts[parts] + random.normal(0, 0.02, len(parts))
    shares = observed(Scored(good, parts, NONE), 50, 0.1, 400, random)
    assert 0.05 < shares.mean() <= 0.105


def test_that_the_promise_is_seen_broken_where_the_scores_shift() -> None:
    random = np.random.default_rng(0)
    good = np.concatenate((random.normal(0, 1, 50), random.normal(3, 1, 950)))
    keeps_order = np.random.default_rng(0)

    class Unshuffled:
        def permutation(self, count: int) -> NDArray[np.int64]:
            return np.arange(count)

    shares = observed(one_image_a_part(good), 50, 0.1, 1, Unshuffled())  # type: ignore[arg-type]
    assert shares[0] > 0.5
    assert observed(one_image_a_part(good), 50, 0.1, 200, keeps_order).mean() < 0.12


def test_that_f1_where_it_was_chosen_is_at_least_that_of_the_other_half() -> None:
    random = np.random.default_rng(1)
    own, other = f1_of_other_half(random.normal(0, 1, 60), random.normal(1, 1, 60), 200, random)
    assert own.mean() > other.mean()
