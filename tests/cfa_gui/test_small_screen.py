"""A laptop's screen: nothing may be pushed off it, whatever is open and whatever it is called."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QScrollArea
from pytestqt.qtbot import QtBot

from cfa_gui.widgets.elided_label import ElidedLabel
from cfa_gui.widgets.empty_state import paint_empty_state
from cfa_gui.widgets.image_canvas import ImageCanvas
from cfa_gui.widgets.stat import Stat
from cfa_gui.workbench import Workbench
from tests.cfa_gui.desk import LAPTOP, Desk
from tests.cfa_gui.fake_engine import write_picture

LONG = "2024-11-03_14-22-31_line_3_station_2_camera_1_serial_SN000123456789_exposure_1500us_checked_by_hand"


def test_that_the_window_fits_a_laptop_with_everything_open(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.bench is not None
    desk.window.bench.images.view.setCurrentIndex(desk.window.bench.images.view.model().index(0, 0))
    for name, dock in desk.window.bench.docks.items():
        dock.raise_()
        needed = desk.window.minimumSizeHint()
        assert needed.boundedTo(LAPTOP) == needed, (name, needed)
    desk.window.resize(LAPTOP)
    assert desk.window.size() == LAPTOP


def test_that_the_review_needs_no_scroll_bar_in_a_window_of_usual_size(work: Workbench, qtbot: QtBot) -> None:
    work.docks["review"].raise_()
    (area,) = (area for area in work.review.findChildren(QScrollArea) if area.widget() is not None)
    qtbot.waitUntil(area.isVisible)
    assert area.verticalScrollBar().maximum() == 0
    work.resize(1280, 500)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() > 0)


def test_that_a_long_name_widens_no_window(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    session = desk.parts.session
    desk.window.open_paths([write_picture(tmp_path / "more" / f"{name}.png", 250) for name in ("a", LONG)])
    desk.until(lambda: len(session.review) == 10)
    desk.until_idle()
    widths = []
    for place, name in enumerate(("a", LONG), start=8):
        session.select((place,), place)
        sample = session.current_sample()
        assert sample is not None
        assert name in sample.name
        desk.qtbot.wait(50)  # for the layouts
        widths.append(desk.window.minimumSizeHint().width())
    assert widths[0] == widths[1]


def test_that_a_shortened_name_is_whole_in_its_tooltip_and_when_read_aloud(qtbot: QtBot) -> None:
    label = ElidedLabel(Qt.TextElideMode.ElideMiddle)
    qtbot.addWidget(label)
    label.set_whole_text(LONG)
    label.resize(120, 20)
    label.show()
    assert label.text() != LONG
    assert label.text().startswith("2024")
    assert label.text().endswith("hand")
    assert label.toolTip() == label.accessibleName() == LONG
    label.resize(2000, 20)
    assert label.text() == LONG
    assert label.toolTip() == ""


def test_that_a_number_is_never_cut_off_by_the_room_that_is_kept_for_it(qtbot: QtBot) -> None:
    stat = Stat("Verdict")
    qtbot.addWidget(stat)
    stat.set_least_width(84)
    stat.set_text("1")
    stat.show()
    assert stat.minimumSizeHint().width() == 84
    stat.set_text("Not labelled at all", "unlabelled")
    stat.adjustSize()
    assert stat.minimumSizeHint().width() > 120


def test_that_no_colour_bar_stands_beside_a_picture_that_cannot_be_shown(canvas: ImageCanvas) -> None:
    bar = canvas._bar
    canvas.set_picture(np.zeros((30, 40, 3), np.uint8))
    assert not bar.isHidden()
    canvas.set_picture(None)
    assert bar.isHidden()


@pytest.mark.parametrize("height", [110, 130, 400])
def test_that_the_words_of_an_empty_state_stay_on_the_surface(qtbot: QtBot, height: int) -> None:
    image = QImage(300, height + 40, QImage.Format.Format_RGB32)
    image.fill(QColor("black"))
    painter = QPainter(image)
    hint = "The file is no picture of a known kind, or its beginning is damaged. Save it as PNG, JPEG or TIFF."
    paint_empty_state(painter, image.rect().adjusted(0, 20, 0, -20), "image-outline", "Cannot be shown", hint)
    painter.end()
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(height + 40, 300, 4)[..., :3].max(axis=(1, 2))
    inked = np.flatnonzero(pixels > 100)
    assert inked.min() >= 20
    assert inked.max() < height + 20
    assert (inked.min() < height // 2 - 20) == (height == 400), "the icon stands over the words where there is room"
