"""Maps by matrices beside `core.scoring.anomaly_map`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cuda.maps import MapMaker
from core.scoring import anomaly_map, image_score
from tests.core.cuda.devices import DEVICES

CPU = torch.device("cpu")


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([4, 8]), st.sampled_from([0.0, 1.3, 4.0, 9.0]))
@settings(deadline=None, max_examples=60)
def test_that_maps_and_scores_are_those_of_the_plain_path(height: int, width: int, cell: int, sigma: float) -> None:
    """A crop that does not fill its cells, on a padded canvas, with random masks; garbage wherever it is invalid."""
    rng = np.random.default_rng(height * 91 + width)
    rows, columns = -(-height // cell), -(-width // cell)
    shape = rows + int(rng.integers(0, 3)), columns + int(rng.integers(0, 3))
    valid = np.zeros(shape, np.bool_)
    valid[:rows, :columns] = rng.random((rows, columns)) < rng.choice([0.6, 1.0])
    inspected = rng.random((height, width)) < rng.choice([0.7, 1.0])
    grids = rng.random((3, *shape), np.float32)
    grids[:, ~valid] = np.inf
    maps = MapMaker(valid, inspected, cell, sigma, CPU)(torch.from_numpy(grids))
    for grid, found in zip(grids, maps.numpy(), strict=True):
        right = anomaly_map(grid, valid, inspected, cell, sigma)
        np.testing.assert_allclose(found, right, rtol=2e-5, atol=1e-6)
        assert found.max() == pytest.approx(image_score(right, inspected), rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_that_a_device_gives_the_same_map(device: str) -> None:
    grids = torch.rand(2, 56, 40)
    masks = np.ones((56, 40), np.bool_), np.ones((224, 160), np.bool_)
    maps = MapMaker(*masks, 4, 4.0, torch.device(device))(grids.to(device)).cpu().numpy()
    np.testing.assert_allclose(maps[1], anomaly_map(grids[1].numpy(), *masks, 4, 4.0), rtol=2e-5, atol=1e-6)
