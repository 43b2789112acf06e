"""Are the thresholds' promises kept? Scores once, random splits of them many times.

    python benchmarks/promise.py DATASET... [--preset fast] [--splits 2000] [--seed 0]
                                 [--out benchmarks/results/promise]

All good images of the set, of both folders, are pooled and halved by the seed; the model learns from one half and
scores the other, and all defects. The scores of the unseen half are split at random, again and again: a threshold is
set from one part for a false-alarm rate of 5, 2 and 1 %, the observed rate is counted on the other. So is the F1
threshold: chosen on one half of the labelled scores, its F1 is measured on the other half. Scores go to OUT-NAME.csv
and are not computed twice.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.plot import Axis, line_chart
from core.cli.output import ProgressBars
from core.config import PRESETS, preset
from core.dataset import open_dataset
from core.inspection import Inspection, Inspector
from core.metrics import confusion, f1_max
from core.samples import Label
from core.threshold import best_f1_threshold, false_alarm_threshold, images_needed
from core.training import train

RATES = (0.05, 0.02, 0.01)
CALIBRATED_ON = (20, 50, 100, 200, 400)
Scores = NDArray[np.float64]


def scored(folder: Path, preset_name: str, seed: int, path: Path) -> tuple[Scores, Scores]:
    """Scores of good images that the model has not seen, and of defects."""
    if not path.exists():
        dataset = open_dataset(folder)
        good = sorted((*dataset.good, *(s for s in dataset.test if s.label is Label.GOOD)), key=lambda s: s.name)
        order = np.random.default_rng(seed).permutation(len(good))
        half = len(good) // 2
        config = preset(preset_name).with_changes(holdout=0.0, seed=seed)
        unseen = [good[i] for i in order[half:]] + [s for s in dataset.test if s.label is Label.DEFECT]
        with ProgressBars() as bars:
            trained = train([good[i] for i in order[:half]], config, report=bars)
            results = list(Inspector(trained).inspect_many(unseen, report=bars))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("name", "label", "score"))
            writer.writerows((r.sample.name, r.sample.label, r.score) for r in results if isinstance(r, Inspection))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    good_scores, defects = (
        np.array([float(row["score"]) for row in rows if row["label"] == label]) for label in (Label.GOOD, Label.DEFECT)
    )
    return good_scores, defects


def observed(good: Scores, images: int, rate: float, splits: int, random: np.random.Generator) -> Scores:
    """The share of the other good images flagged, (splits,), the threshold being set from `images` of them."""
    shares = np.empty(splits)
    for split in range(splits):
        order = random.permutation(good)
        value = false_alarm_threshold(order[:images], rate).value
        shares[split] = (order[images:] > value).mean()
    return shares


def f1_of_other_half(good: Scores, defects: Scores, splits: int, random: np.random.Generator) -> tuple[Scores, Scores]:
    """F1 on the half that the threshold was chosen on and on the other, (splits,) each."""
    own, other = np.empty(splits), np.empty(splits)
    for split in range(splits):
        halves = []
        parts = [np.array_split(random.permutation(scores), 2) for scores in (good, defects)]
        for good_half, defect_half in zip(*parts, strict=True):
            labels = np.arange(len(good_half) + len(defect_half)) >= len(good_half)
            halves.append((np.concatenate((good_half, defect_half)), labels))
        value = best_f1_threshold(*halves[0]).value
        own[split], other[split] = (confusion(*half, value).f1 or 0.0 for half in halves)
    return own, other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--splits", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/promise"))
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    table = ["| set | images | promised | observed: mean | 5th to 95th percentile |", "|---|---|---|---|---|"]
    f1_table = ["| set | F1 where chosen | F1 on the other half | highest F1 of all |", "|---|---|---|---|"]
    series: dict[str, list[tuple[float, float]]] = {"promised": [(0, 0), (6, 6)]}
    for folder in arguments.datasets:
        path = arguments.out.with_name(f"{arguments.out.name}-{folder.name}.csv")
        good, defects = scored(folder, arguments.preset, arguments.seed, path)
        for images in CALIBRATED_ON:
            for rate in RATES:
                if images < images_needed(rate) or len(good) - images < 10:
                    continue
                shares = 100 * observed(good, images, rate, arguments.splits, random)
                low, high = np.percentile(shares, (5, 95))
                seen = f"{shares.mean():.2f} % | {low:.1f} to {high:.1f} %"
                table.append(f"| {folder.name} | {images} | {100 * rate:g} % | {seen} |")
                series.setdefault(f"{folder.name}, n = {images}", []).append((100 * rate, float(shares.mean())))
        own, other = f1_of_other_half(good, defects, arguments.splits, random)
        labels = np.arange(len(good) + len(defects)) >= len(good)
        highest = f1_max(np.concatenate((good, defects)), labels)[0]
        f1_table.append(
            f"| {folder.name} | {own.mean():.4f} | {other.mean():.4f} ± {other.std():.4f} | {highest:.4f} |"
        )
    axis = (0, 1, 2, 3, 4, 5, 6)
    line_chart(
        arguments.out.with_suffix(".svg"),
        "False alarms: promised and observed",
        Axis("promised rate ε, %", axis),
        Axis("observed on unseen good images, mean, %", axis),
        {name: sorted(points) for name, points in series.items()},
    )
    text = "\n".join((*table, "", *f1_table))
    arguments.out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
