import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from core.errors import ThresholdError
from core.regions import FlaggedRegion, flagged_regions

Map = NDArray[np.float32]


def slow_regions(anomaly_map: Map, threshold: float, minimum_area: int) -> list[FlaggedRegion]:
    labels, count = ndimage.label(anomaly_map.astype(np.float64) > threshold, structure=np.ones((3, 3)))
    regions = []
    for k in range(1, count + 1):
        rows, columns = np.nonzero(labels == k)
        values = anomaly_map[rows, columns]
        first = int(values.argmax())
        box = (rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1)
        regions.append(
            FlaggedRegion(
                bounding_box=(int(box[0]), int(box[1]), int(box[2]), int(box[3])),
                area=len(rows),
                peak=float(values[first]),
                peak_at=(int(rows[first]), int(columns[first])),
                mean=float(values.astype(np.float64).mean()),
            )
        )
    kept = [region for region in regions if region.area >= minimum_area]
    return sorted(kept, key=lambda region: (-region.peak, region.peak_at))


@given(st.integers(0, 10_000), st.sampled_from([-0.5, 0.0, 0.75, 2.0]), st.integers(1, 4))
def test_that_the_regions_are_those_found_one_by_one(seed: int, threshold: float, minimum_area: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=rng.integers(1, 16, 2)) * 4) / 4  # steps make equal peaks
    values[rng.random(values.shape) < 0.1] = np.nan
    found = flagged_regions(values.astype(np.float32), threshold, minimum_area)
    expected = slow_regions(values.astype(np.float32), threshold, minimum_area)
    assert [(r.bounding_box, r.area, r.peak, r.peak_at) for r in found] == [
        (r.bounding_box, r.area, r.peak, r.peak_at) for r in expected
    ]
    np.testing.assert_allclose([r.mean for r in found], [r.mean for r in expected], rtol=1e-12)


def test_that_a_map_below_the_threshold_has_no_region() -> None:
    assert flagged_regions(np.zeros((6, 8), np.float32), 0.0) == ()
    assert flagged_regions(np.full((6, 8), np.nan, np.float32), 0.0) == ()


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(-3, 3))
def test_that_there_is_a_region_exactly_if_the_image_score_is_above_the_threshold(score: float, steps: int) -> None:
    """The threshold is a float64 within a hair of the score, where rounding it to float32 would change the verdict."""
    threshold = score
    for _ in range(abs(steps)):
        threshold = math.nextafter(threshold, math.copysign(math.inf, steps))
    anomaly_map = np.full((3, 4), score, np.float32)
    assert bool(flagged_regions(anomaly_map, threshold)) == (float(anomaly_map.max()) > threshold)


def test_that_a_threshold_beyond_float32_flags_nothing_above_and_everything_below() -> None:
    values = np.ones((2, 2), np.float32)
    assert flagged_regions(values, 1e300) == ()
    assert flagged_regions(values, -1e300)[0].area == 4


def test_that_a_threshold_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ThresholdError, match="not a number"):
        flagged_regions(np.zeros((2, 2), np.float32), math.nan)


def test_that_a_read_only_map_or_a_view_is_taken_as_it_is() -> None:
    values = np.zeros((10, 12), np.float32)
    values[4, 6] = 3.0
    view = values[::2, ::3]
    view.flags.writeable = False
    assert flagged_regions(view, 1.0) == (FlaggedRegion((2, 2, 1, 1), 1, 3.0, (2, 2), 3.0),)
