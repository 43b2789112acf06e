"""The live page in the window: menu, keys, lamp, strip, full screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea
from pytestqt.qtbot import QtBot

from cfa_gui import theme
from cfa_gui.models.live import Lamp, LiveState
from cfa_gui.panels.live import LivePanel
from cfa_gui.widgets.flagged_strip import THUMBNAIL, FlaggedStrip, StripItem
from cfa_gui.widgets.lamp import Lamp as LampWidget
from cfa_gui.widgets.score_gauge import ScoreGauge
from core.errors import SourceError, SourceLostError
from core.line.live import line as line_module
from core.line.live.cameras import FoundCamera
from core.line.live.sources import CameraChoice, FolderChoice, SourceChoice, VideoChoice
from tests.cfa_gui.desk import LAPTOP, Desk, open_desk
from tests.cfa_gui.fake_engine import fake_model, manual
from tests.core.line.sources import ScriptedSource, frame


class LiveDesk(Desk):
    """A window with scripted sources in place of devices."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        super().__init__(qtbot, folder)
        self.sources: list[ScriptedSource | Exception] = []
        self.opened: list[SourceChoice] = []
        self.parts.live._opener = self._open
        self.parts.live._finder = lambda: (FoundCamera(0, "Top"), FoundCamera(1, "Side"))

    @property
    def page(self) -> LivePanel:
        """The live page."""
        assert self.window.live is not None
        return self.window.live

    def _open(self, choice: SourceChoice) -> ScriptedSource:
        self.opened.append(choice)
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source

    def show_page(self, *, model: bool = True) -> None:
        """Open the page by its action."""
        if model:
            self.parts.session.set_model(fake_model(threshold=manual(10.0)), None)
        assert self.window.actions_table is not None
        self.window.actions_table["live"].trigger()
        self.until(lambda: self.parts.live.model.cameras is not None)

    def start(self, *script: object) -> ScriptedSource:
        """Press Start on a scripted source."""
        source = ScriptedSource(script, endless=True)  # type: ignore[arg-type]
        self.sources.append(source)
        self.page.source._start.click()
        return source

    def until_lamp(self, lamp: Lamp) -> None:
        """Wait for the lamp."""
        self.until(lambda: self.parts.live.model.lamp is lamp)

    def key(self, key: Qt.Key) -> None:
        """Press a key on the page."""
        self.window.activateWindow()
        self.page.canvas.setFocus()
        self.until(self.page.canvas.hasFocus)
        QTest.keyClick(self.page.canvas, key)


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveDesk]:
    with open_desk(LiveDesk, qtbot, tmp_path, monkeypatch) as made:
        yield made


def lit(widget: LampWidget | ScoreGauge) -> set[str]:
    """Which of the verdicts' colours are seen."""
    image: QImage = widget.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)}
    return {key for key in ("good", "uncertain", "defect") if theme.colour(key).name() in seen}


# the page


def test_that_the_threshold_can_be_moved_on_the_page_and_put_back(desk: LiveDesk) -> None:
    desk.show_page()
    control, session = desk.page.side.threshold, desk.parts.session
    assert control._slider.value() == 10.0
    control._slider.value_changed.emit(12.5)
    assert session.threshold is not None and session.threshold.value == 12.5
    assert "12.500" in desk.page.side.gauge.accessibleName()
    assert control._reset.isVisible()
    control._reset.click()
    assert session.threshold.value == 10.0 and not control._reset.isVisible()


def test_that_nobody_moves_a_threshold_that_is_not_there(desk: LiveDesk) -> None:
    desk.show_page(model=False)
    assert desk.page.side.threshold.isHidden()


def test_that_the_deploy_panel_comes_by_its_key_from_the_live_page_too(desk: LiveDesk) -> None:
    desk.show_page()
    assert desk.window.actions_table is not None and desk.window.bench is not None
    desk.window.actions_table["panel_deploy"].trigger()
    assert desk.window.pages.currentWidget() is desk.window.bench
    panel = desk.window.bench.deploy
    desk.until(lambda: not panel.visibleRegion().isEmpty())


def test_that_the_page_opens_before_there_is_any_model_and_goes_back(desk: LiveDesk) -> None:
    desk.show_page(model=False)
    assert desk.window.pages.currentWidget() is desk.page
    assert desk.page.source.choice() == CameraChoice(0, "Top")
    desk.page.source.back_wanted.emit()
    assert desk.window.pages.currentWidget() is desk.window.start


def test_that_a_running_view_goes_on_behind_the_images(desk: LiveDesk) -> None:
    desk.show_page()
    source = desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    desk.page.source.back_wanted.emit()
    assert desk.window.pages.currentWidget() is desk.window.bench
    source._script.append(frame(150))
    desk.until(lambda: desk.parts.live.model.figures.counts.flagged == 1)
    assert source.closed == 0


