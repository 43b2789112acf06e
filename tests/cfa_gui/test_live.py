"""The live view behind the page: state, freeze, keeping pictures, unplugging; with scripted sources."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.controllers.keeping_pictures import MOST_WAITING
from cfa_gui.models import live as live_model
from cfa_gui.models.live import Lamp, LiveModel, LiveState
from cfa_gui.models.run_state import RunState
from core.errors import DeviceError, SourceError, SourceLostError
from core.images import read_image
from core.line.live import line as line_module
from core.line.live.cameras import FoundCamera
from core.line.live.figures import Counts
from core.line.live.frames import Taken, Unreadable
from core.line.live.judged import Judged
from core.line.live.line import Look
from core.line.live.sources import CameraChoice, FolderChoice, SourceChoice, VideoChoice
from core.threshold import Verdict
from tests.cfa_gui.bench import Bench, working_bench
from tests.cfa_gui.fake_engine import fake_model, manual
from tests.core.line.sources import ScriptedSource, frame

CAMERA = CameraChoice(0, "Top")


def lamp(model: LiveModel) -> str:
    """What the lamp says, as text: a type checker would take two readings of one property to be the same."""
    return str(model.lamp)


def state(model: LiveModel) -> str:
    """As above, of the state."""
    return str(model.state)


class Rig:
    """A bench with a model and scripted sources in place of devices."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.live = bench.parts.live
        self.model = bench.parts.live.model
        self.sources: list[ScriptedSource | Exception] = []
        self.opened: list[SourceChoice] = []
        self.live._opener = self._open
        self.live._finder = lambda: (FoundCamera(0, "Top"),)
        bench.session.set_model(fake_model(threshold=manual(10.0)), None)

    def _open(self, choice: SourceChoice) -> ScriptedSource:
        self.opened.append(choice)
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source

    def start(
        self, script: Sequence[Taken | Exception | None] = (), *, choice: SourceChoice = CAMERA, endless: bool = True
    ) -> ScriptedSource:
        """Start on a scripted source."""
        source = ScriptedSource(script, endless=endless)
        self.sources.insert(0, source)
        self.live.start(choice)
        return source

    def until(self, wanted: Lamp) -> None:
        """Wait until the lamp says something."""
        self.bench.until(lambda: self.model.lamp is wanted)

    def until_over(self) -> None:
        """Wait until nothing runs, and the thread that captures is at rest."""
        self.bench.until(lambda: not self.model.running and not self.bench.parts.capture.busy)
        self.bench.until_idle()


@pytest.fixture
def rig(qtbot: QtBot, tmp_path: Path) -> Iterator[Rig]:
    with working_bench(qtbot, tmp_path) as bench:
        yield Rig(bench)


# start, run, stop


def test_that_a_picture_lights_the_lamp_and_stopping_frees_the_source(rig: Rig) -> None:
    source = rig.start([frame(40)])
    assert rig.bench.session.state is RunState.LIVE
    assert state(rig.model) == LiveState.STARTING
    rig.until(Lamp.GOOD)
    assert state(rig.model) == LiveState.RUNNING
    assert rig.model.source == "scripted"
    rig.live.stop()
    rig.until_over()
    assert state(rig.model) == LiveState.OFF
    assert lamp(rig.model) == Lamp.OFF
    assert source.closed == 1
    assert rig.bench.said == []


@pytest.mark.parametrize(("grey", "says"), [(40, Lamp.GOOD), (80, Lamp.UNCERTAIN), (150, Lamp.DEFECT)])
def test_that_the_lamp_follows_the_verdict(rig: Rig, grey: int, says: Lamp) -> None:
    rig.bench.session.set_threshold(manual(10.0).with_lower(6.0))
    rig.start([frame(grey)])
    rig.until(says)


def test_that_a_threshold_moved_meanwhile_judges_the_next_picture(rig: Rig) -> None:
    source = rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    rig.bench.session.set_threshold(manual(3.0))
    source._script.append(frame(40))
    rig.until(Lamp.DEFECT)


def test_that_a_picture_that_cannot_be_read_is_no_verdict(rig: Rig) -> None:
    rig.start([Unreadable("002.png is damaged.", 0.0, "002.png")], choice=FolderChoice(Path("in")))
    rig.until(Lamp.UNREADABLE)
    rig.bench.until(lambda: rig.model.figures.counts == Counts(received=1, unreadable=1))


def test_that_without_a_model_pictures_are_shown_and_not_judged(rig: Rig) -> None:
    rig.bench.session.model = None
    rig.start([frame(40)])
    rig.until(Lamp.NO_VERDICT)
    assert rig.model.shown is not None


def test_that_the_end_of_a_video_is_told(rig: Rig) -> None:
    rig.start([frame(40)], choice=VideoChoice(Path("line.avi"), loop=False), endless=False)
    rig.until_over()
    assert state(rig.model) == LiveState.ENDED
    assert lamp(rig.model) == Lamp.OFF
    assert rig.model.figures.counts.good == 1


