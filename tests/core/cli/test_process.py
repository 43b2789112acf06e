"""The `cfa` command as a process of its own, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.cli import output as cli_output
from core.progress import CancelToken
from tests.core.cli_runs import files, model_in, picture, write, write_dataset

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and terminals")
CFA = [sys.executable, "-m", "core.cli"]
ROOT = Path(__file__).parents[3]


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal."""
    ends = os.openpty()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Processes started here heed Ctrl-C, also where the tests were started with it ignored, as by `nohup ... &`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_in(phase: bytes, *arguments: object) -> tuple[int, str, str]:
    """Run `cfa` with standard error on a terminal, press Ctrl-C once its bar shows a phase."""
    command = [*CFA, *map(str, arguments)]
    with terminal() as (ours, theirs):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs)
        said = b""
        deadline = time.monotonic() + 90
        while phase not in said:
            assert time.monotonic() < deadline, said.decode()
            said += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        os.set_blocking(ours, False)
        while process.poll() is None:  # the terminal's buffer must not fill
            assert time.monotonic() < deadline, said.decode()
            said += _available(ours)
            time.sleep(0.02)
        said += _available(ours)
        assert process.stdout is not None
        with process.stdout:
            return process.returncode, process.stdout.read().decode(), said.decode()


def _available(end: int) -> bytes:
    try:
        return os.read(end, 65536)
    except (BlockingIOError, OSError):
        return b""


@pytest.mark.usefixtures("heeds_interrupts")
def test_that_ctrl_c_in_the_middle_of_a_training_leaves_whole_epochs_only(tmp_path: Path) -> None:
    parts = write_dataset(tmp_path / "parts", good=4)
    before = files(tmp_path)
    options = ("--epochs", "1000", "--image-size", "64", "--preset", "fast", "--device", "cpu")
    status, out, err = interrupted_in(b"Training", "train", parts, "--out", tmp_path / "part.cfa", *options)
    assert status == 1
    assert out == ""
    assert err.strip().endswith("cfa: Cancelled. Nothing was left half-written.")
    assert "Traceback" not in err
    left = files(tmp_path)
    if left.pop("part.cfa.unfinished", None) is not None:
        assert "--resume goes on with them" in err
    assert left == before


@pytest.mark.usefixtures("heeds_interrupts")
def test_that_ctrl_c_in_the_middle_of_an_inspection_leaves_whole_files_only(tmp_path: Path) -> None:
    model = model_in(tmp_path)
    shots = tmp_path / "shots"
    first = write(shots / "0.png", picture(1))
    for i in range(1, 1000):
        os.link(first, shots / f"{i}.png")
    arguments = ("--csv", tmp_path / "a.csv", "--maps", tmp_path / "maps", "--json")
    status, out, err = interrupted_in(b"Inspecting", "inspect", model, shots, *arguments)
    assert status == 1
    assert json.loads(out).keys() == {"error"}
    assert "Cancelled" in err
    assert "Traceback" not in err
    assert not (tmp_path / "a.csv").exists()
    maps = files(tmp_path / "maps")
    assert 0 < len(maps) < 1000
    assert len({len(content) for content in maps.values()}) == 1
    assert not [name for name in files(tmp_path) if "partial" in name]


def test_that_the_first_ctrl_c_asks_and_the_second_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    token = CancelToken()
    monkeypatch.setattr(cli_output, "_interrupted", token)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli_output.heed_interrupts()
        signal.raise_signal(signal.SIGINT)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_that_where_ctrl_c_is_ignored_it_stays_ignored() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cli_output.heed_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_that_a_training_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    parts = write_dataset(tmp_path / "parts", good=4)
    environment = os.environ | {cli_output.ENDS_WITH_INPUT: "1"}
    command = [*CFA, "train", str(parts), "--out", str(tmp_path / "part.cfa"), "--preset", "fast"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.close()  # as the system does for one that was killed
        assert process.stderr is not None
        assert "Cancelled" in process.stderr.read()
    assert process.returncode == 1
    assert not (tmp_path / "part.cfa").exists()
