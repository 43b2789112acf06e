"""A review that is gone on with: after a restart, from a second window, with parts of it gone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.review import Group
from cfa_gui.models.session import Collection, Keeping
from core.review import ReviewStore
from core.samples import Label
from tests.cfa_gui.bench import Bench, working_bench
from tests.cfa_gui.kept_reviews import restarted, resumed, reviewed, saved, stored


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    with working_bench(qtbot, tmp_path) as made:
        made.parts.keeping.start()
        yield made


def test_that_after_a_restart_it_is_still_known_who_called_a_part_good(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    bench.session.select(tuple(np.flatnonzero(bench.session.review.groups == Group.GOOD)), 0)
    bench.parts.review.unlabel()
    bench.session.select((7,), 7)
    bench.parts.review.good()  # by hand: held-out parts go on to count beside it
    saved(bench)
    again = resumed(bench, qtbot).session.review
    before = bench.session.review.known()
    assert again.known().held_out == before.held_out > 0
    assert again.known().defect.tolist() == before.defect.tolist()


def test_that_a_review_is_gone_on_with_exactly_where_it_was(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    before = bench.session
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]  # what the end of a process does
    project = again.session.resumable
    assert project is not None
    assert (project.images, project.labels) == (8, 2)
    again.parts.keeping.resume()
    again.until(lambda: again.session.model is not None)
    session = again.session
    assert [sample.path for sample in session.review.samples] == [sample.path for sample in before.review.samples]
    assert session.review.groups.tolist() == before.review.groups.tolist()
    assert session.review.scores.tolist() == before.review.scores.tolist()
    assert session.review.known().held_out == before.review.known().held_out == 0
    assert session.threshold == before.threshold
    assert (session.current, session.shown) == (2, Collection.REVIEW)
    again.until_idle()
    assert all(session.maps.get(place) is not None for place in range(8))
    assert session.current == 2
    again.parts.review.good()
    saved(again)
    with stored(bench) as store:
        assert len(store.projects()) == 1
        assert store.load(1).samples[2].label is Label.GOOD
    again.parts.shutdown()
    again.parts.deleteLater()


def test_that_the_good_parts_come_back_as_they_were_left(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    assert bench.session.samples is not None
    bench.parts.samples.remove_paths([bench.session.samples.good[3].path])
    bench.parts.samples.add_good([bench.session.review.samples[5]])
    bench.train()
    bench.parts.keeping._look.timeout.emit()
    saved(bench)
    before = bench.session.samples
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    again.parts.keeping.resume()
    again.until(lambda: again.session.samples is not None and not again.session.samples.checking)
    again.until_idle()
    samples = again.session.samples
    assert samples is not None
    assert [sample.path for sample in samples.good] == [sample.path for sample in before.good]
    assert [sample.path for sample in samples.test] == [sample.path for sample in before.test]
    assert (samples.removed, samples.findings, samples.sizes) == (before.removed, before.findings, before.sizes)
    assert again.session.review.learned.tolist() == bench.session.review.learned.tolist()
    assert again.session.review.learned.sum() == 1
    assert again.session.shown is Collection.REVIEW
    assert again.session.allowed().train
    again.parts.samples.restore()
    again.parts.keeping._look.timeout.emit()
    saved(again)
    with stored(bench) as store:
        assert store.projects()[0].view["good"]["removed"] == []
    again.parts.shutdown()
    again.parts.deleteLater()


@pytest.mark.parametrize("kept", [{"opened": 3}, [], "x", {"opened": [], "removed": [], "added": []}])
def test_that_good_parts_that_the_store_does_not_know_cost_no_label(bench: Bench, qtbot: QtBot, kept: object) -> None:
    reviewed(bench)
    bench.parts.keeping._keeper._opened.set_view(1, {"good": kept, "learned": [3]})  # type: ignore[union-attr]
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    again.parts.keeping.resume()
    again.until(lambda: again.session.model is not None)
    again.until_idle()
    assert again.session.samples is None
    assert any("good parts" in text for text in again.texts("warning"))
    assert again.session.review.groups.tolist() == bench.session.review.groups.tolist()
    again.parts.shutdown()
    again.parts.deleteLater()


def test_that_good_parts_on_a_drive_that_is_away_are_not_forgotten(bench: Bench, qtbot: QtBot) -> None:
    root = reviewed(bench)
    away = root.with_name("away")
    root.rename(away)
    told = "The good parts are not where they were"
    without = resumed(bench, qtbot)
    assert without.session.samples is None
    assert any(told in text for text in without.texts("warning"))
    without.parts.keeping._look.timeout.emit()
    saved(without)
    without.parts.shutdown()
    without.parts.deleteLater()
    away.rename(root)
    again = resumed(bench, qtbot)
    assert again.session.samples is not None
    assert not any(told in text for text in again.texts("warning"))
    again.parts.shutdown()
    again.parts.deleteLater()


def test_that_a_second_window_says_so_and_only_looks(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    other = restarted(bench, qtbot)
    other.parts.keeping.resume()
    other.until(lambda: other.session.model is not None)
    other.until_idle()
    assert other.session.keeping is Keeping.READ_ONLY
    assert any("is open in another window" in text for text in other.texts("warning"))
    assert not other.session.allowed().label
    groups = other.session.review.groups.tolist()
    other.parts.review.good()
    assert other.session.review.groups.tolist() == groups
    with stored(bench) as store:
        log = store.history(1)
    other.parts.threshold.move(1.0)
    other.parts.shutdown()
    other.parts.deleteLater()
    with stored(bench) as store:
        assert store.history(1) == log


def test_that_a_second_window_may_begin_a_review_of_its_own(bench: Bench, qtbot: QtBot) -> None:
    root = reviewed(bench)
    other = restarted(bench, qtbot)
    other.parts.keeping.resume()
    other.until(lambda: other.session.keeping is Keeping.READ_ONLY)
    other.until_idle()
    other.session.clear_images()
    other.parts.inspect.open([root / "test" / "good"])
    other.until_idle()
    saved(other)
    other.session.select((0,), 0)
    assert other.session.allowed().label
    other.parts.review.defect()
    other.parts.shutdown()
    other.parts.deleteLater()
    with stored(bench) as store:
        assert store.load(2).samples[0].label is Label.DEFECT
        assert len(store.load(2).scores) == 4


@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_that_a_review_whose_opening_was_stopped_is_not_written_to(bench: Bench, qtbot: QtBot, ending: str) -> None:
    root = reviewed(bench)
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    again.parts.keeping.resume()
    if ending == "close":
        again.parts.shutdown()
    else:
        again.parts.tasks.cancel()
        again.until_idle()
        again.parts.deploy.open_model(next(iter(bench.engine.saved)))
        again.until_idle()
        again.parts.inspect.open([root / "test" / "good"])
        again.until_idle()
        saved(again)
        again.parts.shutdown()
    assert again.texts("error") == []
    again.parts.deleteLater()
    with stored(bench) as store:
        assert store.load(1).samples[0].path == bench.session.review.samples[0].path
        assert len(store.load(1).samples) == 8
        assert [project.images for project in store.projects()] == ([8] if ending == "close" else [4, 8])


def test_that_a_moved_folder_is_found_by_what_is_in_it(bench: Bench, qtbot: QtBot) -> None:
    root = reviewed(bench)
    moved = root.with_name("elsewhere")
    root.rename(moved)
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    again.parts.keeping.resume()
    again.until(lambda: again.session.model is not None)
    again.until_idle()
    (notice,) = [notice for notice in again.said if notice.action is not None]
    assert notice.text.startswith("8 images are no longer where the review left them")
    again.answers.path = moved
    assert notice.action is not None
    notice.action[1]()
    again.until(lambda: all(sample.path.is_file() for sample in again.session.review.samples))
    again.until_idle()
    assert again.session.review.groups.tolist() == bench.session.review.groups.tolist()
    assert again.session.review.scored.all()
    again.parts.shutdown()
    again.parts.deleteLater()


def test_that_a_model_that_is_gone_costs_no_label(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    bench.engine.saved.clear()
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    again.parts.keeping.resume()
    again.until(lambda: len(again.session.review) == 8)
    again.until_idle()
    assert again.session.model is None
    assert any("is not a model of this program" in text for text in again.texts("warning"))
    assert again.session.review.groups.tolist() == bench.session.review.groups.tolist()
    again.parts.shutdown()
    again.parts.deleteLater()


def test_that_a_review_that_was_removed_meanwhile_is_offered_no_longer(bench: Bench, qtbot: QtBot) -> None:
    reviewed(bench)
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]
    with ReviewStore(bench.folder / "store" / "reviews.sqlite") as store:
        store.remove_project(1)
    again.parts.keeping.resume()
    again.until(lambda: again.session.resumable is None)
    again.until_idle()
    assert any("There is no review 1 in" in text for text in again.texts("error"))
    assert not len(again.session.review)
    again.parts.shutdown()
    again.parts.deleteLater()
