"""The parts of the canvas that need no window: contour, heat, view, pyramid, axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage

from cfa_gui.widgets.axes import RatioSpan, Span, padded, round_up, tick_texts, ticks
from cfa_gui.widgets.contour import contour_segments
from cfa_gui.widgets.heat import heat_image, indices, lookup, thinned
from cfa_gui.widgets.pyramid import SMOOTH_LIMIT, Pyramid
from cfa_gui.widgets.view import View
from core.overlay import heat_range, overlay


def cone(side: int = 41) -> NDArray[np.float32]:
    y, x = np.mgrid[0:side, 0:side] + 0.5
    return np.asarray(20 - np.hypot(y - side / 2, x - side / 2), np.float32)


def lengths(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1]))


@pytest.mark.parametrize("radius", [3.0, 7.5, 15.0])
def test_that_the_contour_of_a_cone_is_a_circle(radius: float) -> None:
    segments = contour_segments(cone(), 20 - radius)
    ends = segments.reshape(-1, 2) - 20.5
    assert np.hypot(ends[:, 0], ends[:, 1]) == pytest.approx(radius, abs=0.1)
    assert lengths(segments).sum() == pytest.approx(2 * np.pi * radius, rel=0.02)


@given(st.integers(0, 2**32 - 1))
def test_that_every_contour_is_closed(seed: int) -> None:
    values = np.random.default_rng(seed).random((9, 7)).astype(np.float32)
    ends = np.round(contour_segments(values, 0.5).reshape(-1, 2), 6)
    inner = ends[(ends > 0).all(axis=1) & (ends[:, 0] < 7) & (ends[:, 1] < 9)]
    _, counts = np.unique(inner, axis=0, return_counts=True)
    assert np.all(counts % 2 == 0)


def test_that_the_contour_parts_what_is_above_from_what_is_below() -> None:
    values = np.zeros((8, 8), np.float32)
    values[2:5, 3:6] = 1
    segments = contour_segments(values, 0.5)
    assert segments[:, [0, 2]].min() == pytest.approx(3.0)
    assert segments[:, [0, 2]].max() == pytest.approx(6.0)
    assert segments[:, [1, 3]].min() == pytest.approx(2.0)
    assert segments[:, [1, 3]].max() == pytest.approx(5.0)


def test_that_nothing_or_all_above_the_level_has_no_line_inside() -> None:
    assert contour_segments(np.zeros((4, 4), np.float32), 0.5).shape == (0, 4)
    assert contour_segments(np.full((4, 4), np.nan, np.float32), 0.5).shape == (0, 4)
    everywhere = contour_segments(np.ones((4, 6), np.float32), 0.5)
    assert set(everywhere[:, [0, 2]].ravel()) <= {0.0, 6.0} | set(np.arange(0.5, 6))
    on_border = (everywhere[:, [1, 3]] <= 0.01) | (everywhere[:, [1, 3]] >= 3.99)
    at_side = (everywhere[:, [0, 2]] <= 0.01) | (everywhere[:, [0, 2]] >= 5.99)
    assert np.all(on_border | at_side)


def test_that_a_level_below_zero_is_drawn_too() -> None:
    segments = contour_segments(cone() - 100, -85.0)
    assert lengths(segments).sum() == pytest.approx(2 * np.pi * 5, rel=0.02)


def test_that_heat_is_clear_when_cold_and_opaque_when_hot() -> None:
    table = lookup("inferno")
    assert table[0, 3] == 0
    assert table[-1, 3] == 255
    assert np.all(np.diff(table[:, 3].astype(int)) >= 0)
    assert np.all(table[:, :3].max(axis=1) <= table[:, 3])


def test_that_the_range_is_fixed_and_ends_are_kept() -> None:
    values = np.array([[-1.0, 0.0, 0.5, 1.0, 2.0, 9.0, np.inf, np.nan]], np.float32)
    assert indices(values, 0.5, 2.0).tolist() == [[0, 0, 0, 127, 255, 255, 255, 0]]


def test_that_each_doubling_is_as_far_as_the_one_before() -> None:
    span = RatioSpan(0.25, 4.0)
    assert span.doublings() == (0.25, 0.5, 1.0, 2.0, 4.0)
    assert [span.share(value) for value in span.doublings()] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert np.diff(indices(np.array([span.doublings()], np.float32), span.low, span.high)).ravel().tolist() == (
        pytest.approx([64] * 4, abs=1)
    )


@pytest.mark.parametrize("in_thresholds", [0.2, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0])
def test_that_the_window_colours_a_map_as_files_and_reports_do(in_thresholds: float) -> None:
    threshold = 0.7
    values = np.full((40, 40), in_thresholds * threshold, np.float32)
    of_files = overlay(np.full((40, 40, 3), 120, np.uint8), values, threshold, opacity=1.0)[20, 20]
    *heat, alpha = lookup("inferno")[indices(values, *heat_range(threshold))][20, 20].astype(int)
    assert np.array(heat) + 120 * (1 - alpha / 255) == pytest.approx(of_files, abs=5)


def test_that_a_heat_image_owns_its_pixels() -> None:
    image = heat_image(np.full((3, 5), 2.0, np.float32), 0.5, 2.0, "viridis")
    assert (image.width(), image.height()) == (5, 3)
    assert image.pixelColor(2, 1).alpha() == 255


def test_that_thinning_keeps_small_maps_and_bounds_large_ones() -> None:
    small = np.zeros((10, 20), np.float32)
    assert thinned(small, 20) is small or thinned(small, 20).shape == small.shape
    assert max(thinned(np.zeros((100, 333), np.float32), 50).shape) <= 50


points = st.floats(-500, 1500)
views = st.builds(
    View,
    picture=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    surface=st.tuples(st.floats(10, 2000), st.floats(10, 2000)),
    scale=st.floats(0.01, 30),
    centre=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    fitted=st.booleans(),
)


@given(views, points, points)
def test_that_surface_and_picture_are_inverse(view: View, x: float, y: float) -> None:
    back = view.to_surface(view.to_picture(QPointF(x, y)))
    assert (back.x(), back.y()) == pytest.approx((x, y), abs=1e-3)


@given(views)
def test_that_a_fitted_picture_lies_whole_and_in_the_middle(view: View) -> None:
    box = view.fit().rectangle()
    assert box.left() >= -1e-6
    assert box.top() >= -1e-6
    assert box.center().x() == pytest.approx(view.surface[0] / 2)
    assert box.center().y() == pytest.approx(view.surface[1] / 2)


@given(views, st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_that_a_picture_cannot_be_lost(view: View, dx: float, dy: float) -> None:
    moved = view.panned(dx, dy)
    middle = QPointF(view.surface[0] / 2, view.surface[1] / 2)
    assert moved.rectangle().adjusted(-1e-3, -1e-3, 1e-3, 1e-3).contains(middle)


def test_that_zooming_out_ends() -> None:
    view = View((3000, 2000), (600.0, 400.0)).fit()
    for _ in range(50):
        view = view.zoomed(view.scale / 2)
    assert view.scale > view.fit_scale() / 3


def test_that_a_box_in_sight_moves_nothing() -> None:
    view = View((1000, 1000), (500.0, 500.0), 1.0, (0.5, 0.5), fitted=False)
    assert view.showing(QRectF(400, 400, 50, 50)) is view
    assert view.showing(QRectF(900, 100, 50, 50)).centre == (0.925, 0.125)


def test_that_a_pyramid_gives_the_level_that_the_screen_needs() -> None:
    pyramid = Pyramid(np.zeros((300, 401, 3), np.uint8))
    assert [pyramid.level_for(zoom) for zoom in (2.0, 1.0, 0.6, 0.5, 0.3, 0.25)] == [0, 0, 0, 1, 1, 2]
    assert (pyramid.image(2).width(), pyramid.image(2).height()) == (101, 75)


def test_that_halving_a_small_picture_averages() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[::2] = 200
    grey = Pyramid(picture).image(1).convertToFormat(QImage.Format.Format_RGB888).pixelColor(10, 10)
    assert grey.red() == pytest.approx(100, abs=5)


def test_that_a_large_picture_is_halved_by_leaving_pixels_out() -> None:
    side = int((SMOOTH_LIMIT * 1.1) ** 0.5)
    picture = np.zeros((side, side, 3), np.uint8)
    picture[::2] = 200
    assert Pyramid(picture).image(1).pixelColor(10, 10).red() == 200


def test_that_ticks_are_round_and_inside() -> None:
    assert ticks(Span(0.0, 1.0), 5) == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert ticks(Span(0.0, 3.0), 10, whole=True) == (0.0, 1.0, 2.0, 3.0)
    assert tick_texts(ticks(Span(0.0, 1.0), 4)) == ("0.00", "0.25", "0.50", "0.75", "1.00")
    assert tick_texts((-0.5, 0.0, 0.5)) == ("-0.5", "0.0", "0.5")
    assert tick_texts((0.0, 200000.0)) == ("0", "2e+05")


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6), st.integers(1, 12))
def test_that_there_are_never_too_many_ticks(low: float, width: float, most: int) -> None:
    span = Span(low, low + width)
    values = ticks(span, most)
    assert len(values) <= most + 1
    assert all(span.low - width * 1e-6 <= value <= span.high + width * 1e-6 for value in values)
    assert len(tick_texts(values)) == len(values)


@given(st.floats(1e-9, 1e9))
def test_that_rounding_up_is_never_below_nor_far(value: float) -> None:
    assert value * (1 - 1e-6) <= round_up(value) <= value * 2.6


def test_that_a_span_of_one_value_has_width() -> None:
    for value in (0.0, 3.0, -2.0):
        span = padded(value, value)
        assert span.low < value < span.high
