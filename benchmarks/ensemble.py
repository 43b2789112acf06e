"""CFA++: does an ensemble of models that see the picture differently earn its time? (Section 4.2 of the paper.)

    python benchmarks/ensemble.py DATASET... [--seeds 0 1 2] [--members "256" "384" ...]
                                  [--out benchmarks/results/ensemble]

Each member is trained alone with the preset `standard`, but for how it sees the picture, on the same images. Its maps
are divided by the median score of the good images that were held out, so that all have one scale without any test data,
and brought to the grid of the first member. An ensemble is the mean of such maps, its score their maximum. What lies
outside a member's crop is left to the others.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_rows import spread
from benchmarks.measuring import FIGURES, Measurement
from core.cli.output import ProgressBars
from core.config import Calibrating, Config, Resizing
from core.dataset import open_dataset
from core.ensemble import unit_of
from core.hold_out import hold_out
from core.images import read_image
from core.inspection import Inspector
from core.opencv import cv2
from core.placement import Placement
from core.presets import preset
from core.samples import Dataset, Sample
from core.trained_model import Calibration
from core.training import train

MEMBERS: dict[str, dict[str, Any]] = {
    "256": {"resizing": Resizing.WHOLE, "image_size": 256},
    "320": {"resizing": Resizing.WHOLE, "image_size": 320},
    "384": {"resizing": Resizing.WHOLE, "image_size": 384},
    "384, as many centres": {"resizing": Resizing.WHOLE, "image_size": 384, "bank_ratio": 4},
    "192": {"resizing": Resizing.WHOLE, "image_size": 192},
    "cropped": {"resizing": Resizing.CROP, "image_size": 256, "crop_size": 224},
}
"""How each sees the picture; the first one's grid is that of the ensemble. `thorough` is 256 and the one with as many
centres as that."""
COLUMNS = ("dataset", "members", "seed", *FIGURES, "seconds")
Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a member says of all images.

    Attributes:
        test: Maps of the test images on one scale, each on the grid of the first member; NaN where it does not look.
        good: The same of the good images that were held out.
        held_out: These, with the scores of this member.
        seconds: For one image, decoding included.
    """

    test: list[Map]
    good: list[Map]
    held_out: Calibration
    seconds: float


def seen_by(config: Config, dataset: Dataset, device: str) -> tuple[Seen, list[Placement]]:
    """Train a member and look at everything with it; maps at the size of its own input, not yet on a common grid."""
    config = config.with_changes(calibration=Calibrating.SPLIT)  # the units are those of images not learned from
    with ProgressBars() as bars:
        trained = train(dataset.good, config, device=device, report=bars)
    inspector = Inspector(trained, device=device)
    held_out = hold_out(dataset.good, config.training.holdout, config.training.seed).held_out
    good = [inspector.inspect(read_image(sample.path)) for sample in held_out]
    unit = unit_of([found.score for found in good])
    started = time.monotonic()
    test = [inspector.inspect(read_image(sample.path)) for sample in dataset.test]
    seconds = (time.monotonic() - started) / len(test)
    maps = [[found.source_map() / np.float32(unit) for found in some] for some in (test, good)]
    return Seen(maps[0], maps[1], trained.calibration, seconds), [found.placement for found in (*test, *good)]


def on_grid(values: Map, placement: Placement) -> Map:
    """A map at the source's size on the first member's grid; NaN stays NaN."""
    size = placement.resized[1], placement.resized[0]
    known = np.isfinite(values)
    if known.all():
        return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
    share = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    filled = np.asarray(cv2.resize(np.where(known, values, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA))
    return np.asarray(np.where(share > 0.5, filled / np.maximum(share, 0.5), np.nan), np.float32)


def mean_map(maps: Sequence[Map]) -> Map:
    """Of those that look at a pixel."""
    stack = np.stack(maps)
    known = np.isfinite(stack)
    total = np.where(known, stack, 0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1), np.float32)


def figures(members: Sequence[Seen], samples: Sequence[Sample], places: Sequence[Placement]) -> dict[str, Any]:
    """Of the ensemble."""
    measurement = Measurement()
    for index, sample in enumerate(samples):
        found = mean_map([member.test[index] for member in members])
        measurement.add(sample, float(found.max()), found, places[index])
    good = tuple(float(mean_map([member.good[i] for member in members]).max()) for i in range(len(members[0].good)))
    held_out = replace(members[0].held_out, scores=good)
    return {**measurement.figures(held_out), "seconds": sum(member.seconds for member in members)}


def rows(folder: Path, seed: int, names: Sequence[str], device: str) -> list[dict[str, Any]]:
    """Every member alone, and every two and all of them together."""
    dataset = open_dataset(folder)
    members: dict[str, Seen] = {}
    places: list[Placement] = []
    for name in names:
        seen, own = seen_by(preset("standard").with_changes(**MEMBERS[name], seed=seed), dataset, device)
        places = places or own
        test = [on_grid(values, place) for values, place in zip(seen.test, places, strict=False)]
        good = [on_grid(values, place) for values, place in zip(seen.good, places[len(test) :], strict=True)]
        members[name] = Seen(test, good, seen.held_out, seen.seconds)
    found = []
    sizes = sorted({1, 2, len(names)})
    for chosen in (some for size in sizes for some in combinations(names, size)):
        of_all = figures([members[name] for name in chosen], dataset.test, places)
        found.append({"dataset": folder.name, "members": " + ".join(chosen), "seed": seed, **of_all})
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """Mean ± standard deviation over the seeds."""
    lines = [["dataset", "members", "seeds", *FIGURES, "ms an image"]]
    lines.append(["---"] * len(lines[0]))
    for dataset, members in dict.fromkeys((row["dataset"], row["members"]) for row in found):
        group = [row for row in found if (row["dataset"], row["members"]) == (dataset, members)]
        seeds = " ".join(str(row["seed"]) for row in group)
        means = [spread([row[name] for row in group if row[name] is not None]) for name in FIGURES]
        lines.append(
            [dataset, members, seeds, *means, f"{1000 * statistics.mean(row['seconds'] for row in group):.0f}"]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--members", nargs="+", choices=list(MEMBERS), default=["256", "384", "cropped"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ensemble"))
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    for folder in arguments.datasets:
        for seed in arguments.seeds:
            print(f"{folder.name}, seed {seed}", flush=True)
            found += rows(folder, seed, arguments.members, arguments.device)
            with arguments.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(found)
    text = table(found)
    arguments.out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