def test_that_starting_again_begins_with_figures_at_nothing(rig: Rig) -> None:
    rig.start([frame(150)])
    rig.until(Lamp.DEFECT)
    rig.live.stop()
    rig.until_over()
    assert len(rig.model.flagged) == 1
    rig.start([])
    assert rig.model.figures.counts == Counts()
    assert not rig.model.flagged
    assert rig.model.shown is None


def test_that_one_live_view_at_a_time_runs_and_none_during_other_work(rig: Rig) -> None:
    rig.start([frame(40)])
    rig.live.start(CAMERA)
    rig.until(Lamp.GOOD)
    assert len(rig.opened) == 1
    assert not rig.bench.session.allowed().train
    assert not rig.bench.session.allowed().open
    rig.bench.parts.start_training()
    assert rig.bench.engine.trained == []


def test_that_start_works_while_cameras_are_still_being_looked_for(rig: Rig) -> None:
    rig.live.show()
    assert rig.bench.parts.capture.busy
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    assert rig.model.cameras == (FoundCamera(0, "Top"),)


def test_that_the_cancel_of_the_status_line_stops_it_too(rig: Rig) -> None:
    source = rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    rig.bench.parts.tasks.cancel()
    rig.until_over()
    assert state(rig.model) == LiveState.OFF
    assert source.closed == 1


def test_that_closing_the_program_frees_the_source(qtbot: QtBot, tmp_path: Path) -> None:
    with working_bench(qtbot, tmp_path) as bench:
        rig = Rig(bench)
        source = rig.start([frame(40)])
        rig.until(Lamp.GOOD)
    assert source.closed == 1


# what goes wrong


def test_that_a_source_that_cannot_be_opened_is_told_on_the_page_and_can_be_tried_again(rig: Rig) -> None:
    rig.sources.append(SourceError("Top cannot be opened. Plug it in."))
    rig.live.start(CAMERA)
    rig.until_over()
    assert state(rig.model) == LiveState.FAILED
    assert rig.model.message == "Top cannot be opened. Plug it in."
    assert lamp(rig.model) == Lamp.NO_PICTURE
    assert rig.bench.said == []
    rig.sources.append(ScriptedSource([frame(40)], endless=True))
    rig.live.try_again()
    rig.until(Lamp.GOOD)


def test_that_an_unplugged_camera_takes_the_verdict_away_and_comes_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "RETRY_SECONDS", 3600.0)
    source = rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    source._script.append(SourceLostError("Top gives no picture any more."))
    rig.until(Lamp.NO_PICTURE)
    assert state(rig.model) == LiveState.LOST
    assert rig.model.message == "Top gives no picture any more."
    assert rig.bench.session.state is RunState.LIVE
    assert source.closed == 1
    rig.sources.append(ScriptedSource([frame(150)], endless=True))
    rig.live.try_again()
    rig.until(Lamp.DEFECT)
    rig.bench.until(lambda: rig.model.figures.counts.judged == 2)  # the counts go on


