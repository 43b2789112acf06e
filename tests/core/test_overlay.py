import numpy as np
import pytest

from core import overlay as module
from core.overlay import overlay

GREY = np.full((60, 80, 3), 120, np.uint8)
THRESHOLD = 2.0


def flat(value: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.full((60, 80), value, np.float32)


def inner(picture: "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]") -> set[tuple[int, ...]]:
    """Colours away from the border, where the contour of an area that reaches it lies."""
    return {tuple(map(int, pixel)) for pixel in picture[10:-10, 10:-10].reshape(-1, 3)}


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_that_up_to_half_the_threshold_the_picture_stays_as_it_is(value: float) -> None:
    np.testing.assert_array_equal(overlay(GREY, flat(value), THRESHOLD), GREY)


def test_that_heat_grows_to_its_opacity_at_twice_the_threshold() -> None:
    def change(value: float, opacity: float = 0.6) -> float:
        return float(np.abs(overlay(GREY, flat(value), THRESHOLD, opacity)[10:-10, 10:-10].astype(int) - 120).mean())

    assert 0 < change(1.6) < change(2.0) < change(3.0) < change(4.0)
    assert change(4.0, opacity=0.0) == 0
    half = np.array([inner(overlay(GREY, flat(4.0), THRESHOLD, opacity=0.5)).pop()])
    assert np.abs(half - (np.array([249, 140, 10]) + 120) / 2).max() <= 1
    (colour,) = inner(overlay(GREY, flat(2.0), THRESHOLD, opacity=1.0))
    assert colour == pytest.approx((145, 95, 107), abs=1)  # 38 % of the way from grey to the middle of inferno


def test_that_the_colours_tell_twice_the_threshold_from_four_times_and_end_there_whatever_the_map_holds() -> None:
    (twice,) = inner(overlay(GREY, flat(4.0), THRESHOLD, opacity=1.0))
    assert twice == (249, 140, 10)  # three quarters of inferno
    hottest = inner(overlay(GREY, flat(8.0), THRESHOLD, opacity=1.0))
    assert hottest == {(252, 255, 164)}  # the end of inferno
    for value in (8.5, 1e6, np.inf):
        assert inner(overlay(GREY, flat(value), THRESHOLD, opacity=1.0)) == hottest
    peak = flat(1.5)
    peak[30, 40] = 50.0
    np.testing.assert_array_equal(  # one hot spot elsewhere does not change a colour here
        overlay(GREY, peak, THRESHOLD)[:15], overlay(GREY, flat(1.5), THRESHOLD)[:15]
    )


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1e-300, 1e300])
def test_that_the_range_of_any_threshold_can_be_told_in_single_precision(threshold: float) -> None:
    low, high = np.array(module.heat_range(threshold)).astype(np.float32)
    assert 0 < low < high < np.inf


def test_that_the_contour_goes_round_what_is_above_the_threshold() -> None:
    values = flat(0.0)
    values[20:40, 30:50] = 3.0
    drawn = (overlay(GREY, values, THRESHOLD, opacity=0.0) == module._CONTOUR).all(axis=2)
    assert drawn[20, 30:50].all()
    assert drawn[39, 30:50].all()
    assert not drawn[25:35, 36:44].any()
    assert not drawn[:15].any()
    assert not (overlay(GREY, flat(2.0), THRESHOLD) == module._CONTOUR).all(axis=2).any()  # not above


def test_that_what_was_not_inspected_stays_as_it_is() -> None:
    values = flat(3.0)
    values[:, :20] = np.nan
    for threshold in (THRESHOLD, 0.0, -1.0):
        drawn = overlay(GREY, values, threshold)
        np.testing.assert_array_equal(drawn[:, :14], GREY[:, :14])
        assert (drawn[20:40, 40:60] != GREY[20:40, 40:60]).any()


@pytest.mark.parametrize("threshold", [0.0, -3.0, 1e-45, 1e-300, 1e300])
def test_that_odd_thresholds_give_a_picture_and_no_warning(threshold: float) -> None:
    values = flat(0.0)
    values[20:40, 30:50] = 5.0
    drawn = overlay(GREY, values, threshold)
    assert drawn.dtype == np.uint8
    assert drawn.shape == GREY.shape
    assert ((drawn != GREY).any()) == (threshold < 1e300)


def test_that_large_pictures_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 30, 3), dtype=np.uint8)
    values = rng.random((64, 30), dtype=np.float32) * 4
    at_once = overlay(image, values, THRESHOLD)
    monkeypatch.setattr(module, "_BAND", 7)
    np.testing.assert_array_equal(overlay(image, values, THRESHOLD), at_once)


def test_that_the_picture_given_is_not_changed() -> None:
    image = GREY.copy()
    image.flags.writeable = False
    overlay(image, flat(3.0), THRESHOLD)
    np.testing.assert_array_equal(image, GREY)
