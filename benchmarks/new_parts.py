"""What a new model's first threshold does with new parts: good images held out in turns, and once.

    python benchmarks/new_parts.py DATASET... [--preset fast] [--seeds 0 1 2] [--images N]
                                   [--out benchmarks/results/new_parts.csv]

All good images of the set, of both folders, are pooled, and two fifths of the parts set aside by the seed, all images
of a part together. The program trains on the others as it always does (or on N of them, drawn by the seed) and sets its
first threshold. Counted are the images of the parts set aside that are flagged, each part alike, and the defective
images that pass. Rows go to OUT and are not computed twice; the table is printed and written beside it.
"""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.cli.output import ProgressBars
from core.config import Calibrating
from core.dataset import open_dataset
from core.hold_out import hold_out
from core.inspection import Inspection, Inspector
from core.metrics import image_auroc
from core.presets import PRESETS, preset
from core.samples import Label, Sample
from core.threshold import FalseAlarmRate
from core.trained_model import TrainedModel
from core.training import train

SET_ASIDE = 0.4
FIELDS = (
    "dataset",
    "asked",
    "images",
    "calibration",
    "seed",
    "held_out",
    "held_out_parts",
    "promised",
    "false_alarms",
    "misses",
    "image_auroc",
    "train_s",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/new_parts.csv"))
    arguments = parser.parse_args()
    rows = _read(arguments.out)
    for folder in arguments.datasets:
        for seed in arguments.seeds:
            learned, new, parts, defects = _drawn(folder, seed, arguments.images)
            for calibration in Calibrating:
                key = {
                    "dataset": folder.name,
                    "asked": str(arguments.images or "all"),
                    "calibration": str(calibration),
                    "seed": str(seed),
                }
                if any(key.items() <= row.items() for row in rows):
                    continue
                config = preset(arguments.preset).with_changes(seed=seed, calibration=calibration)
                started = time.monotonic()
                with ProgressBars() as bars:
                    trained = train(learned, config, report=bars)
                seconds = time.monotonic() - started
                figures = _figures(trained, new, parts, defects)
                told = {name: f"{value:.6g}" for name, value in figures.items()}
                rows.append(key | told | {"images": str(len(learned)), "train_s": f"{seconds:.1f}"})
                _write(arguments.out, rows)
    text = table(rows)
    arguments.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def _drawn(folder: Path, seed: int, images: int) -> tuple[list[Sample], list[Sample], tuple[int, ...], list[Sample]]:
    """What is learned from, new good images, the part of each, and defects."""
    dataset = open_dataset(folder)
    good = [*dataset.good, *(sample for sample in dataset.test if sample.label is Label.GOOD)]
    plan = hold_out(good, SET_ASIDE, seed)
    learned = plan.never_held_out
    if images:
        learned = [learned[index] for index in np.random.default_rng(seed).permutation(len(learned))[:images]]
    return learned, plan.held_out, plan.held_out_parts, [s for s in dataset.test if s.label is Label.DEFECT]


def _figures(
    trained: TrainedModel, new: Sequence[Sample], parts: Sequence[int], defects: Sequence[Sample]
) -> dict[str, float]:
    calibration, threshold = trained.calibration, trained.threshold
    if threshold is None or not isinstance(threshold.policy, FalseAlarmRate):
        raise ValueError("no image was held out")
    inspector = Inspector(trained)
    of_new, of_defects = (_scores(inspector, samples) for samples in (new, defects))
    labels = np.arange(len(of_new) + len(of_defects)) >= len(of_new)
    return {
        "held_out": len(calibration.scores),
        "held_out_parts": calibration.part_count,
        "promised": threshold.policy.rate,
        "false_alarms": share_of_parts(of_new > threshold.value, parts),
        "misses": float((of_defects <= threshold.value).mean()),
        "image_auroc": image_auroc(np.concatenate((of_new, of_defects)), labels),
    }


def _scores(inspector: Inspector, samples: Sequence[Sample]) -> NDArray[np.float64]:
    found = list(inspector.inspect_many(samples))
    return np.array([one.score for one in found if isinstance(one, Inspection)])


def share_of_parts(flagged: NDArray[np.bool_], parts: Sequence[int]) -> float:
    """The mean over parts of the share of their images that is flagged."""
    _, place, images = np.unique(parts, return_inverse=True, return_counts=True)
    return float((np.bincount(place, weights=flagged) / images).mean())


def table(rows: Sequence[dict[str, str]]) -> str:
    """Means over seeds, and what was promised on the mean."""
    lines = [
        "| set | images | held out | seeds | parts held out | promised | false alarms | misses | image AUROC |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = dict.fromkeys((row["dataset"], row["asked"], row["calibration"]) for row in rows)
    names = {"cross": "in turns", "split": "once"}
    for group in groups:
        own = [row for row in rows if (row["dataset"], row["asked"], row["calibration"]) == group]
        mean = {name: float(np.mean([float(row[name]) for row in own])) for name in ("images", *FIELDS[5:])}
        alarms = ", ".join(f"{100 * float(row['false_alarms']):.1f}" for row in own)
        lines.append(
            f"| {group[0]} | {mean['images']:.0f} | {names[group[2]]} | {len(own)} | {mean['held_out_parts']:.0f} "
            f"| {100 * mean['promised']:.1f} % | {100 * mean['false_alarms']:.1f} % ({alarms}) "
            f"| {100 * mean['misses']:.1f} % | {mean['image_auroc']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
