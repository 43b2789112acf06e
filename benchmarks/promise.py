"""Are the thresholds' promises kept? Scores once, random splits of them many times.

    python benchmarks/promise.py DATASET... [--preset fast] [--splits 2000] [--seed 0]
                                 [--out benchmarks/results/promise]

All good images of the set, of both folders, are pooled and halved by the seed, the images of a part together; the model
learns from one half and scores the other, and all defects. The parts of the unseen half are split at random, again and
again: a threshold is set from some of them for a false-alarm rate of 5, 2 and 1 %, the observed rate is counted on the
others, each part alike. So is the F1 threshold: chosen on one half of the labelled images, its F1 is measured on the
other half. For comparison a second model's threshold comes from a fifth of the learned half's images, drawn one by one
whatever part they show. Scores go to OUT-NAME.csv and OUT-NAME-one-by-one.csv and are not computed twice.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.plot import Axis, line_chart
from core.cli.output import ProgressBars
from core.dataset import open_dataset
from core.hold_out import HoldOut, hold_out
from core.inspection import Inspection, Inspector
from core.metrics import confusion, f1_max
from core.presets import PRESETS, preset
from core.samples import Dataset, Label, Sample
from core.threshold import best_f1_threshold, false_alarm_threshold, images_needed
from core.training import train

RATES = (0.05, 0.02, 0.01)
CALIBRATED_ON = (20, 50, 80)
"""Parts."""
Scores = NDArray[np.float64]


class Scored(NamedTuple):
    """What a model says of images that it has not seen.

    Attributes:
        good: Scores of good images.
        parts: The number of the part that each of them shows.
        defects: Scores of defective images.
    """

    good: Scores
    parts: NDArray[np.int64]
    defects: Scores


def scored(folder: Path, preset_name: str, seed: int, path: Path) -> Scored:
    """Scores from the file, or computed and written to it."""
    if not path.exists():
        dataset, halves = _halved(folder, seed)
        defects = [sample for sample in dataset.test if sample.label is Label.DEFECT]
        part_of = dict(zip(halves.held_out, halves.held_out_parts, strict=True))
        results = _results(halves.never_held_out, [*halves.held_out, *defects], preset_name, seed)
        _write(path, [(one.name, str(one.label), part_of.get(one, ""), score) for one, score in results])
    rows = _read(path)
    of_good = [row for row in rows if row["label"] == Label.GOOD]
    return Scored(
        np.array([float(row["score"]) for row in of_good]),
        np.array([int(row["part"]) for row in of_good]),
        np.array([float(row["score"]) for row in rows if row["label"] == Label.DEFECT]),
    )


def drawn_one_by_one(folder: Path, preset_name: str, seed: int, path: Path, rates: Sequence[float]) -> list[float]:
    """The rates observed on new parts where images are held out one by one, a fifth of the learned half."""
    if not path.exists():
        _, halves = _halved(folder, seed)
        order = np.random.default_rng(seed).permutation(len(halves.never_held_out))
        fifth = {halves.never_held_out[index] for index in order[: len(order) // 5]}
        learned = [sample for sample in halves.never_held_out if sample not in fifth]
        unseen = [*(sample for sample in halves.never_held_out if sample in fifth), *halves.held_out]
        results = _results(learned, unseen, preset_name, seed)
        _write(path, [(one.name, "held out" if one in fifth else "new part", "", score) for one, score in results])
    rows = _read(path)
    held_out, new = (
        np.array([float(row["score"]) for row in rows if row["label"] == kind]) for kind in ("held out", "new part")
    )
    return [float((new > false_alarm_threshold(held_out, rate).value).mean()) for rate in rates]


def _halved(folder: Path, seed: int) -> tuple[Dataset, HoldOut]:
    dataset = open_dataset(folder)
    return dataset, hold_out([*dataset.good, *(s for s in dataset.test if s.label is Label.GOOD)], 0.5, seed)


def _results(
    learned: Sequence[Sample], unseen: Sequence[Sample], preset_name: str, seed: int
) -> list[tuple[Sample, float]]:
    with ProgressBars() as bars:
        trained = train(learned, preset(preset_name).with_changes(holdout=0.0, seed=seed), report=bars)
        found = Inspector(trained).inspect_many(unseen, report=bars)
        return [(one.sample, one.score) for one in found if isinstance(one, Inspection)]


def _write(path: Path, rows: Iterable[tuple[str, str, int | str, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "label", "part", "score"), *rows])


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def observed(found: Scored, parts: int, rate: float, splits: int, random: np.random.Generator) -> Scores:
    """The share of the images of other parts flagged, (splits,), the threshold being set from those of `parts` parts.

    Each of the other parts counts alike, as the next one is any of them.
    """
    shares = np.empty(splits)
    numbers, place, images = np.unique(found.parts, return_inverse=True, return_counts=True)
    for split in range(splits):
        own = np.zeros(len(numbers), np.bool_)
        own[random.permutation(len(numbers))[:parts]] = True
        calibrating = own[place]
        value = false_alarm_threshold(found.good[calibrating], rate, found.parts[calibrating].tolist()).value
        flagged = np.bincount(place, weights=found.good > value) / images
        shares[split] = flagged[~own].mean()
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
    table = ["| set | parts | promised | observed: mean | 5th to 95th percentile |", "|---|---|---|---|---|"]
    f1_table = ["| set | F1 where chosen | F1 on the other half | highest F1 of all |", "|---|---|---|---|"]
    alone_table = ["| set | promised | observed on new parts |", "|---|---|---|"]
    series: dict[str, list[tuple[float, float]]] = {"promised": [(0, 0), (6, 6)]}
    for folder in arguments.datasets:
        path = arguments.out.with_name(f"{arguments.out.name}-{folder.name}.csv")
        found = scored(folder, arguments.preset, arguments.seed, path)
        good, defects, unseen = found.good, found.defects, len(set(found.parts.tolist()))
        for parts in CALIBRATED_ON:
            for rate in RATES:
                if parts < images_needed(rate) or unseen - parts < 10:
                    continue
                shares = 100 * observed(found, parts, rate, arguments.splits, random)
                low, high = np.percentile(shares, (5, 95))
                seen = f"{shares.mean():.2f} % | {low:.1f} to {high:.1f} %"
                table.append(f"| {folder.name} | {parts} | {100 * rate:g} % | {seen} |")
                series.setdefault(f"{folder.name}, {parts} parts", []).append((100 * rate, float(shares.mean())))
        rates = [rate for rate in RATES if len(good) // 5 >= images_needed(rate)]
        alone = path.with_name(f"{path.stem}-one-by-one.csv")
        for rate, seen_rate in zip(
            rates, drawn_one_by_one(folder, arguments.preset, arguments.seed, alone, rates), strict=True
        ):
            alone_table.append(f"| {folder.name} | {100 * rate:g} % | {100 * seen_rate:.1f} % |")
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
    text = "\n".join((*table, "", *alone_table, "", *f1_table))
    arguments.out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
