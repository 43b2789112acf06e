"""How quick the window is: first paint, stalls while training, moving the threshold, memory, cancelling.

    python benchmarks/window.py [--only paint stall threshold memory cancel] [--out FILE.json]

Each measurement runs in a process of its own, in the current display or, where there is none, offscreen. The result is
a table and a JSON file. The load of the machine is noted, for times on a busy machine say little.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.progress import Phase

ROOT = Path(__file__).resolve().parents[1]
STARTS = 7
STALL_SECONDS = 30.0
TICK = 10
SCORED = 5000
MOVES = 200
PAGED = 1000
WARM_UP = 100
PICTURE = (1728, 2304)
DIFFERENT = 25
LIMITS = {
    "first paint, median": 1000.0,
    "longest stall while training": 100.0,
    "threshold moved over 5,000, worst": 50.0,
    "memory over 1,000 images of 4 MP, ±": 50.0,
    "cancel": 1000.0,
}
"""Milliseconds, and for memory MB up or down."""


def measure_paint(folder: Path) -> dict[str, Any]:
    """From the start of the process to the first paint, in ms; the first run also warms the disk's cache."""
    times = [_one_start(folder) for _ in range(STARTS + 1)][1:]
    return {"first paint, median": statistics.median(times), "first paint, worst": max(times), "all": times}


def _one_start(folder: Path) -> float:
    code = (
        "import sys, time\n"
        "from cfa_gui import app, main_window\n"
        "def painted(window):\n"
        "    print(time.time(), flush=True)\n"
        "    window.close()\n"
        "main_window.MainWindow.complete = painted\n"
        "sys.exit(app.run([]))\n"
    )
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(folder), capture_output=True, text=True, check=True
    )
    return 1000 * (float(done.stdout.split()[0]) - started)


def measure_stall(folder: Path) -> dict[str, Any]:
    """Worst gap of a 10 ms timer on the window's thread, in ms: at rest, then over 30 s of training, phase by phase."""
    from PySide6.QtCore import QTimer

    from core.progress import Phase

    desk = Desk()
    desk.open_sample_parts(folder)
    gaps: dict[str, list[tuple[float, float]]] = {}
    phase = "at rest"
    before = (time.perf_counter(), time.thread_time())

    def tick() -> None:
        nonlocal before
        now = (time.perf_counter(), time.thread_time())
        gaps.setdefault(phase, []).append((1000 * (now[0] - before[0]), 1000 * (now[1] - before[1])))
        before = now

    def told(progress: Any, _estimate: object) -> None:
        nonlocal phase
        phase = str(progress.phase)

    timer = QTimer(interval=TICK)
    timer.setTimerType(timer.timerType().PreciseTimer)
    timer.timeout.connect(tick)
    timer.start()
    desk.wait(5)
    desk.session.progressed.connect(told)
    desk.configure(epochs=1000)
    phase = str(Phase.READING)
    started = time.monotonic()
    desk.parts.start_training()
    desk.until(lambda: time.monotonic() - started > STALL_SECONDS)
    timer.stop()
    desk.cancel()
    worst = {name: max(found) for name, found in gaps.items()}
    desk.close()
    training = [value for name, value in worst.items() if name != "at rest"]
    flat = sorted(gap for name, found in gaps.items() if name != "at rest" for gap, _ in found)
    return {
        "longest stall while training": max(training)[0],
        "of which the window's own work": max(training)[1],
        "99th percentile of the gaps": flat[int(0.99 * len(flat))],
        "longest gap at rest": worst["at rest"][0],
        "by phase": {name: round(value[0], 1) for name, value in worst.items()},
    }


def measure_threshold(folder: Path) -> dict[str, Any]:
    """Ms from a move of the threshold until everything is painted, with 5,000 scored images in the list."""
    import numpy as np
    from PySide6.QtWidgets import QApplication

    desk = Desk()
    desk.open_inspected(write_pictures(folder, SCORED, (256, 256)))
    session = desk.session
    scores = session.review.scores
    times, own = [], []
    for value in np.random.default_rng(0).permutation(np.linspace(scores.min(), scores.max(), MOVES)):
        started, cpu = time.perf_counter(), time.thread_time()
        desk.parts.threshold.move(float(value))
        QApplication.processEvents()
        QApplication.processEvents()  # what the first pass laid out is painted by the second
        times.append(1000 * (time.perf_counter() - started))
        own.append(1000 * (time.thread_time() - cpu))
    desk.close()
    return {
        "threshold moved over 5,000, worst": max(times),
        "threshold moved over 5,000, median": statistics.median(times),
        "of which the window's own work, worst": max(own),
        "of which the window's own work, median": statistics.median(own),
    }


