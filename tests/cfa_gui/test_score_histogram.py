"""The threshold is one line, moved by mouse or keys."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cfa_gui.widgets.axes import Span
from cfa_gui.widgets.histogram_bars import Bars
from cfa_gui.widgets.score_histogram import DEFECT, GOOD, UNLABELLED, ScoreHistogram

KEY = Qt.Key
LEFT = Qt.MouseButton.LeftButton


class Heard:
    """What the histogram has told."""

    def __init__(self, histogram: ScoreHistogram) -> None:
        self.moved: list[float] = []
        self.released: list[float] = []
        self.lower_moved: list[float] = []
        self.lower_released: list[float] = []
        histogram.threshold_moved.connect(self.moved.append)
        histogram.threshold_released.connect(self.released.append)
        histogram.lower_moved.connect(self.lower_moved.append)
        histogram.lower_released.connect(self.lower_released.append)


@pytest.fixture
def histogram(qtbot: QtBot) -> ScoreHistogram:
    histogram = ScoreHistogram()
    qtbot.addWidget(histogram)
    histogram.resize(600, 180)
    histogram.set_scores(np.linspace(0, 2, 101), np.array([GOOD] * 60 + [DEFECT] * 30 + [UNLABELLED] * 11, np.int8))
    histogram.set_threshold(1.0)
    histogram.show()
    return histogram


def line_at(histogram: ScoreHistogram, line: str = "threshold") -> QPoint:
    position = histogram.line_position("lower" if line == "lower" else "threshold")
    assert position is not None
    return QPoint(round(position), 100)


def test_that_setting_the_line_tells_nobody(histogram: ScoreHistogram) -> None:
    heard = Heard(histogram)
    histogram.set_threshold(0.7)
    histogram.set_lower(0.5)
    assert histogram.threshold() == 0.7
    assert histogram.lower_value() == 0.5
    assert heard.moved == heard.released == heard.lower_moved == []


def test_that_dragging_the_line_tells_all_the_way_and_once_at_the_end(histogram: ScoreHistogram) -> None:
    heard = Heard(histogram)
    start = line_at(histogram)
    QTest.mousePress(histogram, LEFT, pos=start)
    for step in range(1, 11):
        QTest.mouseMove(histogram, start + QPoint(10 * step, 0))
    QTest.mouseRelease(histogram, LEFT, pos=start + QPoint(100, 0))
    assert len(heard.moved) >= 10
    assert heard.moved == sorted(heard.moved)
    assert len(heard.released) == 1
    assert heard.released[0] == histogram.threshold() == heard.moved[-1]
    assert line_at(histogram).x() == pytest.approx(start.x() + 100, abs=1)


def test_that_the_axis_stands_still_while_the_line_is_dragged(histogram: ScoreHistogram) -> None:
    span = histogram._span
    start = line_at(histogram)
    QTest.mousePress(histogram, LEFT, pos=start)
    QTest.mouseMove(histogram, start + QPoint(2000, 0))
    value = histogram.threshold()
    assert value is not None
    histogram.set_threshold(value * 0.999)  # as it may come back, rounded
    assert histogram._span == span
    assert value == span.high
    QTest.mouseRelease(histogram, LEFT, pos=start + QPoint(2000, 0))


def test_that_a_press_beside_the_line_moves_nothing(histogram: ScoreHistogram) -> None:
    heard = Heard(histogram)
    QTest.mouseClick(histogram, LEFT, pos=line_at(histogram) + QPoint(40, 0))
    assert heard.moved == heard.released == []


def test_that_keys_move_the_line(histogram: ScoreHistogram) -> None:
    heard = Heard(histogram)
    width = histogram._span.high - histogram._span.low
    QTest.keyClick(histogram, KEY.Key_Right)
    QTest.keyClick(histogram, KEY.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert heard.released == pytest.approx([1 + width / 200, 1 - 9 * width / 200])
    QTest.keyClick(histogram, KEY.Key_Home)
    assert histogram.threshold() == histogram._span.low
    assert heard.moved == heard.released


def test_that_the_lower_line_has_its_keys_and_stays_below(histogram: ScoreHistogram) -> None:
    histogram.set_lower(0.98)
    heard = Heard(histogram)
    for _ in range(5):
        QTest.keyClick(histogram, KEY.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert histogram.lower_value() == 1.0
    assert heard.moved == []
    assert len(heard.lower_released) == 5
    QTest.keyClick(histogram, KEY.Key_Left)
    assert histogram.threshold() == 1.0


def test_that_the_lower_line_is_dragged_by_itself(histogram: ScoreHistogram) -> None:
    histogram.set_lower(0.5)
    heard = Heard(histogram)
    start = line_at(histogram, "lower")
    QTest.mousePress(histogram, LEFT, pos=start)
    QTest.mouseMove(histogram, start - QPoint(30, 0))
    QTest.mouseRelease(histogram, LEFT, pos=start - QPoint(30, 0))
    assert heard.moved == []
    assert heard.lower_released[0] < 0.5


def test_that_the_keys_are_kept_from_the_windows_shortcuts(histogram: ScoreHistogram) -> None:
    for key, kept in ((KEY.Key_Left, True), (KEY.Key_Home, True), (KEY.Key_G, False)):
        event = QKeyEvent(QKeyEvent.Type.ShortcutOverride, key, Qt.KeyboardModifier.NoModifier)
        event.ignore()
        QApplication.sendEvent(histogram, event)
        assert event.isAccepted() is kept


def test_that_the_flagged_are_those_above_and_not_at_the_line(histogram: ScoreHistogram) -> None:
    histogram.set_scores(np.array([0.5, 1.0, 1.0, 1.5, np.nan, np.inf]))
    assert histogram.flagged() == 1
    assert "1 of 4" in histogram.accessibleDescription()


def test_that_a_line_far_away_does_not_squeeze_the_bars(histogram: ScoreHistogram) -> None:
    histogram.set_threshold(1000.0)
    assert histogram._span.high < 3
    assert histogram.line_position() == pytest.approx(600 - 14)
    histogram.set_threshold(2.5)
    assert histogram._span.high > 2.5


def test_that_without_scores_there_is_nothing_to_move(histogram: ScoreHistogram) -> None:
    histogram.set_scores(np.empty(0))
    heard = Heard(histogram)
    QTest.keyClick(histogram, KEY.Key_Right)
    QTest.mouseClick(histogram, LEFT, pos=QPoint(300, 90))
    assert heard.moved == []
    assert not histogram.grab().isNull()


@pytest.mark.parametrize("scores", [[1.0], [0.0, 0.0], [-3.0, 2.0], [1e-9, 2e-9], [1e9, 2e9]])
def test_that_odd_scores_can_be_drawn(histogram: ScoreHistogram, scores: list[float]) -> None:
    histogram.set_scores(np.array(scores))
    histogram.set_threshold(scores[0])
    histogram.set_lower(scores[0])
    histogram.mark_score(scores[-1])
    assert not histogram.grab().isNull()


def test_that_every_score_is_in_a_bar_and_bars_can_be_read() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(500)
    groups = rng.integers(0, 3, 500).astype(np.int8)
    bars = Bars.of(scores, groups, Span(0.0, 1.0), 20)
    assert bars.counts.sum() == 500
    assert bars.counts.sum(axis=1).tolist() == np.bincount(groups).tolist()
    words = bars.words_at(0.02)
    assert words.startswith("Scores 0 to 0.05: ")
    assert f"{bars.counts[GOOD, 0]} good" in words


def test_that_one_defect_among_thousands_is_seen() -> None:
    scores = np.full(5001, 0.5)
    groups = np.array([GOOD] * 5000 + [DEFECT], np.int8)
    stacked = Bars.of(scores, groups, Span(0.0, 1.0), 4).stacked(least=30.0)
    bottom, top = stacked[DEFECT]
    assert (bottom[2], top[2]) == (5000, 5030)
    assert np.all(stacked[UNLABELLED][0] == stacked[UNLABELLED][1])


def grey_levels(histogram: ScoreHistogram, score: float) -> set[int]:
    """What is seen in grey inside the bar at a score, just above the axis."""
    chart = histogram._chart
    assert chart is not None
    image = histogram.grab().toImage()
    ratio = image.devicePixelRatio()
    base = chart._plot.view.mapTo(histogram, chart._plot.place(0, 0).toPoint()).y()
    columns = range(round((chart.place(score) + 1) * ratio), round((chart.place(score) + 7) * ratio))
    rows = range(round((base - 8) * ratio), round((base - 3) * ratio))
    return {image.pixelColor(x, y).lightness() // 8 for x in columns for y in rows}


def test_that_a_defect_is_told_from_a_good_part_without_colour(histogram: ScoreHistogram) -> None:
    histogram.set_threshold(1.9)
    histogram.set_scores(np.repeat([0.1, 1.0], 50), np.repeat([GOOD, DEFECT], 50).astype(np.int8))
    bars = histogram._bars
    assert bars is not None
    good, defect = bars.edges[np.flatnonzero(bars.counts.sum(axis=0))]
    assert len(grey_levels(histogram, good)) == 1
    assert len(grey_levels(histogram, defect)) > 1


def test_that_held_out_good_parts_alone_are_drawn_and_the_line_can_be_moved(histogram: ScoreHistogram) -> None:
    histogram.set_scores(np.empty(0), held_out=(0.4, 0.6, 1.8))
    assert histogram.has_data()
    assert histogram._span.low < 0.4
    assert histogram._span.high > 1.8
    assert "3 held-out good images" in histogram.accessibleDescription()
    heard = Heard(histogram)
    QTest.keyClick(histogram, KEY.Key_Right)
    assert len(heard.released) == 1
    start = line_at(histogram)
    QTest.mousePress(histogram, LEFT, pos=start)
    QTest.mouseRelease(histogram, LEFT, pos=start + QPoint(30, 0))
    assert len(heard.released) == 2


def test_that_held_out_good_parts_are_an_outline_beside_the_bars_and_not_among_them() -> None:
    scores, groups = np.array([0.12, 0.32]), np.array([GOOD, DEFECT], np.int8)
    bars = Bars.of(scores, groups, Span(0.0, 1.0), 10, np.array([0.35, 0.36, 0.37, 0.95]))
    assert bars.counts.sum() == 2
    assert bars.held_out.tolist() == [0, 0, 0, 3, 0, 0, 0, 0, 0, 1]
    assert bars.words_at(0.35) == "Scores 0.3 to 0.4: 1 defect, 3 held-out good"
    across, up, joined = bars.outline(least=0.5)
    assert across[up > 0].tolist() == pytest.approx([0.3, 0.4, 0.9, 1.0])
    assert up[up > 0].tolist() == [3, 3, 1, 1]
    begins = across[np.flatnonzero(joined & ~np.roll(joined, 1))]
    assert begins.tolist() == pytest.approx([0.3, 0.9])  # from the base up, along, and down: two pieces
    assert not joined[-1]
    assert Bars.of(scores, groups, Span(0.0, 1.0), 10, np.full(30, 0.5)).top() >= 30


def test_that_the_outline_of_the_held_out_is_seen_over_the_bars(histogram: ScoreHistogram) -> None:
    histogram.set_scores(np.repeat(1.0, 40), np.full(40, GOOD, np.int8))
    bare = histogram.grab().toImage()
    histogram.set_scores(np.repeat(1.0, 40), np.full(40, GOOD, np.int8), held_out=[1.0] * 10 + [0.9] * 10)
    chart = histogram._chart
    assert chart is not None
    x, y = chart._held_out.getData()
    assert y.max() == 10
    assert 0.85 < x[y > 0].min() < 1.0 < x[y > 0].max()
    assert histogram.grab().toImage() != bare
    assert chart._legend._held_out[1].text() == "20 held-out good"
    histogram.set_scores(np.repeat(1.0, 40))
    assert chart._legend._held_out[0].isHidden()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_that_handles_stay_inside_and_apart(histogram: ScoreHistogram, share: float) -> None:
    histogram.set_threshold(histogram._span.high * share)
    histogram.set_lower(histogram._span.high * share * 0.99)
    histogram.grab()  # labels find their places when painted
    chart = histogram._chart
    assert chart is not None
    labels = [chart._lines[line]._line.label for line in ("threshold", "lower")]
    threshold, lower = (label.mapRectToScene(label.boundingRect()) for label in labels)
    assert not threshold.intersects(lower)
    for handle in (threshold, lower):
        assert chart._plot.area().left() <= handle.left()
        assert handle.right() <= chart._plot.area().right()


def test_that_the_mouse_reaches_the_line_through_the_chart(histogram: ScoreHistogram) -> None:
    window = histogram.window().windowHandle()
    heard = Heard(histogram)
    start = line_at(histogram)
    assert histogram.childAt(start) is None
    QTest.mousePress(window, LEFT, pos=start)
    QTest.mouseMove(window, start + QPoint(20, 0))
    QTest.mouseRelease(window, LEFT, pos=start + QPoint(20, 0))
    assert len(heard.released) == 1
    assert histogram.hasFocus() or not histogram.isActiveWindow()
