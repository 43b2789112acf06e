"""What survives: kills at random moments, long runs, full disks. The figures stand in docs/reliability.md.

    python benchmarks/reliability.py [--only kill soak determinism disk] [--kills 200] [--images 20000] [--out JSON]

`kill` forks a process with everything imported, lets it train, inspect, label or save, ends it with SIGKILL after a
random time (seeded), and looks at what it left; then a new process goes on. `disk` wants root, for a file system of its
own. Linux alone.
"""

import argparse
import gc
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has no threads of torch yet

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import model_file, training
from core.atomic_file import TEMPORARY_PREFIX
from core.backbone import build_backbone
from core.checkpoint import Checkpoint
from core.cli.main import app
from core.dataset import find_samples
from core.errors import CfaError
from core.inspection import Inspector
from core.review import ReviewStore
from core.samples import Label, Sample
from core.trained_model import TrainedModel
from tests.core.parts import TINY, picture, write_parts
from tests.core.states import same

ROOT = Path(__file__).resolve().parents[1]
LONG = TINY.with_changes(epochs=400)
Found = dict[str, Any]


# --- kill -------------------------------------------------------------------------------------------------------------


class Victim:
    """A forked process that does something until it is killed, and says through a pipe how far it is."""

    def __init__(self, work: Callable[[Callable[[], None]], None]) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            work(lambda: os.write(writer, b".") and None)
            os._exit(0)
        os.close(writer)

    def kill_after(self, seconds: float) -> int:
        """Kill it; returns how often it said that something was done."""
        os.read(self._reader, 1)  # it has begun
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        said = 1
        while chunk := os.read(self._reader, 65536):
            said += len(chunk)
        os.close(self._reader)
        return said


def kill_training(folder: Path, times: Iterator[float], count: int) -> Found:
    """Killed again and again, each time gone on with: in the end the same model as undisturbed."""
    parts = write_parts(folder / "parts", [(32, 32)] * 8)
    checkpoint, target = folder / "part.cfa.unfinished", folder / "part.cfa"
    lost = half = unreadable = 0
    before = 0

    def work(done: Callable[[], None]) -> None:
        done()
        trained = training.train(parts, LONG, device="cpu", checkpoint=Checkpoint(checkpoint))
        model_file.save_model(trained, target)

    for _ in range(count):
        Victim(work).kill_after(next(times) * 1.5)
        half += len(_leftovers(folder))
        epochs = _epochs(checkpoint)
        unreadable += epochs is None
        lost += epochs is not None and epochs < before
        before = epochs or 0
        if target.exists():
            target.unlink()
            checkpoint.unlink(missing_ok=True)
            before = 0
    resumed = training.train(parts, LONG, device="cpu", checkpoint=Checkpoint(checkpoint))
    equal = same(resumed, training.train(parts, LONG, device="cpu"))
    return {"kills": count, "epochs lost": lost, "half-written": half, "unreadable": unreadable, "same model": equal}


def _epochs(path: Path) -> int | None:
    """Epochs in a checkpoint; 0 where there is none, None where it is damaged."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        return None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return int(json.loads(header["__metadata__"]["cfa-checkpoint"])["epochs"])


def kill_inspecting(folder: Path, times: Iterator[float], count: int) -> Found:
    """Maps and table are whole or not there."""
    model_file.save_model(_tiny(folder), folder / "part.cfa")
    shots = folder / "shots"
    shots.mkdir()
    for number in range(60):
        Image.fromarray(picture(number)).save(shots / f"{number:02}.png")
    half = unreadable = finished = 0

    def work(done: Callable[[], None]) -> None:
        done()
        targets = ["--csv", str(folder / "out" / "a.csv"), "--maps", str(folder / "out" / "maps")]
        (folder / "out").mkdir(exist_ok=True)
        app(["inspect", str(folder / "part.cfa"), str(shots), *targets, "--device", "cpu"], standalone_mode=False)

    for _ in range(count):
        Victim(work).kill_after(next(times) * 2.0)
        half += len(_leftovers(folder))
        for path in (folder / "out").rglob("*.tiff"):
            if path.name.startswith(TEMPORARY_PREFIX):
                continue
            try:
                unreadable += np.asarray(Image.open(path)).shape != (32, 32)
            except (OSError, SyntaxError, ValueError):
                unreadable += 1
        table = folder / "out" / "a.csv"
        if table.exists():
            finished += 1
            unreadable += len(table.read_text().splitlines()) != 61
            table.unlink()
    return {"kills": count, "finished": finished, "half-written": half, "unreadable": unreadable}


def kill_labelling(folder: Path, times: Iterator[float], count: int) -> Found:
    """Each label that was said to be saved is there; the store is sound."""
    path, sample = folder / "reviews.sqlite", Sample(folder / "0.png", "0.png", None, "", None)
    with ReviewStore(path) as store:
        project = store.create_project("kill")
        store.add_images(project, [sample])
    lost = unsound = locked = 0
    total = 0

    def work(done: Callable[[], None]) -> None:
        with ReviewStore(path) as opened:
            opened.claim(project)
            labels = (Label.GOOD, Label.DEFECT)
            for number in range(10_000_000):
                opened.label(project, {sample.path: labels[number % 2]})
                done()

    for _ in range(count):
        said = Victim(work).kill_after(next(times) * 0.2)
        with ReviewStore(path) as store:
            written = len(store.history(project))
            lost += max(0, total + said - written)
            unsound += bool(store.check())
            locked += not store.claim(project)
        total = written
    return {"kills": count, "labels": total, "labels lost": lost, "unsound stores": unsound, "locked": locked}


def kill_saving(folder: Path, times: Iterator[float], count: int) -> Found:
    """The model file is the old one or the new one."""
    trained, path = _tiny(folder), folder / "part.cfa"
    model_file.save_model(trained, path)
    half = unreadable = 0

    def work(done: Callable[[], None]) -> None:
        while True:
            model_file.save_model(trained, path)
            done()

    for _ in range(count):
        Victim(work).kill_after(next(times) * 0.1)
        half += len(_leftovers(folder))
        try:
            model_file.load_model(path)
        except CfaError:
            unreadable += 1
    return {"kills": count, "half-written": half, "unreadable": unreadable}


def _leftovers(folder: Path) -> list[Path]:
    """What was being written is under another name, and never under its own; count those that took its place."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size == 0]
    partial = list(folder.rglob(f"{TEMPORARY_PREFIX}*"))
    for path in partial:
        path.unlink()
    return [path for path in found if path not in partial and not path.name.endswith((".lock", "-wal", "-shm"))]


