"""Accuracy on data sets in MVTec AD layout, several seeds, last epoch, nothing fitted on test data.

    python benchmarks/accuracy.py DATASET... [--preset standard] [--seeds 0 1 2] [--set epochs=1] [--out FILE.csv]

One row a run, then mean and spread. Runs already in the CSV with the same settings are not repeated.
Options of the form `--set name=value` change single settings, for ablations.
"""

import argparse
import csv
import json
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.cli.output import ProgressBars
from core.config import PRESETS, Bank, Config, DescriptorStart, FeatureScale, Resizing, Score, preset
from core.dataset import open_dataset
from core.evaluation import evaluate
from core.inspection import Inspector
from core.training import train

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "f1_max", "false_alarm_rate", "miss_rate", "train_s")
FIELDS = ("dataset", "preset", "settings", "seed", "images", *FIGURES, "radius_squared", "repulsion_active", "version")
CHOICES: Mapping[str, type] = {
    "bank": Bank,
    "descriptor_start": DescriptorStart,
    "feature_scale": FeatureScale,
    "score": Score,
    "resizing": Resizing,
}


def parsed(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, CHOICES[name](value) if name in CHOICES else json.loads(value) if name != "backbone" else value


def run(folder: Path, config: Config, device: str) -> dict[str, Any]:
    dataset = open_dataset(folder)
    with ProgressBars() as bars:
        started = time.monotonic()
        trained = train(dataset.good, config, device=device, report=bars)
        seconds = time.monotonic() - started
        evaluation = evaluate(Inspector(trained, device=device), dataset.test, report=bars).to_json()
    history = trained.summary.history
    return {
        "dataset": folder.name,
        "preset": config.preset,
        "settings": json.dumps(config.to_json(), sort_keys=True),
        "seed": config.training.seed,
        "images": trained.summary.images,
        **{name: evaluation.get(name) for name in FIGURES if name != "train_s"},
        "train_s": round(seconds, 1),
        "radius_squared": history[-1].radius_squared if history else None,
        "repulsion_active": max((record.repulsion_active for record in history), default=None),
        "version": f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--preset", default="standard", choices=sorted(PRESETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], type=parsed, metavar="NAME=VALUE", dest="changes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.csv"))
    arguments = parser.parse_args()
    known = _read(arguments.out)
    rows = []
    for folder in arguments.datasets:
        for seed in arguments.seeds:
            config = preset(arguments.preset).with_changes(**dict(arguments.changes), seed=seed)
            settings = json.dumps(config.to_json(), sort_keys=True)
            row = next((r for r in known if r["dataset"] == folder.name and r["settings"] == settings), None)
            if row is None:
                row = run(folder, config, arguments.device)
                known.append(row)
                _write(arguments.out, known)
            rows.append(row)
    _print(rows)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("data set", "preset", "seeds", *FIGURES, box=None)
    for name in dict.fromkeys(row["dataset"] for row in rows):
        group = [row for row in rows if row["dataset"] == name]
        cells = [_spread([float(row[figure]) for row in group if row[figure] not in {None, ""}]) for figure in FIGURES]
        table.add_row(name, group[0]["preset"], " ".join(str(row["seed"]) for row in group), *cells)
    Console(width=160).print(table)


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    mean = statistics.mean(values)
    digits = 1 if mean > 1 else 4
    return f"{mean:.{digits}f} ± {statistics.pstdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
