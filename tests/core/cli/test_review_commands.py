import csv
from pathlib import Path

import pytest

from core.review import ReviewStore
from core.review_records import COLUMNS, LOG_COLUMNS, Scored
from core.samples import Label, Sample
from core.threshold import Manual, Threshold
from tests.core.cli_runs import Command


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.sqlite"
    with ReviewStore(path, user="kim") as opened:
        project = opened.create_project("line 1")
        samples = tuple(Sample(tmp_path / name, name, None, "", None) for name in ("=1+1.png", "b.png"))
        samples[1].path.write_bytes(b"b")
        opened.add_images(project, samples)
        opened.add_model("a" * 64, tmp_path / "part.cfa")
        opened.add_scores(project, "a" * 64, [Scored(samples[0].path, 0.75, None), Scored(samples[1].path, 0.25, None)])
        opened.set_threshold(project, "a" * 64, Threshold(0.5, Manual()))
        opened.label(project, {samples[0].path: Label.DEFECT})
    return path


def test_that_reviews_are_listed(cfa: Command, store: Path) -> None:
    assert "2 images, 1 label  line 1" in cfa("review", "list", "--store", store).out
    (found,) = cfa("review", "list", "--store", store, "--json").json["reviews"]
    assert (found["id"], found["name"], found["images"], found["labels"]) == (1, "line 1", 2, 1)


def test_that_a_review_is_exported_as_csv_that_no_spreadsheet_computes(
    cfa: Command, store: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.csv"
    assert cfa("review", "export", 1, target, "--store", store).status == 0
    with target.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert (first["name"], first["verdict"], first["label"], first["labelled_by"]) == (
        "'=1+1.png",
        "defect",
        "defect",
        "kim",
    )
    assert (second["verdict"], second["label"], float(second["score"])) == ("good", "", 0.25)


def test_that_a_review_is_exported_as_parquet_with_the_same_rows(cfa: Command, store: Path, tmp_path: Path) -> None:
    import pyarrow.parquet  # type: ignore[import-untyped]

    target = tmp_path / "out.parquet"
    assert cfa("review", "export", 1, target, "--store", store, "--json").json["rows"] == 2
    rows = pyarrow.parquet.read_table(target).to_pylist()
    with ReviewStore(store, read_only=True) as opened:
        assert rows == opened.rows(1)


def test_that_the_log_is_exported(cfa: Command, store: Path, tmp_path: Path) -> None:
    target = tmp_path / "log.csv"
    assert cfa("review", "export", 1, target, "--store", store, "--log").status == 0
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LOG_COLUMNS
    assert {(row["user"], row["what"]) for row in rows} == {("kim", "label"), ("kim", "threshold")}


def test_that_a_check_names_what_is_gone(cfa: Command, store: Path, tmp_path: Path) -> None:
    result = cfa("review", "check", "--store", store)
    assert result.status == 0
    assert "1 image not where they were" in result.out
    assert "is sound: 1 review" in result.out
    found = cfa("review", "check", "--store", store, "--json").json
    assert found["sound"]
    assert found["missing"] == {"1": [str(tmp_path / "=1+1.png")]}


def test_that_wrong_use_ends_with_a_sentence(cfa: Command, store: Path, tmp_path: Path) -> None:
    result = cfa("review", "export", 7, tmp_path / "out.csv", "--store", store)
    result.assert_one_sentence("There is no review 7")
    assert result.status == 1
    result = cfa("review", "export", 1, tmp_path / "out.xls", "--store", store)
    result.assert_one_sentence("must end in .csv or .parquet")
    assert result.status == 2
    result = cfa("review", "list", "--store", tmp_path / "nowhere.sqlite")
    result.assert_one_sentence("cannot be opened: No such file")
    assert result.status == 1
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_that_a_review_is_removed_only_when_that_is_really_meant(cfa: Command, store: Path, tmp_path: Path) -> None:
    with ReviewStore(store) as opened:
        opened.create_project("line 2")
    before = store.read_bytes()
    result = cfa("review", "remove", 1, "--store", store)
    result.assert_one_sentence("Nothing was removed. Add --yes to remove review 1, line 1 (2 images, 1 label)")
    assert (result.status, store.read_bytes()) == (2, before)
    result = cfa("review", "remove", 7, "--store", store, "--yes")
    result.assert_one_sentence("There is no review 7")
    assert cfa("review", "remove", 1, "--store", store, "--yes", "--json").json["removed"]["name"] == "line 1"
    assert [found["name"] for found in cfa("review", "list", "--store", store, "--json").json["reviews"]] == ["line 2"]
    assert (tmp_path / "b.png").exists()


def test_that_a_review_that_a_window_has_open_is_not_removed(cfa: Command, store: Path) -> None:
    with ReviewStore(store) as window:
        assert window.claim(1)
        result = cfa("review", "remove", 1, "--store", store, "--yes")
    result.assert_one_sentence("a window has review 1, line 1 (2 images, 1 label) open. Close it first")
    assert result.status == 1
    assert len(cfa("review", "list", "--store", store, "--json").json["reviews"]) == 1
