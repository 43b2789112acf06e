"""The Deploy panel and its controller, with a fake engine."""

from pathlib import Path

import pytest

from cfa_gui.models.deployment import Check
from cfa_gui.models.run_state import RunState
from cfa_gui.panels.deploy import DeployPanel
from cfa_gui.workbench import Workbench
from core.errors import ExportError
from core.export.words import Difference, Format
from tests.cfa_gui.bench import Bench
from tests.cfa_gui.fake_engine import Gate


@pytest.fixture
def panel(bench: Bench, work: Workbench) -> DeployPanel:
    work.bring("deploy")
    bench.parts.train.finished.connect(lambda: work.bring("deploy"))
    bench.session.shown_changed.connect(lambda: work.bring("deploy"))
    return work.deploy


def _ready(bench: Bench) -> Path:
    bench.open_parts()
    bench.train()
    bench.answers.path = bench.folder / "line"
    return bench.folder / "line"


def test_that_without_a_model_nothing_can_be_exported(bench: Bench, panel: DeployPanel) -> None:
    assert not panel._export.isEnabled()
    assert panel._hint.text() == "There is no model yet. Train one, or open one."
    bench.parts.deployment.export()
    assert bench.engine.exported == []


def test_that_an_export_asks_for_a_folder_and_shows_the_figures(bench: Bench, panel: DeployPanel) -> None:
    folder = _ready(bench)
    panel._format.setCurrentIndex(1)
    panel._format.activated.emit(1)
    panel._export.click()
    bench.until_idle()

    model, target, samples = bench.engine.exported[0]
    assert (target.format, target.folder) == (Format.OPENVINO, folder)
    assert model.threshold == bench.session.threshold
    assert samples == tuple(bench.session.review.samples) and len(samples) == 8
    assert panel._outcome.isVisible()
    assert panel._stats["difference"].text() == "2.0e-07"
    assert panel._stats["images"].text() == "8 + 8 drawn"
    assert bench.texts("success")[-1] == "The model is in line, and gives the scores of the original."


def test_that_an_image_with_a_tie_is_named(bench: Bench, panel: DeployPanel) -> None:
    _ready(bench)
    bench.engine.ties = (Difference("test/good/011.png", 0.7354, 0.7377, 3.1e-3, 0.004),)
    panel._export.click()
    bench.until_idle()
    assert panel._stats["difference"].text() == "2.0e-07"
    assert "On 1 image a patch is as near to one centre as to another" in panel._sentence.text()
    assert "test/good/011.png" in panel._sentence.text()


def test_that_the_figures_go_when_the_threshold_moves(bench: Bench, panel: DeployPanel) -> None:
    _ready(bench)
    panel._export.click()
    bench.until_idle()
    assert panel._outcome.isVisible()
    bench.parts.threshold.move(9.0)
    assert not panel._outcome.isVisible()


def test_that_a_refused_export_is_told_and_shows_no_figures(bench: Bench, panel: DeployPanel) -> None:
    _ready(bench)
    bench.engine.error = ExportError("The exported model does not give the scores of the original.")
    panel._export.click()
    bench.until_idle()
    assert bench.texts("error") == ["The exported model does not give the scores of the original."]
    assert not panel._outcome.isVisible()


def test_that_an_export_can_be_cancelled(bench: Bench, panel: DeployPanel) -> None:
    _ready(bench)
    bench.engine.gate = Gate()
    panel._export.click()
    bench.until(bench.engine.gate.reached.is_set)
    bench.until(lambda: panel._doing.text().startswith("Comparing with the original"))
    assert bench.session.state is RunState.EXPORTING and panel._cancel.isVisible() and not panel._export.isVisible()
    panel._cancel.click()
    bench.until_idle()
    assert bench.texts()[-1] == "The export was cancelled; nothing was written."
    assert bench.engine.exported == [] and panel._export.isVisible()


def test_that_the_held_out_parts_or_a_folder_can_be_compared_on(bench: Bench, panel: DeployPanel) -> None:
    _ready(bench)
    assert bench.session.samples is not None
    panel.check_chosen.emit(Check.HELD_OUT)
    held = set(bench.session.model.calibration.names) if bench.session.model else set()
    wanted = tuple(sample for sample in bench.session.samples.good if sample.name in held)
    assert bench.parts.deployment.samples() == wanted
    bench.parts.plan.change(folder=bench.folder / "line")
    bench.answers.path = bench.folder / "parts" / "test" / "scratch"
    panel.check_chosen.emit(Check.FOLDER)
    panel._export.click()
    bench.until_idle()
    assert len(bench.engine.exported[0][2]) == 4


def test_that_a_folder_not_chosen_leaves_the_choice_as_it_was(bench: Bench, panel: DeployPanel) -> None:
    panel._check.setCurrentIndex(2)
    panel._check.activated.emit(2)
    assert bench.parts.plan.plan.check is Check.LISTED
    assert panel._check.currentIndex() == 0
