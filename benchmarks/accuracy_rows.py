"""Rows of results: one CSV that can be gone on with, and a table over the seeds."""

import csv
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.model_file import ADDED_SETTINGS

Row = Mapping[str, Any]
FIELDS = (
    "dataset", "method", "protocol", "preset", "settings", "seed", "images",
    "image_auroc", "pixel_auroc", "aupro", "f1_max", "false_alarm_rate", "miss_rate",
    "best_epoch_on_test", "image_auroc_best_epoch_on_test", "pixel_auroc_best_epoch_on_test",
    "train_s", "radius_squared", "repulsion_active", "version",
)  # fmt: skip
SHOWN = ("image_auroc", "pixel_auroc", "aupro", "f1_max", "false_alarm_rate", "miss_rate")
OURS = "CFA (ours)"
_KEY = ("dataset", "method", "protocol", "seed")


class Rows:
    """The CSV of one file; a row that is there already is not computed again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self._rows = [{"method": OURS, "protocol": "whole", **row} for row in csv.DictReader(file)]

    def find(self, wanted: Row) -> dict[str, Any] | None:
        """The row of that data set, method, protocol, settings and seed."""
        key = _key(wanted)
        return next((row for row in self._rows if _key(row) == key), None)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row; the file is whole at every moment."""
        self._rows.append(row)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        partial.replace(self._path)


def _key(row: Row) -> tuple[Any, ...]:
    """What makes a row: settings that came later do not count as long as they are what all models had before."""
    settings = json.loads(row["settings"])
    for (group, name), before in ADDED_SETTINGS.items():
        if settings.get(group, {}).get(name) == before:
            del settings[group][name]
    return *(str(row[name]) for name in _KEY), settings


def table(rows: Sequence[Row], columns: Sequence[str] = ("dataset", "method", "protocol")) -> str:
    """Markdown: one line for each value of the columns, mean ± deviation over the seeds, then the mean over the sets.

    There is no mean of what was not measured on all sets: it could not be compared.

    Args:
        rows: In the order of the lines.
        columns: What makes rows one line; settings may stand among them.
    """
    lines = [[*columns, "seeds", *(name.replace("_", " ") for name in SHOWN)]]
    lines.append(["---"] * len(lines[0]))
    groups = _grouped(rows, columns)
    for key, group in groups.items():
        seeds = " ".join(str(row["seed"]) for row in group)
        lines.append([*key, seeds, *(spread(_values(group, name)) for name in SHOWN)])
    sets = {row["dataset"] for row in rows}
    if "dataset" in columns and len(sets) > 1:
        others = [name for name in columns if name != "dataset"]
        for key, group in _grouped(rows, others).items():
            if {row["dataset"] for row in group} == sets:
                lines.append(["**mean**", *key, "", *(_mean_over_sets(group, name) for name in SHOWN)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation of all seeds, in units of the figure; of one seed no deviation, of none a dash."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}"


def _mean_over_sets(rows: Sequence[Row], name: str) -> str:
    means = [
        statistics.mean(values) for group in _grouped(rows, ["dataset"]).values() if (values := _values(group, name))
    ]
    return f"{statistics.mean(means):.4f}" if means else "–"


def _grouped(rows: Iterable[Row], columns: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in columns), []).append(row)
    return groups


def _values(rows: Iterable[Row], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name) not in {None, ""}]
