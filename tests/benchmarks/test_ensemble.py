import numpy as np

from benchmarks.ensemble import mean_map, on_grid
from core.placement import Placement


def test_that_an_ensemble_is_the_mean_of_those_that_look_at_a_pixel() -> None:
    whole = np.array([[1.0, 2.0, 3.0]], np.float32)
    cropped = np.array([[np.nan, 4.0, np.nan]], np.float32)
    np.testing.assert_array_equal(mean_map([whole, cropped]), [[1.0, 3.0, 3.0]])
    np.testing.assert_array_equal(mean_map([whole]), whole)


def test_that_a_map_comes_to_the_grid_with_its_mean_and_with_what_was_not_seen() -> None:
    placement = Placement((40, 60), (20, 30), (0, 0, 20, 30), (32, 32))
    values = np.random.default_rng(0).random((40, 60), np.float32)
    np.testing.assert_allclose(on_grid(values, placement), values.reshape(20, 2, 30, 2).mean(axis=(1, 3)), rtol=1e-5)
    values[:, :20] = np.nan
    found = on_grid(values, placement)
    assert np.isnan(found[:, :10]).all()
    np.testing.assert_allclose(found[:, 10:], values[:, 20:].reshape(20, 2, 20, 2).mean(axis=(1, 3)), rtol=1e-5)
