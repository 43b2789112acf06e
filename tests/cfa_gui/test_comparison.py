"""Before and after: the same images, none of which a model has learned from."""

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.comparison import Earlier, Outcome, compare, earlier
from cfa_gui.models.review import Group, Query, Review, Show
from cfa_gui.panels.training import TrainingPanel
from core.dataset import Label, Sample
from core.placement import place
from core.presets import preset
from core.threshold import manual_threshold
from tests.cfa_gui.bench import Bench

WHERE = place((32, 32), preset("standard").preprocessing, 32)


def sample(name: str, label: Label | None) -> Sample:
    return Sample(Path("/parts") / name, name, label, "", None)


def review_of(scores: dict[str, float], labels: dict[str, Label | None]) -> Review:
    review = Review()
    review.add(sample(name, labels[name]) for name in scores)
    for number, score in enumerate(scores.values()):
        if np.isfinite(score):
            review.record(number, score, WHERE)
    return review


LABELS: dict[str, Label | None] = {
    "g0": Label.GOOD,
    "g1": Label.GOOD,
    "g2": Label.GOOD,
    "d0": Label.DEFECT,
    "d1": Label.DEFECT,
    "u": None,
}
OLD = {"g0": 1.0, "g1": 3.0, "g2": 5.0, "d0": 4.0, "d1": 1.5, "u": 9.0}
NEW = {"g0": 0.1, "g1": 0.2, "g2": 0.9, "d0": 0.8, "d1": 0.7, "u": 0.9}


def test_that_both_models_are_measured_on_the_same_images_each_at_its_threshold() -> None:
    before = earlier(review_of(OLD, LABELS), manual_threshold(2.0), frozenset())
    assert before is not None
    found = compare(before, review_of(NEW, LABELS), manual_threshold(0.5), frozenset())
    assert found is not None
    assert (found.good, found.defect) == (3, 2)
    assert found.before == Outcome(auroc=0.5, f1=0.4, false_alarms=2, missed=1)
    assert found.after == Outcome(auroc=4 / 6, f1=0.8, false_alarms=1, missed=0)


@pytest.mark.parametrize("who", ["before", "after"])
def test_that_an_image_that_either_model_learned_from_proves_nothing(who: str) -> None:
    known = frozenset({Path("/parts/g2")})
    none: frozenset[Path] = frozenset()
    before = earlier(review_of(OLD, LABELS), manual_threshold(2.0), known if who == "before" else none)
    assert before is not None
    found = compare(before, review_of(NEW, LABELS), manual_threshold(0.5), known if who == "after" else none)
    assert found is not None
    assert found.good == 2
    assert found.after.false_alarms == 0


def test_that_images_without_both_scores_are_left_out() -> None:
    review = review_of({**NEW, "g0": float("nan")}, LABELS)
    before = Earlier({Path(f"/parts/{name}"): OLD[name] for name in ("g0", "g1", "d0")}, 2.0)
    found = compare(before, review, manual_threshold(0.5), frozenset())
    assert found is not None
    assert (found.good, found.defect) == (1, 1)


def test_that_there_is_nothing_to_compare_without_labels_or_an_earlier_score() -> None:
    unlabelled = review_of({"u": 1.0}, LABELS)
    before = earlier(unlabelled, manual_threshold(0.5), frozenset())
    assert before is not None
    assert compare(before, unlabelled, manual_threshold(0.5), frozenset()) is None
    assert earlier(Review(), manual_threshold(0.5), frozenset()) is None
    assert earlier(unlabelled, None, frozenset()) is None


def test_that_an_image_the_model_learned_from_is_counted_nowhere() -> None:
    review = review_of(NEW, LABELS)
    threshold = manual_threshold(0.5)
    assert len(review.rows(Query(Show.FALSE_ALARM), threshold)) == 1
    review.set_learned(frozenset({Path("/parts/g2")}))
    assert len(review.rows(Query(Show.FALSE_ALARM), threshold)) == 0
    assert review.sorted_scores().confusion_at(0.5).false_alarm == 0
    review.add([sample("late", Label.GOOD)])
    assert review.learned.tolist() == [False, False, True, False, False, False, False]


# the whole way


def test_that_training_again_with_a_false_alarm_compares_on_the_images_left(bench: Bench, qtbot: QtBot) -> None:
    panel = TrainingPanel(bench.session)
    qtbot.addWidget(panel)
    panel.show()
    bench.open_parts()
    bench.train()
    assert bench.session.comparison() is None
    bench.parts.threshold.move(1.5)
    review = bench.session.review
    false_alarm = int(np.flatnonzero((review.groups == Group.GOOD) & (review.scores > 1.5))[0])
    bench.session.select((false_alarm,), false_alarm)
    bench.parts.add_selected_to_good()
    bench.train()
    found = bench.session.comparison()
    assert found is not None
    assert (found.good, found.defect) == (3, 4)
    bench.until(lambda: panel._learned.compares)
    table = panel._learned._comparison
    assert table._cells["false_alarms"][0].text() == str(found.before.false_alarms)
    assert table._cells["false_alarms"][1].text() == str(found.after.false_alarms)
    assert "3 good and 4 defective" in table._on.text()


def test_that_a_model_from_a_file_ends_the_comparison(bench: Bench) -> None:
    bench.open_parts()
    bench.train()
    bench.answers.path = bench.folder / "part.cfa"
    bench.parts.deploy.save()
    bench.until_idle()
    bench.train()
    assert bench.session.comparison() is not None
    bench.parts.opening.open([bench.folder / "part.cfa"])
    bench.until(lambda: bench.session.model_path is not None)
    bench.until_idle()
    assert bench.session.comparison() is None
    assert not bench.session.review.learned.any()
