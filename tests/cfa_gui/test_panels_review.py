"""The panels of a review: what they show of scores and threshold. All on a real workbench with a fake engine."""

import time
from pathlib import Path

import numpy as np
import pytest

from cfa_gui import theme
from cfa_gui.models.review import Show
from cfa_gui.models.session import Collection
from cfa_gui.widgets.matrix import CELLS
from cfa_gui.workbench import Workbench
from core.dataset import Label, Sample
from tests.cfa_gui.bench import Bench, texts_of
from tests.cfa_gui.fake_engine import CALIBRATION, fake_model, manual


def test_that_place_and_score_under_the_cursor_can_be_read_whole(
    bench: Bench, work: Workbench, tokens: theme.Tokens
) -> None:
    """In a window of 1280 pixels with a review, the least room that the program is made for."""
    bench.open_parts()
    bench.train()
    bench.until(lambda: work.canvas._path is not None)
    work.canvas.canvas.cursor_moved.emit(4032, 3024, 12.345)
    readout = work.canvas.bar._readout
    assert readout.text().split() == ["x", "4032", "y", "3024", "score", "12.345"]
    bench.until(lambda: readout.height() >= readout.sizeHint().height())
    assert readout.width() >= readout.sizeHint().width()


def test_that_the_colours_lie_around_the_threshold_and_stay_where_it_is_zero(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    bar = work.canvas.canvas._bar
    for value in (4.0, 0.5):
        bench.parts.threshold.move(value)
        assert (bar._span.low, bar._span.share(value), bar._span.high) == pytest.approx((value / 4, 0.5, 4 * value))
    bench.parts.threshold.move(0.0)
    assert (bar._span.low, bar._span.high) == (0.125, 2.0)
    work.canvas.grab()


def test_that_flagged_regions_are_listed_and_pointed_at(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    table = work.review._table
    bench.until(lambda: table.model().rowCount() == 1)
    with bench.qtbot.waitSignal(work.review.region_chosen) as chosen:
        table.selectRow(0)
    assert chosen.args[0] is not None
    bench.parts.threshold.move(99.0)
    bench.until(lambda: table.model().rowCount() == 0)
    assert "No region is above the threshold" in texts_of(work.review)


def test_that_slider_line_and_number_are_one_value(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    panel = work.threshold
    for signal in (panel._histogram.threshold_moved, panel._slider.value_changed):
        for value in (5.0, 12.5):
            signal.emit(value)
            assert bench.session.threshold is not None
            assert bench.session.threshold.value == value
            assert panel._histogram.threshold() == pytest.approx(value)
            assert panel._slider.value() == pytest.approx(value)
    assert "Set by hand" in texts_of(panel)


def test_that_a_model_shows_its_held_out_parts_and_takes_a_threshold_before_anything_is_inspected(
    bench: Bench, work: Workbench
) -> None:
    panel = work.threshold
    assert not panel._histogram.has_data()
    assert not panel._slider.isEnabled()
    bench.session.set_model(fake_model(scores=(1.0, 2.0, 3.0), threshold=manual(2.5)), None)
    assert panel._histogram.has_data()
    assert panel._slider.isEnabled()
    panel._histogram.threshold_moved.emit(1.5)
    assert "It flags 2 of 3 held-out good images." in texts_of(panel)
    assert panel._slider._low <= 1.0
    assert panel._slider._high >= 3.0
    panel._band.click()
    assert bench.session.threshold is not None
    assert bench.session.threshold.lower == 1.5 - (1.5 - 1.0) / 4  # on the way to the lowest held-out part
    bench.parts.threshold.false_alarm_rate(0.3)
    assert bench.session.threshold.lower is not None
    sentence = panel._sentence
    lines = sentence.heightForWidth(panel._controls.width()) / sentence.fontMetrics().lineSpacing()
    assert lines <= 2.5  # there is room for two beside the lower line
    bench.session.set_model(fake_model(scores=(), threshold=manual(2.5)), None)
    assert not panel._histogram.has_data()
    assert not panel._slider.isEnabled()


def test_that_the_line_of_the_charts_tabs_is_below_them(work: Workbench) -> None:
    charts = work.threshold._charts
    picture = charts.grab().toImage()
    right_of_tabs = picture.width() - 5
    rows = [picture.pixelColor(right_of_tabs, row) for row in range(picture.height())]
    scale, height = charts.devicePixelRatioF(), charts.tabBar().height()
    above = rows[: int(scale * (height - 2))]
    assert len({colour.rgb() for colour in above}) == 1
    assert rows[int(scale * height)] != above[-1]


def test_that_rates_and_curves_need_both_labels(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    assert work.threshold._best.isEnabled()
    bench.session.select(tuple(range(8)), 0)
    bench.parts.review.good()
    assert not work.threshold._best.isEnabled()
    bench.parts.review.unlabel()
    assert not work.threshold._best.isEnabled()


def test_that_held_out_parts_count_where_no_good_folder_was_inspected(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    panel = work.threshold
    assert "held out" not in texts_of(panel)
    bench.session.select(tuple(np.flatnonzero(bench.session.review.groups == 1)), 0)
    bench.parts.review.unlabel()
    assert f"Really good,\n{len(CALIBRATION)} held out" in texts_of(panel)
    assert panel._best.isEnabled()
    bench.parts.threshold.move(2.05)
    names = [panel._matrix.cell(name).accessibleName() for name in CELLS]
    above = sum(score > 2.05 for score in CALIBRATION)
    assert names == [f"{len(CALIBRATION) - above} pass, rightly", f"{above} false alarms", "0 missed", "4 found"]
    assert [panel._matrix.cell(name).isEnabled() for name in CELLS] == [False, False, True, True]
    assert panel._roc.has_data()
    bench.parts.review.good()  # as their folder says
    assert "held out" not in texts_of(panel)
    assert panel._matrix.cell("true_good").isEnabled()


def test_that_a_part_labelled_good_by_hand_can_be_seen_beside_those_held_out(bench: Bench, work: Workbench) -> None:
    bench.open_parts()
    bench.train()
    bench.session.select(tuple(np.flatnonzero(bench.session.review.groups == 1)), 0)
    bench.parts.review.unlabel()
    (place,) = np.flatnonzero(bench.session.review.groups == 2)[:1]
    bench.session.select((int(place),), int(place))
    bench.parts.review.good()
    panel = work.threshold
    assert f"Really good,\n{len(CALIBRATION)} held out" in texts_of(panel)
    assert panel._matrix.cell("false_alarm").isEnabled()
    with bench.qtbot.waitSignal(panel.cell_chosen) as chosen:
        panel._matrix.cell("false_alarm").click()
    assert chosen.args == [Show.FALSE_ALARM]


def test_that_moving_the_threshold_over_five_thousand_scores_takes_less_than_50_ms(
    bench: Bench, work: Workbench, qapp: object
) -> None:
    session = bench.session
    session.set_model(fake_model(threshold=manual(0.5)), None)
    labels = (Label.GOOD, Label.DEFECT, None)
    session.add_images(tuple(Sample(Path(f"/p/{n}.png"), f"{n}.png", labels[n % 3], "", None) for n in range(5000)))
    session.review.scores = np.random.default_rng(0).random(5000)
    session.images_changed.emit()
    session.show(Collection.REVIEW)
    work.images.choose_filter(Show.FLAGGED)
    session.select((7,), 7)
    times = []
    for value in np.linspace(0.2, 0.8, 15):
        start = time.perf_counter()
        bench.parts.threshold.move(float(value))
        bench.qtbot.wait(0)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 0.05