def _tiny(folder: Path) -> TrainedModel:
    return training.train(write_parts(folder / "good", [(32, 32)] * 8), TINY, device="cpu")


def measure_kill(kills: int, **_: Any) -> Found:
    """A quarter of the kills for each kind of work."""
    backbone = build_backbone("lite0")
    training.build_backbone = lambda *_: backbone  # read once, before the forks
    random_times = random.Random(0)
    times = iter(random_times.random, 2.0)
    found = {}
    for work in (kill_labelling, kill_saving, kill_inspecting, kill_training):
        with tempfile.TemporaryDirectory() as name:
            process = _in_fork(lambda work=work, name=name: work(Path(name), times, kills // 4))
            found[work.__name__.removeprefix("kill_")] = process
            print(work.__name__, process, flush=True)
    return found


def _in_fork(work: Callable[[], Found]) -> Found:
    """Run it in a process that may use threads; the next fork comes from one that has not."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    data = b""
    while chunk := os.read(reader, 65536):
        data += chunk
    os.waitpid(pid, 0)
    return dict(json.loads(data)) if data else {"failed": True}


# --- soak -------------------------------------------------------------------------------------------------------------


def measure_soak(images: int, **_: Any) -> Found:
    """Memory, descriptors and threads over many inspections in one process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inspector = Inspector(_tiny(folder), device="cpu")
        for number in range(20):
            Image.fromarray(picture(number, 40 + number, 56)).save(folder / f"{number}.jpg")
        samples = find_samples([folder / f"{number}.jpg" for number in range(20)])
        resident: list[float] = []
        first: tuple[int, int] | None = None
        for done in range(0, images, len(samples)):
            for _result in inspector.inspect_many(samples):
                pass
            if done % 200 == 0:
                resident.append(_resident())
            if done >= images // 10 and first is None:
                first = _open_files(), threading.active_count()
        gc.collect()
        quarters = np.array_split(np.array(resident), 4)
        means = [round(float(part.mean()), 1) for part in quarters]
        return {
            "images": images,
            "MB by quarter": means,
            "last / second": round(means[3] / means[1], 4),
            "files and threads": [first, (_open_files(), threading.active_count())],
        }


def _resident() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --- determinism and full disk ----------------------------------------------------------------------------------------


def measure_determinism(**_: Any) -> Found:
    """The same seed twice, each in a process of its own: the same content of the model file but for date and time."""
    digests = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_parts(folder / "parts", [(32, 32)] * 12)
        for number in range(2):
            target = folder / f"{number}.cfa"
            command = [sys.executable, "-m", "core.cli", "train", str(folder / "parts")]
            options = ["--out", str(target), "--image-size", "64", "--device", "cpu"]
            subprocess.run([*command, *options], check=True, capture_output=True, cwd=ROOT)
            trained = model_file.load_model(target)
            kept = {"calibration": trained.calibration.scores, "history": trained.summary.to_json()["history"]}
            digests.append((model_file.identity(trained), json.dumps(kept)))
    return {"the same": digests[0] == digests[1]}


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


def measure_disk(**_: Any) -> Found:
    """A disk that is full: a sentence, and what was there is still there."""
    found: Found = {}
    with tempfile.TemporaryDirectory() as name, small_disk(3) as disk:
        trained = _tiny(Path(name))
        model_file.save_model(trained, Path(name) / "part.cfa")
        (disk / "part.cfa").write_bytes(b"the old one")
        store = ReviewStore(disk / "reviews.sqlite")
        project = store.create_project("full")
        sample = Sample(disk / "0.png", "0.png", None, "", None)
        store.add_images(project, [sample])
        (disk / "filler").write_bytes(b"x" * 1_000_000)
        fill = (disk / "more").open("wb", buffering=0)
        try:
            while True:
                fill.write(b"x" * 4096)
        except OSError:
            fill.close()
        found["model"] = _sentence(lambda: model_file.save_model(trained, disk / "part.cfa"))
        found["old model there"] = (disk / "part.cfa").read_bytes() == b"the old one"
        found["label"] = _sentence(lambda: [store.label(project, {sample.path: Label.GOOD}) for _ in range(200)])
        before = len(store.history(project))
        (disk / "more").unlink()
        store.label(project, {sample.path: Label.DEFECT})
        found["store goes on"] = len(store.history(project)) == before + 1 and store.check() == []
        store.close()
    return found


def _sentence(work: Callable[[], object]) -> str:
    try:
        work()
    except CfaError as error:
        return str(error)
    return ""


MEASUREMENTS: dict[str, Callable[..., Found]] = {
    "kill": measure_kill,
    "determinism": measure_determinism,
    "disk": measure_disk,
    "soak": measure_soak,
}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "reliability.json")
    asked = parser.parse_args()
    known = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name in asked.only:
        known[name] = MEASUREMENTS[name](kills=asked.kills, images=asked.images)
        print(name, json.dumps(known[name]), flush=True)
        asked.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
