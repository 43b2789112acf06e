"""Make the pictures of the user guide anew: drives the real window through the main job on the sample parts.

    python docs/make_pictures.py [--preset standard] [--scheme dark|light]

Runs in the current display, or without one (QT_QPA_PLATFORM=offscreen). Writes docs/pictures/*.png, 1280 x 800.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cfa_gui import theme
from cfa_gui.main_window import MainWindow
from cfa_gui.models.review import Show
from cfa_gui.settings import SettingsStore
from cfa_gui.widgets.image_canvas import OverlayMode
from core.sample_parts import make_sample_parts

PICTURES = Path(__file__).parent / "pictures"
SIZE = (1280, 800)


def pause(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait(condition: Callable[[], bool], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the window did not get there in time")
        pause(20)


class Photographer:
    """The window, and where its pictures go."""

    def __init__(self, folder: Path, settings: SettingsStore) -> None:
        self.folder = folder
        self.window = MainWindow(settings, None)
        self.window.show()
        self.window.resize(*SIZE)
        wait(lambda: self.window.parts is not None)

    def take(self, name: str, settle: int = 600) -> None:
        """Save what the window shows, toasts gone."""
        pause(settle)
        self.window.grab().save(str(self.folder / f"{name}.png"))
        print(name, flush=True)


def main_job(photographer: Photographer, parts: Path, preset: str) -> None:
    """From the empty window to a reviewed test folder."""
    window = photographer.window
    wait(lambda: window.parts is not None and window.parts.session.facilities is not None)
    photographer.take("start")
    composition, bench = window.parts, window.bench
    if composition is None or bench is None:
        raise SystemExit("the window was closed")
    session = composition.session
    window.open_paths([parts])
    wait(lambda: session.samples is not None and session.state == "idle" and not session.samples.checking)
    photographer.take("samples", 1500)
    bench.bring("training")
    composition.use_preset(preset)
    photographer.take("settings")
    steps: list[object] = []
    composition.train.stepped.connect(steps.append)
    composition.start_training()
    wait(lambda: len(steps) > 9)
    photographer.take("training", 100)
    wait(lambda: session.model is not None and session.state == "idle")
    bench.bring("training")
    photographer.take("trained", 6000)
    bench.bring("review")
    photographer.take("review", 1500)
    composition.threshold.best_f1()
    bench.images.choose_filter(Show.FLAGGED)
    photographer.take("threshold", 6000)
    bench.images.choose_filter(Show.ALL)
    bench.images.set_view("grid")
    bench.canvas.bar.set_mode(OverlayMode.SIDE_BY_SIDE)
    photographer.take("grid", 1500)
    bench.images.set_view("list")
    bench.canvas.bar.set_mode(OverlayMode.HEAT)
    bench.bring("deploy")
    composition.plan.change(folder=parts.parent / "flange-onnx")
    composition.deployment.export()
    wait(lambda: composition.plan.outcome is not None)
    photographer.take("deploy", 6000)
    window.show_shortcuts()
    pause(500)
    for widget in QApplication.topLevelWidgets():
        if widget is not window and widget.isVisible():
            widget.grab().save(str(photographer.folder / "shortcuts.png"))
            widget.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--preset", default="standard")
    arguments.add_argument("--scheme", default="dark", choices=("dark", "light"))
    arguments.add_argument("--out", type=Path, default=PICTURES)
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    app = QApplication(["cfa-gui"])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder  # the layout is the first one, and the user's own stays as it is
        settings = SettingsStore(Path(folder) / "preferences.json")
        theme.apply(app, options.scheme)
        parts = make_sample_parts(Path(folder) / "sample-parts")
        photographer = Photographer(options.out, settings)
        main_job(photographer, parts, options.preset)
        photographer.window._end()  # no question about the unsaved model


if __name__ == "__main__":
    main()
