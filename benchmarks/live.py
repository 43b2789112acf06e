"""The live view over time: a video file at its own rate in the real window, with the real engine.

    python benchmarks/live.py [--seconds 600] [--rate 10] [--called NAME] [--out benchmarks/results/live.json]

Runs in the current display (a real or a virtual one), or without one (QT_QPA_PLATFORM=offscreen). Draws the sample
parts, brings them to 640 x 480, trains on the good ones as a video has them (its compression is learned, as with
pictures kept from the line) in a process of its own, and writes a video of test parts, good and defective. The
measurement begins ten seconds after the first verdict and is told by minutes (a run under two minutes by thirds):
latency from the moment a frame is due until it is painted with its verdict, memory of the process, its processor time,
the longest gap of a timer of 10 ms, and how many frames were inspected or skipped because a newer one was there. Runs
of other names in the file stay.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cfa_gui.main_window import MainWindow

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SIZE = (640, 480)
WARM_UP = 10.0
TICK = 0.010
SECONDS_EACH = 2
"""How long a part stays in the video."""
MINUTE = 60.0


@dataclass
class Piece:
    """What was measured in one minute, or a third of a short run."""

    seconds: float
    processor: float = 0.0
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    longest_gap: float = 0.0
    gaps_above_100_ms: int = 0

    def told(self) -> dict[str, Any]:
        """Rounded, in ms and MB."""
        ordered = sorted(self.latencies) or [float("nan")]
        return {
            "painted": len(self.latencies),
            "latency ms, median": round(1000 * statistics.median(ordered), 1),
            "latency ms, 95th percentile": round(1000 * ordered[int(0.95 * (len(ordered) - 1))], 1),
            "latency ms, worst": round(1000 * ordered[-1], 1),
            "memory MB, median": round(statistics.median(self.memory), 1),
            "memory MB, highest": round(max(self.memory), 1),
            "longest gap ms": round(1000 * self.longest_gap, 1),
            "gaps above 100 ms": self.gaps_above_100_ms,
            "cores in use": round(self.processor / self.seconds, 2),
        }


def prepare(folder: Path, rate: float) -> None:
    """A model of the sample parts at the video's size, and the video."""
    from core.dataset import good_samples, open_dataset
    from core.images import read_image
    from core.model_file import save_model
    from core.presets import preset
    from core.sample_parts import make_sample_parts
    from core.training import train

    found = open_dataset(make_sample_parts(folder / "parts", good=60))
    good = keep_frames((_at_size(read_image(sample.path)) for sample in found.good), folder / "good", rate)
    save_model(train(good_samples(good), preset("fast"), device="cpu"), folder / "part.cfa")
    by_label = sorted(found.test, key=lambda sample: (sample.path.name, sample.name))
    shown = (_at_size(read_image(sample.path)) for sample in by_label[:30])
    write_video((frame for frame in shown for _ in range(round(SECONDS_EACH * rate))), folder / "line.avi", rate)


def write_video(frames: "Iterable[NDArray[np.uint8]]", path: Path, rate: float) -> None:
    """A video of RGB frames of one size."""
    from core.opencv import cv2

    frames = iter(frames)
    first = next(frames)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, first.shape[1::-1])
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 98)
    for frame in itertools.chain([first], frames):
        writer.write(frame[..., ::-1])
    writer.release()


def keep_frames(frames: "Iterable[NDArray[np.uint8]]", folder: Path, rate: float) -> Path:
    """A folder of the frames as they come out of a video, kept without further loss."""
    from core.opencv import cv2

    folder.mkdir()
    video = folder.with_suffix(".avi")
    write_video(frames, video, rate)
    capture = cv2.VideoCapture(str(video))
    for number in itertools.count():
        taken, frame = capture.read()
        if not taken:
            break
        cv2.imwrite(str(folder / f"{number:03}.png"), frame)
    capture.release()
    return folder


