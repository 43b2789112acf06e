import json
from pathlib import Path
from typing import Any

from benchmarks.accuracy_rows import OURS, Rows, spread, table


def row(seed: int, image_auroc: float, dataset: str = "a", method: str = OURS) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "method": method,
        "protocol": "whole",
        "settings": "{}",
        "seed": seed,
        "image_auroc": image_auroc,
    }


def test_that_a_row_that_was_kept_is_found_after_a_restart(tmp_path: Path) -> None:
    Rows(tmp_path / "rows.csv").add(row(0, 0.5))
    found = Rows(tmp_path / "rows.csv").find(row(0, 0.0))
    assert found is not None
    assert float(found["image_auroc"]) == 0.5


def test_that_another_seed_or_method_is_another_row(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows.csv")
    rows.add(row(0, 0.5))
    assert rows.find(row(1, 0.5)) is None
    assert rows.find(row(0, 0.5, method="PaDiM")) is None


def test_that_a_row_is_found_though_the_program_has_more_settings_since(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows.csv")
    rows.add({**row(0, 0.5), "settings": json.dumps({"training": {"seed": 0}})})
    for blur, found in ((0.0, True), (0.005, False)):
        wanted = {**row(0, 0.0), "settings": json.dumps({"training": {"blur_variation": blur, "seed": 0}})}
        assert (rows.find(wanted) is not None) is found


def test_that_the_table_has_the_mean_over_the_sets_of_the_means_over_the_seeds() -> None:
    text = table([row(0, 0.5), row(1, 0.7), row(0, 0.9, dataset="b")])
    assert "0.6000 ± 0.1000" in text
    assert text.splitlines()[-1].startswith("| **mean** |")
    assert "| 0.7500 |" in text.splitlines()[-1]


def test_that_a_figure_of_several_seeds_has_a_deviation_and_a_missing_one_is_a_dash() -> None:
    assert spread([]) == "–"
    assert spread([0.5]) == "0.5000"
    assert spread([0.4, 0.6]) == "0.5000 ± 0.1000"


def test_that_a_method_that_was_not_measured_on_all_sets_has_no_mean() -> None:
    text = table([row(0, 0.5), row(0, 0.9, dataset="b"), row(0, 1.0, method="PaDiM")])
    assert [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| **mean** |")] == [OURS]
