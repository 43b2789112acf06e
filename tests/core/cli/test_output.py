import io
import json
import os
import sys
from pathlib import Path

import pytest
import typer

from core.cli import output as out
from core.errors import CancelledByUser, ConfigError, ModelFileError
from core.progress import Phase, Progress, StepRecord


def status_of(error: BaseException, *, as_json: bool = False) -> int:
    with pytest.raises(typer.Exit) as end, out.outcome(as_json=as_json):
        raise error
    return int(end.value.exit_code)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("Wrong."), 2, "cfa: Wrong.\n"),
        (ModelFileError("Gone."), 1, "cfa: Gone.\n"),
        (CancelledByUser(), 1, "cfa: Cancelled. Nothing was left half-written.\n"),
        (KeyboardInterrupt(), 1, "cfa: Cancelled. Nothing was left half-written.\n"),
        (ModelFileError("a\nb [red]x[/red] :smile: \udcff"), 1, "cfa: a\\nb [red]x[/red] :smile: \\udcff\n"),
        (ModelFileError("long " * 100 + "end"), 1, "cfa: " + "long " * 100 + "end\n"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_that_an_error_becomes_a_sentence_and_a_status(
    error: BaseException, status: int, said: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(error, as_json=as_json) == status
    captured = capsys.readouterr()
    assert captured.err == said
    assert (json.loads(captured.out).keys() == {"error"}) if as_json else captured.out == ""


def test_that_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), out.outcome(as_json=True):
        raise ZeroDivisionError


def test_that_json_is_one_strict_object_in_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    out.json_object({"a\udcff": ["b\ud800", ("\n", 1.5, None, True)], "ü": "🙂"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text) == {"a\\udcff": ["b\\ud800", ["\n", 1.5, None, True]], "ü": "🙂"}
    with pytest.raises(ValueError, match="JSON compliant"):
        out.json_object({"a": float("nan")})
    assert capsys.readouterr().out == ""


def test_that_a_table_is_aligned_and_not_folded_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    out.table([("A", "1"), ("Longer", "x " * 200), ("", "\n")])
    assert capsys.readouterr().out == "A       1\nLonger  " + "x " * 200 + "\n        \\n\n"


def test_that_a_table_is_folded_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out.table([("Name", "word " * 20), ("Path", "/a/very/long/path/that-cannot-be/folded")])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("Name  ", "Path  ", "      ")) for line in lines)
    assert max(map(len, lines)) <= 30
    assert "".join(line[6:] for line in lines[-2:]) == "/a/very/long/path/that-cannot-be/folded"


def test_that_a_reader_who_left_ends_the_program_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cfa inspect ... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:  # closing it must not fail either, as when the program ends
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(typer.Exit) as end, out.outcome(as_json=False):
            for _ in range(10_000):
                out.line("a flagged image")
        assert end.value.exit_code == 1
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("as_json", [False, True])
def test_that_a_full_standard_output_is_told_in_a_sentence(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(typer.Exit) as end, out.outcome(as_json=as_json):
            out.json_object({"a": 1})
        assert end.value.exit_code == 1
    assert capsys.readouterr().err == "cfa: The results cannot be printed: No space left on device.\n"


def test_that_what_a_terminal_cannot_show_is_escaped_and_a_closed_one_swallows(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", None)
    out.prepare_streams()
    out.line("größe 部品")
    out.note("into nothing")
    assert written.getvalue() == b"gr\\xf6\\xdfe \\u90e8\\u54c1\n"
    monkeypatch.setattr(sys, "stdout", None)
    out.prepare_streams()
    out.table([("a", "b")])
    sys.stdout.close()
    sys.stderr.close()


def test_that_bars_show_phases_with_fractions_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    step = StepRecord(0.5, 12.34, 1, 1, 0.25, 1, 0)
    with out.ProgressBars() as bars:
        bars(Progress(Phase.READING, 0, 0))  # nothing known of it yet
        bars(Progress(Phase.FEATURES, 3, 4))
        assert bars._bars.tasks[0].percentage == 75.0
        bars(Progress(Phase.TRAINING, 0.5, 1, "epochs", step))
        assert bars._bars.tasks[1].percentage == 50.0  # half an epoch is half a bar
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Features" in captured.err
    assert "4/4 images" in captured.err
    assert "0/1 epochs" in captured.err
    assert "loss 12.3, r² 0.250" in captured.err
    assert "Reading" not in captured.err
