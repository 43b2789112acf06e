"""Small controls: drop target, toasts, confusion matrix, number slider, stat, canvas bar."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QCursor,
    QDragEnterEvent,
    QDropEvent,
    QEnterEvent,
    QGuiApplication,
    QStandardItemModel,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QDoubleSpinBox, QPushButton, QSlider, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from cfa_gui.widgets.canvas_bar import CanvasBar
from cfa_gui.widgets.drop_target import DropTarget
from cfa_gui.widgets.image_canvas import ImageCanvas, OverlayMode
from cfa_gui.widgets.matrix import CELLS, ConfusionMatrix
from cfa_gui.widgets.number_slider import NumberSlider
from cfa_gui.widgets.stat import Stat
from cfa_gui.widgets.toast import MOST, Toast, ToastArea
from tests.cfa_gui.bench import turn_wheel

KEY = Qt.Key
LEFT = Qt.MouseButton.LeftButton


def button(widget: QWidget, words: str) -> QPushButton:
    return next(item for item in widget.findChildren(QPushButton) if words in item.text())


# Drop target


@pytest.fixture
def target(qtbot: QtBot) -> DropTarget:
    target = DropTarget()
    qtbot.addWidget(target)
    target.resize(600, 320)
    target.show()
    return target


def drag(target: DropTarget, data: QMimeData) -> bool:
    """Drag over the target and let go where it takes it."""
    action, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), action, data, LEFT, none)
    enter.ignore()
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        QApplication.sendEvent(target, QDropEvent(QPointF(50, 50), action, data, LEFT, none))
    return enter.isAccepted()


def test_that_a_dropped_folder_is_told_as_a_path(target: DropTarget, tmp_path: Path) -> None:
    told: list[list[Path]] = []
    target.dropped.connect(told.append)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "gute Teile é"))])
    assert drag(target, data)
    assert told == [[tmp_path / "gute Teile é"]]
    assert not target.property("active")


def test_that_text_and_web_pages_are_not_taken(target: DropTarget) -> None:
    words, page = QMimeData(), QMimeData()
    words.setText("hello")
    page.setUrls([QUrl("https://example.org/a.png")])
    assert not drag(target, words)
    assert not drag(target, page)


def test_that_both_buttons_are_reached_and_pressed_by_keyboard(target: DropTarget, qtbot: QtBot) -> None:
    for words, signal in (("Choose folder", target.browse_clicked), ("Try the sample", target.sample_clicked)):
        with qtbot.waitSignal(signal):
            QTest.keyClick(button(target, words), KEY.Key_Space)
        assert button(target, words).focusPolicy() & Qt.FocusPolicy.TabFocus


def test_that_a_busy_target_says_so_and_takes_nothing(target: DropTarget) -> None:
    target.set_busy("Reading 60 images…")
    assert not button(target, "Choose").isEnabled()
    assert not target.acceptDrops()
    assert target._title.text() == "Reading 60 images…"
    target.set_busy(None)
    assert button(target, "Choose").isEnabled()
    assert target._title.text() == "Drop a folder of good parts"


# Toasts


@pytest.fixture
def area(qtbot: QtBot) -> Iterator[ToastArea]:
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.resize(900, 700)
    area = ToastArea(parent)
    parent.show()
    QTest.mouseMove(parent, QPoint(5, 5))
    yield area  # and keep the parent until the end


def toasts(area: ToastArea) -> list[Toast]:
    return [toast for toast in area.findChildren(Toast) if toast in area._toasts]


def test_that_a_message_lies_in_the_corner_and_stays_there(area: ToastArea) -> None:
    area.show_message("Saved.", "success")
    parent = area.parentWidget()
    assert parent is not None
    assert area.geometry().bottomRight() == QPoint(900 - 17, 700 - 17)
    parent.resize(700, 500)
    assert area.geometry().bottomRight() == QPoint(700 - 17, 500 - 17)
    assert area.isVisible()


def test_that_news_leaves_by_itself_and_an_error_stays(area: ToastArea, qtbot: QtBot) -> None:
    area.show_message("Saved.", "success")
    area.show_message("It broke.", "error")
    news, error = toasts(area)
    assert not error._timer.isActive()
    assert news._timer.isActive()
    news._timer.start(1)
    qtbot.waitUntil(lambda: area.messages() == ("It broke.",))


def test_that_time_stands_still_while_the_pointer_rests_on_a_message(area: ToastArea) -> None:
    area.show_message("Saved.", "success")
    toast = toasts(area)[0]
    assert toast._timer.isActive()
    QApplication.sendEvent(toast, QEnterEvent(QPointF(20, 10), QPointF(20, 10), QPointF(20, 10)))
    assert not toast._timer.isActive()
    QApplication.sendEvent(toast, QEvent(QEvent.Type.Leave))
    assert toast._timer.isActive()
    area.clear()
    assert not area.isVisible()


def test_that_time_goes_on_where_a_message_comes_up_under_a_pointer_that_rests(area: ToastArea) -> None:
    area.show_message("Saved.", "success")
    toast = toasts(area)[0]
    here = QPointF(QCursor.pos())
    QApplication.sendEvent(toast, QEnterEvent(QPointF(20, 10), QPointF(20, 10), here))
    assert toast._timer.isActive()
    area.clear()


def test_that_details_unfold_and_are_copied(area: ToastArea) -> None:
    area.show_message("It broke.", "error", details="Traceback: x")
    toast = toasts(area)[0]
    before = area.height()
    QTest.mouseClick(button(toast, "Details"), LEFT)
    assert toast._details.isVisible()
    assert area.height() > before + 100
    QTest.mouseClick(button(toast, "Copy"), LEFT)
    assert QGuiApplication.clipboard().text() == "It broke.\n\nTraceback: x"


def test_that_an_action_is_done_once_and_its_message_leaves(area: ToastArea) -> None:
    done: list[int] = []
    area.show_message("3 images cannot be read.", "warning", action=("Show them", lambda: done.append(1)))
    QTest.keyClick(button(area, "Show them"), KEY.Key_Space)
    assert done == [1]
    assert area.messages() == ()


def test_that_the_same_message_is_not_stacked_and_errors_outlast_news(area: ToastArea) -> None:
    for _ in range(3):
        area.show_message("It broke.", "error")
    assert area.messages() == ("It broke.",)
    for number in range(MOST + 2):
        area.show_message(f"News {number}.")
    assert len(area.messages()) == MOST
    assert area.messages()[0] == "It broke."
    assert area.messages()[-1] == f"News {MOST + 1}."


def test_that_escape_and_the_close_button_close_a_message(area: ToastArea) -> None:
    area.show_message("One.", "error")
    QTest.keyClick(toasts(area)[0], KEY.Key_Escape)
    area.show_message("Two.", "error")
    closer = toasts(area)[0].findChild(QToolButton)
    assert isinstance(closer, QToolButton)
    assert closer.accessibleName()
    QTest.mouseClick(closer, LEFT)
    assert area.messages() == ()


# Confusion matrix


@pytest.fixture
def matrix(qtbot: QtBot) -> ConfusionMatrix:
    matrix = ConfusionMatrix()
    qtbot.addWidget(matrix)
    matrix.show()
    return matrix


def test_that_a_cell_is_pressed_and_pressed_again(matrix: ConfusionMatrix) -> None:
    told: list[str] = []
    matrix.cell_clicked.connect(told.append)
    matrix.set_counts(238, 2, 3, 17)
    QTest.mouseClick(matrix.cell("false_alarm"), LEFT)
    QTest.keyClick(matrix.cell("missed"), KEY.Key_Space)
    assert [matrix.cell(name).isChecked() for name in CELLS] == [False, False, True, False]
    QTest.keyClick(matrix.cell("missed"), KEY.Key_Space)
    assert told == ["false_alarm", "missed", ""]


def test_that_a_cell_says_its_count_aloud(matrix: ConfusionMatrix) -> None:
    matrix.set_counts(1238, 2, 0, 17)
    assert [matrix.cell(name).accessibleName() for name in CELLS] == [
        "1238 pass, rightly",
        "2 false alarms",
        "0 missed",
        "17 found",
    ]
    matrix.set_selected("missed")
    assert matrix.cell("missed").isChecked()
    assert not matrix.grab().isNull()


def test_that_without_labels_cells_cannot_be_pressed(matrix: ConfusionMatrix) -> None:
    told: list[str] = []
    matrix.cell_clicked.connect(told.append)
    matrix.set_counts(None, None, None, None)
    QTest.mouseClick(matrix.cell("missed"), LEFT)
    assert told == []


# Number slider


@pytest.fixture
def number(qtbot: QtBot) -> NumberSlider:
    number = NumberSlider("Threshold")
    qtbot.addWidget(number)
    number.set_range(-1.0, 3.0)
    number.set_value(1.0)
    number.show()
    return number


def parts(number: NumberSlider) -> tuple[QSlider, QDoubleSpinBox]:
    slider, digits = number.findChild(QSlider), number.findChild(QDoubleSpinBox)
    assert isinstance(slider, QSlider)
    assert isinstance(digits, QDoubleSpinBox)
    return slider, digits


def told_by(number: NumberSlider) -> tuple[list[float], list[float]]:
    moved: list[float] = []
    done: list[float] = []
    number.value_changed.connect(moved.append)
    number.committed.connect(done.append)
    return moved, done


def test_that_slider_and_digits_are_one_value(number: NumberSlider) -> None:
    slider, digits = parts(number)
    moved, done = told_by(number)
    number.set_value(1.23456789)
    assert number.value() == 1.23456789
    assert digits.value() == 1.235
    assert slider.value() == 559
    assert moved == done == []


def test_that_typing_and_keys_tell_and_commit(number: NumberSlider) -> None:
    slider, digits = parts(number)
    moved, done = told_by(number)
    digits.selectAll()
    QTest.keyClicks(digits, "2.5")
    assert done == []
    QTest.keyClick(digits, KEY.Key_Return)
    assert moved == done == [2.5]
    QTest.keyClick(slider, KEY.Key_Left)
    assert done[-1] == pytest.approx(2.48)
    assert digits.value() == pytest.approx(2.48)


def test_that_dragging_commits_once(number: NumberSlider) -> None:
    slider, _ = parts(number)
    moved, done = told_by(number)
    slider.setSliderDown(True)
    for position in (600, 700, 800):
        slider.setSliderPosition(position)
    assert len(moved) == 3
    assert done == []
    slider.setSliderDown(False)
    assert done == [pytest.approx(2.2)]


def test_that_the_value_is_kept_inside_the_range(number: NumberSlider) -> None:
    number.set_value(9.0)
    assert number.value() == 3.0
    number.set_range(0.0, 2.0)
    assert number.value() == 2.0
    number.set_range(1.0, 1.0)
    assert number.value() == 1.0


def test_that_the_wheel_passes_over_a_number_without_the_focus(number: NumberSlider) -> None:
    for part in parts(number):
        part.clearFocus()
        turn_wheel(part)
        assert number.value() == 1.0


# Stat


def test_that_a_number_that_is_not_known_is_a_dash(qtbot: QtBot) -> None:
    stat = Stat("Precision", "Share of the flagged parts that are defective.")
    qtbot.addWidget(stat)
    stat.set_value(97.31, "{:.1f} %")
    assert stat.text() == "97.3 %"
    assert stat.accessibleName() == "Precision: 97.3 %"
    stat.set_value(None)
    assert stat.text() == "–"
    assert stat.accessibleName() == "Precision: not known"
    stat.show()
    stat.set_text("Defect", "defect")
    assert stat._mark.isVisible()


# Canvas bar


@pytest.fixture
def bar(qtbot: QtBot) -> Iterator[CanvasBar]:
    parent = QWidget()
    qtbot.addWidget(parent)
    canvas = ImageCanvas(parent)
    canvas.resize(300, 200)
    canvas.set_picture(np.zeros((100, 100, 3), np.uint8))
    yield CanvasBar(canvas, parent)  # and keep the parent until the end


def test_that_the_bar_steers_the_canvas_and_tells_only_the_users_choice(bar: CanvasBar) -> None:
    told: list[object] = []
    for signal in (bar.mode_changed, bar.opacity_changed, bar.colour_map_changed):
        signal.connect(told.append)
    bar.set_mode(OverlayMode.CONTOUR)
    bar.set_opacity(0.5)
    bar.set_colour_map("magma")
    assert bar._canvas.mode() is OverlayMode.CONTOUR
    assert bar._canvas._layers.opacity == 0.5
    assert told == []
    modes, maps = bar.findChildren(QComboBox)
    QTest.keyClick(modes, KEY.Key_Down)
    QTest.keyClick(maps, KEY.Key_Down)
    QTest.keyClick(bar._opacity, KEY.Key_Right)
    assert told == [OverlayMode.TRUTH, "viridis", 0.51]
    assert bar._canvas.mode() is OverlayMode.TRUTH


def test_that_true_defects_can_be_out_of_reach(bar: CanvasBar) -> None:
    model = bar._modes.model()
    assert isinstance(model, QStandardItemModel)
    bar.set_truth_available(available=False)
    item = model.item(bar._modes.findData(OverlayMode.TRUTH))
    assert not item.isEnabled()
    bar.set_truth_available(available=True)
    assert item.isEnabled()


def test_that_the_zoom_is_shown_and_steered(bar: CanvasBar) -> None:
    buttons = {item.accessibleName(): item for item in bar.findChildren(QToolButton)}
    assert set(buttons) == {"Zoom", "Zoom out", "Zoom in", "Show the whole picture"}
    QTest.mouseClick(buttons["Zoom"], LEFT)
    assert buttons["Zoom"].text() == "100 %"
    QTest.keyClick(buttons["Zoom in"], KEY.Key_Space)
    assert buttons["Zoom"].text() == "125 %"
    QTest.mouseClick(buttons["Show the whole picture"], LEFT)
    assert bar._canvas._view.fitted


def test_that_every_control_has_a_name_and_a_tip(
    bar: CanvasBar, number: NumberSlider, matrix: ConfusionMatrix, target: DropTarget
) -> None:
    kinds = (QToolButton, QComboBox, QSlider, QPushButton)
    for widget in (bar, matrix, target):
        for kind in kinds:
            for control in widget.findChildren(kind):
                words = control.text() if isinstance(control, QPushButton | QToolButton) else ""
                assert control.accessibleName() or words
                assert control.toolTip()
    for part in parts(number):
        assert part.accessibleName()
