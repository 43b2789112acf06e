"""What the window keeps as the user goes along."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.review import Group
from cfa_gui.models.session import Keeping
from core.errors import OutputError
from core.samples import Label
from tests.cfa_gui.bench import Bench, working_bench
from tests.cfa_gui.fake_engine import FakeEngine, fake_model, manual, write_picture
from tests.cfa_gui.kept_reviews import reviewed, saved, stored


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    with working_bench(qtbot, tmp_path) as made:
        made.parts.keeping.start()
        yield made


def test_that_the_store_has_what_the_window_says_is_saved(bench: Bench) -> None:
    reviewed(bench)
    with stored(bench) as store:
        (project,) = store.projects()
        kept = store.load(project.id)
    review = bench.session.review
    assert [sample.path for sample in kept.samples] == [sample.path for sample in review.samples]
    groups = {None: Group.UNLABELLED, Label.GOOD: Group.GOOD, Label.DEFECT: Group.DEFECT}
    assert [groups[sample.label] for sample in kept.samples] == review.groups.tolist()
    assert [kept.scores[sample.path].score for sample in review.samples] == review.scores.tolist()
    assert kept.threshold == bench.session.threshold
    assert kept.model_path is not None
    assert kept.model_path.exists()
    assert project.view["current"] == str(review.samples[2].path)


def test_that_an_undo_is_kept_as_one(bench: Bench) -> None:
    reviewed(bench)
    bench.parts.review.undo()
    saved(bench)
    with stored(bench) as store:
        log = [
            (row["value"], row["undo"])
            for row in store.history(1)
            if row["what"] == "label" and row["user"] != "folder"
        ]
    assert log == [("defect", 0), ("defect", 0), ("good", 1), ("good", 1)]


def test_that_a_training_begins_no_new_review_but_its_scores_count(bench: Bench) -> None:
    reviewed(bench)
    with stored(bench) as store:
        first = store.load(1)
    bench.engine.calibration = tuple(number / 5 for number in range(1, 31))
    bench.train()
    bench.parts.keeping._settle.timeout.emit()
    saved(bench)
    with stored(bench) as store:
        (project,) = store.projects()
        kept = store.load(project.id)
    assert kept.model_identity != first.model_identity
    assert len(kept.scores) == 8
    assert kept.threshold == bench.session.threshold
    assert kept.model_path is not None
    assert [path.name for path in kept.model_path.parent.iterdir()] == [kept.model_path.name]  # the old copy is gone


def test_that_a_model_that_cannot_be_kept_lends_its_scores_to_no_other(bench: Bench) -> None:
    root = reviewed(bench)
    with stored(bench) as store:
        before = store.load(1)

    def full(model: object, path: Path) -> None:
        raise OutputError(f"{path} cannot be written: No space left on device. Choose another place.")

    bench.engine.save = full  # type: ignore[method-assign]
    write_picture(root / "test" / "good" / "000.png", 99)  # scores otherwise from now on
    bench.engine.calibration = tuple(number / 5 for number in range(1, 31))
    bench.train()
    bench.until(lambda: not bench.parts.keeping._runner.busy)
    assert bench.session.keeping is Keeping.FAILED
    assert any("No space left on device" in text for text in bench.texts("error"))
    with stored(bench) as store:
        after = store.load(1)
    assert (after.model_identity, after.scores) == (before.model_identity, before.scores)


def test_that_the_latest_model_comes_back_even_before_it_has_scored(bench: Bench) -> None:
    reviewed(bench)
    bench.session.review.forget_results()
    model = fake_model((1.0, 2.0))
    bench.session.set_model(model, None)
    saved(bench)
    with stored(bench) as store:
        kept = store.load(1)
    assert kept.model_identity == bench.engine.identity(model)
    assert kept.scores == {}


def test_that_an_emptied_list_begins_another_review(bench: Bench) -> None:
    root = reviewed(bench)
    bench.session.clear_images()
    bench.parts.inspect.open([root / "test" / "good"])
    bench.until_idle()
    saved(bench)
    with stored(bench) as store:
        assert sorted(project.images for project in store.projects()) == [4, 8]
        assert store.load(2).threshold == bench.session.threshold


def test_that_what_waits_is_written_at_the_end(bench: Bench) -> None:
    reviewed(bench)
    bench.session.select((5,), 5)
    bench.parts.review.good()
    bench.parts.threshold.move(3.25)
    bench.parts.shutdown()
    with stored(bench) as store:
        kept = store.load(1)
    assert kept.samples[5].label is Label.GOOD
    assert kept.threshold is not None
    assert kept.threshold.value == 3.25


def test_that_a_store_that_cannot_be_written_is_told_once_and_the_work_goes_on(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with working_bench(qtbot, tmp_path) as bench:
        bench.parts.keeping.start()
        bench.open_parts()
        bench.train()
        bench.session.select((0,), 0)
        bench.parts.review.defect()
        bench.until(lambda: not bench.parts.keeping._runner.busy)
        (sentence,) = bench.texts("error")
        assert sentence.startswith("Labels and scores are in this window only. The review store")
        assert bench.session.keeping is Keeping.FAILED
        assert not bench.parts.keeping.keeps
        assert bench.session.review.groups[0] == Group.DEFECT


def test_that_a_band_is_kept_with_the_threshold(bench: Bench) -> None:
    reviewed(bench)
    bench.session.set_threshold(replace(manual(6.0), lower=5.0))
    bench.parts.keeping._settle.timeout.emit()
    saved(bench)
    with stored(bench) as store:
        assert store.load(1).threshold == replace(manual(6.0), lower=5.0)


def test_that_without_a_store_nothing_is_kept_and_nothing_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    from cfa_gui.composition import Composition
    from cfa_gui.settings import SettingsStore
    from tests.cfa_gui.bench import Answers

    parts = Composition(FakeEngine(), SettingsStore(tmp_path / "preferences.json"), Answers())
    parts.keeping.start()
    assert parts.session.keeping is Keeping.OFF
    parts.shutdown()
    parts.deleteLater()
    assert [path.name for path in tmp_path.iterdir()] in ([], ["preferences.json"])
