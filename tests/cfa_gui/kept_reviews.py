"""A review in the window and in its store, and the program after a restart."""

from pathlib import Path

from pytestqt.qtbot import QtBot

from cfa_gui.models.session import Keeping
from core.review import ReviewStore
from tests.cfa_gui.bench import Bench


def saved(bench: Bench) -> None:
    """Wait until the window says that all is on the disk."""
    bench.until(lambda: bench.session.keeping is Keeping.SAVED)


def reviewed(bench: Bench) -> Path:
    """Train, inspect 8 images, label two of them, move the threshold, look at the third."""
    root = bench.open_parts()
    bench.train()
    bench.session.select((0, 1), 1)
    bench.parts.review.defect()
    bench.session.select((2,), 2)
    bench.parts.threshold.move(7.5)
    bench.parts.keeping._settle.timeout.emit()
    bench.parts.keeping._look.timeout.emit()
    saved(bench)
    return root


def stored(bench: Bench) -> ReviewStore:
    return ReviewStore(bench.folder / "store" / "reviews.sqlite", read_only=True)


def restarted(bench: Bench, qtbot: QtBot) -> Bench:
    """The program after a restart, without a word to the one before."""
    again = Bench(qtbot, bench.folder, bench.engine)
    again.parts.keeping.start()
    again.until(lambda: again.session.resumable is not None)
    return again


def resumed(bench: Bench, qtbot: QtBot) -> Bench:
    """The program after a restart, gone on with the review."""
    again = restarted(bench, qtbot)
    bench.parts.keeping._keeper.leave()  # type: ignore[union-attr]  # what the end of a process does
    again.parts.keeping.resume()
    again.until(lambda: again.session.model is not None)
    again.until_idle()
    return again
