"""The picture and what lies over it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QKeyEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cfa_gui.widgets.image_canvas import ImageCanvas, OverlayMode
from cfa_gui.widgets.picture_view import DIVIDER

KEY = Qt.Key


def grey(height: int = 200, width: int = 300, value: int = 100) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def hot_spot(height: int = 50, width: int = 75) -> NDArray[np.float32]:
    values = np.zeros((height, width), np.float32)
    values[20:30, 30:45] = 2.0
    return values


def shot(canvas: ImageCanvas) -> NDArray[np.uint8]:
    image = canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    colours: NDArray[np.uint8] = np.array(pixels[..., 2::-1], np.uint8)
    return colours


def at(canvas: ImageCanvas, x: float, y: float) -> QPoint:
    return canvas._view.to_surface(QPointF(x, y)).toPoint()


def colour_at(canvas: ImageCanvas, x: float, y: float) -> NDArray[np.uint8]:
    spot = at(canvas, x, y)
    ratio = canvas.devicePixelRatioF()
    colour: NDArray[np.uint8] = shot(canvas)[int(spot.y() * ratio), int(spot.x() * ratio)]
    return colour


def test_that_a_picture_is_shown_whole_and_in_its_colours(canvas: ImageCanvas) -> None:
    picture = grey()
    picture[:, :150] = (200, 30, 60)
    canvas.set_picture(picture)
    assert tuple(colour_at(canvas, 30, 100)) == (200, 30, 60)
    assert tuple(colour_at(canvas, 270, 100)) == (100, 100, 100)
    assert canvas._view.rectangle().width() == pytest.approx(384)


def test_that_heat_colours_only_what_is_hot(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    canvas.set_opacity(1.0)
    canvas.set_heat(hot_spot())
    assert tuple(colour_at(canvas, 20, 20)) == (100, 100, 100)
    hot = colour_at(canvas, 150, 100).astype(int)
    assert hot[0] > 230
    assert hot[2] < 190


def test_that_the_colour_range_does_not_follow_the_picture(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    canvas.set_heat(hot_spot() * 0.1)
    assert tuple(colour_at(canvas, 150, 100)) == (100, 100, 100)
    canvas.set_range(0.05, 0.2)
    assert tuple(colour_at(canvas, 150, 100)) != (100, 100, 100)


def test_that_what_is_not_inspected_stays_clear(canvas: ImageCanvas) -> None:
    values = np.full((50, 75), np.nan, np.float32)
    canvas.set_picture(grey())
    canvas.set_threshold(0.5)
    canvas.set_heat(values)
    assert tuple(colour_at(canvas, 150, 100)) == (100, 100, 100)


def test_that_a_map_of_a_part_of_the_picture_lies_on_that_part(canvas: ImageCanvas, qtbot: QtBot) -> None:
    canvas.set_picture(grey())
    canvas.set_opacity(1.0)
    canvas.set_heat(np.full((10, 10), 2.0, np.float32), (100, 150, 100, 150))
    assert tuple(colour_at(canvas, 75, 50)) == (100, 100, 100)
    assert tuple(colour_at(canvas, 225, 150)) != (100, 100, 100)
    told: list[tuple[int, int, object]] = []
    canvas.cursor_moved.connect(lambda x, y, value: told.append((x, y, value)))
    QTest.mouseMove(canvas, at(canvas, 75, 50))
    qtbot.waitUntil(lambda: len(told) > 0)
    QTest.mouseMove(canvas, at(canvas, 225, 150))
    qtbot.waitUntil(lambda: told[-1][2] is not None)
    assert told[0][2] is None
    assert told[-1][2] == 2.0


def halo(canvas: ImageCanvas) -> NDArray[np.bool_]:
    """Dark pixels well inside the picture."""
    dark: NDArray[np.bool_] = shot(canvas).max(axis=2) < 60
    inside = np.zeros(dark.shape, bool)
    ratio = canvas.devicePixelRatioF()
    top, left, bottom, right = (
        int(ratio * side) for side in (at(canvas, 0, 10).y(), at(canvas, 10, 0).x(), at(canvas, 0, 190).y(), 380)
    )
    inside[top:bottom, left:right] = True
    both: NDArray[np.bool_] = dark & inside
    return both


@pytest.mark.parametrize("mode", [OverlayMode.CONTOUR, OverlayMode.HEAT, OverlayMode.TRUTH])
def test_that_the_contour_runs_at_the_threshold_with_a_dark_halo(canvas: ImageCanvas, mode: OverlayMode) -> None:
    canvas.set_picture(grey(value=255))
    canvas.set_opacity(0.0)
    canvas.set_heat(hot_spot())
    canvas.set_mode(mode)
    canvas.set_threshold(3.0)
    assert not halo(canvas).any()
    canvas.set_threshold(1.0)
    rows, columns = np.nonzero(halo(canvas))
    corner, opposite = at(canvas, 120, 80), at(canvas, 180, 120)
    ratio = canvas.devicePixelRatioF()
    assert (columns.min() / ratio, rows.min() / ratio) == pytest.approx((corner.x(), corner.y()), abs=6)
    assert (columns.max() / ratio, rows.max() / ratio) == pytest.approx((opposite.x(), opposite.y()), abs=6)


def test_that_each_mode_draws_what_it_names(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    canvas.set_heat(hot_spot())
    canvas.set_threshold(1.0)
    mask = np.zeros((200, 300), bool)
    mask[150:180, 20:60] = True
    canvas.set_truth(mask)
    shots = {}
    for mode in OverlayMode:
        canvas.set_mode(mode)
        shots[mode] = shot(canvas)
    assert np.array_equal(shots[OverlayMode.HEAT], shots[OverlayMode.BLINK])
    different = [OverlayMode.NONE, OverlayMode.HEAT, OverlayMode.CONTOUR, OverlayMode.TRUTH, OverlayMode.SIDE_BY_SIDE]
    for index, one in enumerate(different):
        for other in different[index + 1 :]:
            assert not np.array_equal(shots[one], shots[other])
    canvas.set_mode(OverlayMode.HEAT)
    canvas.set_overlay_hidden(hidden=True)
    assert np.array_equal(shot(canvas), shots[OverlayMode.NONE])


def test_that_blinking_shows_and_hides_and_stops_when_nobody_looks(canvas: ImageCanvas, qtbot: QtBot) -> None:
    canvas._blinker.setInterval(20)
    canvas.set_picture(grey())
    canvas.set_heat(hot_spot())
    canvas.set_mode(OverlayMode.BLINK)
    with qtbot.waitSignal(canvas._blinker.timeout):
        pass
    seen: set[bytes] = set()
    canvas._blinker.timeout.connect(lambda: seen.add(shot(canvas).tobytes()))
    qtbot.waitUntil(lambda: len(seen) == 2)
    canvas.hide()
    assert not canvas._blinker.isActive()
    canvas.show()
    assert canvas._blinker.isActive()
    canvas.set_mode(OverlayMode.HEAT)
    assert not canvas._blinker.isActive()


def test_that_a_new_picture_takes_the_overlays_of_the_old_one_away(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    canvas.set_heat(hot_spot())
    canvas.set_threshold(1.0)
    canvas.highlight_box((10, 10, 50, 50))
    canvas.set_truth(np.ones((200, 300), bool))
    canvas.set_picture(grey())
    with_all = shot(canvas)
    canvas.set_mode(OverlayMode.NONE)
    assert np.array_equal(shot(canvas), with_all)


def test_that_the_view_is_kept_from_picture_to_picture(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    QTest.keyClick(canvas, KEY.Key_1)
    QTest.keyClick(canvas, KEY.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    before = canvas._view
    canvas.set_picture(grey(value=50))
    assert canvas._view == before
    canvas.set_picture(grey(400, 600))
    assert canvas._view.centre == before.centre
    assert canvas._view.rectangle() == before.rectangle()
    canvas.set_picture(grey(), keep_view=False)
    assert canvas._view.fitted


def test_that_a_fitted_picture_stays_fitted_when_the_window_grows(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    canvas.resize(canvas.width() + 200, 600)
    assert canvas._view.rectangle().width() == pytest.approx(584)


def test_that_keys_zoom_and_pan_without_a_mouse(canvas: ImageCanvas, qtbot: QtBot) -> None:
    canvas.set_picture(grey())
    zooms: list[float] = []
    canvas.zoom_changed.connect(zooms.append)
    for key in (KEY.Key_1, KEY.Key_Plus, KEY.Key_Minus, KEY.Key_0):
        QTest.keyClick(canvas, key)
    assert zooms == pytest.approx([1.0, 1.25, 1.0, 384 / 300 * canvas.devicePixelRatioF()])
    corner = canvas._view.rectangle().topLeft()
    QTest.keyClick(canvas, KEY.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert canvas._view.rectangle().topLeft() == corner - QPointF(0, 48)


def test_that_plain_arrows_are_left_to_the_window(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    event = QKeyEvent(QKeyEvent.Type.KeyPress, KEY.Key_Right, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)
    assert not event.isAccepted()


def test_that_the_wheel_zooms_at_the_cursor(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    spot = QPointF(at(canvas, 60, 40))
    before = canvas._view.to_picture(spot)
    zoom = canvas.zoom()
    event = QWheelEvent(
        spot,
        canvas.mapToGlobal(spot),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,  # noqa: FBT003  Qt's own way
    )
    QApplication.sendEvent(canvas, event)
    assert canvas.zoom() == pytest.approx(zoom * 1.25)
    after = canvas._view.to_picture(spot)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))


def test_that_dragging_pans_and_a_double_click_fits(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    QTest.keyClick(canvas, KEY.Key_Plus)
    corner = canvas._view.rectangle().topLeft()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    QTest.mouseMove(canvas, QPoint(210, 145))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(210, 145))
    assert canvas._view.rectangle().topLeft() == corner + QPointF(10, -5)
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    assert canvas._view.fitted


def test_that_the_cursor_is_told_in_pixels_of_the_picture_with_the_score(canvas: ImageCanvas, qtbot: QtBot) -> None:
    canvas.set_picture(grey())
    canvas.set_heat(hot_spot())
    with qtbot.waitSignal(canvas.cursor_moved) as told:
        QTest.mouseMove(canvas, at(canvas, 150, 100))
    x, y, value = told.args
    assert (x, y) == (pytest.approx(150, abs=1), pytest.approx(100, abs=1))
    assert value == 2.0
    with qtbot.waitSignal(canvas.cursor_left):
        QTest.mouseMove(canvas, QPoint(2, 2))


def test_that_side_by_side_both_halves_mean_the_same_place(canvas: ImageCanvas, qtbot: QtBot) -> None:
    canvas.set_picture(grey())
    canvas.set_mode(OverlayMode.SIDE_BY_SIDE)
    told: list[tuple[int, int]] = []
    canvas.cursor_moved.connect(lambda x, y, _: told.append((x, y)))
    left = at(canvas, 150, 100)
    QTest.mouseMove(canvas, left)
    QTest.mouseMove(canvas, left + QPoint(int(canvas._view.surface[0]) + DIVIDER, 0))
    qtbot.waitUntil(lambda: len(told) >= 2)
    assert told[0] == told[-1]


def test_that_a_region_out_of_sight_is_brought_into_view(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey(2000, 3000))
    QTest.keyClick(canvas, KEY.Key_1)
    canvas.highlight_box((1900, 2900, 50, 50))
    spot = at(canvas, 2925, 1925)
    assert 0 <= spot.x() < 400
    assert 0 <= spot.y() < 300
    still = canvas._view
    canvas.highlight_box((1890, 2890, 20, 20))
    assert canvas._view == still


def test_that_an_enormous_picture_can_be_shown_and_zoomed(canvas: ImageCanvas) -> None:
    picture = np.zeros((9000, 12000, 3), np.uint8)
    picture[:, 6000:] = (10, 200, 30)
    canvas.set_picture(picture)
    assert tuple(colour_at(canvas, 9000, 4500)) == (10, 200, 30)
    assert tuple(colour_at(canvas, 3000, 4500)) == (0, 0, 0)
    canvas.zoom_actual()
    assert tuple(colour_at(canvas, 6050, 4500)) == (10, 200, 30)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 3)])
def test_that_a_tiny_or_narrow_picture_can_be_shown(canvas: ImageCanvas, shape: tuple[int, int]) -> None:
    canvas.set_picture(grey(*shape))
    canvas.set_heat(np.full(shape, 2.0, np.float32))
    canvas.set_threshold(1.0)
    canvas.set_truth(np.ones(shape, bool))
    for mode in OverlayMode:
        canvas.set_mode(mode)
        shot(canvas)
    for _ in range(30):
        canvas.zoom_out()
    shot(canvas)


def test_that_an_empty_colour_range_is_refused(canvas: ImageCanvas) -> None:
    for low, high in ((1.0, 1.0), (2.0, 1.0), (1.0, np.nan), (1.0, np.inf), (0.0, 1.0), (-1.0, 1.0)):
        with pytest.raises(ValueError, match="range"):
            canvas.set_range(low, high)


def test_that_without_a_picture_the_canvas_says_what_to_do(canvas: ImageCanvas) -> None:
    canvas.set_empty_text("Nothing inspected", "Press Inspect.")
    assert "Press Inspect." in canvas.accessibleDescription()
    blank = shot(canvas)
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) > 5
    canvas.zoom_in()
    canvas.start_drawing(ignored=True)
    canvas.set_picture(grey())
    assert "300 by 200" in canvas.accessibleDescription()