def let_engine_fail(rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(_model: object, *, device: str) -> None:
        raise error

    monkeypatch.setattr(rig.bench.engine, "open_inspector", fails)


def test_that_an_engine_that_fails_ends_the_view_and_frees_the_source(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_engine_fail(rig, monkeypatch, DeviceError("There is no such device."))
    source = rig.start([frame(40)])
    rig.until_over()
    assert state(rig.model) == LiveState.FAILED
    assert rig.model.message == "There is no such device."
    assert source.closed <= 1
    assert not rig.opened or source.closed == 1


def test_that_a_bug_is_told_with_details(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    let_engine_fail(rig, monkeypatch, ZeroDivisionError("a bug"))
    rig.start([frame(40)])
    rig.until_over()
    assert rig.bench.said[0].details is not None


def test_that_a_camera_that_falls_silent_takes_the_verdict_away() -> None:
    model = LiveModel()
    judged = Judged(frame(40), None, Verdict.GOOD, "", 100.0, "")

    def look(new: Judged | None) -> Look:
        return Look(new, Counts(received=1, good=1), 1.0, 1.0, None, "scripted", "")

    model.begin(CAMERA, 100.0)
    model.take(look(judged), (), 100.0)
    assert lamp(model) == Lamp.GOOD
    model.take(look(None), (), 100.0 + live_model.STALE_SECONDS - 0.1)
    assert lamp(model) == Lamp.GOOD
    model.take(look(None), (), 100.0 + live_model.STALE_SECONDS + 0.1)
    assert lamp(model) == Lamp.NO_PICTURE
    model.take(look(judged), (), 103.0)
    assert lamp(model) == Lamp.GOOD


def test_that_in_a_watched_folder_a_verdict_stays_until_the_next_part() -> None:
    model = LiveModel()
    model.begin(FolderChoice(Path("in")), 100.0)
    judged = Judged(frame(40), None, Verdict.GOOD, "", 100.0, "1.png")
    model.take(Look(judged, Counts(), 0, 0, None, "New images in in", ""), (), 100.0)
    model.take(Look(None, Counts(), 0, 0, None, "New images in in", ""), (), 900.0)
    assert lamp(model) == Lamp.GOOD


def test_that_an_impossible_change_of_the_live_state_is_a_bug() -> None:
    model = LiveModel()
    with pytest.raises(RuntimeError, match="cannot become"):
        model.enter(LiveState.RUNNING)


# hold and keep


def test_that_a_held_picture_stays_while_the_inspection_goes_on_and_counts(rig: Rig) -> None:
    source = rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    held = rig.model.shown
    rig.live.toggle_freeze()
    source._script.append(frame(150))
    rig.bench.until(lambda: rig.model.figures.counts.flagged == 1)
    assert rig.model.shown is held
    assert lamp(rig.model) == Lamp.GOOD
    rig.live.toggle_freeze()
    assert not rig.model.frozen
    source._script.append(frame(150))
    rig.until(Lamp.DEFECT)


def test_that_a_flagged_picture_of_the_strip_is_held(rig: Rig) -> None:
    rig.start([frame(150)])
    rig.until(Lamp.DEFECT)
    rig.bench.until(lambda: len(rig.model.flagged) == 1)
    rig.live.show_flagged(rig.model.flagged[0])
    assert rig.model.frozen
    assert rig.model.shown is rig.model.flagged[0].judged


def test_that_a_picture_is_kept_in_the_folder_that_is_asked_for_once(rig: Rig, tmp_path: Path) -> None:
    keeping, bench = rig.bench.parts.keeping_pictures, rig.bench
    bench.answers.path = tmp_path / "kept"
    bench.answers.path.mkdir()
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    keeping.save_good()
    bench.until(lambda: len(bench.said) == 1)
    bench.answers.path = tmp_path / "another"
    keeping.save_defect()
    bench.until(lambda: len(bench.said) == 2)
    good, defect = (list((tmp_path / "kept" / name).iterdir()) for name in ("good", "defect"))
    assert [len(good), len(defect)] == [1, 1]
    assert good[0].name.endswith("_score-4.000.png")
    assert int(read_image(good[0])[0, 0, 0]) == 40


def test_that_kept_pictures_are_offered_and_taken_in(rig: Rig, tmp_path: Path) -> None:
    keeping, bench = rig.bench.parts.keeping_pictures, rig.bench
    bench.settings.update(live_saved=str(tmp_path))
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    for number, save in enumerate((keeping.save_good, keeping.save_defect)):
        save()
        bench.until(lambda wanted=number: len(bench.texts("success")) == 2 * wanted + 1)  # type: ignore[misc]
        action = bench.said[-1].action
        assert action is not None
        action[1]()
    assert bench.session.samples is not None
    assert [sample.path.parent.name for sample in bench.session.samples.good] == ["good"]
    assert [sample.path.parent.name for sample in bench.session.review.samples] == ["defect"]
    assert state(rig.model) == LiveState.RUNNING


def test_that_a_folder_that_cannot_be_written_is_told(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    rig.bench.settings.update(live_saved=str(tmp_path / "file"))
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    rig.bench.parts.keeping_pictures.save_good()
    rig.bench.until(lambda: bool(rig.bench.texts("error")))


def test_that_without_an_answer_or_a_picture_nothing_is_kept(rig: Rig) -> None:
    keeping = rig.bench.parts.keeping_pictures
    keeping.save_good()
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    keeping.save_good()  # the answer is: nowhere
    assert not rig.bench.parts.writer.busy
    assert rig.bench.settings.preferences.live_saved == ""


def test_that_a_slow_disk_cannot_fill_the_memory(rig: Rig, tmp_path: Path) -> None:
    rig.bench.settings.update(live_saved=str(tmp_path))
    rig.start([frame(40)])
    rig.until(Lamp.GOOD)
    for _ in range(MOST_WAITING + 1):
        rig.bench.parts.keeping_pictures.save_good()  # no event loop in between: none is done
    assert rig.bench.texts("warning") == ["The pictures before are still being written. Press again in a moment."]
    rig.bench.until(lambda: not rig.bench.parts.writer.busy)
    assert len(list((tmp_path / "good").iterdir())) == MOST_WAITING


# sources


def test_that_what_was_chosen_is_remembered(rig: Rig, tmp_path: Path) -> None:
    rig.bench.answers.path = tmp_path
    rig.live.choose_watched()
    rig.bench.answers.path = tmp_path / "line.avi"
    rig.live.choose_video()
    assert (rig.model.watched, rig.model.video) == (tmp_path, tmp_path / "line.avi")
    rig.start([frame(40)], choice=VideoChoice(tmp_path / "line.avi", loop=False))
    preferences = rig.bench.settings.preferences
    assert (preferences.live_source, preferences.live_loop) == ("video", False)
    assert preferences.live_watched == str(tmp_path)
