"""Run state, samples, review and maps: the truth, without a window."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfa_gui.models.flagged import listed_regions, map_rectangle
from cfa_gui.models.maps import MapStore
from cfa_gui.models.review import Group, Mark, Query, Review, Show, Sort
from cfa_gui.models.run_state import Facts, ImpossibleTransitionError, RunState, allowed, require_transition
from cfa_gui.models.samples import SampleSet, count_sizes, merge, read_dataset
from cfa_gui.models.session import Collection, Session
from cfa_gui.panels.samples import others_text
from core.config import Preprocessing, Region, Resizing
from core.dataset import Dataset, Label, Layout, Sample
from core.leftovers import remove_leftovers
from core.placement import place
from core.threshold import manual_threshold
from core.trained_model import Calibration
from tests.cfa_gui.fake_engine import fake_model, write_picture


def sample(name: str, label: Label | None = None) -> Sample:
    return Sample(Path("/parts") / name, name, label, label or "", None)


def review_of(scores: list[float | None], groups: list[int]) -> Review:
    labels = {0: None, 1: Label.GOOD, 2: Label.DEFECT}
    review = Review()
    review.add([sample(f"{number}.png", labels[group]) for number, group in enumerate(groups)])
    where = place((24, 32), Preprocessing(), 32)
    for number, score in enumerate(scores):
        if score is not None:
            review.record(number, score, where)
    return review


# run state


def test_that_every_working_state_can_be_cancelled_and_only_then_ends_idle() -> None:
    for state in (RunState.OPENING, RunState.SAVING, RunState.TRAINING, RunState.INSPECTING):
        require_transition(RunState.IDLE, state)
        require_transition(state, RunState.CANCELLING)
        require_transition(state, RunState.IDLE)
    require_transition(RunState.CANCELLING, RunState.IDLE)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (RunState.TRAINING, RunState.INSPECTING),
        (RunState.CANCELLING, RunState.TRAINING),
        (RunState.IDLE, RunState.CANCELLING),
        (RunState.IDLE, RunState.IDLE),
    ],
)
def test_that_an_impossible_change_of_state_is_a_bug(now: RunState, then: RunState) -> None:
    with pytest.raises(ImpossibleTransitionError):
        require_transition(now, then)


def test_that_nothing_that_replaces_something_may_be_pressed_while_working() -> None:
    busy = allowed(Facts(RunState.TRAINING, 60, has_model=True, images=5, scored=5, selected=1, can_undo=True))
    assert busy.cancel
    assert not (busy.open or busy.train or busy.inspect or busy.save or busy.draw or busy.add_good or busy.clear)
    assert busy.label
    assert busy.threshold


def test_that_training_needs_samples_and_inspecting_needs_a_model() -> None:
    empty = allowed(Facts())
    assert empty.open
    assert not (empty.train or empty.inspect or empty.save or empty.label or empty.threshold or empty.cancel)
    assert allowed(Facts(samples=1)).train
    assert allowed(Facts(has_model=True)).inspect


# samples


def dataset(*names: str, test: tuple[str, ...] = ()) -> Dataset:
    return Dataset(Path("/parts"), Layout.FOLDER, tuple(map(sample, names)), tuple(map(sample, test)))


def test_that_removed_images_come_back_in_their_place() -> None:
    samples = SampleSet(dataset("a", "b", "c"))
    fewer = samples.without([Path("/parts/b")])
    assert [s.name for s in fewer.good] == ["a", "c"]
    assert [s.name for s in fewer.with_all().good] == ["a", "b", "c"]


def test_that_a_false_alarm_added_to_the_good_parts_leaves_the_test_images() -> None:
    samples = SampleSet(dataset("a", test=("t", "u")))
    more = samples.with_good([sample("t"), sample("a")])
    assert [s.name for s in more.good] == ["a", "t"]
    assert [s.name for s in more.test] == ["u"]
    assert more.with_good([sample("t")]).good == more.good


def test_that_several_folders_become_one_set_without_doubles() -> None:
    one = Dataset(Path("/parts/x"), Layout.FOLDER, (sample("a"), sample("b")), ())
    two = Dataset(Path("/parts/y"), Layout.FOLDER, (sample("b"), sample("c")), ())
    both = merge([one, two], (sample("d"),))
    assert [s.name for s in both.good] == ["a", "b", "c", "d"]
    assert both.root == Path("/parts")
    assert merge([one]) is one


def test_that_a_folder_of_defects_dropped_beside_good_parts_is_not_learned_from(tmp_path: Path) -> None:
    ok, ng = write_picture(tmp_path / "OK" / "1.png", 10), write_picture(tmp_path / "NG" / "2.png", 200)
    for paths in ([ok.parent, ng.parent], [tmp_path]):
        found = read_dataset(paths)
        assert [s.path for s in found.good] == [ok]
        assert [(s.path, s.label, s.kind) for s in found.test] == [(ng, Label.DEFECT, "NG")]
        text = others_text(SampleSet(found))
        assert text == "Not learned from: 1 image in NG, by the folders' names. Inspected after training."
    assert [s.path for s in read_dataset([ng.parent]).good] == [ng], "chosen by itself it is what the user says"


def test_that_sizes_are_counted_most_frequent_first() -> None:
    assert count_sizes([(1, 2), (3, 4), (3, 4)]) == (((3, 4), 2), ((1, 2), 1))


# review


def test_that_an_image_added_twice_is_there_once() -> None:
    review = Review()
    first = review.add([sample("a"), sample("b")])
    again = review.add([sample("b"), sample("c"), sample("c")])
    assert list(first) == [0, 1]
    assert list(again) == [1, 2, 2]
    assert len(review) == 3
    assert review.scores.shape == review.groups.shape == review.failed.shape == (3,)


def test_that_labels_come_from_folders_and_survive_another_model() -> None:
    review = review_of([1.0, 2.0, None], [1, 2, 0])
    review.label([2], Group.DEFECT)
    review.forget_results()
    assert list(review.groups) == [Group.GOOD, Group.DEFECT, Group.DEFECT]
    assert not review.scored.any()


def test_that_undo_takes_back_bulk_labels_one_step_at_a_time() -> None:
    review = review_of([1, 2, 3], [1, 2, 0])
    assert review.label([0, 1, 2], Group.DEFECT)
    assert review.label([0], Group.UNLABELLED)
    assert not review.label([0], Group.UNLABELLED)
    assert list(review.undo()) == [0]
    assert list(review.groups) == [2, 2, 2]
    review.undo()
    assert list(review.groups) == [1, 2, 0]
    assert not review.can_undo
    assert review.undo().size == 0


def test_that_marks_follow_both_lines_strictly_above() -> None:
    review = review_of([1.0, 1.5, 2.0, 2.5, None], [0] * 5)
    review.record_failure(4, "cannot be read")
    threshold = manual_threshold(2.0).with_lower(1.0)
    expected = [Mark.GOOD, Mark.UNCERTAIN, Mark.UNCERTAIN, Mark.DEFECT, Mark.FAILED]
    assert list(review.marks(threshold)) == expected
    assert [review.mark_of(place, threshold) for place in range(5)] == expected
    assert set(review.marks(None)) == {Mark.WAITING, Mark.FAILED}


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        (Show.ALL, [3, 2, 1, 0, 4]),
        (Show.FLAGGED, [3, 2]),
        (Show.PASSED, [1, 0]),
        (Show.FALSE_ALARM, [2]),
        (Show.MISSED, [1]),
        (Show.TRUE_DEFECT, [3]),
        (Show.TRUE_GOOD, [0]),
        (Show.UNLABELLED, [4]),
        (Show.FAILED, []),
        (Show.UNCERTAIN, [1]),
    ],
)
def test_that_each_filter_shows_its_images_highest_first(show: Show, expected: list[int]) -> None:
    review = review_of([1.0, 2.0, 3.0, 4.0, None], [1, 2, 1, 2, 0])
    assert list(review.rows(Query(show), manual_threshold(2.5).with_lower(1.5))) == expected


def test_that_lowest_first_keeps_images_without_score_last() -> None:
    review = review_of([3.0, None, 1.0], [0, 0, 0])
    assert list(review.rows(Query(sort=Sort.LOWEST), None)) == [2, 0, 1]
    assert list(review.rows(Query(sort=Sort.NAME), None)) == [0, 1, 2]


def test_that_search_ignores_case_and_joins_the_filter() -> None:
    review = Review()
    review.add([sample("Bolt_1.png"), sample("nut_1.png"), sample("bolt_2.png")])
    assert list(review.rows(Query(sort=Sort.NAME, search="BOLT"), None)) == [0, 2]


def test_that_next_flagged_begins_again_at_the_top() -> None:
    review = review_of([3.0, 1.0, 4.0], [0, 0, 0])
    rows = np.array([0, 1, 2])
    threshold = manual_threshold(2.0)
    assert review.next_flagged(rows, 0, threshold) == 2
    assert review.next_flagged(rows, 2, threshold) == 0
    assert review.next_flagged(rows, -1, manual_threshold(9.0)) == -1


@given(
    st.lists(st.tuples(st.floats(0, 10), st.sampled_from([1, 2])), min_size=1, max_size=40),
    st.floats(-1, 11),
)
def test_that_matrix_and_filters_always_agree(pairs: list[tuple[float, int]], value: float) -> None:
    review = review_of([score for score, _ in pairs], [group for _, group in pairs])
    counts = review.sorted_scores().confusion_at(value)
    threshold = manual_threshold(value)
    shown = {show: len(review.rows(Query(show), threshold)) for show in Show}
    assert (counts.true_good, counts.false_alarm) == (shown[Show.TRUE_GOOD], shown[Show.FALSE_ALARM])
    assert (counts.missed, counts.true_defect) == (shown[Show.MISSED], shown[Show.TRUE_DEFECT])


def test_that_held_out_images_count_as_good_unless_a_folder_of_good_images_was_inspected() -> None:
    review = review_of([0.5, 2.5, 4.0], [0, 2, 2])
    review.set_calibration(Calibration(("a", "b"), (1.0, 3.0)))
    assert review.has_both_classes()
    assert review.known().held_out == 2
    counts = review.sorted_scores().confusion_at(2.0)
    assert (counts.true_good, counts.false_alarm, counts.missed, counts.true_defect) == (1, 1, 0, 2)
    review.label([0], Group.GOOD)  # by hand: perhaps just one that was flagged
    counts = review.sorted_scores().confusion_at(2.0)
    assert (counts.true_good, counts.false_alarm) == (2, 1)
    review.label([0, 1, 2], Group.UNLABELLED)
    assert not review.has_both_classes()
    assert review.known().held_out == len(review.known().scores) == 0


def test_that_a_folder_of_good_images_is_what_is_measured_on_alone() -> None:
    review = review_of([0.5, 2.5], [1, 2])
    review.set_calibration(Calibration(("a", "b"), (1.0, 3.0)))
    assert review.known().held_out == 0
    assert review.known().scores.tolist() == [0.5, 2.5]
    review.set_learned(frozenset({review.samples[0].path}))  # its score proves nothing
    assert review.known().held_out == 2
    assert review.known().scores.tolist() == [2.5, 1.0, 3.0]
    assert review.known().defect.tolist() == [True, False, False]


# maps


def test_that_maps_over_the_budget_come_back_from_disk_unchanged() -> None:
    store = MapStore(budget=3 * 64)
    maps = [np.full((4, 4), number, np.float32) for number in range(10)]
    for number, values in enumerate(maps):
        store.put(number, values)
    assert store._bytes <= 3 * 64
    for number, values in enumerate(maps):
        found = store.get(number)
        assert found is not None
        np.testing.assert_array_equal(found, values)
    folder = Path(store._folder.name) if store._folder else None
    assert folder is not None
    assert folder.is_dir()
    store.clear()
    assert not folder.exists()
    assert store.get(0) is None


def test_that_no_start_of_the_program_takes_the_maps_of_a_window_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = MapStore(budget=64)
    for number in range(2):
        store.put(number, np.full((4, 4), number, np.float32))
    in_a_week = time.time() + 7 * 24 * 3600
    assert remove_leftovers([], now=in_a_week) == []
    assert store.get(0) is not None
    assert store._in_use is not None
    store._in_use.release()  # what the end of a process does
    (left,) = tmp_path.iterdir()
    assert remove_leftovers([], now=in_a_week) == [left]
    store.clear()


def test_that_a_map_put_again_replaces_the_one_on_disk() -> None:
    store = MapStore(budget=64)
    store.put(0, np.zeros((4, 4), np.float32))
    store.put(1, np.ones((4, 4), np.float32))
    store.put(0, np.full((4, 4), 7, np.float32))
    store.put(1, np.ones((4, 4), np.float32))
    found = store.get(0)
    assert found is not None
    assert float(found[0, 0]) == 7
    store.clear()


# flagged regions in pixels of the picture


def test_that_regions_are_listed_in_pixels_of_the_picture() -> None:
    where = place((200, 100), Preprocessing(Resizing.SQUARE, image_size=64), 32)
    values = np.zeros((64, 64), np.float32)
    values[0:32, 32:64] = 5
    (region,) = listed_regions(values, where, 4.0)
    assert region.box == pytest.approx((0, 50, 100, 50))
    assert region.area == pytest.approx(5000)
    assert region.peak == 5
    assert map_rectangle(where) == (0, 0, 200, 100)


# session


def test_that_another_model_drops_results_and_keeps_labels(qapp: object) -> None:
    session = Session()
    session.add_images((sample("a", Label.GOOD),))
    session.review.record(0, 1.0, place((24, 32), Preprocessing(), 32))
    session.maps.put(0, np.zeros((2, 2), np.float32))
    session.set_model(fake_model(threshold=manual_threshold(2.0)), None)
    assert not session.review.scored.any()
    assert session.review.groups[0] == Group.GOOD
    assert session.maps.get(0) is None
    assert session.model_unsaved
    assert session.threshold == manual_threshold(2.0)


def test_that_a_moved_threshold_makes_a_saved_model_unsaved_and_saving_mends_it(qapp: object) -> None:
    session = Session()
    model = fake_model(threshold=manual_threshold(2.0))
    session.set_model(model, Path("part.cfa"))
    assert not session.model_unsaved
    session.set_threshold(manual_threshold(3.0))
    assert session.model_unsaved
    session.note_saved(model.with_threshold(session.threshold), Path("part.cfa"))
    assert not session.model_unsaved


def test_that_a_threshold_moved_while_saving_stays_unsaved(qapp: object) -> None:
    session = Session()
    model = fake_model(threshold=manual_threshold(2.0))
    session.set_model(model, None)
    written = model.with_threshold(session.threshold)
    session.set_threshold(manual_threshold(4.0))
    session.note_saved(written, Path("part.cfa"))
    assert session.model_unsaved


def test_that_regions_keep_the_name_of_the_preset(qapp: object) -> None:
    session = Session()
    session.set_regions((Region(((0, 0), (1, 0), (1, 1))),))
    assert session.config.preset == "standard"
    assert len(session.config.preprocessing.regions) == 1


def test_that_showing_the_other_collection_forgets_the_selection(qapp: object) -> None:
    session = Session()
    session.set_samples(SampleSet(dataset("a", "b")))
    session.select((0, 1), 1)
    session.show(Collection.REVIEW)
    assert session.selection == ()
    assert session.current_sample() is None
    assert not session.allowed().label
