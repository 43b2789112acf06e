"""What goes wrong around a program: each fault, the sentence that comes of it, and whether what was there is there.

    python benchmarks/faults.py [--out JSON]

A full disk is a file system of 3 MB, a read-only one is the same mounted anew, permission is denied to a process of
another user, memory is bounded by the system. Wants root, and Linux. In the sentences the folder is written as FOLDER.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has no threads of torch yet

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image

from cfa_gui.settings import SettingsStore
from core import model_file, review, training
from core.atomic_file import make_folder, write_bytes
from core.checkpoint import Checkpoint
from core.dataset import find_samples, open_dataset
from core.errors import CfaError
from core.inspection import Failure, Inspector
from core.leftovers import remove_leftovers
from core.result_files import csv_table, write_picture
from core.review import ReviewStore
from core.samples import Label, Sample
from core.trained_model import TrainedModel
from tests.core.parts import TINY, picture, write_parts
from tests.core.states import same

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
MANY = 100_000
Found = dict[str, Any]


def sentence(work: Callable[[], object], folder: Path) -> str:
    """What a `CfaError` says; nothing where there was none. Any other exception ends the benchmark."""
    try:
        work()
    except CfaError as error:
        return str(error).replace(str(folder), "FOLDER")
    return ""


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def fill(path: Path) -> None:
    """Take all space that is left."""
    file = path.open("wb", buffering=0)
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        file.close()


def trained_in(folder: Path) -> TrainedModel:
    """A tiny model."""
    return training.train(write_parts(folder / "good", [(32, 32)] * 8), TINY, device="cpu")


def every_output(trained: TrainedModel, folder: Path) -> dict[str, Callable[[], object]]:
    """Everything that this program writes, into a folder."""
    table = csv_table(("path", "score"), [{"path": f"{number}.png", "score": 0.5} for number in range(3000)])
    return {
        "model": lambda: model_file.save_model(trained, folder / "part.cfa"),
        "table": lambda: write_bytes(folder / "scores.csv", table),
        "overlay": lambda: write_picture(folder / "maps" / "0.png", Image.fromarray(picture(0, 400, 400))),
        "review": lambda: ReviewStore(folder / "new" / "reviews.sqlite").close(),
    }


def full_disk() -> Found:
    """The old files stay, the store goes on once there is room."""
    with tempfile.TemporaryDirectory() as name, small_disk(3) as disk:
        trained = trained_in(Path(name))
        (disk / "part.cfa").write_bytes(b"the old one")
        make_folder(disk / "maps")
        settings = SettingsStore(disk / "preferences.json")
        settings.update(list_view="grid")
        before = (disk / "preferences.json").read_bytes()
        sample = Sample(disk / "0.png", "0.png", None, "", None)
        with ReviewStore(disk / "reviews.sqlite") as store:
            project = store.create_project("full")
            store.add_images(project, [sample])
            fill(disk / "filler")
            found: Found = {kind: sentence(work, disk) for kind, work in every_output(trained, disk).items()}
            found["label"] = sentence(
                lambda: [store.label(project, {sample.path: Label.GOOD}) for _ in range(500)], disk
            )
            settings.update(list_view="list")  # is logged and stops nothing
            parts = write_parts(Path(name) / "parts", [(32, 32)] * 8)
            again = training.train(parts, TINY, device="cpu", checkpoint=Checkpoint(disk / "part.cfa.unfinished"))
            kept = len(store.history(project))
            (disk / "filler").unlink()
            store.label(project, {sample.path: Label.DEFECT})
            found["store goes on"] = len(store.history(project)) == kept + 1 and store.check() == []
        found["old files as they were"] = (disk / "part.cfa").read_bytes() == b"the old one" and (
            disk / "preferences.json"
        ).read_bytes() == before
        found["temporary files left"] = len(list(disk.rglob(".cfa-*")))
        found["training went on without its checkpoint"] = same(again, trained)
    return found


def read_only() -> Found:
    """A folder that takes nothing."""
    with tempfile.TemporaryDirectory() as name, small_disk(3) as disk:
        trained = trained_in(Path(name))
        with ReviewStore(disk / "reviews.sqlite") as store:
            store.create_project("read-only")
        make_folder(disk / "maps")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found: Found = {kind: sentence(work, disk) for kind, work in every_output(trained, disk).items()}
        found["open the review"] = sentence(lambda: ReviewStore(disk / "reviews.sqlite"), disk)
        SettingsStore(disk / "preferences.json").update(list_view="grid")
        return found


def vanished() -> Found:
    """A folder that is gone in the middle of the work."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inspector = Inspector(trained_in(folder), device="cpu")
        samples = write_parts(folder / "shots", [(32, 32)] * 6)
        results = inspector.inspect_many(samples)
        first = [next(results), next(results)]
        (folder / "shots").rename(folder / "elsewhere")
        rest = list(results)
        failures = [result for result in rest if isinstance(result, Failure)]
        return {
            "inspected before": len(first),
            "told of afterwards": len(failures),
            "image": failures[0].message.replace(str(folder), "FOLDER"),
            "data set": sentence(lambda: open_dataset(folder / "shots"), folder),
            "table": sentence(lambda: write_bytes(folder / "shots" / "a.csv", b""), folder),
            "model": sentence(lambda: model_file.load_model(folder / "shots" / "part.cfa"), folder),
        }


