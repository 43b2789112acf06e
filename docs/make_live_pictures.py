"""Make the pictures of docs/live.md anew: drives the real window on a video of the sample parts.

    python docs/make_live_pictures.py [--preset standard] [--scheme dark|light]

Runs in the current display, or without one (QT_QPA_PLATFORM=offscreen). Writes docs/pictures/live*.png, 1280 x 800. The
model learns from frames of a video too, as one that is trained on pictures kept from the line does.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.live import keep_frames, write_video
from cfa_gui import theme
from cfa_gui.models.live import Lamp
from cfa_gui.settings import SettingsStore
from core.dataset import Dataset, Label, good_samples, open_dataset
from core.images import read_image
from core.line.live.sources import VideoChoice
from core.model_file import save_model
from core.presets import preset
from core.sample_parts import make_sample_parts
from core.training import train
from docs.make_pictures import PICTURES, SIZE, Photographer, wait

RATE = 10
PARTS = 12


def frames(found: Dataset) -> Iterator[NDArray[np.uint8]]:
    """Two good parts and a defective one, and so on; each a second long."""
    good = [sample for sample in found.test if sample.label is Label.GOOD]
    defective = [sample for sample in found.test if sample.label is Label.DEFECT]
    for number in range(PARTS):
        kind = defective if number % 3 == 2 else good
        yield from [read_image(kind[number % len(kind)].path)] * RATE


def drive(photographer: Photographer, model: Path, video: Path) -> None:
    """Open the model, look at the video, and photograph a flagged part in the window and on the full screen."""
    window = photographer.window
    parts, page = window.parts, window.live
    if parts is None or page is None:
        raise SystemExit("the window was closed")
    wait(lambda: parts.session.facilities is not None)
    parts.deploy.open_model(model)
    wait(lambda: parts.session.model is not None and parts.session.state == "idle")
    live = parts.live
    live.model.video = video
    live.show()
    page.source._kind.setCurrentIndex(page.source._kind.findData("video"))
    page.source._on_kind()
    live.start(VideoChoice(video, loop=True))
    wait(lambda: live.model.figures.counts.good > 5 and len(live.model.flagged) > 3)
    wait(lambda: live.model.lamp is Lamp.DEFECT and live.model.shown.found.score > 1.5 * parts.session.threshold.value)
    photographer.take("live", 0)
    page.toggle_wall()
    window.resize(*SIZE)
    wait(lambda: live.model.lamp is Lamp.GOOD)
    wait(lambda: live.model.lamp is Lamp.DEFECT)
    photographer.take("live-full-screen", 0)
    page.leave_wall()
    live.stop()
    wait(lambda: not live.model.running)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--preset", default="standard")
    arguments.add_argument("--scheme", default="dark", choices=("dark", "light"))
    arguments.add_argument("--out", type=Path, default=PICTURES)
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    app = QApplication(["cfa-gui"])
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = name  # the layout is the first one, and the user's own stays as it is
        folder = Path(name)
        found = open_dataset(make_sample_parts(folder / "sample-parts"))
        good = keep_frames((read_image(sample.path) for sample in found.good), folder / "good", RATE)
        save_model(train(good_samples(good), preset(options.preset), device="cpu"), folder / "flange.cfa")
        write_video(frames(found), folder / "line.avi", RATE)
        settings = SettingsStore(folder / "preferences.json")
        theme.apply(app, options.scheme)
        photographer = Photographer(options.out, settings)
        drive(photographer, folder / "flange.cfa", folder / "line.avi")
        photographer.window._end()


if __name__ == "__main__":
    main()
