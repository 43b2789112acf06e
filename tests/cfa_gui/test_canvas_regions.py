"""Regions are drawn by mouse or by keys alone."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from cfa_gui.widgets.image_canvas import ImageCanvas

KEY = Qt.Key


def grey() -> NDArray[np.uint8]:
    return np.full((200, 300, 3), 100, np.uint8)


def at(canvas: ImageCanvas, x: float, y: float) -> QPoint:
    return canvas._view.to_surface(QPointF(x, y)).toPoint()


def drawn(canvas: ImageCanvas) -> list[tuple[list[tuple[float, float]], bool]]:
    told: list[tuple[list[tuple[float, float]], bool]] = []
    canvas.region_drawn.connect(lambda points, ignored: told.append((points, ignored)))
    return told


def test_that_a_region_is_drawn_with_clicks(canvas: ImageCanvas) -> None:
    told = drawn(canvas)
    canvas.set_picture(grey())
    canvas.start_drawing(ignored=True)
    for x, y in ((30, 20), (150, 20), (150, 180)):
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at(canvas, x, y))
    QTest.keyClick(canvas, KEY.Key_Return)
    assert len(told) == 1
    points, ignored = told[0]
    assert ignored
    flat = [part for point in points for part in point]
    assert flat == pytest.approx([0.1, 0.1, 0.5, 0.1, 0.5, 0.9], abs=0.01)


def test_that_a_rectangle_is_pulled_open(canvas: ImageCanvas) -> None:
    told = drawn(canvas)
    canvas.set_picture(grey())
    canvas.start_drawing(ignored=False)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=at(canvas, 240, 160))
    QTest.mouseMove(canvas, at(canvas, 100, 100))
    canvas.grab()
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=at(canvas, 60, 40))
    points, ignored = told[0]
    assert not ignored
    flat = [part for point in points for part in point]
    assert flat == pytest.approx([0.2, 0.2, 0.8, 0.2, 0.8, 0.8, 0.2, 0.8], abs=0.01)


def test_that_a_region_is_drawn_with_keys_alone(canvas: ImageCanvas) -> None:
    told = drawn(canvas)
    canvas.set_picture(grey())
    canvas.start_drawing(ignored=False)
    for keys in (
        (KEY.Key_Space,),
        (KEY.Key_Right, KEY.Key_Right, KEY.Key_Space),
        (KEY.Key_Down, KEY.Key_Space),
        (KEY.Key_Up, KEY.Key_Space, KEY.Key_Backspace),
        (KEY.Key_Return,),
    ):
        for key in keys:
            QTest.keyClick(canvas, key)
    points, _ = told[0]
    assert len(points) == 3
    assert points[0] == (0.5, 0.5)
    assert points[1][0] > 0.55
    assert points[2][1] > 0.5


def test_that_two_corners_are_no_region_and_escape_gives_up(canvas: ImageCanvas) -> None:
    told, states = drawn(canvas), list[bool]()
    canvas.drawing_changed.connect(states.append)
    canvas.set_picture(grey())
    canvas.start_drawing(ignored=True)
    QTest.keyClick(canvas, KEY.Key_Space)
    QTest.keyClick(canvas, KEY.Key_Right)
    QTest.keyClick(canvas, KEY.Key_Space)
    QTest.keyClick(canvas, KEY.Key_Return)
    assert states == [True]
    QTest.keyClick(canvas, KEY.Key_Escape)
    assert states == [True, False]
    assert told == []


def test_that_a_region_stays_on_the_picture(canvas: ImageCanvas) -> None:
    told = drawn(canvas)
    canvas.set_picture(grey())
    canvas.start_drawing(ignored=True)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(399, 299))
    assert set(told[0][0]) == {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)}


def test_that_regions_are_shown_and_hidden_with_the_overlay(canvas: ImageCanvas) -> None:
    canvas.set_picture(grey())
    plain = canvas.grab().toImage()
    canvas.set_regions([([(0.1, 0.1), (0.4, 0.1), (0.4, 0.6)], True), ([(0.5, 0.1), (0.9, 0.1), (0.9, 0.9)], False)])
    assert canvas.grab().toImage() != plain
    canvas.set_overlay_hidden(hidden=True)
    assert canvas.grab().toImage() == plain
