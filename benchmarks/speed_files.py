"""What a folder of files takes: an image after the other, and several at once as the program does it."""

import statistics
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.speed_cuda import model
from benchmarks.speed_inspection import Stage, measured, ratio
from core.ahead import ahead
from core.at_once import images_at_once
from core.dataset import find_samples
from core.images import read_image
from core.inspection import Inspector
from core.samples import Sample

FILES = 24


def measure_files(backbone: str, gamma: int, size: int, rounds: int) -> dict[str, Any]:
    """Milliseconds an image, decoding included; each way has a model of its own, compiled for it."""
    with tempfile.TemporaryDirectory() as folder:
        samples = _files(Path(folder), size)
        apart, together = (Inspector(model(backbone, gamma, size), device="cpu") for _ in range(2))
        stages: dict[str, Stage] = {
            "one after the other": lambda: _one_by_one(apart, samples),
            "as the program does": lambda: list(together.inspect_many(samples)),
        }
        times = measured(stages, rounds)
    return {
        "ms": {name: round(statistics.median(values) / FILES, 2) for name, values in times.items()},
        "spread_ms": {name: round(statistics.pstdev(values) / FILES, 2) for name, values in times.items()},
        "at once": images_at_once(together.trained.config, FILES),
        "times as fast": round(ratio(times, *stages), 2),
    }


def _files(folder: Path, size: int) -> tuple[Sample, ...]:
    pictures = np.random.default_rng(0).integers(0, 256, (FILES, size, size, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return tuple(find_samples([folder]))


def _one_by_one(inspector: Inspector, samples: Sequence[Sample]) -> None:
    """The next file is decoded meanwhile."""
    with closing(ahead(lambda sample: read_image(sample.path), samples)) as pictures:
        for _, picture in pictures:
            inspector.inspect(picture.result())
