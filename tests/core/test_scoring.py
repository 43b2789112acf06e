import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from torch.nn import functional

from core.config import Score
from core.scoring import anomaly_map, image_score, patch_scores
from tests.core import published

Grid = NDArray[np.float32]
Mask = NDArray[np.bool_]


def random_grid(height: int, width: int, seed: int = 0) -> Grid:
    return np.random.default_rng(seed).random((height, width), np.float32) * 3


def everything(grid: Grid, cell: int = 4) -> tuple[Mask, Mask]:
    """The masks of a picture that fills its grid."""
    return np.ones(grid.shape, np.bool_), np.ones((grid.shape[0] * cell, grid.shape[1] * cell), np.bool_)


@pytest.mark.parametrize("shape", [(16, 16), (14, 19), (56, 56), (8, 32), (3, 5), (1, 40), (1, 1)])
def test_that_smoothing_equals_scipys_gaussian_and_upsampling_equals_torchs_bilinear(shape: tuple[int, int]) -> None:
    """Small maps too, whose border is reflected more than once."""
    grid = random_grid(*shape)
    large = functional.interpolate(
        torch.from_numpy(grid)[None, None], scale_factor=4, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(anomaly_map(grid, *everything(grid), 4, 0.0), large, rtol=0, atol=1e-5)
    smooth = ndimage.gaussian_filter(large.astype(np.float64), sigma=4, mode="reflect")
    np.testing.assert_allclose(anomaly_map(grid, *everything(grid), 4, 4.0), smooth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 10.0])
