"""Preferences are kept, and never stand in the way."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from cfa_gui import settings
from cfa_gui.settings import Preferences, SettingsStore
from cfa_gui.widgets.image_canvas import OverlayMode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "of the user" / "preferences.json"


def test_that_changes_are_there_at_the_next_start(path: Path) -> None:
    store = SettingsStore(path)
    store.update(colour_scheme="light", overlay_opacity=0.4)
    store.remember_folder(Path("/parts/good"))
    again = SettingsStore(path)
    assert again.preferences == store.preferences
    assert again.preferences.recent_folders == (str(Path("/parts/good")),)
    assert again.preferences.last_folder == str(Path("/parts"))
    assert again.warning is None


def test_that_only_what_differs_is_written(path: Path) -> None:
    SettingsStore(path).update(colour_map="magma")
    assert json.loads(path.read_text("utf-8")) == {"version": 1, "colour_map": "magma"}
    assert [file.name for file in path.parent.iterdir()] == ["preferences.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"dark"', "\x00\xff"])
def test_that_a_damaged_file_gives_the_defaults_and_one_warning(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    store = SettingsStore(path)
    assert store.preferences == Preferences()
    assert store.warning is not None
    assert str(path) in store.warning


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("colour_scheme", "sepia"),
        ("colour_map", 3),
        ("overlay_opacity", 1.5),
        ("overlay_opacity", True),
        ("overlay_mode", "hot"),
        ("minimum_region_area", 0),
        ("recent_folders", "a"),
        ("recent_folders", [1]),
        ("device", None),
    ],
)
def test_that_one_bad_value_does_not_take_the_others_with_it(path: Path, key: str, value: object) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "list_view": "grid", key: value}), "utf-8")
    store = SettingsStore(path)
    assert store.preferences == Preferences(list_view="grid")
    assert store.warning is not None
    assert key in store.warning


def test_that_what_a_later_version_wrote_is_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 2, "future": [1, 2]}), "utf-8")
    SettingsStore(path).update(list_view="grid")
    assert json.loads(path.read_text("utf-8"))["future"] == [1, 2]


def test_that_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, really: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            done.append(name)
            return really(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    SettingsStore(path).update(list_view="grid")
    assert done == ["fsync", "replace"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_that_a_place_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a folder")
    store = SettingsStore(blocked / "preferences.json")
    assert store.update(list_view="grid").list_view == "grid"


def test_that_a_wrong_value_from_the_program_is_a_bug(path: Path) -> None:
    store = SettingsStore(path)
    for bad in ({"colour_scheme": "sepia"}, {"no_such": 1}):
        with pytest.raises(ValueError, match="cannot be"):
            store.update(**bad)
    assert not path.exists()


def test_that_the_latest_of_ten_models_comes_first_and_once(path: Path) -> None:
    store = SettingsStore(path)
    for number in range(12):
        store.remember_model(Path(f"{number}.cfa"))
    store.remember_model(Path("5.cfa"))
    recent = store.preferences.recent_models
    assert recent[:3] == ("5.cfa", "11.cfa", "10.cfa")
    assert len(recent) == 10
    assert SettingsStore(path).preferences.recent_models == recent


def test_that_every_overlay_of_the_canvas_may_be_kept(path: Path) -> None:
    store = SettingsStore(path)
    for mode in OverlayMode:
        assert store.update(overlay_mode=str(mode)).overlay_mode == mode


def test_that_the_window_comes_back_where_it_was(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "default_path", lambda: tmp_path / "preferences.json")
    first, second = QMainWindow(), QMainWindow()
    qtbot.addWidget(first)
    qtbot.addWidget(second)
    assert not settings.restore_geometry(second)
    first.resize(310, 233)
    settings.save_geometry(first)
    assert settings.restore_geometry(second)
    assert second.size() == QSize(310, 233)
