"""A video through the real window and the real engine: the same scores as the image files, and the device freed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.models.live import Lamp, LiveState
from core.line.live.sources import FolderChoice, VideoChoice
from core.opencv import cv2
from tests.core.parts import picture, with_defect
from tests.e2e.desk import SIZE, RealDesk


@pytest.fixture
def desk(
    qtbot: QtBot, saved_model: Path, data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealDesk]:
    monkeypatch.setattr("cfa_gui.settings.default_path", lambda: tmp_path / "config" / "preferences.json")
    monkeypatch.setattr("cfa_gui.view_menus.default_path", lambda: tmp_path / "config" / "preferences.json")
    made = RealDesk(qtbot, tmp_path)
    made.drop([saved_model, data_set / "test"])
    made.until(lambda: made.parts.session.review.scored.sum() == 8)
    made.until_idle()
    yield made
    made.close()


def write_line(path: Path) -> Path:
    """A good part for a second, then a defective one for a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (SIZE, SIZE))
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 100)
    good, bad = picture(100, SIZE, SIZE), with_defect(picture(201, SIZE, SIZE), 16, 16, 16)
    for part in (good, bad):
        for _ in range(20):
            writer.write(np.ascontiguousarray(part[..., ::-1]))
    writer.release()
    return path


def test_that_a_video_is_judged_as_it_runs_and_scores_as_the_engine_alone_does(desk: RealDesk, tmp_path: Path) -> None:
    from core.inspection import Inspector  # torch, which comes after the window as in the program

    live, session = desk.parts.live, desk.parts.session
    live.show()
    live.start(VideoChoice(write_line(tmp_path / "line.avi"), loop=True))
    desk.until(lambda: live.model.lamp is Lamp.DEFECT)
    live.toggle_freeze()
    shown = live.model.shown
    assert shown is not None
    assert shown.frame is not None
    assert shown.found is not None
    desk.until(lambda: live.model.figures.counts.good > 0)
    live.stop()
    desk.until(lambda: live.model.state is LiveState.OFF)
    desk.until_idle()
    assert session.model is not None
    alone = Inspector(session.model, device="cpu").inspect(shown.frame.pixels)
    assert shown.found.score == alone.score
    assert np.array_equal(shown.found.anomaly_map, alone.anomaly_map)
    assert live.model.figures.latency is not None
    assert desk.errors() == []
    (tmp_path / "line.avi").unlink()  # nobody holds it


def test_that_a_watched_folder_scores_as_an_inspection_of_the_file(
    desk: RealDesk, data_set: Path, tmp_path: Path
) -> None:
    live = desk.parts.live
    watched = tmp_path / "camera"
    watched.mkdir()
    live.show()
    live.start(FolderChoice(watched))
    desk.until(lambda: live.model.state is LiveState.RUNNING)
    source = data_set / "test" / "spot" / "000.png"
    (watched / "000.png").write_bytes(source.read_bytes())
    desk.until(lambda: live.model.shown is not None)
    shown = live.model.shown
    assert shown is not None
    assert shown.found is not None
    assert shown.name == "000.png"
    assert shown.found.score == desk.scores()["spot/000.png"]
    assert live.model.lamp is Lamp.DEFECT
