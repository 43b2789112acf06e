"""What survives kills at random moments, and whether a training can be repeated. The figures: docs/reliability.md.

    python benchmarks/reliability.py [--only kill determinism] [--kills 200] [--out JSON]

`kill` forks a process with everything imported, lets it train, inspect, label (in the store, and in the real window) or
save, ends it with SIGKILL after a random time (seeded) within the time that the work takes, and looks at what it left;
then a new process goes on from there. A kill that comes too late, the work being done, is not counted. A kill is no
power cut: what the disk itself loses then is not measured here. Linux alone.
"""

import argparse
import hashlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has no threads of torch yet
if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cfa_gui.models.review import Group
from cfa_gui.models.session import Keeping
from core import model_file, training
from core.atomic_file import TEMPORARY_PREFIX, write_bytes
from core.backbone import build_backbone
from core.checkpoint import Checkpoint
from core.cli.main import app
from core.leftovers import remove_leftovers
from core.result_files import csv_table
from core.review import ReviewStore
from core.samples import Label, Sample
from core.threshold import manual_threshold
from core.trained_model import TrainedModel
from tests.cfa_gui.bench import Answers
from tests.cfa_gui.fake_engine import FakeEngine, write_picture
from tests.core.parts import TINY, picture, write_parts
from tests.core.states import same

ROOT = Path(__file__).resolve().parents[1]
LONG = TINY.with_changes(epochs=100)
SHOTS = 30
PATIENCE = 60.0
"""Seconds after which a process that has not begun counts as failed."""
Found = dict[str, Any]
Random = Callable[[], float]
"""Between 0 and 1, or seconds."""


# --- kill -------------------------------------------------------------------------------------------------------------


class Victim:
    """A forked process that does something until it is killed, and says through a pipe how far it is."""

    def __init__(self, work: Callable[[Callable[[int], None]], None]) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            try:
                work(lambda count: os.write(writer, b"." * count) and None)
            finally:
                os._exit(0)
        os.close(writer)

    def kill_after(self, seconds: float) -> tuple[int, bool]:
        """Kill it; returns how often it said that something was done, and whether it was still at work."""
        ready, _, _ = select.select([self._reader], [], [], PATIENCE)
        said = len(os.read(self._reader, 1)) if ready else 0  # it has begun
        time.sleep(seconds if said else 0)
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        while chunk := os.read(self._reader, 65536):
            said += len(chunk)
        os.close(self._reader)
        return said, os.WIFSIGNALED(status)


def kill_training(folder: Path, random_number: Random, count: int) -> Found:
    """Killed again and again, each time gone on with: each model that gets ready is the undisturbed one."""
    parts = write_parts(folder / "parts", [(32, 32)] * 8)
    checkpoint, target = folder / "part.cfa.unfinished", folder / "part.cfa"
    started = time.monotonic()
    undisturbed = training.train(parts, LONG, device="cpu", checkpoint=Checkpoint(folder / "other.unfinished"))
    takes = time.monotonic() - started
    (folder / "other.unfinished").unlink()
    lost = spoiled = kills = ready = different = before = moved_on = 0

    def work(done: Callable[[int], None]) -> None:
        done(1)
        trained = training.train(parts, LONG, device="cpu", checkpoint=Checkpoint(checkpoint))
        model_file.save_model(trained, target)
        checkpoint.unlink()

    while kills < count or not ready:
        _, killed = Victim(work).kill_after(random_number() * takes)
        kills += killed
        epochs = _epochs(checkpoint)
        spoiled += epochs is None
        if target.exists():
            ready += 1
            different += not same(model_file.load_model(target), undisturbed)
            target.unlink()
            checkpoint.unlink(missing_ok=True)
            epochs = 0
        else:
            lost += (epochs or 0) < before
            moved_on += (epochs or 0) > before
        before = epochs or 0
    return {
        "kills": kills,
        "one training takes, s": round(takes, 2),
        "of the kills with a new epoch on the disk": moved_on,
        "finished epochs lost": lost,
        "damaged files": spoiled,
        "trainings that got ready": ready,
        "of them not the undisturbed model": different,
        "temporary files left": _leftovers(folder),
    }


