"""The sample parts: a small data set made by this program, so that the first minute needs no folder of one's own.

This file decides what is written where; `core.sample_drawing` draws.
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, OutputError
from core.opencv import cv2
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.sample_drawing import DEFECTS, Scene, photograph

SAMPLE_PARTS_GOOD = 100
"""Of them 20 are held out at a time, which is enough to promise a false-alarm rate of 5 %, and 40 in all."""
_VERSION = 1  # of the drawing: another version draws other pixels
_MARKER = "sample_parts.json"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What decides the files written, and their number."""

    good: int
    test_good: int
    defects_per_kind: int
    seed: int
    version: int = _VERSION


def make_sample_parts(
    folder: Path,
    *,
    good: int = SAMPLE_PARTS_GOOD,
    test_good: int = 15,
    defects_per_kind: int = 8,
    seed: int = 0,
    or_beside: bool = False,
    report: Report = silent,
    cancel: CancelToken | None = None,
) -> Path:
    """Write the sample parts in MVTec AD layout, or find them there already.

    `train/good`, `test/good` and `test/<kind>` hold JPEG images of (400, 480, 3); `ground_truth/<kind>/<name>_mask.png`
    is 255 where the defect is and 0 elsewhere. The kinds are scratch, dent, chip and stain. The same seed gives the
    same pixels; an image does not depend on how many others are asked for. The folder appears whole or not at all.

    Args:
        folder: Where to; its parents are made. If it is there, it must be empty or hold these very sample parts.
        good: Images to train on.
        test_good: Good images to test on.
        defects_per_kind: Defective images of each of the four kinds.
        seed: Of everything drawn.
        or_beside: Where the folder holds something else, such as other sample parts, take one beside it whose name
            ends in a number.
        report: Told of each image.
        cancel: Checked before each image.

    Returns:
        The folder that holds them.

    Raises:
        ConfigError: A number is negative, or there would be no good image to train on.
        OutputError: The folder holds something else, or cannot be written.
        CancelledByUser: Nothing was left behind.
    """
    recipe = _Recipe(good, test_good, defects_per_kind, seed)
    _check(recipe)
    try:
        while or_beside and not (_is_free(folder) or _is_complete(folder, recipe)):
            folder = _next_name(folder)
        place = folder.resolve()
        if not _is_complete(place, recipe):
            _refuse_occupied(place)
            _make(place, recipe, report, cancel)
    except OSError as error:
        raise OutputError(
            f"The sample parts cannot be written to {folder}: {error.strerror or error}. "
            "Choose another folder, or make room."
        ) from error
    return folder


def _check(recipe: _Recipe) -> None:
    if recipe.good < 1 or min(recipe.test_good, recipe.defects_per_kind, recipe.seed) < 0:
        raise ConfigError("Sample parts need at least 1 good image to train on, and no number below 0.")


def _is_complete(folder: Path, recipe: _Recipe) -> bool:
    marker = folder / _MARKER
    if not marker.is_file():
        return False
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return found == asdict(recipe) and all((folder / name).is_file() for name in _file_names(recipe))


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _next_name(folder: Path) -> Path:
    """`parts`, `parts-2`, `parts-3`."""
    name, dash, number = folder.name.rpartition("-")
    return folder.with_name(f"{name}-{int(number) + 1}" if dash and number.isdecimal() else f"{folder.name}-2")


def _refuse_occupied(folder: Path) -> None:
    if not _is_free(folder):
        raise OutputError(
            f"{folder} is there already and holds something other than these sample parts. "
            "Nothing in it was changed: choose another folder."
        )


@dataclass(frozen=True, slots=True)
class _Job:
    image: str  # path below the folder, as is mask; mask and kind are empty for a good part
    mask: str
    kind: str
    key: tuple[int, int]  # of the random generator, beside the seed


def _jobs(recipe: _Recipe) -> Iterator[_Job]:
    for i in range(recipe.good):
        yield _Job(f"train/good/{i:03d}.jpg", "", "", (0, i))
    for i in range(recipe.test_good):
        yield _Job(f"test/good/{i:03d}.jpg", "", "", (1, i))
    for k, kind in enumerate(DEFECTS, start=2):
        for i in range(recipe.defects_per_kind):
            yield _Job(f"test/{kind}/{i:03d}.jpg", f"ground_truth/{kind}/{i:03d}_mask.png", kind, (k, i))


def _file_names(recipe: _Recipe) -> list[str]:
    return [name for job in _jobs(recipe) for name in (job.image, job.mask) if name]


def _make(place: Path, recipe: _Recipe, report: Report, cancel: CancelToken | None) -> None:
    """Write to a temporary folder and rename it, so that the data set is whole or not there."""
    found_empty = place.is_dir()  # it stays, since it may be a mounted disk or where the user stands
    home = place if found_empty else place.parent
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".sample-parts-{uuid.uuid4().hex[:8]}"
    try:
        _write_all(partial, recipe, report, cancel)
        if found_empty:
            for part in sorted(partial.iterdir(), key=lambda path: path.name == _MARKER):  # the marker last
                part.rename(place / part.name)
        else:
            partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_all(folder: Path, recipe: _Recipe, report: Report, cancel: CancelToken | None) -> None:
    jobs = list(_jobs(recipe))
    scene = Scene(recipe.seed)
    folder.mkdir()
    for done, job in enumerate(jobs):
        if cancel is not None:
            cancel.check()
        report(Progress(Phase.DRAWING, done, len(jobs)))
        image, mask = photograph(scene, job.kind, np.random.default_rng([recipe.seed, *job.key]))
        _write_image(folder / job.image, image)
        if job.mask:
            _write_image(folder / job.mask, mask.astype(np.uint8) * 255)
    (folder / _MARKER).write_text(json.dumps(asdict(recipe)), encoding="utf-8")
    report(Progress(Phase.DRAWING, len(jobs), len(jobs)))


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 95] if path.suffix == ".jpg" else [])
    path.write_bytes(encoded.tobytes())
