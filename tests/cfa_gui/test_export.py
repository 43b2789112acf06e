"""Exports as a user starts them, with a fake engine."""

import csv
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from cfa_gui.controllers.export import ExportController
from cfa_gui.models import exports
from cfa_gui.models.run_state import RunState
from cfa_gui.reports import exhibits, pages
from core import atomic_file
from core.dataset import Label, Sample
from core.overlay import overlay
from tests.cfa_gui.bench import Bench
from tests.cfa_gui.fake_engine import Gate, manual, write_picture


class ExportBench(Bench):
    """A bench with eight inspected images, and exports that open nothing."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        super().__init__(qtbot, folder)
        self.shown: list[Path] = []
        parts = self.parts
        parts.export = ExportController(
            parts.session, parts.tasks, parts.notices, parts.settings, self.answers, parts, show=self.shown.append
        )
        self.open_parts()
        self.train()
        self.session.set_threshold(manual(15.5))
        self.out = folder / "out"
        self.out.mkdir()
        self.said.clear()

    def export(self, what: Callable[[], None], path: Path | None) -> None:
        """Start an export that goes to a path, and wait for its end."""
        self.answers.path = path
        what()
        self.until_idle()

    def left(self) -> list[str]:
        """All files below the folder for exports."""
        return sorted(path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file())


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[ExportBench]:
    made = ExportBench(qtbot, tmp_path)
    yield made
    if made.engine.gate is not None:
        made.engine.gate.open()
    made.parts.shutdown()
    made.parts.deleteLater()


def hold(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, calls: int = 2) -> Gate:
    """Let the calls before number `calls` of a function through; that one waits at the gate."""
    gate = Gate()
    real = getattr(module, name)
    count = iter(range(1, 1000))

    def held(*arguments: Any, **options: Any) -> Any:
        if next(count) == calls:
            gate.reached.set()
            assert gate._open.wait(5)
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, held)
    return gate


# the table


def test_that_the_table_has_the_columns_of_the_command_line_and_the_label(bench: ExportBench) -> None:
    bench.session.review.record_failure(0, "It is empty.")
    bench.export(bench.parts.export.scores, bench.out / "a.csv")
    with (bench.out / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert list(rows[0]) == ["path", "score", "threshold", "verdict", "label", "message"]
    assert len(rows) == 8
    assert rows[0]["verdict"] == "error"
    assert rows[0]["message"] == "It is empty."
    assert rows[0]["score"] == ""
    review = bench.session.review
    assert [float(row["score"]) for row in rows[1:]] == review.scores[1:].tolist()
    assert {row["path"]: row["verdict"] for row in rows}["test/scratch/003.png"] == "defect"
    assert {row["path"]: row["label"] for row in rows}["test/scratch/003.png"] == "defect"
    assert bench.texts("success") == ["The scores of 8 images are in a.csv."]
    assert bench.said[-1].action is not None
    bench.said[-1].action[1]()
    assert bench.shown == [bench.out / "a.csv"]


def test_that_a_name_that_begins_like_a_formula_is_harmless(bench: ExportBench) -> None:
    path = write_picture(bench.folder / "x" / "=1+1.png", 10)
    bench.session.add_images((Sample(path, "=1+1.png", Label.GOOD, "", None),))
    bench.export(bench.parts.export.scores, bench.out / "a.csv")
    assert b"\r\n./=1+1.png," in (bench.out / "a.csv").read_bytes()


def test_that_a_missing_or_strange_suffix_is_completed(bench: ExportBench) -> None:
    bench.export(bench.parts.export.scores, bench.out / "a.v2")
    bench.export(bench.parts.export.report, bench.out / "b")
    assert bench.left() == ["a.v2.csv", "b.html"]


def test_that_an_answer_of_nowhere_writes_nothing(bench: ExportBench) -> None:
    for what in (bench.parts.export.scores, bench.parts.export.overlays, bench.parts.export.report):
        bench.export(what, None)
    assert bench.left() == []
    assert bench.said == []
    assert bench.answers.asked[-3:] == ["scores scores.csv", "overlays 3 8", "report report.html"]


def test_that_without_a_threshold_the_sentence_says_what_to_do(bench: ExportBench) -> None:
    bench.session.threshold = None
    bench.export(bench.parts.export.report, bench.out / "a.html")
    assert "Set one" in bench.texts("warning")[0]
    assert bench.left() == []


def test_that_nothing_is_exported_while_something_runs(bench: ExportBench) -> None:
    bench.engine.gate = gate = Gate()
    bench.parts.start_training()
    bench.until(gate.reached.is_set)
    bench.answers.path = bench.out / "a.csv"
    bench.parts.export.scores()
    assert bench.session.state is RunState.TRAINING
    gate.open()
    bench.until_idle()
    assert bench.left() == []


# overlays


def test_that_overlays_of_the_flagged_or_of_all_are_written_in_the_size_of_their_images(bench: ExportBench) -> None:
    bench.answers.only_flagged = True
    bench.export(bench.parts.export.overlays, bench.out)
    flagged = [f"test/scratch/{number:03}.png" for number in (1, 2, 3)]
    assert bench.left() == flagged
    with Image.open(bench.out / flagged[0]) as picture:
        assert picture.size == (32, 24)
        pixels = np.asarray(picture)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1
    assert bench.texts("success") == ["3 images written to out."]
    bench.answers.only_flagged = False
    bench.export(bench.parts.export.overlays, bench.out / "new")
    assert len(bench.left()) == 3 + 8


def test_that_an_overlay_never_replaces_an_image(bench: ExportBench) -> None:
    root = bench.folder / "parts"
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    bench.export(bench.parts.export.overlays, root)
    assert "would be overwritten" in bench.texts("error")[0]
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_that_an_image_or_map_that_is_gone_is_left_out_and_told(bench: ExportBench) -> None:
    (bench.folder / "parts/test/scratch/003.png").unlink()
    bench.session.maps._held.pop(0)
    bench.export(bench.parts.export.overlays, bench.out)
    assert len(bench.left()) == 6
    (warning,) = [notice for notice in bench.said if notice.level == "warning"]
    assert "6 images written" in warning.text
    assert "2 left out" in warning.text
    assert "003.png" in (warning.details or "")


@pytest.mark.parametrize("there", [True, False])
def test_that_a_cancel_in_the_middle_of_the_overlays_leaves_nothing(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    target = bench.out if there else bench.out / "new"
    gate = hold(monkeypatch, exports, "write_picture", calls=3)
    bench.answers.path = target
    bench.parts.export.overlays()
    bench.until(gate.reached.is_set)
    assert bench.session.state is RunState.EXPORTING
    bench.parts.tasks.cancel()
    gate.open()
    bench.until_idle()
    assert list(bench.out.iterdir()) == []
    assert bench.texts() == ["The export was cancelled. Nothing was written."]


def test_that_a_full_disk_in_the_middle_of_the_overlays_is_one_sentence_and_leaves_nothing(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = iter(range(100))

    def full(self: Image.Image, file: Any, **_: Any) -> None:
        if next(count) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(b"x")

    monkeypatch.setattr(Image.Image, "save", full)
    bench.export(bench.parts.export.overlays, bench.out)
    (text,) = bench.texts("error")
    assert "No space left on device" in text
    assert atomic_file.TEMPORARY_PREFIX not in text
    assert bench.left() == []
    assert list(bench.out.iterdir()) == []
    assert bench.session.review.scored.all()


# the report


@pytest.mark.parametrize("name", ["a.html", "a.PDF"])
def test_that_a_report_is_written_as_its_suffix_says_off_the_gui_thread(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    threads: list[threading.Thread] = []

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return overlay(*arguments)

    monkeypatch.setattr(exhibits, "overlay", noted)
    bench.export(bench.parts.export.report, bench.out / name)
    start = (bench.out / name).read_bytes()[:15]
    assert start == b"<!DOCTYPE html>" if name == "a.html" else start.startswith(b"%PDF-")
    assert threads
    assert threading.main_thread() not in threads
    assert bench.left() == [name]
    assert bench.texts("success") == [f"The report is in {name}."]


@pytest.mark.parametrize(
    ("name", "module", "function"), [("a.html", exhibits, "overlay"), ("a.pdf", pages, "_paint_page")]
)
def test_that_a_cancelled_report_leaves_nothing(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch, name: str, module: Any, function: str
) -> None:
    gate = hold(monkeypatch, module, function)
    bench.answers.path = bench.out / name
    bench.parts.export.report()
    bench.until(gate.reached.is_set)
    bench.parts.tasks.cancel()
    gate.open()
    bench.until_idle()
    assert list(bench.out.iterdir()) == []
    assert bench.texts() == ["The export was cancelled. Nothing was written."]


@pytest.mark.parametrize("name", ["a.html", "a.pdf", "a.csv"])
def test_that_a_full_disk_keeps_the_old_file_and_says_a_sentence(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (bench.out / name).write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    bench.export(bench.parts.export.scores if name == "a.csv" else bench.parts.export.report, bench.out / name)
    (text,) = bench.texts("error")
    assert text == f"{bench.out / name} cannot be written: No space left on device. Choose another place."
    assert bench.said[-1].details is None
    assert bench.left() == [name]
    assert (bench.out / name).read_bytes() == b"old"


def test_that_a_folder_that_is_gone_is_told_before_the_work(bench: ExportBench) -> None:
    bench.export(bench.parts.export.report, bench.out / "gone" / "a.pdf")
    assert "there is no folder" in bench.texts("error")[0]


def test_that_pictures_can_be_looked_at_while_a_report_is_made(
    bench: ExportBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = hold(monkeypatch, exhibits, "overlay")
    bench.answers.path = bench.out / "a.html"
    bench.parts.export.report()
    bench.until(gate.reached.is_set)
    bench.session.select((1,), 1)
    bench.parts.review.defect()
    assert not bench.session.allowed().clear
    gate.open()
    bench.until_idle()
    assert bench.left() == ["a.html"]


def test_that_closing_the_window_ends_an_export(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = ExportBench(qtbot, tmp_path)
    gate = hold(monkeypatch, exports, "write_picture", calls=3)
    bench.answers.path = bench.out
    bench.parts.export.overlays()
    bench.until(gate.reached.is_set)
    threading.Timer(0.05, gate.open).start()
    bench.parts.shutdown()
    assert list(bench.out.iterdir()) == []
    bench.parts.deleteLater()
