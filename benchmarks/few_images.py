"""How many good images are enough? AUROC over the number of images trained on.

    python benchmarks/few_images.py DATASET... [--counts 1 2 5 10 20 50 100 0] [--seeds 0 1 2] [--preset fast]
                                    [--test 200] [--out benchmarks/results/few_images]

Each seed draws its own images to train on (0 stands for all) and none is held out. `--test` caps the test images, drawn
once from all. Rows that the CSV holds are not computed again; beside it a plot and a table are written.
"""

import argparse
import csv
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_runs import measure
from benchmarks.plot import Axis, line_chart
from core.cli.output import ProgressBars
from core.dataset import open_dataset
from core.presets import PRESETS, preset
from core.samples import Dataset, Sample
from core.training import train

FIELDS = ("dataset", "preset", "count", "seed", "image_auroc", "pixel_auroc", "aupro")


def run(dataset: Dataset, test: Sequence[Sample], preset_name: str, count: int, seed: int) -> dict[str, Any]:
    """One row: a model from `count` images drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(dataset.good))
    drawn = [dataset.good[i] for i in order[:count]]
    config = preset(preset_name).with_changes(holdout=0.0, seed=seed)
    with ProgressBars() as bars:
        trained = train(drawn, config, report=bars)
        figures = measure(trained, test, "auto", bars)
    return {"dataset": dataset.root.name, "preset": preset_name, "count": count, "seed": seed, **figures}


def tested(dataset: Dataset, cap: int) -> list[Sample]:
    """At most so many test images, the same for every run."""
    order = np.random.default_rng(0).permutation(len(dataset.test))[:cap]
    return [dataset.test[i] for i in sorted(order)]


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 5, 10, 20, 50, 100, 0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/few_images"))
    arguments = parser.parse_args()
    path = arguments.out.with_suffix(".csv")
    rows = read(path)
    for folder in arguments.datasets:
        dataset = open_dataset(folder)
        test = tested(dataset, arguments.test)
        for seed in arguments.seeds:
            for asked in arguments.counts:
                count = min(asked or len(dataset.good), len(dataset.good))
                key = (folder.name, arguments.preset, str(count), str(seed))
                if any(tuple(str(row[name]) for name in FIELDS[:4]) == key for row in rows):
                    continue
                rows.append(run(dataset, test, arguments.preset, count, seed))
                write(path, rows)
    show(rows, arguments.out)


def show(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """The plot and the table."""
    table = ["| set | images | seeds | image AUROC | pixel AUROC |", "|---|---|---|---|---|"]
    series: dict[str, list[tuple[float, float]]] = {}
    keys = sorted({(str(row["dataset"]), int(row["count"])) for row in rows})
    for name, count in keys:
        group = [row for row in rows if row["dataset"] == name and int(row["count"]) == count]
        cells = []
        for figure, label in (("image_auroc", "image"), ("pixel_auroc", "pixel")):
            values = [float(row[figure]) for row in group]
            series.setdefault(f"{name}, {label}", []).append((count, statistics.mean(values)))
            cells.append(f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}")
        table.append(f"| {name} | {count} | {len(group)} | {' | '.join(cells)} |")
    lowest = min(value for points in series.values() for _, value in points)
    ticks = [tick / 20 for tick in range(int(lowest * 20), 21)]
    counts = sorted({count for _, count in keys})
    line_chart(
        out.with_suffix(".svg"),
        "AUROC over the number of good images",
        Axis("images trained on", counts, logarithmic=True),
        Axis("AUROC", ticks),
        series,
    )
    text = "\n".join(table)
    out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
