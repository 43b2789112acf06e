"""Live loss and curves."""

import subprocess
import sys
import time

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QGraphicsView
from pytestqt.qtbot import QtBot

from cfa_gui import theme
from cfa_gui.widgets.curve_plot import CurvePlot
from cfa_gui.widgets.loss_plot import LossPlot


class Paints(QObject):
    """Counts how often a widget is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        self.count += event.type() == QEvent.Type.Paint
        return False


@pytest.fixture
def plot(qtbot: QtBot) -> LossPlot:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(320, 260)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def feed(plot: LossPlot, index: int) -> None:
    plot.append(index / 100, 9.0 / (index + 1), 5.0 / (index + 1), 0.1, 0.8, 3.0 / (index + 1))


def test_that_a_flood_of_steps_is_drawn_at_most_fifteen_times_a_second(plot: LossPlot, qtbot: QtBot) -> None:
    paints = Paints()
    feed(plot, 0)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    views = plot.findChildren(QGraphicsView)
    qtbot.wait(50)
    views[0].viewport().installEventFilter(paints)
    start = time.monotonic()
    for index in range(1, 300):
        feed(plot, index)
        QTest.qWait(1)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    seconds = time.monotonic() - start
    assert plot.count() == 300
    assert 2 <= paints.count <= 15 * seconds + 3  # what came before may still be painted
    assert "loss 0.03" in plot.accessibleDescription()


def test_that_all_steps_are_kept_and_clear_begins_anew(plot: LossPlot, qtbot: QtBot) -> None:
    for index in range(1000):
        feed(plot, index)
    assert plot.count() == 1000
    assert np.allclose(plot._numbers[0, :1000], np.arange(1000) / 100)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    full = plot.grab().toImage()
    plot.clear()
    assert plot.count() == 0
    assert not plot._timer.isActive()
    assert plot.grab().toImage() != full
    assert "Nothing" in plot.accessibleDescription()


def test_that_numbers_that_are_none_do_not_spoil_the_plot(plot: LossPlot, qtbot: QtBot) -> None:
    plot.append(0.0, float("nan"), float("inf"), 0.0, 0.0, 0.0)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    assert not plot.grab().isNull()
    plot.append(1.0, -1.0, 0.0, 0.0, 0.0, 0.0)
    plot.set_epochs(10)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    assert not plot.grab().isNull()


@pytest.mark.parametrize("size", [(320, 260), (336, 300), (700, 500)])
@pytest.mark.parametrize("loss", [500.0, 441.0, 0.999])
def test_that_no_line_runs_behind_the_legend(plot: LossPlot, qtbot: QtBot, size: tuple[int, int], loss: float) -> None:
    plot.resize(*size)
    for epoch in (0.2, 0.4, 0.6, 0.8, 1.0):
        plot.append(epoch, loss, loss, 0.1, 1.0, 1.0)
    qtbot.waitUntil(lambda: not plot._timer.isActive())
    plot.grab()
    chart = plot._chart
    assert chart is not None
    for part, height in zip(chart._parts, (loss, 1.0), strict=True):
        assert part.plot.place(0.5, height).y() > part._legend.sceneBoundingRect().bottom()
        assert part.plot.place(0.5, height).y() < part.plot.place(0.5, 0.0).y() - 10


@pytest.fixture
def curve(qtbot: QtBot) -> CurvePlot:
    curve = CurvePlot()
    qtbot.addWidget(curve)
    curve.resize(280, 240)
    curve.show()
    return curve


def test_that_the_working_point_is_said_and_drawn(curve: CurvePlot, tokens: theme.Tokens) -> None:
    x = np.linspace(0, 1, 5000)
    curve.set_curve(x, x**0.2, "False-alarm rate", "Defects found")
    plain = curve.grab().toImage()
    curve.set_marker((0.25, 0.75))
    assert curve.accessibleName() == "Defects found over False-alarm rate"
    assert "False-alarm rate 0.250, Defects found 0.750" in curve.accessibleDescription()
    marked = curve.grab().toImage()
    chart = curve._chart
    assert chart is not None
    spot = chart.place(0.25, 0.75).toPoint() * curve.devicePixelRatio()
    assert marked.pixelColor(spot).name() == tokens.text
    assert plain.pixelColor(spot).name() != tokens.text


def test_that_without_labels_it_says_what_to_do(curve: CurvePlot) -> None:
    curve.clear("Label at least one defect.")
    assert "Label at least one defect." in curve.accessibleDescription()
    curve.set_curve(np.array([0.0]), np.array([1.0]), "a", "b", (0.0, 1.0))
    assert not curve.grab().isNull()
    curve.clear()
    assert "No curve yet" in curve.accessibleDescription()


EMPTY_WINDOW = """
import sys
import numpy as np
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from cfa_gui.widgets.curve_plot import CurvePlot
from cfa_gui.widgets.loss_plot import LossPlot
from cfa_gui.widgets.score_histogram import ScoreHistogram

app = QApplication(["test", "-platform", "offscreen"])
window = QWidget()
column = QVBoxLayout(window)
plots = LossPlot(), CurvePlot(), ScoreHistogram()
for plot in plots:
    column.addWidget(plot)
plots[2].set_threshold(0.5)
window.show()
window.grab()
app.processEvents()
print("pyqtgraph" in sys.modules)
plots[2].set_scores(np.array([0.1, 0.9]))
print("pyqtgraph" in sys.modules)
window.close()
"""


def test_that_empty_plots_do_not_import_the_plotting_library() -> None:
    done = subprocess.run([sys.executable, "-c", EMPTY_WINDOW], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


LOADED_AHEAD = """
import gc, sys, threading
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication
from cfa_gui.widgets.lazy_plot import load_plotting

app = QApplication(["test", "-platform", "offscreen"])
thread = threading.Thread(target=load_plotting)
thread.start()
thread.join()
objects = [found for found in gc.get_objects() if issubclass(type(found), QObject)]
print("pyqtgraph" in sys.modules, all(found.thread() == app.thread() for found in objects))
"""


def test_that_the_plotting_library_can_be_loaded_on_another_thread() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED_AHEAD], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def colours(image: QImage) -> set[str]:
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def test_that_a_curve_takes_the_colours_of_the_scheme(curve: CurvePlot, qapp: QApplication) -> None:
    theme.apply(qapp, "dark")
    x = np.linspace(0, 1, 50)
    curve.set_curve(x, x, "a", "b")
    assert theme.DARK.accent in colours(curve.grab().toImage())
    theme.apply(qapp, "light")
    seen = colours(curve.grab().toImage())
    theme.apply(qapp, "dark")
    assert theme.LIGHT.accent in seen
    assert theme.DARK.accent not in seen


def test_that_a_plot_lies_on_what_is_behind_it(curve: CurvePlot) -> None:
    curve.set_curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "a", "b")
    behind = QColor(10, 200, 30)
    palette = curve.palette()
    palette.setColor(curve.backgroundRole(), behind)
    curve.setPalette(palette)
    curve.setAutoFillBackground(True)
    assert curve.grab().toImage().pixelColor(150, 30).name() == behind.name()


def test_that_what_comes_while_hidden_is_drawn_when_shown(curve: CurvePlot) -> None:
    curve.hide()
    curve.set_curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "a", "b")
    assert curve._chart is None
    curve.show()
    assert theme.current().accent in colours(curve.grab().toImage())
