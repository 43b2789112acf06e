import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import StoreError
from core.review import BY_FOLDER, ReviewStore
from core.review_records import Scored
from core.review_schema import SCHEMA_VERSION
from core.samples import Label, Sample
from core.threshold import Manual, Threshold

MODEL = "a" * 64
OTHER = "b" * 64
LINE = Threshold(0.5, Manual(), lower=0.25)


@pytest.fixture
def images(tmp_path: Path) -> tuple[Sample, ...]:
    found = []
    for number, label in enumerate([None, Label.GOOD, Label.DEFECT, None]):
        path = tmp_path / "line 1" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 100)
        found.append(Sample(path, path.name, label, label or "", None))
    return tuple(found)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with ReviewStore(tmp_path / "data" / "reviews.sqlite", user="kim") as opened:
        yield opened


@pytest.fixture
def project(store: ReviewStore, images: tuple[Sample, ...], tmp_path: Path) -> int:
    number = store.create_project("line 1")
    store.add_images(number, images)
    store.add_model(MODEL, tmp_path / "part.cfa")
    return number


def again(store: ReviewStore) -> ReviewStore:
    """The store as another program would open it."""
    return ReviewStore(store.path, read_only=True)


# --- what comes back --------------------------------------------------------------------------------------------------


def test_that_a_review_comes_back_as_it_was_left(store: ReviewStore, project: int, images: tuple[Sample, ...]) -> None:
    first, second, third, fourth = (image.path for image in images)
    results = [Scored(first, 0.125, None, (40, 48)), Scored(second, 1 / 3, None), Scored(third, None, "no picture")]
    store.add_scores(project, MODEL, results)
    store.set_threshold(project, MODEL, LINE)
    store.label(project, {first: Label.DEFECT, fourth: Label.GOOD})
    store.label(project, {second: None})
    store.set_view(project, {"current": str(third)})
    with again(store) as read:
        stored = read.load(project)
        assert [sample.path for sample in stored.samples] == [first, second, third, fourth]
        assert [sample.label for sample in stored.samples] == [Label.DEFECT, None, Label.DEFECT, Label.GOOD]
        assert stored.good_by_folder == {sample.path for sample in images if sample.label is Label.GOOD}
        assert fourth not in stored.good_by_folder  # a person said so
        assert second in stored.good_by_folder  # though a person took the label off
        assert stored.scores == {result.path: result for result in results}
        assert stored.threshold == LINE
        assert (stored.model_identity, stored.model_path) == (MODEL, images[0].path.parents[1] / "part.cfa")
        (found,) = read.projects()
        assert (found.name, found.images, found.labels, found.view) == ("line 1", 4, 3, {"current": str(third)})


