"""The status line, beside a fake engine."""

from PySide6.QtWidgets import QLabel

from cfa_gui.panels.status import StatusPanel
from tests.cfa_gui.bench import Bench
from tests.cfa_gui.fake_engine import Gate, fake_model, manual


def counts(status: StatusPanel) -> list[str]:
    """What its right end counts."""
    return [part for label in status.findChildren(QLabel) for part in label.text().split(" · ")]


def test_that_after_a_cancel_it_tells_how_many_images_have_a_score(bench: Bench) -> None:
    root = bench.open_parts()
    status = StatusPanel(bench.session)
    assert counts(status)[-1] == "12 good parts"
    bench.session.set_model(fake_model(threshold=manual(5.0)), None)
    bench.engine.gate = Gate()
    bench.parts.inspect.open([root / "test"])
    bench.until(lambda: bool(bench.session.review.scored.sum() == 1))
    assert counts(status)[-1] == "8 images"
    bench.parts.tasks.cancel()
    bench.until_idle()
    assert counts(status)[-1] == "1 of 8 inspected"
    bench.engine.gate = None
    bench.parts.inspect.inspect_waiting()
    bench.until_idle()
    assert counts(status)[-1] == "8 inspected"
