"""A watch from its start to its end: each image once, as soon as it is complete, whatever its writer does."""

import errno
import io
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ConfigError, DatasetError, TargetError
from core.line.watching import watch as module
from core.line.watching.arrivals import NotYet, WatchedFolder
from core.line.watching.events import Events
from core.line.watching.results import Outcome, Result
from core.line.watching.targets.database import SqliteTarget
from core.line.watching.targets.files import CsvTarget
from core.line.watching.watch import Options
from core.progress import CancelToken
from tests.core.cli_runs import files
from tests.core.line.watched import QUICK, Brightness, Remembered, kept, read_table, run_watch

ROOT = Path(__file__).parents[3]
LIVE = replace(QUICK, once=False, settle=0.4)


def png(shade: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(shade, shade + 20, (8, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


GOOD, BAD = png(20), png(200)


def put(path: Path, content: bytes = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def watching(
    folder: Path, ledger: Path, options: Options = LIVE, judge: Brightness | None = None
) -> Iterator[Remembered]:
    """A watch on another thread, from when it has looked at the folder first."""
    told = Remembered()
    first = put(folder / "first.png", png(30, seed=99))
    thread = threading.Thread(
        target=run_watch, args=(folder, ledger), kwargs={"options": options, "judge": judge, "listener": told}
    )
    thread.start()
    try:
        until(lambda: told.names == [first.name])
        yield told
    finally:
        told.cancel.cancel()
        thread.join()


def test_that_what_is_there_is_inspected_once_and_the_watch_ends(folder: Path, ledger: Path, tmp_path: Path) -> None:
    put(folder / "a.png")
    put(folder / "sub/b.png", BAD)
    put(folder / "c.png", b"no picture")
    told = run_watch(folder, ledger, [CsvTarget(tmp_path / "r.csv")])
    verdicts = {"a.png": Outcome.GOOD, "sub/b.png": Outcome.DEFECT, "c.png": Outcome.UNREADABLE}
    assert {result.path: result.verdict for result in told.results} == verdicts
    assert {row["path"]: row["verdict"] for row in read_table(tmp_path / "r.csv")} == verdicts
    assert sum(told.beats[-1].counts.values()) == 3
    again = run_watch(folder, ledger, [CsvTarget(tmp_path / "r.csv")])
    assert again.results == []
    assert len(read_table(tmp_path / "r.csv")) == 3


def test_that_new_content_under_an_old_name_is_a_new_image_and_old_content_is_not(folder: Path, ledger: Path) -> None:
    image = put(folder / "latest.png")
    run_watch(folder, ledger)
    os.utime(image, ns=(0, image.stat().st_mtime_ns + 10**9))
    assert run_watch(folder, ledger).results == []
    put(image, BAD)
    assert run_watch(folder, ledger).names == ["latest.png"]
    put(image)
    assert run_watch(folder, ledger).names == ["latest.png"]
    put(folder / "same content.png")
    assert run_watch(folder, ledger).names == ["same content.png"]
    assert len(kept(ledger, folder)) == 4


@pytest.mark.parametrize("poll", [None, 0.05])
def test_that_a_slow_copy_a_renaming_and_a_new_subfolder_give_one_whole_image_each(
    folder: Path, ledger: Path, poll: float | None
) -> None:
    judge = Brightness()
    with watching(folder, ledger, replace(LIVE, poll=poll), judge) as told:
        with (folder / "slow.png").open("wb") as file:
            for start in range(0, len(BAD), 64):
                file.write(BAD[start : start + 64])
                file.flush()
                time.sleep(0.05)
        put(folder / ".renamed.png", BAD).rename(folder / "renamed.png")
        put(folder / "part.png.tmp", BAD).rename(folder / "part.png")
        put(folder / "new/deep/in.png", BAD)
        until(lambda: len(told.names) == 5)
    assert sorted(told.names) == ["first.png", "new/deep/in.png", "part.png", "renamed.png", "slow.png"]
    assert {result.verdict for result in told.results[1:]} == {Outcome.DEFECT}
    assert Counter(judge.asked)["slow.png"] == 1


def test_that_a_writer_that_stalls_longer_than_a_file_settles_is_given_time(folder: Path, ledger: Path) -> None:
    with watching(folder, ledger, replace(LIVE, settle=0.05, patience=30)) as told:
        with (folder / "stalled.png").open("wb") as file:
            file.write(BAD[: len(BAD) // 2])
            file.flush()
            time.sleep(0.5)
            assert told.names == ["first.png"]
            file.write(BAD[len(BAD) // 2 :])
        until(lambda: len(told.names) == 2)
    assert told.results[1].verdict is Outcome.DEFECT


def test_that_a_folder_that_vanishes_is_waited_for(folder: Path, ledger: Path) -> None:
    with watching(folder, ledger, replace(LIVE, poll=0.05)) as told:
        folder.rename(folder.with_name("away"))
        until(lambda: any("cannot be opened" in note for note in told.notes))
        folder.with_name("away").rename(folder)
        put(folder / "later.png")
        until(lambda: told.names == ["first.png", "later.png"])
    assert len([note for note in told.notes if "cannot be opened" in note]) == 1
    assert any("well again" in note for note in told.notes)


def test_that_a_folder_that_came_back_is_listened_to_again(
    folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESCAN_SECONDS", 0.1)
    judge = Brightness()
    with watching(folder, ledger, LIVE, judge) as told:
        folder.rename(folder.with_name("away"))
        until(lambda: any("cannot be opened" in note for note in told.notes))
        put(folder / "back.png")
        until(lambda: "back.png" in told.names)
        monkeypatch.setattr(WatchedFolder, "scan", lambda _: iter(()))  # from now on only the system tells
        put(folder / "later.png")
        until(lambda: "later.png" in told.names)


def test_that_a_system_that_does_not_tell_is_said_and_the_folder_is_scanned(
    folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.ENOSPC, "no more watches")

    monkeypatch.setattr(Events, "start", refuse)
    monkeypatch.setattr(module, "_DEAF_SECONDS", 0.1)
    with watching(folder, ledger) as told:
        put(folder / "later.png")
        until(lambda: "later.png" in told.names)
    assert [note for note in told.notes if "no more watches" in note]


def test_that_an_image_that_cannot_be_opened_is_unreadable_once(
    folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder / "a.png")

    def refuse(*_: object) -> bytes:
        raise NotYet("Permission denied")

    monkeypatch.setattr(WatchedFolder, "read", refuse)
    told = run_watch(folder, ledger)
    assert [(result.verdict, result.message) for result in told.results] == [
        (Outcome.UNREADABLE, "a.png cannot be opened (Permission denied).")
    ]
    assert run_watch(folder, ledger).results == []


def test_that_a_folder_that_is_not_there_at_the_start_is_refused(tmp_path: Path, ledger: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be opened"):
        run_watch(tmp_path / "none", ledger)


def test_that_images_are_sorted_and_one_of_the_same_name_later_is_a_new_one(
    folder: Path, ledger: Path, tmp_path: Path
) -> None:
    options = replace(QUICK, sort=tmp_path / "sorted")
    put(folder / "sub/a.png")
    put(folder / "b.png", BAD)
    put(folder / "c.png", b"no picture")
    told = run_watch(folder, ledger, options=options)
    assert files(folder) == {}
    sorted_files = {"good/sub/a.png": GOOD, "flagged/b.png": BAD, "unreadable/c.png": b"no picture"}
    assert files(tmp_path / "sorted") == sorted_files
    assert {result.sorted for result in told.results} == {str(tmp_path / "sorted" / name) for name in sorted_files}
    put(folder / "b.png", BAD)
    assert run_watch(folder, ledger, options=options).names == ["b.png"]
    assert files(tmp_path / "sorted") == sorted_files | {"flagged/b-2.png": BAD}


def test_that_sorting_into_the_watched_folder_itself_does_not_inspect_its_own_files(folder: Path, ledger: Path) -> None:
    options = replace(QUICK, sort=folder)
    put(folder / "a.png")
    run_watch(folder, ledger, options=options)
    assert run_watch(folder, ledger, options=options).results == []
    assert files(folder) == {"good/a.png": GOOD}


def test_that_copies_leave_the_images_where_they_are(folder: Path, ledger: Path, tmp_path: Path) -> None:
    options = replace(QUICK, sort=tmp_path / "sorted", copy=True)
    put(folder / "a.png")
    run_watch(folder, ledger, options=options)
    assert run_watch(folder, ledger, options=options).results == []
    assert files(folder) == {"a.png": GOOD}
    assert files(tmp_path / "sorted") == {"good/a.png": GOOD}


def test_that_a_folder_within_what_the_watch_writes_is_refused(folder: Path, ledger: Path) -> None:
    with pytest.raises(ConfigError, match="new images"):
        run_watch(folder, ledger, judge=Brightness(overlays=folder))
    with pytest.raises(ConfigError, match="new images"):
        run_watch(folder / "good", ledger.with_name("2.sqlite"), options=replace(QUICK, sort=folder))


class Flaky:
    """Out of reach for the first tries."""

    address = "flaky"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.got: list[Result] = []

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        for result in results:
            if self.failures > 0:
                self.failures -= 1
                raise TargetError("flaky cannot be reached.")
            self.got.append(result)
            yield result


def test_that_a_target_out_of_reach_gets_its_results_later_and_nobody_else_waits_for_it(
    folder: Path, ledger: Path, tmp_path: Path
) -> None:
    put(folder / "a.png")
    put(folder / "b.png", BAD)
    told = run_watch(folder, ledger, [Flaky(1000), CsvTarget(tmp_path / "r.csv")])
    assert len(read_table(tmp_path / "r.csv")) == 2
    assert told.notes.count("flaky cannot be reached.") == 1
    assert [delivery.waiting for delivery in told.beats[-1].deliveries] == [2, 0]
    flaky = Flaky(1)
    again = run_watch(folder, ledger, [flaky, CsvTarget(tmp_path / "r.csv")])
    assert again.results == []
    assert sorted(result.path for result in flaky.got) == ["a.png", "b.png"]
    assert again.beats[-1].deliveries[0].waiting == 0
    assert len(read_table(tmp_path / "r.csv")) == 2


# --- killed -----------------------------------------------------------------------------------------------------------


def write_parts(folder: Path, first: int, last: int) -> None:
    """Every third slowly, every third renamed into place, every seventh damaged."""
    for number in range(first, last):
        content = png(20 + 180 * (number % 2), number)
        content = content[: len(content) // 2] if number % 7 == 0 else content
        path = folder / f"{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(exist_ok=True)
        if number % 3 == 0:
            with path.open("wb") as file:
                for start in range(0, len(content), 100):
                    file.write(content[start : start + 100])
                    file.flush()
                    time.sleep(0.005)
        elif number % 3 == 1:
            put(path.with_name(f".{path.name}"), content).rename(path)
        else:
            path.write_bytes(content)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_that_each_image_is_inspected_and_delivered_exactly_once_across_two_kills(folder: Path, tmp_path: Path) -> None:
    parts = 120
    command = [sys.executable, "-m", "tests.core.line.watched", str(folder), str(tmp_path)]
    writers = [
        threading.Thread(target=write_parts, args=(folder, first, first + parts // 4))
        for first in range(0, parts, parts // 4)
    ]
    for writer in writers:
        writer.start()
    said: list[str] = []
    for results in (parts // 5, parts // 3):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said += [process.stdout.readline().strip() for _ in range(results)]
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read().split()
    for writer in writers:
        writer.join()
    options = Options(settle=0.05, patience=0.1, sort=tmp_path / "sorted", once=True)
    last = run_watch(
        folder,
        tmp_path / "ledger.sqlite",
        [CsvTarget(tmp_path / "results.csv"), SqliteTarget(tmp_path / "results.sqlite")],
        options,
    )
    expected = sorted(f"{number % 3}/{number:03}.png" for number in range(parts))
    found = kept(tmp_path / "ledger.sqlite", folder)
    assert sorted(result.path for result in found) == expected
    assert set(said) <= set(expected)
    assert len(said) + len(last.names) >= parts - 2  # of a result on the disk the line may be missing, at each kill
    for result in found:
        number = int(Path(result.path).stem)
        wanted = Outcome.UNREADABLE if number % 7 == 0 else Outcome.DEFECT if number % 2 else Outcome.GOOD
        assert result.verdict is wanted, result
    ids = sorted(result.id for result in found)
    assert sorted(row["id"] for row in read_table(tmp_path / "results.csv")) == ids
    with sqlite3.connect(tmp_path / "results.sqlite") as connection:
        assert sorted(row[0] for row in connection.execute("SELECT id FROM results")) == ids
    connection.close()
    assert files(folder) == {}
    assert len(files(tmp_path / "sorted")) == parts
    assert {str(Path(result.sorted).relative_to(tmp_path / "sorted")) for result in found} == set(
        files(tmp_path / "sorted")
    )


def test_that_the_token_ends_a_watch_at_once(folder: Path, ledger: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    told = Remembered(cancel=cancel)
    run_watch(folder, ledger, options=LIVE, listener=told)
    assert len(told.beats) == 1