def denied() -> Found:
    """A process of another user, who may neither read nor write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = trained_in(folder)
        model_file.save_model(trained, folder / "part.cfa")
        write_parts(folder / "shots", [(32, 32)])
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        ReviewStore(closed / "reviews.sqlite").close()
        folder.chmod(0o755)
        (folder / "part.cfa").chmod(0o600)
        shot = next((folder / "shots").rglob("*.png"))
        shot.chmod(0o600)
        (folder / "shots").chmod(0o755)
        outputs = every_output(trained, folder / "out")
        (folder / "out").mkdir(mode=0o755)

        def work() -> Found:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            (result,) = Inspector(trained, device="cpu").inspect_many(find_samples([shot]))
            assert isinstance(result, Failure)
            return {
                "model to read": sentence(lambda: model_file.load_model(folder / "part.cfa"), folder),
                "image": result.message.replace(str(folder), "FOLDER"),
                "data set": sentence(lambda: open_dataset(closed), folder),
                "open the review": sentence(lambda: ReviewStore(closed / "reviews.sqlite"), folder),
                **{kind: sentence(write, folder) for kind, write in outputs.items()},
            }

        return in_fork(work)


def clock_set_back() -> Found:
    """A year back between two labels: the latest is the one given last, and nothing is taken for a leftover."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = Sample(folder / "0.png", "0.png", None, "", None)
        with ReviewStore(folder / "reviews.sqlite") as store:
            project = store.create_project("clock")
            store.add_images(project, [sample])
            store.label(project, {sample.path: Label.GOOD})
            past = (datetime.now(UTC) - timedelta(days=365)).isoformat(timespec="microseconds")
            with mock.patch.object(review, "_now", lambda: past):
                store.label(project, {sample.path: Label.DEFECT})
            latest = store.load(project).samples[0].label
            sound = store.check() == []
        (folder / f".cfa-partial-{'0' * 32}").touch()
        removed = remove_leftovers([folder], now=time.time() - 365 * 24 * 3600)
        return {"latest label": str(latest), "store sound": sound, "removed as leftovers": len(removed)}


def out_of_memory() -> Found:
    """Images, a training and an inspection that need more memory than the system gives."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = write_parts(folder / "parts", [(32, 32)] * 8)
        Image.new("RGB", (12000, 12000)).save(folder / "large.png")
        trained = trained_in(folder)
        inspector = Inspector(trained, device="cpu")
        inspector.inspect(picture(1))
        small = find_samples([folder / "large.png", *(sample.path for sample in parts[:2])])
        big = TINY.with_changes(image_size=2048, batch_size=8)

        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, used + 300_000_000))
        results = list(inspector.inspect_many(small))
        assert isinstance(results[0], Failure)
        return {
            "image": results[0].message.replace(str(folder), "FOLDER"),
            "images after it inspected": sum(not isinstance(result, Failure) for result in results),
            "training": sentence(lambda: training.train(parts, big, device="cpu"), folder),
            "inspection afterwards works": inspector.inspect(picture(1)).score >= 0,
        }


def many_files() -> Found:
    """A folder of 100,000 files, and one whose links lead in a circle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        first = folder / "many" / "0.png"
        Image.fromarray(picture(0)).save(first)
        for number in range(1, MANY):
            (folder / "many" / f"{number}.png").hardlink_to(first)
        (folder / "many" / "loop").symlink_to(folder)
        started = time.process_time()
        samples = find_samples([folder / "many"])
        return {
            "files": len(samples),
            "seconds of computing to list them": round(time.process_time() - started, 2),
            "MB of the process at most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


def in_fork(work: Callable[[], Found]) -> Found:
    """Run it in a process of its own."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
        except BaseException:  # noqa: BLE001  a fault that is not told of in a sentence; seen as "failed"
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    data = b""
    while chunk := os.read(reader, 65536):
        data += chunk
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return dict(json.loads(data)) if data else {"failed": status}


FAULTS = (full_disk, read_only, vanished, denied, clock_set_back, out_of_memory, many_files)


def main() -> None:
    """Cause each fault in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faults.json")
    asked = parser.parse_args()
    known = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for fault in FAULTS:
        if asked.only is None or fault.__name__ in asked.only:
            known[fault.__name__.replace("_", " ")] = found = in_fork(fault)
            print(fault.__name__, json.dumps(found, indent=1, ensure_ascii=False), flush=True)
            asked.out.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