def measure_memory(folder: Path) -> dict[str, Any]:
    """MB up or down from the middle, while paging through 1,000 pictures of 4 megapixels, after the first 100."""
    desk = Desk()
    desk.open_inspected(write_pictures(folder, PAGED, PICTURE))
    order = desk.parts.images.order.tolist()
    shown: list[object] = []
    desk.parts.pictures.picture_ready.connect(shown.append)
    sizes = []
    for number in range(PAGED):
        place = order[number]
        shown.clear()
        desk.session.select((place,), place)
        desk.until(lambda: bool(shown))
        desk.pass_events()
        sizes.append(_resident())
    settled = sizes[WARM_UP:]
    desk.close()
    return {
        "memory over 1,000 images of 4 MP, ±": (max(settled) - min(settled)) / 2,
        "from the 100th image to the last": settled[-1] - settled[0],
        "resident at the end": settled[-1],
        "every 100": [round(size) for size in sizes[::100]],
    }


def measure_cancel(folder: Path) -> dict[str, Any]:
    """Ms from "cancel" until the window is at rest again, in each phase of a training and in an inspection."""
    from core.progress import Phase

    desk = Desk()
    found: dict[str, float] = {}
    desk.open_sample_parts(folder)
    for name in ("standard", "paper"):
        desk.parts.use_preset(name)
        desk.configure(epochs=20, holdout=0.2)
        phases = [Phase.READING, Phase.PARTS, Phase.FEATURES, Phase.BANK, Phase.CLUSTERING, Phase.TRAINING]
        if name == "paper":
            phases.remove(Phase.CLUSTERING)  # one centre per patch of the mean image: nothing to cluster
        for phase in phases:
            found[f"{phase}, {name}"] = desk.cancel_in(phase)
    desk.parts.use_preset("standard")
    desk.configure(epochs=1, holdout=0.2)
    for phase in (Phase.MEASURING, Phase.SHAPES):
        found[phase] = desk.cancel_in(phase)
    desk.parts.use_preset("fast")
    desk.configure(epochs=1, holdout=0.5)
    found["calibrating"] = desk.cancel_in(Phase.CALIBRATING)
    desk.parts.use_preset("fast")
    desk.parts.start_training()
    desk.until(lambda: desk.session.state == "inspecting")
    found["inspecting"] = desk.cancel()
    desk.close()
    return {"cancel": max(found.values()), "by phase": {name: round(value) for name, value in found.items()}}


