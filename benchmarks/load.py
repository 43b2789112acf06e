"""A folder of 10,000 images in the real window: until its first rows, and the longest stall while it is looked through.

    python benchmarks/load.py [--images 10000] [--out JSON]

A timer of 10 ms on the window's thread notes each gap; a gap is a stall of that length, whatever caused it. Opening is
measured from the call that a drop makes until the first rows are painted; the check of all images then goes on while
the list is scrolled, searched and turned into a grid. Then the same images come as inspected ones, with random scores,
are filtered, sorted and labelled, and everything is kept in a review store.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.window import Desk, environment, write_pictures
from cfa_gui.models.review import Group

ROOT = Path(__file__).resolve().parents[1]
FIRST_ROWS_MS, STALL_MS = 1000.0, 100.0


class Gaps:
    """The longest gap between two ticks of a timer on this thread, in ms, and what of it the thread itself computed."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self._timer = QTimer(interval=10)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._gaps: list[tuple[float, float]] = []
        self._before = (time.perf_counter(), time.thread_time())

    def _tick(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self._gaps.append((1000 * (now[0] - self._before[0]), 1000 * (now[1] - self._before[1])))
        self._before = now

    def over(self, work: Callable[[], object]) -> dict[str, float]:
        """The longest gap while something is done."""
        self._gaps.clear()
        self._before = (time.perf_counter(), time.thread_time())
        self._timer.start()
        work()
        self._tick()
        self._timer.stop()
        longest = max(self._gaps)
        return {"longest stall, ms": round(longest[0], 1), "of which own work, ms": round(longest[1], 1)}


class Hand:
    """What a person does with the list of images."""

    def __init__(self, desk: Desk) -> None:
        assert desk.window.bench is not None
        self._desk = desk
        self.panel = desk.window.bench.images

    def scroll(self) -> None:
        bar = self.panel.view.verticalScrollBar()
        for step in range(60):
            bar.setValue(bar.maximum() * (37 * step % 100) // 99)
            self._desk.wait(0.02)

    def search(self) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        for key in ("0", "1", "2", *[Qt.Key.Key_Backspace] * 3):
            QTest.keyClick(self.panel._search, key)
            self._desk.wait(0.1)

    def select_all(self) -> None:
        self.panel.view.selectAll()
        self._desk.wait(0.3)
        self._desk.session.select((0,), 0)
        self._desk.wait(0.2)

    def step(self) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.panel.view.setFocus()
        for _ in range(40):
            QTest.keyClick(self.panel.view, Qt.Key.Key_Down)
            self._desk.wait(0.02)

    def filter_and_sort(self) -> None:
        from cfa_gui.models.review import Show, Sort

        for show in (Show.FLAGGED, Show.PASSED, Show.UNLABELLED, Show.FALSE_ALARM, Show.ALL):
            self.panel.choose_filter(show)
            self._desk.wait(0.1)
        for sort in (Sort.NAME, Sort.LOWEST, Sort.HIGHEST):
            self.panel._sort.setCurrentIndex(self.panel._sort.findData(sort))
            self._desk.wait(0.1)

    def label(self) -> None:
        """Twenty images, one after the other; each label is another one than before."""
        review = self._desk.parts.review
        for number in range(20):
            place = int(self._desk.parts.images.order[number])
            self._desk.session.select((place,), place)
            self._desk.wait(0.1)
            was_defect = self._desk.session.review.groups[place] == Group.DEFECT
            (review.good if was_defect else review.defect)()
            self._desk.wait(0.1)

    def label_all(self) -> None:
        """All images at once, and back."""
        self.panel.view.selectAll()
        self._desk.wait(0.2)
        self._desk.parts.review.unlabel()
        self._desk.wait(0.3)
        self._desk.parts.review.undo()
        self._desk.wait(0.3)
        self._desk.session.select((0,), 0)


def make_model(folder: Path) -> Path:
    """A model trained for a moment: the review store keeps no score without the model that it is by."""
    from core.dataset import open_dataset
    from core.model_file import save_model
    from core.presets import preset
    from core.sample_parts import make_sample_parts
    from core.training import train

    parts = make_sample_parts(folder / "parts", good=20, test_good=1, defects_per_kind=1)
    config = preset("fast").with_changes(epochs=1, holdout=0.5)
    save_model(train(open_dataset(parts).good, config, device="cpu"), folder / "part.cfa")
    return folder / "part.cfa"


def measure(folder: Path, images: int) -> dict[str, Any]:
    """All figures."""
    paths = write_pictures(folder, images, (256, 256))
    desk, gaps = Desk(folder / "review.sqlite"), Gaps()
    session, found = desk.session, {}
    started = time.perf_counter()
    first_rows: list[float] = []

    def opened() -> None:
        desk.parts.opening.open([paths[0].parent])
        desk.until(lambda: desk.parts.images.rowCount() == images)
        desk.pass_events()
        first_rows.append(1000 * (time.perf_counter() - started))
        desk.wait(1)

    found["opening"] = gaps.over(opened)
    found["first rows, ms"] = round(first_rows[0])
    hand = Hand(desk)
    assert session.samples is not None
    found["the check was still going on"] = session.samples.checking
    found["scrolling the list"] = gaps.over(hand.scroll)
    found["searching"] = gaps.over(hand.search)
    found["from image to image"] = gaps.over(hand.step)
    hand.panel.set_view("grid")
    found["scrolling the grid"] = gaps.over(hand.scroll)
    hand.panel.set_view("list")
    found["selecting all"] = gaps.over(hand.select_all)
    desk.parts.samples._check.cancel()  # what follows is about the review
    desk.open_inspected(paths, folder / "part.cfa")
    found["filtering and sorting the inspected"] = gaps.over(hand.filter_and_sort)
    found["searching the inspected"] = gaps.over(hand.search)
    found["scrolling the inspected"] = gaps.over(hand.scroll)
    found["labelling"] = gaps.over(hand.label)
    desk.parts.threshold.best_f1()  # from here on every label moves the threshold
    desk.wait(1)
    found["labelling where the threshold follows"] = gaps.over(hand.label)
    found["labelling all"] = gaps.over(hand.label_all)
    kept = time.perf_counter()
    desk.until(lambda: session.keeping != "saving")
    assert session.keeping == "saved", session.keeping
    found["until the store had all of it, s"] = round(time.perf_counter() - kept, 1)
    desk.close()
    return found


def main() -> None:
    """Measure in a process with preferences of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "load.json")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(Path(asked.measure), asked.images)))
        return
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        make_model(Path(folder))
        command = [sys.executable, __file__, "--images", str(asked.images), "--measure", folder]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(Path(folder)), stdout=subprocess.PIPE, text=True, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    worst = max(value["longest stall, ms"] for value in found.values() if isinstance(value, dict))
    result = {"images": asked.images, "load before": round(load, 1), "longest stall of all, ms": worst, **found}
    print(json.dumps(result, indent=1))
    print("ok" if worst <= STALL_MS and found["first rows, ms"] <= FIRST_ROWS_MS else "MISSED")
    asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