def test_that_start_becomes_stop_and_the_choice_is_fixed_meanwhile(desk: LiveDesk) -> None:
    desk.show_page()
    bar = desk.page.source
    desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    assert bar._stop.isVisible()
    assert not bar._start.isVisible()
    assert not bar._stack.isEnabled()
    bar._stop.click()
    desk.until(lambda: desk.parts.live.model.state is LiveState.OFF)
    assert bar._start.isVisible()
    assert bar._stack.isEnabled()


def test_that_each_kind_of_source_needs_its_choice(desk: LiveDesk, tmp_path: Path) -> None:
    desk.show_page()
    bar = desk.page.source
    for kind in ("folder", "video"):
        bar._kind.setCurrentIndex(bar._kind.findData(kind))
        bar._on_kind()
        assert bar.choice() is None
        assert not bar._start.isEnabled()
    desk.answers.path = tmp_path / "line.avi"
    bar._video.click()
    assert bar.choice() == VideoChoice(tmp_path / "line.avi", loop=True)
    assert bar._start.isEnabled()
    assert "line.avi" in bar._video.text()
    bar._kind.setCurrentIndex(bar._kind.findData("folder"))
    bar._on_kind()
    desk.answers.path = tmp_path
    bar._folder.click()
    assert bar.choice() == FolderChoice(tmp_path)


def test_that_size_and_exposure_are_part_of_the_choice(desk: LiveDesk) -> None:
    desk.show_page()
    bar = desk.page.source
    bar._cameras.setCurrentIndex(1)
    bar._modes.setCurrentIndex(2)
    bar._exposure.setValue(150.0)
    choice = bar.choice()
    assert isinstance(choice, CameraChoice)
    assert (choice.name, choice.exposure) == ("Side", 150.0)
    assert choice.mode is not None
    assert choice.mode.words() == "1280 × 720 at 30 frames/s"


def test_that_without_a_camera_the_page_says_what_to_do(desk: LiveDesk) -> None:
    desk.parts.live._finder = tuple
    desk.show_page()
    assert desk.page.source.choice() is None
    assert not desk.page.source._start.isEnabled()
    assert "No camera found" in desk.page.canvas.accessibleDescription()


# lamp and score


@pytest.mark.parametrize(
    ("grey", "word", "colour"), [(40, "OK", "good"), (80, "UNCERTAIN", "uncertain"), (150, "NG", "defect")]
)
def test_that_the_lamp_has_colour_and_word(
    desk: LiveDesk, tokens: theme.Tokens, grey: int, word: str, colour: str
) -> None:
    desk.show_page()
    desk.parts.session.set_threshold(manual(10.0).with_lower(6.0))
    desk.start(frame(grey))
    desk.until(lambda: desk.page.side.lamp.word() == word)
    assert lit(desk.page.side.lamp) == {colour}
    assert lit(desk.page.side.gauge) == {colour}
    assert word in desk.page.side.lamp.accessibleName()
    assert f"Score {grey / 10:.3f}, threshold 10.000" in desk.page.side.gauge.accessibleName()


def test_that_a_lamp_that_is_no_verdict_of_now_is_not_lit(desk: LiveDesk, qtbot: QtBot) -> None:
    lamp = LampWidget()
    qtbot.addWidget(lamp)
    lamp.resize(280, 168)
    for hollow in (True, False):
        lamp.show_verdict("good", "OK", "Good", hollow=hollow)
        corner = lamp.grab().toImage().pixelColor(20, 20).name()
        assert (corner == theme.colour("good").name()) is not hollow


def test_that_losing_the_camera_puts_the_lamp_out_and_offers_to_try_again(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "RETRY_SECONDS", 3600.0)
    desk.show_page()
    source = desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    source._script.append(SourceLostError("Top gives no picture any more. Check its cable."))
    desk.until_lamp(Lamp.NO_PICTURE)
    assert desk.page.side.lamp.word() == "NO PICTURE"
    assert lit(desk.page.side.gauge) == set()
    assert desk.page._sentence.text() == "Top gives no picture any more. Check its cable."
    assert desk.page._again.isVisible()
    desk.sources.append(ScriptedSource([frame(150)], endless=True))
    desk.page._again.click()
    desk.until_lamp(Lamp.DEFECT)
    assert not desk.page._again.isVisible()


def test_that_a_source_that_cannot_be_opened_is_told_on_the_page(desk: LiveDesk) -> None:
    desk.show_page()
    desk.sources.append(SourceError("Top cannot be opened. Plug it in."))
    desk.page.source._start.click()
    desk.until(lambda: desk.parts.live.model.state is LiveState.FAILED)
    assert "Top cannot be opened. Plug it in." in desk.page.canvas.accessibleDescription()
    assert desk.page._again.isVisible()