class Desk:
    """The real window with the real engine.

    Args:
        store: Where the review is kept; None: nowhere.
    """

    def __init__(self, store: Path | None = None) -> None:
        from PySide6.QtWidgets import QApplication

        from cfa_gui import theme
        from cfa_gui.garbage import GarbageKeeper
        from cfa_gui.main_window import MainWindow
        from cfa_gui.settings import SettingsStore

        app = QApplication.instance() or QApplication(["benchmark"])
        assert isinstance(app, QApplication)
        self._app = app
        theme.apply(app, "dark")
        self.window = MainWindow(SettingsStore(), store=None if store is None else lambda: store)
        self._keeper = GarbageKeeper(self.window)  # as cfa_gui.app does
        self.window.engine_ready.connect(self._keeper.settle)
        self.window.show()
        self.until(lambda: self.window.parts is not None)
        assert self.window.parts is not None
        self.parts = self.window.parts
        self.session = self.parts.session
        self.until(lambda: self.session.facilities is not None)

    def until(self, condition: Callable[[], bool], limit: float = 300.0) -> None:
        """Run the event loop; QTest.qWait would hold the GIL."""
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        timer = QTimer(interval=2)
        deadline = time.monotonic() + limit

        def look() -> None:
            if condition() or time.monotonic() > deadline:
                loop.quit()

        timer.timeout.connect(look)
        timer.start()
        loop.exec()
        timer.stop()
        if not condition():
            raise TimeoutError("what the benchmark waits for does not come")

    def wait(self, seconds: float) -> None:
        """Run the event loop for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def pass_events(self) -> None:
        """Let everything be painted."""
        self._app.processEvents()
        self._app.processEvents()

    def until_idle(self) -> None:
        """Wait until nothing is being done."""
        self.until(lambda: self.session.state == "idle" and not self.parts.runner.busy)

    def open_sample_parts(self, folder: Path) -> None:
        """The parts that the program draws itself."""
        from core.sample_parts import make_sample_parts

        self.parts.opening.open([make_sample_parts(folder / "sample-parts")])
        self.until(lambda: self.session.samples is not None and not self.session.samples.checking)
        self.until_idle()

    def configure(self, **changes: object) -> None:
        """Change settings of the next training."""
        self.session.set_config(self.session.config.with_changes(**changes))

    def open_inspected(self, paths: list[Path], model: Path | None = None) -> None:
        """Pictures with random scores, maps and labels, and a model; without one, one that was never trained."""
        import numpy as np

        from cfa_gui.models.session import Collection
        from core.dataset import Label, Sample
        from core.model_file import load_model
        from core.placement import place
        from core.threshold import manual_threshold

        session, random = self.session, np.random.default_rng(0)
        session.set_model(_untrained() if model is None else load_model(model), model)
        labels = [Label.DEFECT if random.random() < 0.2 else Label.GOOD for _ in paths]
        places = session.add_images(
            tuple(Sample(path, path.name, label, "", None) for path, label in zip(paths, labels, strict=True))
        )
        assert session.model is not None
        shape = PICTURE if len(paths) == PAGED else (256, 256)
        where = place(shape, session.model.config.preprocessing, 32)
        for number, label in zip(places, labels, strict=True):
            score = float(random.normal(2.0 if label is Label.DEFECT else 1.0, 0.3))
            session.review.record(number, score, where)
            session.maps.put(number, _map(random, where.crop[2], where.crop[3], score))
        session.set_first_threshold(manual_threshold(1.5))
        session.show(Collection.REVIEW)
        session.results_added.emit()
        session.state_changed.emit()
        session.select((places[0],), places[0])
        self.wait(1)

    def cancel(self) -> float:
        """Cancel, and say how many ms it took."""
        started = time.perf_counter()
        self.parts.tasks.cancel()
        self.until_idle()
        return 1000 * (time.perf_counter() - started)

    def cancel_in(self, phase: "Phase") -> float:
        """Train, and cancel a moment after a phase has begun."""
        reached = []

        def told(progress: Any, _estimate: object) -> None:
            if progress.phase is phase:
                reached.append(progress)

        self.session.progressed.connect(told)
        self.parts.start_training()
        self.until(lambda: bool(reached) or self.session.state == "idle")
        self.session.progressed.disconnect(told)
        assert reached, f"the training ended before {phase}"
        self.wait(0.15)
        return self.cancel()

    def close(self) -> None:
        """Close without a question."""
        self.session.model_unsaved = False
        self.window.close()
        self.until(lambda: not self.window.isVisible())


def _untrained() -> Any:
    from core.presets import preset
    from core.trained_model import Calibration, TrainedModel, TrainingSummary

    summary = TrainingSummary(
        images=1, held_out=0, skipped=(), seconds=1.0, device="", bank_size=1, channels=1, level_scale=(1.0,)
    )
    return TrainedModel(preset("standard"), None, Calibration(), None, summary, "2026-01-01T00:00:00+00:00")  # type: ignore[arg-type]


def _map(random: "np.random.Generator", height: int, width: int, score: float) -> "NDArray[np.float32]":
    """As rough as a real one: values on a grid of 8 pixels, blurred with sigma 4; its highest value is the score."""
    import cv2
    import numpy as np

    grid = random.random((height // 8, width // 8)).astype(np.float32) ** 3
    values = cv2.GaussianBlur(cv2.resize(grid, (width, height)), (0, 0), 4.0)
    return np.asarray(values * (score / values.max()), np.float32)


def write_pictures(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Files of a size; a few are different, the others are the same under other names."""
    import numpy as np
    from PIL import Image

    kind = folder / f"{size[0]}x{size[1]}"
    kind.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = [kind / f"{number:05}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number < DIFFERENT:
            coarse = Image.fromarray(random.integers(0, 255, (size[0] // 32, size[1] // 32, 3), dtype=np.uint8))
            coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.hardlink_to(paths[number % DIFFERENT])
    return paths


def _resident() -> float:
    """MB of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def environment(folder: Path) -> dict[str, str]:
    """With preferences of its own, and a screen where there is none."""
    found = dict(os.environ)
    if not (found.get("DISPLAY") or found.get("WAYLAND_DISPLAY")):
        found.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        found[name] = str(folder / name)
    return found


MEASUREMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "paint": measure_paint,
    "stall": measure_stall,
    "threshold": measure_threshold,
    "memory": measure_memory,
    "cancel": measure_cancel,
}


def _in_own_process(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        done = subprocess.run(
            [sys.executable, __file__, "--measure", name, folder],
            cwd=ROOT,
            env=environment(Path(folder)),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return {"load before": round(load, 1), **json.loads(done.stdout.splitlines()[-1])}


def _show(results: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "figure", "limit", "", title=_machine())
    for found in results.values():
        for name, value in found.items():
            if isinstance(value, list | dict):
                table.add_row(f"  {name}", json.dumps(value), "", "")
                continue
            limit = LIMITS.get(name)
            verdict = "" if limit is None else "ok" if value <= limit else "MISSED"
            table.add_row(name, f"{value:,.1f}", "" if limit is None else f"{limit:,.0f}", verdict)
    Console(width=140).print(table)


def _machine() -> str:
    from core.version import VERSION

    screen = environment(Path()).get("QT_QPA_PLATFORM") or "a display"
    return f"cfa-gui {VERSION}, {platform.machine()}, {os.cpu_count()} CPUs, {screen}; ms, memory in MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "window.json")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, folder = arguments.measure
        print(json.dumps(MEASUREMENTS[name](Path(folder))))
        return
    results = {name: _in_own_process(name) for name in arguments.only}
    _show(results)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"machine": _machine(), **results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
