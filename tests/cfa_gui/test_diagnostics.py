"""The log, and what of it and of the window may leave the machine."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cfa_gui.diagnostics import diagnostics, last_lines, reduced
from cfa_gui.log import start_log
from cfa_gui.main_window import MainWindow
from cfa_gui.models.review import Group
from cfa_gui.settings import SettingsStore
from core.version import VERSION
from tests.cfa_gui.bench import Answers, Bench
from tests.cfa_gui.fake_engine import FakeEngine


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """A log file that is closed after the test."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = start_log(tmp_path / "log" / "cfa-gui.log")
    assert path is not None
    yield path
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def test_that_the_log_begins_with_the_versions(log: Path) -> None:
    first = log.read_text("utf-8").splitlines()[0]
    assert f"cfa-gui {VERSION}; Python 3." in first
    assert "PySide6 " in first


def test_that_a_name_cannot_feign_an_entry_of_the_log(log: Path) -> None:
    logging.getLogger("a").warning("%s cannot be read", "part\n2026-01-01 ERROR core: \x1b[31mforged\udcff.png")
    lines = log.read_text("utf-8").splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(r"part\n2026-01-01 ERROR core: \x1b[31mforged\udcff.png cannot be read")


def test_that_a_traceback_keeps_its_lines(log: Path) -> None:
    try:
        int("odd")
    except ValueError:
        logging.getLogger("a").exception("not caught")
    assert log.read_text("utf-8").splitlines()[-1].startswith("ValueError: invalid literal")


def test_that_the_log_keeps_its_size(log: Path) -> None:
    logger = logging.getLogger("a")
    for _ in range(420):
        logger.warning("%s", "x" * 10_000)
    files = sorted(log.parent.iterdir())
    assert [path.name for path in files] == ["cfa-gui.log", "cfa-gui.log.1", "cfa-gui.log.2"]
    assert sum(path.stat().st_size for path in files) < 3_100_000


def test_that_a_place_that_takes_no_log_does_not_stop_the_start(tmp_path: Path) -> None:
    level = logging.getLogger().level
    (tmp_path / "log").write_text("a file where the folder should be")
    assert start_log(tmp_path / "log" / "cfa-gui.log") is None
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("/home/ada/My parts/0001.png may not be read.", "…/….png may not be read."),
        (r"C:\Users\Ada\line 3\bad part.TIFF is damaged", "…/bad ….TIFF is damaged"),
        ('File "/opt/cfa/core/images.py", line 3, in read', 'File "…/images.py", line 3, in read'),
        ("skipped left/0001.jpeg: gone", "skipped left…/….jpeg: gone"),
        (
            "The review store /home/ada/reviews.sqlite cannot be read",
            "The review store …/reviews.sqlite cannot be read",
        ),
        ("2026-01-01 10:00:00,123 INFO cfa_gui: all is well", "2026-01-01 10:00:00,123 INFO cfa_gui: all is well"),
    ],
)
def test_that_folders_and_names_of_images_are_reduced(line: str, left: str) -> None:
    assert reduced(line) == left


def test_that_the_end_of_a_long_log_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {number} {'ä' * 100}\n" for number in range(5000)), "utf-8")
    assert [line.split()[1] for line in last_lines(path, 3)] == ["4997", "4998", "4999"]
    assert last_lines(tmp_path / "missing", 3) == []
    assert last_lines(None, 3) == []


def test_that_diagnostics_hold_numbers_and_settings_but_no_image_and_no_folder(bench: Bench, log: Path) -> None:
    bench.parts.warm_up(lambda: None)
    root = bench.open_parts()
    bench.train()
    bench.until(lambda: bench.session.facilities is not None)
    bench.session.review.label([0], Group.DEFECT)
    logging.getLogger("a").warning("%s is damaged", root / "test" / "good" / "000.png")
    text = diagnostics(bench.session, bench.settings.preferences, "1280 × 800, scale 2, xcb", log)
    for words in (
        f"cfa-gui {VERSION}",
        "CPU, 2 threads",
        "scale 2",
        "images under review: 8, with a score: 8, failed: 0",
    ):
        assert words in text
    for words in ('"colour_scheme": "system"', '"epochs": 1', "good parts: 12", "….png is damaged", "devices: CPU"):
        assert words in text
    for private in (str(root), str(bench.folder), bench.folder.name, "000.png", "last_folder", "recent"):
        assert private not in text


def test_that_the_help_menu_copies_diagnostics_and_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    window = MainWindow(SettingsStore(tmp_path / "preferences.json"), None, FakeEngine(), Answers())
    window.show()
    qtbot.waitUntil(lambda: window.actions_table is not None, timeout=5000)
    assert window.parts is not None
    assert window.actions_table is not None
    said: list[str] = []
    window.parts.notices.posted.connect(lambda notice: said.append(notice.text))
    window.actions_table["diagnostics"].trigger()
    copied = QApplication.clipboard().text()
    assert copied.startswith("Versions\n")
    assert f"cfa-gui {VERSION}" in copied
    assert any("Diagnostics copied" in text for text in said)
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=5000)
    window.deleteLater()