def _at_size(picture: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Scaled to the height, its edge repeated at the sides."""
    import numpy as np

    from core.opencv import cv2

    height = SIZE[1]
    width = round(picture.shape[1] * height / picture.shape[0])
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    left = (SIZE[0] - width) // 2
    right = SIZE[0] - width - left
    return np.asarray(cv2.copyMakeBorder(scaled, 0, 0, left, right, cv2.BORDER_REPLICATE), np.uint8)


class Observer:
    """Watches a window for a while."""

    def __init__(self, window: "MainWindow", seconds: float) -> None:
        from PySide6.QtCore import Qt, QTimer

        count = round(seconds / MINUTE) if seconds >= 2 * MINUTE else 3
        self.pieces = [Piece(seconds / count) for _ in range(count)]
        self._window = window
        self._seconds = seconds
        self._began = time.monotonic()
        self._ticked = time.perf_counter()
        self._weighed = 0.0
        self._processor = time.process_time()
        self.own = 0.0
        assert window.live is not None
        window.live.canvas.painted.connect(self._on_painted)
        self._timer = QTimer(interval=round(1000 * TICK), timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self._began >= self._seconds

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.stop()

    def _piece(self) -> Piece:
        share = (time.monotonic() - self._began) / self._seconds
        return self.pieces[min(int(share * len(self.pieces)), len(self.pieces) - 1)]

    def _on_painted(self) -> None:
        assert self._window.parts is not None
        shown = self._window.parts.live.model.shown
        if shown is not None:
            self._piece().latencies.append(time.monotonic() - shown.taken_at)

    def _tick(self) -> None:
        now = time.perf_counter()
        gap, self._ticked = now - self._ticked, now
        piece = self._piece()
        piece.longest_gap = max(piece.longest_gap, gap)
        piece.gaps_above_100_ms += int(gap > 0.1)
        if now - self._weighed >= 1.0:
            self._weighed = now
            piece.memory.append(_resident())
            used, self._processor = time.process_time() - self._processor, time.process_time()
            piece.processor += used
        self.own += time.perf_counter() - now


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Run the window."""
    from PySide6.QtWidgets import QApplication

    from cfa_gui import theme
    from cfa_gui.garbage import GarbageKeeper
    from cfa_gui.main_window import MainWindow
    from cfa_gui.settings import SettingsStore
    from core.line.live.sources import VideoChoice

    app = QApplication(["benchmark"])
    theme.apply(app, "dark")
    window = MainWindow(SettingsStore())
    keeper = GarbageKeeper(window)  # as cfa_gui.app does
    window.engine_ready.connect(keeper.settle)
    window.show()
    _until(lambda: window.parts is not None)
    parts = window.parts
    assert parts is not None
    _until(lambda: parts.session.facilities is not None)
    parts.deploy.open_model(folder / "part.cfa")
    _until(lambda: parts.session.model is not None and parts.session.state == "idle")
    parts.live.show()
    parts.live.start(VideoChoice(folder / "line.avi", loop=True))
    _until(lambda: parts.live.model.figures.counts.judged > 0)
    _until(lambda: False, WARM_UP)
    before = parts.live.model.figures.counts
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    observer = Observer(window, seconds)
    _until(lambda: observer.over, seconds + 60)
    observer.stop()
    after = parts.live.model.figures.counts
    parts.live.stop()
    _until(lambda: not parts.live.model.running)
    window._end()
    keeper.stop()
    return {
        "seconds": seconds,
        "source": parts.live.model.source or "640 × 480",
        "load before": load,
        "load after": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "frames of the source": after.received - before.received,
        "inspected": after.judged - before.judged,
        "skipped, a newer one was there": after.skipped - before.skipped,
        "unreadable": after.unreadable - before.unreadable,
        "flagged": after.flagged - before.flagged,
        "the measuring itself, ms a second": round(1000 * observer.own / seconds, 2),
        "pieces": [piece.told() for piece in observer.pieces],
    }


def _until(condition: Callable[[], bool], limit: float = 300.0) -> None:
    """Run the event loop; returns at the limit too."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop, deadline = QEventLoop(), time.monotonic() + limit
    timer = QTimer(interval=50)
    timer.timeout.connect(lambda: loop.quit() if condition() or time.monotonic() > deadline else None)
    timer.start()
    loop.exec()
    timer.stop()


def _resident() -> float:
    """MB of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second of the video")
    parser.add_argument("--called", default="live", help="under which name the figures stand in the file")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "live.json")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.prepare, arguments.rate)
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[variable] = str(folder / variable)
        command = [sys.executable, __file__, "--prepare", str(folder), "--rate", str(arguments.rate)]
        subprocess.run(command, check=True, cwd=ROOT)
        found = measure(folder, arguments.seconds)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"machine": f"{platform.machine()}, {cores} core(s)", "rate": arguments.rate, **found}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    runs = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    runs[arguments.called] = found
    arguments.out.write_text(json.dumps(runs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