def test_that_every_sigma_smooths_as_scipy_does(sigma: float) -> None:
    grid = random_grid(12, 20)
    unsmoothed = anomaly_map(grid, *everything(grid), 4, 0.0)
    expected = ndimage.gaussian_filter(unsmoothed.astype(np.float64), sigma=sigma, mode="reflect")
    np.testing.assert_allclose(anomaly_map(grid, *everything(grid), 4, sigma), expected, rtol=0, atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([4, 8]), st.sampled_from([0.0, 4.0]), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_that_a_map_is_the_weighted_mean_of_valid_patches_alone(
    height: int, width: int, cell: int, sigma: float, seed: int
) -> None:
    """A crop that does not fill its cells, on a padded canvas, with a random mask; garbage wherever it is invalid."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // cell), -(-width // cell)
    shape = (rows + int(rng.integers(0, 3)), columns + int(rng.integers(0, 3)))
    valid = np.zeros(shape, np.bool_)
    valid[:rows, :columns] = rng.random((rows, columns)) < 0.8
    valid[rng.integers(rows), rng.integers(columns)] = True
    grid = random_grid(*shape, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = published.masked_anomaly_map(
            torch.from_numpy(grid), torch.from_numpy(valid), cell, (height, width), sigma
        )
    reached = ndimage.gaussian_filter(
        np.kron(valid[:rows, :columns], np.ones((cell, cell)))[:height, :width].astype(np.float64), sigma
    )
    for garbage in (np.nan, np.inf, -np.inf, 1e30):
        dirty = np.where(valid, grid, np.float32(garbage))
        found = anomaly_map(dirty, valid, np.ones((height, width), np.bool_), cell, sigma)
        assert found.shape == (height, width)
        assert bool(np.isfinite(found).all())
        near = reached > 1e-3
        np.testing.assert_allclose(found[near], expected[near], rtol=1e-3, atol=1e-4)
        assert float(found.max()) <= float(grid[valid].max()) * (1 + 1e-3)


def test_that_equal_patches_give_a_flat_map_up_to_the_edge_of_what_is_valid() -> None:
    valid = np.zeros((10, 12), np.bool_)
    valid[2:7, 3:9] = True
    values = anomaly_map(np.full((10, 12), 2.5, np.float32), valid, np.kron(valid, np.ones((4, 4))) > 0, 4, 4.0)
    np.testing.assert_allclose(values[8:28, 12:36], 2.5, rtol=1e-5)
    values[8:28, 12:36] = 0
    assert not values.any()


def test_that_what_is_not_inspected_is_zero_on_the_map_and_takes_no_part_in_the_score() -> None:
    grid = np.ones((8, 8), np.float32)
    grid[:, 4:] = 9.0
    inspected = np.zeros((32, 32), np.bool_)
    inspected[:, :16] = True
    valid = np.ones((8, 8), np.bool_)
    valid[:, 4:] = False
    values = anomaly_map(grid, valid, inspected, 4, 4.0)
    assert not values[:, 16:].any()
    assert image_score(values, inspected) == pytest.approx(1.0)
    values[:, 16:] = 100.0
    assert image_score(values, inspected) == pytest.approx(1.0)


def test_that_the_image_score_is_the_maximum_of_the_map() -> None:
    grid = random_grid(9, 11)
    values = anomaly_map(grid, *everything(grid), 4, 4.0)
    assert image_score(values, everything(grid)[1]) == float(values.max())


def test_that_the_certainty_score_is_the_nearest_distance_times_its_softmin_weight() -> None:
    squared = torch.tensor([[1.0, 4.0, 9.0]])
    weights = np.exp([-1.0, -2.0, -3.0])
    assert float(patch_scores(squared, Score.CERTAINTY)) == pytest.approx(weights[0] / weights.sum())
    assert float(patch_scores(squared, Score.NEAREST)) == 1.0


def test_that_a_patch_between_many_centres_is_less_certain_and_scores_lower() -> None:
    lone, crowded = patch_scores(torch.tensor([[4.0, 400.0, 400.0], [4.0, 4.0, 4.0]]), Score.CERTAINTY).tolist()
    assert lone == pytest.approx(2.0)
    assert crowded == pytest.approx(2.0 / 3)


def test_that_with_one_neighbour_both_scores_are_the_distance() -> None:
    squared = torch.rand(20, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(patch_scores(squared, Score.CERTAINTY), patch_scores(squared, Score.NEAREST))


def test_that_the_excess_is_the_distance_outside_the_nearest_centres_sphere_and_never_below_zero() -> None:
    squared, radii = torch.tensor([[4.0], [4.0], [4.0]]), torch.tensor([0.5, 2.0, 3.0])
    assert patch_scores(squared, Score.EXCESS, radii).tolist() == [1.5, 0.0, 0.0]
    with pytest.raises(ValueError, match="radii"):
        patch_scores(squared, Score.EXCESS)


def test_that_the_tangent_is_the_root_of_what_the_square_has_more_than_the_radius_squared() -> None:
    squared, radii = torch.tensor([[25.0], [4.0], [4.0], [1e6]]), torch.tensor([3.0, 2.0, 3.0, 1.0])
    assert patch_scores(squared, Score.TANGENT, radii).tolist() == pytest.approx([4.0, 0.0, 0.0, 1000.0], rel=1e-5)
    with pytest.raises(ValueError, match="radii"):
        patch_scores(squared, Score.TANGENT)


@pytest.mark.skipif(sys.platform != "linux", reason="how many threads a process has is read from /proc")
@pytest.mark.parametrize("score", [Score.NEAREST, Score.EXCESS, Score.TANGENT])
def test_that_scoring_wakes_none_of_torchs_threads(score: Score) -> None:
    """They would spin for milliseconds after it, in the way of OpenVINO's, which search the next image."""
    code = f"""
import os, torch
from core.scoring import Score, patch_scores
torch.set_num_threads(4)
squared, radii = torch.rand(4096, 1), torch.rand(4096)
before = os.listdir("/proc/self/task")
patch_scores(squared, Score.{score.name}, radii)
assert os.listdir("/proc/self/task") == before
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_that_a_square_that_rounding_made_negative_scores_zero_and_not_nan() -> None:
    squared = torch.tensor([[-1e-6, 0.5, 0.7]])
    assert float(patch_scores(squared, Score.CERTAINTY)) == 0.0
    assert float(patch_scores(squared, Score.NEAREST)) == 0.0


def test_that_far_distances_score_without_overflow() -> None:
    squared = torch.tensor([[1e10, 1.1e10, 1e12]])
    assert float(patch_scores(squared, Score.CERTAINTY)) == pytest.approx(1e5)