def test_that_an_undo_is_an_entry_and_nothing_is_ever_changed(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    path = images[1].path
    store.label(project, {path: Label.DEFECT})
    store.label(project, {path: Label.GOOD}, undo=True)
    assert [(row["user"], row["value"], row["undo"]) for row in store.history(project) if row["image"] == "1.png"] == [
        (BY_FOLDER, "good", 0),
        ("kim", "defect", 0),
        ("kim", "good", 1),
    ]
    raw = sqlite3.connect(store.path)
    for statement in ("UPDATE label SET user = 'x'", "UPDATE score SET score = 0", "UPDATE threshold SET user = 'x'"):
        store.add_scores(project, MODEL, [Scored(path, 0.1, None)])
        store.set_threshold(project, MODEL, LINE)
        with pytest.raises(sqlite3.IntegrityError, match="are a log"):
            raw.execute(statement)
        raw.rollback()
    raw.close()


def test_that_every_verdict_can_be_traced_to_model_threshold_and_person(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    scores = (0.1, 0.3, 0.9)
    store.add_scores(project, MODEL, [Scored(s.path, v, None) for s, v in zip(images, scores, strict=False)])
    store.add_scores(project, MODEL, [Scored(images[3].path, None, "cut short")])
    store.set_threshold(project, MODEL, LINE)
    store.label(project, {images[0].path: Label.GOOD})
    rows = store.rows(project)
    assert [row["verdict"] for row in rows] == ["good", "uncertain", "defect", "error"]
    assert rows[0]["labelled_by"] == "kim"
    assert rows[1]["labelled_by"] == BY_FOLDER
    assert {row["model"] for row in rows} == {MODEL}
    assert {row["threshold_by"] for row in rows} == {"kim"}
    assert rows[3]["message"] == "cut short"
    assert all(row["sha256"] and row["bytes"] == 100 for row in rows)


def test_that_another_models_scores_do_not_mix_with_the_first_ones(
    store: ReviewStore, project: int, images: tuple[Sample, ...], tmp_path: Path
) -> None:
    store.add_scores(project, MODEL, [Scored(sample.path, 0.1, None) for sample in images])
    store.set_threshold(project, MODEL, LINE)
    store.add_model(OTHER, tmp_path / "other.cfa")
    store.add_scores(project, OTHER, [Scored(images[0].path, 7.0, None)])
    stored = store.load(project)
    assert stored.model_identity == OTHER
    assert {path: result.score for path, result in stored.scores.items()} == {images[0].path: 7.0}
    assert stored.threshold is None
    store.set_threshold(project, MODEL, replace(LINE, value=0.75))
    assert len(store.load(project).scores) == 4


def test_that_the_same_score_again_is_not_repeated(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    for score in (0.1, 0.1, 0.2, 0.2):
        store.add_scores(project, MODEL, [Scored(images[0].path, score, None)])
    with closing(sqlite3.connect(store.path)) as raw:
        (count,) = raw.execute("SELECT count(*) FROM score").fetchone()
    assert count == 2


def test_that_images_added_twice_are_there_once_and_keep_their_labels(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    store.label(project, {images[1].path: Label.DEFECT})
    store.add_images(project, images)
    stored = store.load(project)
    assert len(stored.samples) == 4
    assert stored.samples[1].label is Label.DEFECT


@pytest.mark.skipif(sys.platform == "win32", reason="names there are always text")
def test_that_names_that_are_no_text_come_back_byte_for_byte(store: ReviewStore, tmp_path: Path) -> None:
    project = store.create_project("line '; DROP TABLE label; --")
    names = [os.fsdecode(b"\xff\xfe part.png"), "new\nline.png", "=cmd|' /C calc'!A0.png", "𝕏" * 60 + ".png", "<b>.png"]
    samples = tuple(Sample(tmp_path / name, name, None, "", None) for name in names)
    store.add_images(project, samples)
    store.label(project, {sample.path: Label.GOOD for sample in samples})
    stored = store.load(project)
    assert [sample.path for sample in stored.samples] == [sample.path for sample in samples]
    assert all(sample.label is Label.GOOD for sample in stored.samples)
    assert store.projects()[0].name == "line '; DROP TABLE label; --"


# --- moved folders ----------------------------------------------------------------------------------------------------


def test_that_images_in_a_folder_that_moved_are_found_by_their_content(
    store: ReviewStore, project: int, images: tuple[Sample, ...], tmp_path: Path
) -> None:
    store.add_scores(project, MODEL, [Scored(sample.path, 0.5, None) for sample in images[:3]])
    store.label(project, {images[0].path: Label.DEFECT})
    moved = tmp_path / "archive"
    images[0].path.parent.rename(moved)
    (moved / "0.png").rename(moved / "renamed.png")
    (moved / "1.png").write_bytes(b"x" * 100)
    assert len(store.missing(project)) == 4
    assert store.relocate(project, sorted(moved.iterdir())) == 2
    stored = store.load(project)
    assert stored.samples[0].path == moved / "renamed.png"
    assert stored.samples[0].label is Label.DEFECT
    assert stored.scores[moved / "renamed.png"].score == 0.5
    assert stored.samples[1].path == images[1].path  # another content now
    assert stored.samples[2].path == moved / "2.png"
    assert store.relocate(project, sorted(moved.iterdir())) == 0


# --- two programs -----------------------------------------------------------------------------------------------------


def test_that_a_project_is_claimed_by_one_program_until_it_lets_go(store: ReviewStore, project: int) -> None:
    program = (
        "import sys; from pathlib import Path; from core.review import ReviewStore\n"
        f"store = ReviewStore(Path({str(store.path)!r}))\n"
        f"print(store.claim({project}), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        assert not store.claim(project)
        assert store.claim(project + 1)
        other.kill()
        other.wait()
        assert store.claim(project)
        assert store.claim(project)
    finally:
        other.kill()
        other.communicate()


def test_that_two_programs_may_make_the_store_at_once(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def make(path: Path, ready: threading.Barrier) -> None:
        ready.wait()
        try:
            ReviewStore(path).close()
        except StoreError as error:
            failed.append(error)

    for number in range(10):
        ready = threading.Barrier(4)
        path = tmp_path / f"{number}.sqlite"
        threads = [threading.Thread(target=make, args=(path, ready)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ReviewStore(path, read_only=True) as store:
            assert store.check() == []
    assert failed == []


def test_that_two_programs_write_at_once_and_lose_nothing(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    def write(user: str) -> None:
        with ReviewStore(store.path, user=user) as opened:
            for _ in range(25):
                opened.label(project, {images[0].path: Label.GOOD})

    threads = [threading.Thread(target=write, args=(user,)) for user in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    users = [row["user"] for row in store.history(project) if row["image"] == "0.png"]
    assert sorted(users) == ["ann"] * 25 + ["bob"] * 25


KILLED_WHILE_LABELLING = """
import sys
from pathlib import Path
from core.review import ReviewStore
from core.samples import Label
store = ReviewStore(Path(sys.argv[1]))
for number in range(100_000):
    store.label(int(sys.argv[2]), {Path(sys.argv[3]): (Label.GOOD, Label.DEFECT)[number % 2]})
    print(number, flush=True)
"""


def test_that_no_label_is_lost_once_it_was_written_when_the_program_is_killed(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_LABELLING, str(store.path), str(project), str(images[0].path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for _ in range(20):
            program.stdout.readline()
        program.kill()
        shown = 20 + len(program.stdout.read().splitlines())
    written = sum(row["image"] == "0.png" for row in store.history(project))
    assert written in (shown, shown + 1)
    assert store.check() == []


# --- what may be wrong with the file ----------------------------------------------------------------------------------


def test_that_a_store_of_a_newer_program_is_refused_and_left_alone(store: ReviewStore) -> None:
    store.close()
    raw = sqlite3.connect(store.path)
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    content = store.path.read_bytes()
    with pytest.raises(StoreError, match="newer program"):
        ReviewStore(store.path)
    assert store.path.read_bytes() == content


def test_that_other_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("no database" * 100)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE mine (a)")
    raw.close()
    for path in (text, other):
        content = path.read_bytes()
        with pytest.raises(StoreError, match="no review store"):
            ReviewStore(path)
        assert path.read_bytes() == content
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        ReviewStore(tmp_path / "nowhere.sqlite", read_only=True)
    with pytest.raises(StoreError, match="cannot be opened: Is a directory"):
        ReviewStore(tmp_path)


def test_that_a_damaged_store_is_told(store: ReviewStore, project: int) -> None:
    store.close()
    data = bytearray(store.path.read_bytes())
    data[4096 : len(data) : 7] = b"\xff" * len(range(4096, len(data), 7))
    store.path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), ReviewStore(store.path, read_only=True) as opened:
        assert opened.check()
        opened.load(project)


def test_that_what_does_not_belong_is_refused_and_nothing_is_half_written(
    store: ReviewStore, project: int, images: tuple[Sample, ...], tmp_path: Path
) -> None:
    before = store.history(project)
    with pytest.raises(StoreError, match="not in this review"):
        store.label(project, {images[0].path: Label.GOOD, tmp_path / "stranger.png": Label.GOOD})
    with pytest.raises(StoreError, match="not in this store"):
        store.set_threshold(project, OTHER, LINE)
    with pytest.raises(StoreError, match="no review 99"):
        store.load(99)
    assert store.history(project) == before


def test_that_a_removed_project_takes_all_that_is_its_own_along(
    store: ReviewStore, project: int, images: tuple[Sample, ...]
) -> None:
    store.add_scores(project, MODEL, [Scored(images[0].path, 0.1, None)])
    store.set_threshold(project, MODEL, LINE)
    store.remove_project(project)
    raw = sqlite3.connect(store.path)
    assert [
        raw.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("image", "score", "label", "threshold")
    ] == [0] * 4
    raw.close()
    assert store.check() == []