def test_that_figures_are_shown(desk: LiveDesk) -> None:
    desk.show_page()
    desk.start(frame(40))
    desk.until(lambda: desk.page.side._stats["good"].text() == "1")
    desk.until(lambda: desk.page.side._stats["median"].text().endswith(" ms"))
    assert desk.page.side._stats["rate"].text() == "0.0 %"


# keys


def test_that_space_holds_the_picture_and_lets_it_go(desk: LiveDesk) -> None:
    desk.show_page()
    desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    desk.key(Qt.Key.Key_Space)
    assert desk.parts.live.model.frozen
    assert desk.page._title.text() == "Picture held"
    desk.key(Qt.Key.Key_Space)
    assert not desk.parts.live.model.frozen


def test_that_g_and_d_keep_the_picture_and_label_nothing_else(desk: LiveDesk, tmp_path: Path) -> None:
    desk.window._settings.update(live_saved=str(tmp_path / "kept"))
    desk.show_page()
    desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    desk.key(Qt.Key.Key_G)
    desk.key(Qt.Key.Key_D)
    desk.until(lambda: not desk.parts.writer.busy)
    assert [len(list((tmp_path / "kept" / name).iterdir())) for name in ("good", "defect")] == [1, 1]


def test_that_the_full_screen_shows_lamp_and_picture_alone_and_escape_leaves_it(desk: LiveDesk) -> None:
    window, page = desk.window, desk.page
    desk.show_page()
    desk.start(frame(150))
    desk.until_lamp(Lamp.DEFECT)
    small, before = page.side.lamp.height(), window.size()
    desk.key(Qt.Key.Key_F11)
    assert window.isFullScreen()
    assert not (window.menuBar().isVisible() or window.statusBar().isVisible() or page.source.isVisible())
    QApplication.processEvents()
    assert page.side.width() >= 0.39 * page.width()
    assert page.side.lamp.height() > small
    desk.key(Qt.Key.Key_Escape)
    assert not window.isFullScreen()
    assert window.menuBar().isVisible()
    assert page.source.isVisible()
    QApplication.processEvents()
    assert window.size() == before


def test_that_going_back_leaves_the_full_screen(desk: LiveDesk) -> None:
    desk.show_page()
    desk.key(Qt.Key.Key_F11)
    desk.parts.live.hide()
    assert not desk.window.isFullScreen()
    assert desk.window.menuBar().isVisible()


# the strip


def test_that_flagged_pictures_are_in_the_strip_and_a_press_holds_one(desk: LiveDesk) -> None:
    desk.show_page()
    source = desk.start(frame(150))
    desk.until_lamp(Lamp.DEFECT)
    source._script.append(frame(40))
    desk.until_lamp(Lamp.GOOD)
    source._script.append(frame(200))
    desk.until(lambda: len(desk.parts.live.model.flagged) == 2)
    buttons = [button for button in desk.page.strip._buttons if button.isVisible()]
    assert [button.text().split(" · ")[0] for button in buttons] == ["✕ 20.00", "✕ 15.00"]
    buttons[1].click()
    model = desk.parts.live.model
    assert model.frozen
    assert model.shown is not None
    assert model.shown.found is not None
    assert model.shown.found.score == pytest.approx(15.0)


def test_that_the_strip_leaves_out_the_oldest_where_there_is_no_room(qtbot: QtBot) -> None:
    strip = FlaggedStrip(12)
    qtbot.addWidget(strip)
    strip.resize(600, 110)
    strip.show()
    strip.show_items([StripItem(QPixmap(THUMBNAIL), f"✕ {place}", "") for place in range(12)])
    shown = [button.text() for button in strip._buttons if button.isVisible()]
    assert shown == ["✕ 0", "✕ 1", "✕ 2", "✕ 3"]
    strip.resize(300, 110)
    assert sum(button.isVisible() for button in strip._buttons) == 2


def test_that_closing_the_window_while_live_asks_and_frees_the_source(desk: LiveDesk) -> None:
    desk.show_page()
    source = desk.start(frame(40))
    desk.until_lamp(Lamp.GOOD)
    desk.answers.stop = False
    desk.window.close()
    assert desk.answers.asked == ["stop inspecting live"]
    assert source.closed == 0
    desk.answers.stop = True
    desk.window.close()
    assert source.closed == 1


def test_that_the_page_fits_a_laptop_and_keeps_its_lamp(desk: LiveDesk) -> None:
    desk.show_page()
    needed = desk.window.minimumSizeHint()
    assert needed.boundedTo(LAPTOP) == needed, needed
    desk.window.resize(LAPTOP)
    side = desk.page.side
    assert side.lamp.height() >= 120, "the lamp stays, what is below it scrolls"
    (area,) = side.findChildren(QScrollArea)
    assert area.verticalScrollBar().maximum() > 0
    desk.window.resize(1280, 900)
    desk.until(lambda: area.verticalScrollBar().maximum() == 0)
