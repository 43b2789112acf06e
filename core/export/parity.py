"""The exported model beside the original, image by image, through the very script that is given out with it."""

import importlib.util
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import Resizing
from core.dataset import Sample
from core.errors import DatasetError, ImageError
from core.export.words import TOLERANCE, Difference, Flip, Parity
from core.images import read_image
from core.inspection import Inspector
from core.progress import CancelToken, Phase, Progress, Report
from core.threshold import Threshold, judge

_DRAWN = ((64, 64), (300, 400), (401, 299), (97, 613), (700, 33), (5, 7), (960, 1280), (255, 257))
"""Heights and widths of the images drawn."""
_FEWEST = 1e-3
"""Scores below this share of the threshold are compared as if they were that large."""
_TIED = 0.02
"""Largest share of the images that may differ by a tie; one always may."""
Picture = NDArray[np.uint8]


def load_runner(folder: Path) -> Any:
    """The `Model` of the script in a folder of an exported model."""
    spec = importlib.util.spec_from_file_location("core.export.exported_run", folder / "run.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(folder)


def compare(
    inspector: Inspector,
    exported: Any,
    threshold: Threshold,
    samples: Sequence[Sample],
    *,
    report: Report,
    cancel: CancelToken | None,
) -> Parity:
    """Score images with both.

    Args:
        inspector: The original.
        exported: From `load_runner`.
        threshold: Of the model.
        samples: The user's images, besides those drawn.
        report: Told after each image.
        cancel: Checked before each image.

    Raises:
        CancelledByUser: The token was set.
        DatasetError: None of the samples can be read.
    """
    seed = inspector.trained.config.training.seed
    record = _Record(threshold)
    total = len(samples) + len(_DRAWN)
    compared: list[Sample | Picture] = [*_drawn(inspector, seed), *samples]
    for done, picture in enumerate(compared):
        if cancel is not None:
            cancel.check()
        if isinstance(picture, Sample):
            record.try_file(inspector, exported, picture)
        else:
            record.take(inspector, exported, f"drawn {picture.shape[1]} × {picture.shape[0]}", picture)
        report(Progress(Phase.CHECKING, done + 1, total))
    if samples and len(record.skipped) == len(samples):
        raise DatasetError(f"None of the {len(samples)} images to check with can be read. {record.skipped[0]}")
    images = len(samples) - len(record.skipped)
    return record.parity(images, len(record.differences) - images)


class _Record:
    """What has been compared so far."""

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._floor = max(_FEWEST * abs(threshold.value), float(np.finfo(np.float32).tiny))
        self.differences: list[Difference] = []
        self.skipped: list[str] = []
        self._maps = 0.0
        self._flips: list[Flip] = []
        self._other_shapes: list[str] = []
        self._seconds: tuple[list[float], list[float]] = ([], [])

    def try_file(self, inspector: Inspector, exported: Any, sample: Sample) -> None:
        try:
            self.take(inspector, exported, sample.name, read_image(sample.path))
        except ImageError as error:
            self.skipped.append(str(error))

    def take(self, inspector: Inspector, exported: Any, name: str, picture: Picture) -> None:
        started = time.perf_counter()
        original = inspector.inspect(picture)
        between = time.perf_counter()
        values, score, verdict = exported.inspect(picture)
        self._seconds[0].append(between - started)
        self._seconds[1].append(time.perf_counter() - between)
        scale = max(abs(original.score), self._floor)
        gap, share = abs(score - original.score) / scale, 1.0
        if values.shape != original.anomaly_map.shape:
            self._other_shapes.append(name)
        else:
            apart = np.abs(values - original.anomaly_map)
            self._maps = max(self._maps, float(apart.max()))
            share = float(np.mean(~(apart <= TOLERANCE * scale)))
        self.differences.append(Difference(name, original.score, score, gap if gap == gap else np.inf, share))
        wanted = judge(original.score, self._threshold).value
        if verdict != wanted:
            self._flips.append(Flip(name, wanted, verdict))

    def parity(self, images: int, drawn: int) -> Parity:
        original, exported = (1000 * statistics.median(seconds) for seconds in self._seconds)
        ties = tuple(one for one in self.differences if one.tied)
        if len(ties) > max(1, _TIED * len(self.differences)):
            ties = ()  # too many to be chance
        return Parity(
            images,
            drawn,
            tuple(self.skipped),
            max((one for one in self.differences if one not in ties), key=lambda one: one.relative),
            ties,
            self._maps,
            tuple(self._flips),
            tuple(self._other_shapes),
            exported,
            original,
        )


def _drawn(inspector: Inspector, seed: int) -> Iterator[Picture]:
    """Soft shapes and grain, of many sizes; for R+C, which refuses what is very long, nothing longer than 2 : 1."""
    random = np.random.default_rng(seed)
    square = inspector.trained.config.preprocessing.resizing is Resizing.CROP
    for height, width in _DRAWN:
        sides = (min(height, 2 * width), min(width, 2 * height)) if square else (height, width)
        y, x = (np.linspace(0, 1, side)[:, None] for side in sides)
        waves = random.uniform(0.5, 9, (2, 3)), random.uniform(0, 6.3, (2, 3))
        shape = np.sin(y * waves[0][0] + waves[1][0])[:, None] * np.sin(x * waves[0][1] + waves[1][1])[None]
        grain = random.normal(0, 8, (*sides, 3))
        yield np.clip(128 + 90 * shape + grain, 0, 255).astype(np.uint8)
