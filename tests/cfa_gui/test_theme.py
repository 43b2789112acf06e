"""Colours that can be read, and marks that survive grey printing."""

import numpy as np
import pytest
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from cfa_gui import theme


def luminance(colour: str) -> float:
    parts = [value / 255 for value in (QColor(colour).red(), QColor(colour).green(), QColor(colour).blue())]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tokens", [theme.DARK, theme.LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("ground", ["window", "panel", "raised", "field"])
@pytest.mark.parametrize("ink", ["text", "muted", "good", "uncertain", "defect"])
def test_that_words_can_be_read_on_every_ground(tokens: theme.Tokens, ground: str, ink: str) -> None:
    least = 3.0 if ground == "raised" and ink not in {"text", "muted"} else 4.5  # marks and large words on buttons
    assert contrast(getattr(tokens, ink), getattr(tokens, ground)) >= least


@pytest.mark.parametrize("tokens", [theme.DARK, theme.LIGHT], ids=["dark", "light"])
def test_that_the_primary_button_and_the_chosen_row_can_be_read(tokens: theme.Tokens) -> None:
    assert contrast(tokens.on_accent, tokens.accent) >= 4.5
    assert contrast(tokens.text, tokens.selected) >= 4.5


def test_that_applying_a_scheme_changes_tokens_palette_and_tells(qapp: QApplication, qtbot: QtBot) -> None:
    theme.apply(qapp, "dark")
    with qtbot.waitSignal(theme.notifier().changed):
        theme.apply(qapp, "light")
    assert theme.current() is theme.LIGHT
    assert qapp.palette().window().color().name() == theme.LIGHT.window
    theme.apply(qapp, "dark")
    assert theme.current() is theme.DARK


def test_that_an_unknown_scheme_is_refused(qapp: QApplication) -> None:
    with pytest.raises(ValueError, match="sepia"):
        theme.apply(qapp, "sepia")


def test_that_the_style_sheet_leaves_no_name_unfilled(qapp: QApplication) -> None:
    for scheme in ("dark", "light"):
        theme.apply(qapp, scheme)
        assert "$" not in qapp.styleSheet()
    theme.apply(qapp, "dark")


def test_that_a_widget_made_before_follows_the_scheme(qapp: QApplication, qtbot: QtBot) -> None:
    theme.apply(qapp, "dark")
    button = QPushButton("Train")
    qtbot.addWidget(button)
    theme.set_role(button, "primary")
    button.resize(120, 30)
    dark = button.grab().toImage().pixelColor(6, 15)
    theme.apply(qapp, "light")
    light = button.grab().toImage().pixelColor(6, 15)
    theme.apply(qapp, "dark")
    assert dark.name() == theme.DARK.accent
    assert light.name() == theme.LIGHT.accent


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_ARGB32)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()


def test_that_marks_differ_in_shape_and_not_in_colour_alone(qapp: QApplication) -> None:
    shapes = []
    for key in theme.MARKS:
        image = QImage(32, 32, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        theme.paint_mark(painter, QRectF(0, 0, 32, 32), key)
        painter.end()
        shapes.append(pixels(image)[..., 3] > 100)
    for index, one in enumerate(shapes):
        assert one.any()
        for other in shapes[index + 1 :]:
            assert (one & other).sum() / (one | other).sum() < 0.5


def test_that_an_icon_follows_the_scheme_without_being_made_again(qapp: QApplication) -> None:
    theme.apply(qapp, "dark")
    icon = theme.icon("folder-open-outline")
    dark = pixels(icon.pixmap(QSize(32, 32)).toImage())
    theme.apply(qapp, "light")
    light = pixels(icon.pixmap(QSize(32, 32)).toImage())
    theme.apply(qapp, "dark")
    assert (dark[..., 3] > 0).sum() > 50
    assert np.array_equal(dark[..., 3], light[..., 3])
    solid = dark[..., 3] == 255
    assert dark[solid][:, :3].mean() > 200
    assert light[solid][:, :3].mean() < 60


def test_that_an_icon_is_sharp_at_twice_the_scale(qapp: QApplication) -> None:
    pixmap = theme.icon("play").pixmap(QSize(16, 16), 2.0)
    assert pixmap.size() == QSize(32, 32)
    assert pixmap.devicePixelRatio() == 2.0


def test_that_an_unknown_icon_is_refused() -> None:
    with pytest.raises(KeyError):
        theme.icon("no such icon")


@pytest.mark.parametrize("name", theme.COLOUR_MAPS)
def test_that_colour_maps_are_tables_that_nobody_can_spoil(name: str) -> None:
    table = theme.colour_map(name)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("name", ["inferno", "magma", "viridis", "plasma", "cividis"])
def test_that_colour_maps_grow_lighter_all_the_way(name: str) -> None:
    light = theme.colour_map(name).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert np.all(np.diff(light) > -1.0)
    assert light[-1] - light[0] > 120


def test_that_an_unknown_colour_map_is_refused() -> None:
    with pytest.raises(KeyError):
        theme.colour_map("jet")