def _epochs(path: Path) -> int | None:
    """Epochs in a checkpoint; 0 where there is none, None where it is damaged."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        return None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return int(json.loads(header["__metadata__"]["cfa-checkpoint"])["epochs"])


def kill_inspecting(folder: Path, random_number: Random, count: int) -> Found:
    """Maps and table are whole or not there, and the next inspection works."""
    model_file.save_model(_tiny(folder), folder / "part.cfa")
    shots, target = folder / "shots", folder / "out"
    shots.mkdir()
    target.mkdir()
    for number in range(SHOTS):
        Image.fromarray(picture(number)).save(shots / f"{number:02}.png")
    targets = ["--csv", str(target / "a.csv"), "--maps", str(target / "maps"), "--device", "cpu"]

    def inspect() -> object:
        return app(["inspect", str(folder / "part.cfa"), str(shots), *targets], standalone_mode=False)

    def work(done: Callable[[int], None]) -> None:
        while True:
            done(1)
            inspect()

    def once(done: Callable[[int], None]) -> None:
        inspect()
        done(2 if _spoiled(target) == (0, SHOTS, 1) else 1)

    Victim(once).kill_after(0)
    started = time.monotonic()
    Victim(once).kill_after(0)
    takes = time.monotonic() - started
    kills = spoiled = failed = left = at_work = 0
    while kills < count:
        shutil.rmtree(target)
        target.mkdir()
        _, killed = Victim(work).kill_after(random_number() * takes)
        kills += killed
        damaged, maps, tables = _spoiled(target)
        spoiled += damaged
        at_work += 0 < maps < SHOTS or tables == 0
        left += _leftovers(folder)
        said, _ = Victim(once).kill_after(0)
        failed += said != 2
    return {
        "kills": kills,
        "one inspection takes, s": round(takes, 2),
        "of the kills before the table was there": at_work,
        "damaged maps and tables": spoiled,
        "restarts that failed": failed,
        "temporary files left": left,
    }


def _spoiled(target: Path) -> tuple[int, int, int]:
    """How many maps and tables are damaged, and how many there are of each."""
    damaged = 0
    maps = [path for path in target.rglob("*.tiff") if not path.name.startswith(TEMPORARY_PREFIX)]
    for path in maps:
        try:
            damaged += np.asarray(Image.open(path)).shape != (32, 32)
        except (OSError, SyntaxError, ValueError):
            damaged += 1
    tables = list(target.glob("*.csv"))
    damaged += sum(len(table.read_text().splitlines()) != SHOTS + 1 for table in tables)
    return damaged, len(maps), len(tables)


def kill_labelling(folder: Path, random_number: Random, count: int) -> Found:
    """Each label that was said to be saved is there; the store is sound."""
    path, sample = folder / "reviews.sqlite", Sample(folder / "0.png", "0.png", None, "", None)
    with ReviewStore(path) as store:
        project = store.create_project("kill")
        store.add_images(project, [sample])

    def work(done: Callable[[int], None]) -> None:
        with ReviewStore(path) as opened:
            opened.claim(project)
            labels = (Label.GOOD, Label.DEFECT)
            for number in range(10_000_000):
                opened.label(project, {sample.path: labels[number % 2]})
                done(1)

    return _labels_after_kills(path, project, work, lambda: random_number() * 0.2, count)


def kill_window(folder: Path, random_number: Random, count: int) -> Found:
    """The same in the real window: what it has shown as saved is there, and the next window goes on with it."""
    path = folder / "reviews.sqlite"
    samples = [
        Sample(write_picture(folder / f"{number}.png", 10 + number), f"{number}.png", None, "", None)
        for number in range(30)
    ]
    with ReviewStore(path) as store:
        project = store.create_project("kill")
        store.add_images(project, samples)
    return _labels_after_kills(path, project, lambda done: _label_in_window(path, done), random_number, count)


def _label_in_window(path: Path, done: Callable[[int], None]) -> None:
    """Go on with the review, and label; tell how many labels there are each time that the window says "saved"."""
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from cfa_gui.main_window import MainWindow
    from cfa_gui.settings import SettingsStore

    qt = QApplication(["kill"])
    window = MainWindow(SettingsStore(path.with_name("preferences.json")), None, FakeEngine(), Answers(), lambda: path)
    window.show()
    given = told = 0
    timer = QTimer(interval=3)

    def label() -> None:
        nonlocal given
        parts = window.parts
        if parts is None or parts.session.state != "idle":
            return
        if not len(parts.session.review):
            if parts.session.resumable is not None:
                parts.keeping.resume()
                parts.session.keeping_changed.connect(tell)
            return
        place = given % len(parts.session.review)
        parts.session.select((place,), place)
        group = parts.session.review.groups[place]
        (parts.review.defect if group == Group.GOOD else parts.review.good)()
        given += 1

    def tell() -> None:
        nonlocal told
        if window.parts is not None and window.parts.session.keeping is Keeping.SAVED and given > told:
            done(given - told)
            told = given

    timer.timeout.connect(label)
    timer.start()
    qt.exec()


def _labels_after_kills(
    path: Path, project: int, work: Callable[[Callable[[int], None]], None], seconds: Random, count: int
) -> Found:
    lost = unsound = locked = total = failed = shown = 0
    for _ in range(count):
        said, killed = Victim(work).kill_after(seconds())
        failed += said == 0 or not killed
        shown += said
        with ReviewStore(path) as store:
            written = len(store.history(project))
            lost += max(0, total + said - written)
            unsound += bool(store.check())
            locked += not store.claim(project)
        total = written
    return {
        "kills": count,
        "labels said to be saved": shown,
        "labels in the store": total,
        "labels lost": lost,
        "unsound stores": unsound,
        "stores that stayed locked": locked,
        "restarts that failed": failed,
    }


def kill_saving(folder: Path, random_number: Random, count: int) -> Found:
    """Model, settings and table are, byte for byte, the old ones or the new ones."""
    from cfa_gui.settings import SettingsStore

    trained, names = _tiny(folder), ("part.cfa", "preferences.json", "table.csv")
    rows = [[{"path": f"{number}.png", "score": number * step} for number in range(3000)] for step in (1, 2)]

    def write(target: Path, which: int) -> None:
        model_file.save_model(trained.with_threshold(manual_threshold(1.0 + which)), target / names[0])
        SettingsStore(target / names[1]).update(list_view=("grid", "list")[which], overlay_opacity=0.1 + 0.1 * which)
        write_bytes(target / names[2], csv_table(("path", "score"), rows[which]))

    versions = []
    for which in range(2):
        known = folder / f"known {which}"
        known.mkdir()
        write(known, which)
        versions.append({name: (known / name).read_bytes() for name in names})
    target = folder / "target"
    target.mkdir()
    write(target, 0)

    def work(done: Callable[[int], None]) -> None:
        for number in range(10_000_000):
            write(target, number % 2)
            done(1)

    spoiled = failed = left = 0
    for _ in range(count):
        said, _ = Victim(work).kill_after(random_number() * 0.2)
        failed += said == 0
        left += _leftovers(target)
        spoiled += sum((target / name).read_bytes() not in {known[name] for known in versions} for name in names)
    return {
        "kills": count,
        "neither old nor new": spoiled,
        "restarts that failed": failed,
        "temporary files left": left,
    }


def _leftovers(folder: Path) -> int:
    """How many temporary files the kills have left that the cleaning at the next start, an hour later, leaves too."""
    folders = {path.parent for path in folder.rglob(f"{TEMPORARY_PREFIX}*")}
    remove_leftovers(folders, now=time.time() + 2 * 3600)
    return len(list(folder.rglob(f"{TEMPORARY_PREFIX}*")))


def _tiny(folder: Path) -> TrainedModel:
    return training.train(write_parts(folder / "good", [(32, 32)] * 8), TINY, device="cpu")


def measure_kill(kills: int) -> Found:
    """A fifth of the kills for each kind of work."""
    import cfa_gui.workbench  # noqa: F401  read once, before the forks

    backbone = build_backbone("lite0")
    training.build_backbone = lambda *_: backbone
    random_number = random.Random(0).random
    found = {}
    for work in (kill_labelling, kill_window, kill_saving, kill_inspecting, kill_training):
        with tempfile.TemporaryDirectory() as name:
            process = _in_fork(lambda work=work, name=name: work(Path(name), random_number, kills // 5))
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


# --- determinism -----------------------------------------------------------------------------------------------------


def measure_determinism(_kills: int) -> Found:
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


MEASUREMENTS: dict[str, Callable[[int], Found]] = {
    "kill": measure_kill,
    "determinism": measure_determinism,
}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "reliability.json")
    asked = parser.parse_args()
    known = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name in asked.only:
        known[name] = MEASUREMENTS[name](asked.kills)
        print(name, json.dumps(known[name]), flush=True)
        asked.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
