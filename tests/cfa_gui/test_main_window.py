"""The window as a whole: empty page, menus and keys, drops, title, closing."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from cfa_gui.actions import sheet
from cfa_gui.main_window import MainWindow
from cfa_gui.menu_entries import ENTRIES, MENUS
from cfa_gui.models.review import Group
from cfa_gui.models.run_state import Allowed, RunState
from cfa_gui.models.session import Collection
from cfa_gui.settings import SettingsStore
from tests.cfa_gui.bench import Answers
from tests.cfa_gui.desk import Desk
from tests.cfa_gui.fake_engine import FakeEngine, Gate, write_parts, write_picture

# the table of actions


def test_that_every_action_has_a_handler_a_menu_and_a_known_need(desk: Desk) -> None:
    assert desk.window.actions_table is not None
    fields = set(Allowed.__slots__)
    for entry in ENTRIES:
        assert entry.menu in MENUS
        assert entry.needs in fields | {""}
        assert desk.window.actions_table[entry.key].text() == entry.text


def test_that_no_shortcut_is_given_twice() -> None:
    keys = [key for entry in ENTRIES for key in entry.shortcuts]
    assert len(keys) == len(set(keys))


def test_that_single_letters_work_while_looking_at_images_only() -> None:
    for entry in ENTRIES:
        for key in entry.shortcuts:
            bare = "+" not in key[:-1] and not key.startswith("F1")
            assert entry.viewing == bare, entry.key


def test_that_the_sheet_lists_what_the_user_may_press() -> None:
    listed = dict(pair for _, pairs in sheet() for pair in pairs)
    assert listed["Label as good"] == "G"
    assert listed["Train"] == "Ctrl+T"


# pages and title


def test_that_the_empty_window_is_one_page_and_opening_shows_the_workbench(desk: Desk, tmp_path: Path) -> None:
    window = desk.window
    assert window.pages.currentWidget() is window.start
    assert window.windowTitle() == "cfa-gui"
    window.open_paths([write_parts(tmp_path / "parts")])
    desk.until(lambda: window.pages.currentWidget() is window.bench)
    assert "parts" in window.windowTitle()


def test_that_the_title_marks_a_model_that_is_not_saved(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.isWindowModified()
    desk.answers.path = tmp_path / "part.cfa"
    desk.parts.deploy.save()
    desk.until_idle()
    assert not desk.window.isWindowModified()
    assert "part.cfa" in desk.window.windowTitle()
    desk.parts.threshold.move(3.0)
    assert desk.window.isWindowModified()


def test_that_paths_given_before_the_window_is_complete_are_opened(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfa_gui.settings.default_path", lambda: tmp_path / "config" / "preferences.json")
    monkeypatch.setattr("cfa_gui.view_menus.default_path", lambda: tmp_path / "config" / "preferences.json")
    window = MainWindow(SettingsStore(tmp_path / "p.json"), None, FakeEngine(), Answers())
    window.open_paths([write_parts(tmp_path / "parts")])
    window.show()
    qtbot.waitUntil(lambda: window.parts is not None and window.parts.session.samples is not None, timeout=5000)
    qtbot.waitUntil(lambda: window.parts is not None and window.parts.session.state is RunState.IDLE, timeout=5000)
    window.close()
    window.deleteLater()


# keys


def test_that_letters_label_and_undo(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    session = desk.parts.session
    place = session.current
    desk.press("g")
    assert session.review.groups[place] == Group.GOOD
    desk.press("u")
    assert session.review.groups[place] == Group.UNLABELLED
    desk.press("z")
    desk.press("z")
    assert session.review.groups[place] == Group.DEFECT
    desk.press(Qt.Key.Key_Right)
    assert session.current == int(desk.parts.images.order[1])
    desk.press(Qt.Key.Key_Left)
    assert session.current == place


def test_that_letters_typed_into_the_search_label_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.bench is not None
    before = desk.parts.session.review.groups.copy()
    desk.window.bench.images.focus_search()
    QTest.keyClicks(desk.window.bench.images._search, "good")
    assert desk.window.bench.images._search.text() == "good"
    assert (desk.parts.session.review.groups == before).all()
    assert desk.parts.images.rowCount() == 4


def test_that_space_hides_the_overlay_and_brings_it_back(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.bench is not None
    desk.press(Qt.Key.Key_Space)
    assert desk.window.bench.canvas._hidden
    desk.press(Qt.Key.Key_Space)
    assert not desk.window.bench.canvas._hidden


def test_that_while_a_region_is_drawn_the_keys_belong_to_the_drawing(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.bench is not None
    assert desk.window.actions_table is not None
    desk.window.bench.draw(ignored=False)
    desk.until(lambda: desk.window.bench is not None and desk.window.bench.canvas._path is not None)
    desk.window.bench.canvas.canvas.drawing_changed.emit(True)  # noqa: FBT003  a signal
    assert not desk.window.actions_table["next"].isEnabled()
    assert not desk.window.actions_table["hide_overlay"].isEnabled()
    desk.window.bench.canvas.canvas.drawing_changed.emit(False)  # noqa: FBT003  a signal
    assert desk.window.actions_table["next"].isEnabled()


@pytest.mark.parametrize("key", ["shortcuts", "about"])
def test_that_the_help_dialogs_open_and_close(desk: Desk, key: str) -> None:
    assert desk.window.actions_table is not None
    desk.window.actions_table[key].trigger()
    dialogs = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, QDialog)]
    assert len(dialogs) == 1
    dialogs[0].grab()
    dialogs[0].close()


# drops


def test_that_a_dropped_folder_is_opened(desk: Desk, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(write_parts(tmp_path / "parts")))])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    desk.window.dropEvent(event)
    desk.until(lambda: desk.parts.session.samples is not None)
    desk.until_idle()


def test_that_a_dropped_model_is_opened(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    desk.answers.path = tmp_path / "part.cfa"
    desk.parts.deploy.save()
    desk.until_idle()
    before = desk.parts.session.model
    desk.window.open_paths([tmp_path / "part.cfa"])
    desk.until(lambda: desk.parts.session.state is not RunState.IDLE or desk.parts.session.model is not before)
    desk.until_idle()
    assert desk.parts.session.model_path == tmp_path / "part.cfa"


# closing


def test_that_closing_an_untouched_window_asks_nothing(desk: Desk) -> None:
    desk.window.close()
    desk.until(lambda: not desk.window.isVisible())
    assert desk.answers.asked == []


def test_that_closing_while_working_asks_once_and_ends(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    desk.answers.path = tmp_path / "part.cfa"
    desk.parts.deploy.save()
    desk.until_idle()
    desk.answers.asked.clear()
    desk.engine.gate = Gate()
    desk.parts.start_training()
    desk.until(desk.engine.gate.reached.is_set)
    desk.answers.stop = False
    desk.window.close()
    assert desk.window.isVisible()
    desk.answers.stop = True
    desk.window.close()
    assert not desk.window.isVisible()
    assert desk.answers.asked == ["stop training", "stop training"]


@pytest.mark.parametrize(("answer", "closes"), [("discard", True), ("cancel", False), ("save", True)])
def test_that_closing_with_an_unsaved_model_asks_once(desk: Desk, tmp_path: Path, answer: str, closes: bool) -> None:
    desk.ready(tmp_path)
    desk.answers.answer, desk.answers.path = answer, tmp_path / "kept.cfa"
    desk.window.close()
    if closes:
        desk.until(lambda: not desk.window.isVisible())
    assert desk.window.isVisible() != closes
    assert sum(question.startswith("unsaved") for question in desk.answers.asked) == 1
    assert (tmp_path / "kept.cfa").exists() == (answer == "save")


def saved_with_a_label(desk: Desk, folder: Path) -> None:
    """A saved model, and one label that was given by hand."""
    desk.ready(folder)
    desk.answers.path = folder / "part.cfa"
    desk.parts.deploy.save()
    desk.until_idle()
    desk.parts.review.good()
    desk.answers.asked.clear()


def test_that_closing_with_labels_in_no_file_asks_once(desk: Desk, tmp_path: Path) -> None:
    saved_with_a_label(desk, tmp_path)
    desk.answers.answer = "cancel"
    desk.window.close()
    assert desk.window.isVisible()
    assert desk.answers.asked == ["labels 1"]
    desk.answers.answer = "discard"
    desk.window.close()
    desk.until(lambda: not desk.window.isVisible())


def test_that_labels_and_an_unsaved_model_are_one_question(desk: Desk, tmp_path: Path) -> None:
    saved_with_a_label(desk, tmp_path)
    desk.parts.threshold.move(3.0)
    desk.window.close()
    desk.until(lambda: not desk.window.isVisible())
    assert desk.answers.asked == ["unsaved part.cfa"]
    assert desk.answers.labels == 1


def test_that_exported_or_undone_labels_need_no_question(desk: Desk, tmp_path: Path) -> None:
    saved_with_a_label(desk, tmp_path)
    desk.parts.review.undo()
    assert desk.parts.session.review.labels_not_kept == 0
    desk.parts.review.good()
    desk.answers.path = tmp_path / "scores.csv"
    desk.parts.export.scores()
    desk.until_idle()
    assert desk.parts.session.review.labels_not_kept == 0
    desk.window.close()
    desk.until(lambda: not desk.window.isVisible())
    assert not [question for question in desk.answers.asked if question.startswith(("labels", "unsaved"))]


# focus


@pytest.mark.parametrize("front", ["samples", "training", "review"])
def test_that_tab_goes_round_what_can_be_seen_and_back(desk: Desk, tmp_path: Path, front: str) -> None:
    desk.ready(tmp_path)
    bench = desk.window.bench
    assert bench is not None
    bench.bring(front)
    desk.window.activateWindow()
    bench.images.view.setFocus()
    desk.until(bench.images.view.hasFocus)
    passed: list[QWidget] = []
    while (focused := QApplication.focusWidget()) is not None and focused not in passed:
        assert not focused.visibleRegion().isEmpty(), focused
        passed.append(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    for name in ("images", "threshold", front):
        assert any(bench.docks[name].isAncestorOf(widget) for widget in passed), name
    hidden = {"samples", "training", "review"} - {front}
    assert not any(bench.docks[name].isAncestorOf(widget) for name in hidden for widget in passed)
    assert bench.canvas.canvas in passed


def test_that_the_keyboard_does_not_stay_on_a_panel_that_goes_behind_another(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    bench = desk.window.bench
    assert bench is not None
    bench.bring("training")
    desk.window.activateWindow()
    bench.training._train.setFocus()
    desk.until(bench.training._train.hasFocus)
    bench.bring("review")
    desk.until(bench.images.view.hasFocus)


# empty states


def test_that_the_list_says_why_it_is_empty(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    bench = desk.window.bench
    assert bench is not None
    bench.images._search.setText("no such name")
    assert "leaves none" in bench.images.view.accessibleDescription()
    bench.images.view.viewport().grab()
    bench.images._search.clear()
    desk.parts.session.clear_images()
    assert "Drop images" in bench.images.view.accessibleDescription()


def test_that_the_colour_bar_stands_only_where_there_are_maps(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    bench = desk.window.bench
    assert bench is not None
    desk.until(lambda: bench.canvas._path is not None)
    assert bench.canvas.canvas._bar.isVisible()
    bench.images.collection_chosen.emit(Collection.SAMPLES)
    desk.until(lambda: not bench.canvas.canvas._bar.isVisible())


def test_that_the_status_line_says_when_the_engine_is_there(desk: Desk) -> None:
    desk.until(lambda: desk.parts.session.facilities is not None)
    assert desk.window.statusBar()._message.text() == "Ready"  # type: ignore[attr-defined]


def test_that_good_parts_are_met_by_their_panel_whatever_was_in_front_the_last_time(desk: Desk, tmp_path: Path) -> None:
    bench = desk.window.bench
    assert bench is not None
    assert desk.window._view_menus is not None
    bench.bring("deploy")
    desk.window._view_menus.save_docks()
    for number in range(3):
        write_picture(tmp_path / "good" / f"{number}.png", 100)
    desk.window.open_paths([tmp_path / "good"])
    desk.until_idle()
    desk.until(lambda: not bench.samples.visibleRegion().isEmpty())
    assert bench.deploy.visibleRegion().isEmpty()


def test_that_the_panels_are_as_they_were_after_the_live_page(desk: Desk, tmp_path: Path) -> None:
    bench = desk.window.bench
    assert bench is not None
    assert desk.window._view_menus is not None
    desk.window._view_menus.save_docks()
    desk.ready(tmp_path)
    bench.bring("deploy")
    bench.docks["threshold"].hide()
    desk.parts.live.show()
    desk.until(lambda: desk.window.pages.currentWidget() is desk.window.live)
    desk.parts.live.hide()
    desk.until(lambda: not bench.deploy.visibleRegion().isEmpty())
    assert bench.docks["threshold"].isHidden()


def test_that_docks_come_back_where_they_were(desk: Desk, tmp_path: Path) -> None:
    desk.ready(tmp_path)
    assert desk.window.bench is not None
    assert desk.window._view_menus is not None
    desk.window.bench.docks["threshold"].hide()
    desk.window._view_menus.save_docks()
    desk.window.bench.reset_layout()
    assert not desk.window.bench.docks["threshold"].isHidden()
    desk.window._view_menus.restore_docks()
    assert desk.window.bench.docks["threshold"].isHidden()
