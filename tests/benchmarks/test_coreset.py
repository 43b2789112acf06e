import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.coreset import farthest_first


def walked(points: NDArray[np.float32], first: int, count: int) -> list[int]:
    """The plain walk: every distance in every step."""
    chosen = [first]
    while len(chosen) < count:
        distances = np.linalg.norm(points[:, None] - points[chosen][None], axis=2).min(axis=1)
        chosen.append(int(distances.argmax()))
    return chosen


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_that_the_quick_walk_meets_the_same_points_as_the_plain_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    clusters = random.normal(0, 5, (6, 8))
    points = (clusters[random.integers(0, 6, 400)] + random.normal(0, 1, (400, 8))).astype(np.float32)
    chosen = farthest_first(points, 60, seed)
    assert chosen.tolist() == walked(points, int(chosen[0]), 60)


def test_that_no_point_is_met_twice() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert sorted(farthest_first(points, 50, 1).tolist()) == list(range(50))
