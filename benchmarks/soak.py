"""Memory, open files and threads over a long run: 20,000 images inspected in one process, and in one window session.

    python benchmarks/soak.py [--only process window] [--images 20000] [--minutes 40] [--out JSON]

Both inspect with a model of the standard settings but for the size, 64 pixels, so that 20,000 images take minutes; in a
loop over 40 pictures of ten sizes and six kinds, one of them damaged. The window is the real one, with its review
store: it opens 1,000 files at a time, shows and labels some of them, moves the threshold, and empties its list again.
Where the time ends first, the figures say how many images were inspected. Linux alone.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ROUND = 1000
DIFFERENT = 40
SIZES = [
    *[(200, 300), (256, 256), (480, 640), (700, 700), (300, 200)],
    *[(512, 384), (600, 800), (333, 777), (64, 64), (1, 9)],
]
LOOKED_AT = 25
"""Images that the window shows and labels in each round."""


class Watch:
    """Reads what the process holds, again and again."""

    def __init__(self, images: int, minutes: float) -> None:
        self._images = images
        self._deadline = time.monotonic() + 60 * minutes
        self._readings: list[tuple[int, float, int, int]] = []

    def read(self, done: int) -> bool:
        """Note the state after so many images; whether to go on."""
        self._readings.append((done, _resident(), _count("fd"), _count("task")))
        return done < self._images and time.monotonic() < self._deadline

    def result(self) -> dict[str, Any]:
        """The figures by quarter of the images."""
        done = np.array([reading[0] for reading in self._readings])
        quarter = np.minimum(4 * (done - 1) // max(1, done[-1]), 3)
        columns = np.array([reading[1:] for reading in self._readings])
        means = [columns[quarter == number].mean(axis=0) for number in range(4)]
        peaks = [columns[quarter == number].max(axis=0) for number in range(4)]
        images = int(done[-1])
        return {
            "images": images,
            "MB by quarter, mean": [round(float(mean[0]), 1) for mean in means],
            "MB by quarter, highest": [round(float(peak[0]), 1) for peak in peaks],
            "last quarter / second": round(float(means[3][0] / means[1][0]), 4),
            "bytes an image, second to last quarter": round(1e6 * float(means[3][0] - means[1][0]) / (images / 2)),
            "open files by quarter, highest": [int(peak[1]) for peak in peaks],
            "threads by quarter, highest": [int(peak[2]) for peak in peaks],
        }


def _resident() -> float:
    """MB of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _count(kind: str) -> int:
    return len(list(Path(f"/proc/self/{kind}").iterdir()))


def write_pictures(folder: Path) -> list[Path]:
    """The 40 pictures: colour and grey, 8 and 16 bits, with and without alpha; the last one is cut short."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    paths = []
    for number in range(DIFFERENT):
        height, width = SIZES[number % len(SIZES)]
        coarse = random.integers(0, 256, (max(1, height // 16), max(1, width // 16), 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        path = folder / f"{number:02}{('.png', '.jpg', '.tif', '.bmp', '.webp', '.png')[number % 6]}"
        if number % 6 == 2:
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        elif number % 6 == 5:
            image = image.convert("RGBA")
        image.save(path)
        paths.append(path)
    paths[-1].write_bytes(paths[-1].read_bytes()[:-200])
    return paths


def make_model(folder: Path) -> Path:
    """A model of the standard settings but for the size, trained for a moment."""
    from core import model_file
    from core.dataset import open_dataset
    from core.presets import preset
    from core.sample_parts import make_sample_parts
    from core.training import train

    parts = make_sample_parts(folder / "parts", good=40, test_good=1, defects_per_kind=1)
    config = preset("standard").with_changes(epochs=1, holdout=0.5, image_size=64)
    trained = train(open_dataset(parts).good, config, device="cpu")
    model_file.save_model(trained, folder / "part.cfa")
    return folder / "part.cfa"


def soak_process(folder: Path, images: int, minutes: float) -> dict[str, Any]:
    """One `Inspector`, asked again and again."""
    from core.dataset import find_samples
    from core.inspection import Failure, Inspector
    from core.model_file import load_model

    inspector = Inspector(load_model(make_model(folder)), device="cpu")
    samples = find_samples(write_pictures(folder / "pictures"))
    watch, done, failed = Watch(images, minutes), 0, 0
    while True:
        for result in inspector.inspect_many(samples):
            failed += isinstance(result, Failure)
        done += len(samples)
        gc.collect()
        if not watch.read(done):
            return watch.result() | {"of which not readable": failed}


def soak_window(folder: Path, images: int, minutes: float) -> dict[str, Any]:
    """The real window, in use all the time."""
    from benchmarks.window import Desk

    model = make_model(folder)
    pictures = write_pictures(folder / "pictures")
    desk = Desk(store=folder / "reviews.sqlite")
    session, parts = desk.session, desk.parts
    parts.opening.open([model])
    desk.until(lambda: session.model is not None)
    desk.until_idle()
    watch, done = Watch(images, minutes), 0
    while True:
        files = _round(folder / "line", done, pictures)
        parts.inspect.open([files])
        desk.until(lambda: len(session.review) == ROUND)
        desk.until(lambda: session.state == "idle" and not parts.runner.busy, 3600.0)
        assert int(session.review.scored.sum() + session.review.failed.sum()) == ROUND
        for place in range(0, ROUND, ROUND // LOOKED_AT):
            session.select((place,), place)
            (parts.review.good if place % 2 else parts.review.defect)()
            parts.threshold.move(float(np.nanquantile(session.review.scores, place / ROUND)))
            desk.wait(0.02)
        desk.until(lambda: session.keeping == "saved")
        done += ROUND
        go_on = watch.read(done)  # the list still full
        session.clear_images()
        desk.pass_events()
        if not go_on:
            break
    labels = _labels(folder / "reviews.sqlite", desk)
    return watch.result() | {"labels given": done * LOOKED_AT // ROUND, "labels in the store": labels}


def _round(folder: Path, done: int, pictures: list[Path]) -> Path:
    """A folder of 1,000 files that were never seen before."""
    made = folder / f"{done:06}"
    made.mkdir(parents=True)
    for number in range(ROUND):
        picture = pictures[number % len(pictures)]
        (made / f"{done + number:06}{picture.suffix}").hardlink_to(picture)
    return made


def _labels(store: Path, desk: Any) -> int:
    from core.review import ReviewStore

    desk.close()
    with ReviewStore(store, read_only=True) as opened:
        assert opened.check() == []
        return sum(project.labels for project in opened.projects())


MEASUREMENTS = {"process": soak_process, "window": soak_window}


def _in_own_process(name: str, images: int, minutes: float) -> dict[str, Any]:
    from benchmarks.window import environment

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--measure", name, folder, str(images), str(minutes)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(Path(folder)), stdout=subprocess.PIPE, text=True, check=True
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure what is asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        name, folder, images, minutes = asked.measure
        print(json.dumps(MEASUREMENTS[name](Path(folder), int(images), float(minutes))))
        return
    known = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name in asked.only:
        known[name] = _in_own_process(name, asked.images, asked.minutes)
        print(name, json.dumps(known[name]), flush=True)
        asked.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
