"""Labels, threshold, model file and pictures, with a fake engine."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.review import Group, Query, Show
from cfa_gui.models.run_state import RunState
from cfa_gui.models.session import Collection
from core.errors import OutputError
from core.threshold import BestF1, FalseAlarmRate, Manual
from tests.cfa_gui.bench import Bench, working_bench
from tests.cfa_gui.fake_engine import CALIBRATION, fake_model, write_picture


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    """Trained and inspected: 4 good images at about 1.2 to 1.8, 4 defects at 15 and more."""
    with working_bench(qtbot, tmp_path) as made:
        made.open_parts()
        made.train()
        made.said.clear()
        yield made


def value(bench: Bench) -> float:
    assert bench.session.threshold is not None
    return bench.session.threshold.value


# threshold


def test_that_the_threshold_moves_by_hand_and_comes_back(bench: Bench) -> None:
    first = bench.session.threshold
    bench.parts.threshold.move(7.5)
    assert value(bench) == 7.5
    assert bench.session.threshold is not None
    assert isinstance(bench.session.threshold.policy, Manual)
    bench.parts.threshold.reset()
    assert bench.session.threshold == first


def test_that_best_f1_parts_good_from_defective(bench: Bench) -> None:
    bench.parts.threshold.best_f1()
    assert bench.session.review.sorted_scores().confusion_at(value(bench)).f1 == 1.0


def test_that_best_f1_needs_no_good_image_where_some_were_held_out(bench: Bench) -> None:
    bench.session.select(tuple(np.flatnonzero(bench.session.review.groups == Group.GOOD)), 0)
    bench.parts.review.unlabel()
    bench.parts.threshold.best_f1()
    assert bench.session.threshold is not None
    assert bench.session.threshold.policy == BestF1(4 + len(CALIBRATION), 1.0)
    assert max(CALIBRATION) < value(bench) < bench.session.review.scores[bench.session.review.groups == 2].min()
    bench.parts.review.good()
    assert bench.session.threshold.policy == BestF1(8, 1.0)


def test_that_one_flagged_part_labelled_good_does_not_make_the_best_f1_flag_everything(bench: Bench) -> None:
    review = bench.session.review
    bench.session.select(tuple(np.flatnonzero(review.groups == Group.GOOD)), 0)
    bench.parts.review.unlabel()
    bench.parts.threshold.best_f1()
    highest = int(np.nanargmax(review.scores))
    bench.session.select((highest,), highest)
    bench.parts.review.good()
    assert bench.session.threshold is not None
    policy = bench.session.threshold.policy
    assert isinstance(policy, BestF1)
    assert policy.images == 4 + len(CALIBRATION)
    assert policy.f1 == pytest.approx(6 / 7)
    assert value(bench) > max(CALIBRATION)


def test_that_a_cleared_list_and_another_model_know_which_images_were_held_out(bench: Bench) -> None:
    session = bench.session
    (place,) = np.flatnonzero(session.review.groups == Group.DEFECT)[:1]
    defect = session.review.samples[place]
    session.clear_images()
    session.add_images((defect,))
    session.review.scores[:] = 2.05
    assert session.review.has_both_classes()
    session.set_model(fake_model(scores=()), None)
    session.review.scores[:] = 2.05
    assert not session.review.has_both_classes()


def test_that_best_f1_follows_the_labels_while_it_is_the_policy(bench: Bench) -> None:
    bench.parts.threshold.best_f1()
    before = value(bench)
    lowest_defect = int(np.argsort(bench.session.review.scores)[4])
    bench.session.select((lowest_defect,), lowest_defect)
    bench.parts.review.good()
    assert value(bench) > before
    assert bench.session.threshold is not None
    assert isinstance(bench.session.threshold.policy, BestF1)
    bench.parts.threshold.move(3.0)
    bench.parts.review.undo()
    assert value(bench) == 3.0


def test_that_a_rate_that_cannot_be_promised_is_explained_and_changes_nothing(bench: Bench) -> None:
    before = bench.session.threshold
    bench.parts.threshold.false_alarm_rate(0.001)
    assert bench.session.threshold is before
    assert len(bench.texts("warning")) == 1
    bench.parts.threshold.false_alarm_rate(0.2)
    assert bench.session.threshold is not None
    assert bench.session.threshold.policy == FalseAlarmRate(0.2, 30)


def test_that_the_uncertain_band_lies_below_the_threshold_and_moves_with_it(bench: Bench) -> None:
    bench.parts.threshold.move(10.0)
    bench.parts.threshold.use_band(wanted=True)
    assert bench.session.threshold is not None
    lower = bench.session.threshold.lower
    assert lower is not None
    assert lower < 10.0
    bench.parts.threshold.move_lower(99.0)
    assert bench.session.threshold.lower == 10.0
    bench.parts.threshold.move(2.0)
    assert bench.session.threshold.lower == 2.0
    bench.parts.threshold.use_band(wanted=False)
    assert bench.session.threshold.lower is None


def test_that_a_threshold_that_is_no_number_is_refused(bench: Bench) -> None:
    before = bench.session.threshold
    bench.parts.threshold.move(float("nan"))
    assert bench.session.threshold is before
    assert bench.texts("error")


# labels and walking


def test_that_bulk_labels_can_be_undone_from_the_message(bench: Bench) -> None:
    before = bench.session.review.groups.copy()
    bench.session.select((0, 1, 2), 0)
    bench.parts.review.unlabel()
    assert set(bench.session.review.groups[:3]) == {Group.UNLABELLED}
    assert bench.said[-1].action is not None
    bench.said[-1].action[1]()
    np.testing.assert_array_equal(bench.session.review.groups, before)


def test_that_next_and_previous_stay_inside_the_list(bench: Bench) -> None:
    order = list(bench.parts.images.order)
    assert bench.session.current == order[0]
    bench.parts.review.previous()
    assert bench.session.current == order[0]
    for _ in range(20):
        bench.parts.review.next()
    assert bench.session.current == order[-1]


def test_that_next_flagged_skips_what_passes(bench: Bench) -> None:
    bench.parts.threshold.move(16.0)
    flagged = set(np.flatnonzero(bench.session.review.scores > 16.0))
    seen = set()
    for _ in range(len(flagged)):
        bench.parts.review.next_flagged()
        seen.add(bench.session.current)
    assert seen == flagged
    bench.parts.threshold.move(99.0)
    bench.parts.review.next_flagged()
    assert "flagged" in bench.said[-1].text


def test_that_good_parts_are_never_labelled(bench: Bench) -> None:
    bench.session.show(Collection.SAMPLES)
    bench.session.select((0,), 0)
    before = bench.session.review.groups.copy()
    bench.parts.review.defect()
    np.testing.assert_array_equal(bench.session.review.groups, before)


# the list


def test_that_the_list_shows_the_query_and_follows_the_threshold(bench: Bench) -> None:
    images = bench.parts.images
    assert images.rowCount() == 8
    images.set_query(Query(Show.FLAGGED))
    bench.parts.threshold.move(16.0)
    assert images.rowCount() == int((bench.session.review.scores > 16.0).sum())
    assert images.row_of(images.place_of(0)) == 0
    assert images.place_of(99) == -1


def test_that_names_are_shown_without_the_folders_they_share(bench: Bench) -> None:
    names = {bench.parts.images.index(row).data() for row in range(8)}
    assert "scratch/000.png" in names


# the model file


def test_that_a_model_is_saved_and_opened_with_the_same_scores(bench: Bench, tmp_path: Path) -> None:
    bench.parts.threshold.move(3.25)
    before = bench.session.review.scores.copy()
    bench.answers.path = tmp_path / "part"
    bench.parts.deploy.save()
    bench.until_idle()
    assert not bench.session.model_unsaved
    assert bench.session.model_path == tmp_path / "part.cfa"
    assert bench.settings.preferences.recent_models == (str(tmp_path / "part.cfa"),)
    bench.parts.deploy.open_model(tmp_path / "part.cfa")
    bench.until_idle()
    bench.until(lambda: bool(bench.session.review.scored.all()))
    bench.until_idle()
    np.testing.assert_array_equal(bench.session.review.scores, before)
    assert value(bench) == 3.25
    assert not bench.answers.asked[1:]


def test_that_a_full_disk_at_save_keeps_the_model_unsaved(bench: Bench, tmp_path: Path) -> None:
    bench.answers.path = tmp_path / "part.cfa"
    bench.engine.error = OutputError("There is no room on the disk. Make room, or choose another folder.")
    bench.parts.deploy.save()
    bench.until_idle()
    assert bench.session.model_unsaved
    assert bench.session.model_path is None
    assert "no room" in bench.texts("error")[0]


@pytest.mark.parametrize(("parts", "promised"), [((), 1 / 21), (tuple(number // 2 for number in range(20)), 1 / 11)])
def test_that_a_model_without_threshold_gets_the_one_that_its_held_out_images_promise(
    bench: Bench, tmp_path: Path, parts: tuple[int, ...], promised: float
) -> None:
    model = fake_model(tuple(number / 10 for number in range(20)))
    bench.engine.save(replace(model, calibration=replace(model.calibration, parts=parts)), tmp_path / "bare.cfa")
    bench.parts.deploy.open_model(tmp_path / "bare.cfa")
    bench.until_idle()
    threshold = bench.session.threshold
    assert threshold is not None
    assert isinstance(threshold.policy, FalseAlarmRate)
    assert threshold.policy.rate == pytest.approx(max(promised, 0.05))
    assert threshold.policy.parts == (len(set(parts)) or None)
    assert bench.session.first_threshold == threshold


def test_that_a_model_of_another_version_leaves_what_was_there(bench: Bench, tmp_path: Path) -> None:
    before = bench.session.model
    bench.parts.deploy.open_model(write_picture(tmp_path / "x.png", 1).rename(tmp_path / "old.cfa"))
    bench.until_idle()
    assert bench.session.model is before
    assert bench.session.review.scored.all()
    assert "old.cfa" in bench.texts("error")[0]


@pytest.mark.parametrize(("answer", "trains"), [("discard", True), ("cancel", False), ("save", True)])
def test_that_an_unsaved_model_asks_once_before_another_training(
    bench: Bench, tmp_path: Path, answer: str, trains: bool
) -> None:
    bench.answers.answer, bench.answers.path = answer, tmp_path / "kept.cfa"
    count = len(bench.engine.trained)
    bench.parts.start_training()
    bench.until_idle()
    bench.until(lambda: (len(bench.engine.trained) > count) == trains)
    bench.until_idle()
    assert sum(question.startswith("unsaved") for question in bench.answers.asked) == 1
    assert (tmp_path / "kept.cfa").exists() == (answer == "save")


def test_that_a_saved_model_asks_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.answers.path = tmp_path / "part.cfa"
    bench.parts.deploy.save()
    bench.until_idle()
    bench.answers.asked.clear()
    bench.train()
    assert bench.answers.asked == []


def test_that_no_place_to_save_means_nothing_happens(bench: Bench) -> None:
    bench.answers.path = None
    bench.parts.deploy.save_as()
    assert bench.session.state is RunState.IDLE
    assert bench.session.model_unsaved


# pictures


def test_that_the_current_picture_arrives_with_its_truth(bench: Bench) -> None:
    with bench.qtbot.waitSignal(bench.parts.pictures.picture_ready) as arrived:
        bench.parts.review.next()
    picture = arrived.args[0]
    sample = bench.session.current_sample()
    assert sample is not None
    assert picture.path == sample.path
    assert picture.pixels.shape == (24, 32, 3)
    assert picture.truth is not None
    assert picture.truth.all()


def test_that_a_picture_that_cannot_be_read_says_why(bench: Bench) -> None:
    place = int(np.argsort(bench.session.review.scores)[2])
    bench.session.review.samples[place].path.unlink()
    with bench.qtbot.waitSignal(bench.parts.pictures.picture_failed) as failed:
        bench.session.select((place,), place)
    assert failed.args[0]
