"""`cfa watch` with a real model."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.cli import watching
from tests.core.cli_runs import Command, files, model_in, picture, write
from tests.core.line.watched import read_table

ROOT = Path(__file__).parents[3]
QUICK = ("--once", "--settle", "0.02", "--patience", "0.05", "--device", "cpu")


def line_of(folder: Path) -> tuple[Path, Path, Path]:
    """A model, a folder with two good parts, a defect and a damaged file, and where the ledger goes."""
    shots = folder / "in"
    for name, defect in (("a.png", False), ("b.png", False), ("sub/c.png", True)):
        write(shots / name, picture(sum(name.encode()), defect=defect))
    (shots / "d.png").write_text("no picture")
    return model_in(folder), shots, folder / "ledger.sqlite"


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_that_a_watch_gives_the_scores_and_verdicts_of_inspect(cfa: Command, tmp_path: Path) -> None:
    model, shots, ledger = line_of(tmp_path)
    targets = ("--to", tmp_path / "r.csv", "--to", tmp_path / "r.sqlite", "--to", tmp_path / "results")
    watched = cfa(
        "watch", model, shots, *QUICK, "--ledger", ledger, *targets, "--overlays", tmp_path / "over", "--json"
    )
    assert watched.status == 0, watched.err
    events = lines(watched.out)
    assert [event["event"] for event in events] == ["started", *["result"] * 4, "heartbeat", "ended"]
    assert events[-2]["counts"] == {"good": 2, "uncertain": 0, "defect": 1, "unreadable": 1}
    inspected = cfa(
        "inspect", model, shots, "--device", "cpu", "--json", "--csv", tmp_path / "i.csv", "--overlays", tmp_path / "o"
    )
    assert inspected.status == 0, inspected.err
    results = {event["path"]: event for event in events if event["event"] == "result"}
    rows = {row["path"]: row for row in read_table(tmp_path / "i.csv")}
    assert results.keys() == rows.keys()
    for name, row in rows.items():
        score = results[name]["score"]
        assert ("" if score is None else repr(score)) == row["score"]
        assert results[name]["verdict"] == ("unreadable" if row["verdict"] == "error" else row["verdict"])
    assert sorted(files(tmp_path / "over").values()) == sorted(files(tmp_path / "o").values())
    by_watch = read_table(tmp_path / "r.csv")
    assert {row["path"]: row["score"] for row in by_watch} == {name: row["score"] for name, row in rows.items()}
    connection = sqlite3.connect(tmp_path / "r.sqlite")
    in_database = dict(connection.execute("SELECT path, score FROM results").fetchall())
    connection.close()
    assert in_database == {name: result["score"] for name, result in results.items()}
    assert len(list((tmp_path / "results").rglob("*.json"))) == 4
    top = results["sub/c.png"]["regions"][0]
    assert top["top"] <= 21 <= top["top"] + top["height"]  # the square is at rows 15 to 26, columns 18 to 29
    assert top["left"] <= 24 <= top["left"] + top["width"]
    assert top["peak"] == results["sub/c.png"]["score"]


def test_that_a_second_watch_finds_nothing_new_and_says_so(cfa: Command, tmp_path: Path) -> None:
    model, shots, ledger = line_of(tmp_path)
    first = cfa("watch", model, shots, *QUICK, "--ledger", ledger, "--sort", tmp_path / "sorted", "--copy")
    assert first.status == 0, first.err
    assert [line.split()[0] for line in first.out.splitlines()] == ["defect", "unreadable"]
    assert "4 images: 2 good, 0 uncertain, 1 flagged, 1 unreadable." in first.err
    second = cfa("watch", model, shots, *QUICK, "--ledger", ledger)
    assert second.status == 0
    assert second.out == ""
    assert "0 images" in second.err
    assert sorted(files(tmp_path / "sorted")) == [
        "flagged/sub/c.png",
        "good/a.png",
        "good/b.png",
        "unreadable/d.png",
    ]


def test_that_what_was_not_delivered_is_said_and_ends_a_single_pass_with_1(cfa: Command, tmp_path: Path) -> None:
    model, shots, ledger = line_of(tmp_path)
    end = cfa("watch", model, shots, *QUICK, "--ledger", ledger, "--to", "http://127.0.0.1:1/parts")
    assert end.status == 1
    end.assert_one_sentence("4 results for http://127.0.0.1:1/parts", "the next `cfa watch` tries again")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "ftp://x/y"), "ftp"),
        (("--to", "http://me:mysecret@x/y"), "CFA_WEBHOOK_TOKEN"),
        (("--to", "a.csv", "--to", "a.csv"), "twice"),
        (("--copy",), "--sort"),
        (("--settle", "0"), "--settle"),
        (("--poll", "nan"), "--poll"),
        (("--heartbeat", "-1"), "--heartbeat"),
        (("--overlays", "in"), "new images"),
    ],
)
def test_that_wrong_use_is_one_sentence_and_ends_with_2(
    cfa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    model, shots, ledger = line_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    end = cfa("watch", model, shots.name, *QUICK, "--ledger", ledger, *arguments)
    assert end.status == 2
    end.assert_one_sentence(said)
    assert "mysecret" not in end.err


def test_that_a_missing_folder_and_a_taken_ledger_are_one_sentence(cfa: Command, tmp_path: Path) -> None:
    model, _, ledger = line_of(tmp_path)
    end = cfa("watch", model, tmp_path / "none", *QUICK, "--ledger", ledger)
    assert end.status == 1
    end.assert_one_sentence("none", "cannot be opened")
    other = cfa("watch", model, tmp_path / "in", *QUICK, "--ledger", ledger)
    assert other.status == 1
    other.assert_one_sentence("another folder", "--ledger")


def test_that_each_folder_has_a_ledger_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = watching.default_ledger(Path("in")), watching.default_ledger(Path("other/in"))
    assert one != two
    assert one == watching.default_ledger(tmp_path / "in")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_that_the_systems_wish_to_end_is_heard_and_ends_with_0(tmp_path: Path) -> None:
    model, shots, ledger = line_of(tmp_path)
    command = [sys.executable, "-m", "core.cli", "watch", str(model), str(shots), "--ledger", str(ledger), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "started"
        assert json.loads(process.stdout.readline())["event"] == "result"
        process.send_signal(signal.SIGTERM)
        rest = lines(process.stdout.read())
    assert process.returncode == 0
    assert rest[-1]["event"] == "ended"
