"""Frames in, verdicts out."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import CancelledByUser, DeviceError, ImageError, SourceError, SourceLostError
from core.line.live import line as live
from core.line.live.figures import LATENCIES, Counts, Latencies, Rate
from core.line.live.flagged import FlaggedKeeper
from core.line.live.frames import Frame, Newest, Taken, Unreadable
from core.line.live.judged import Found, Judged
from core.line.live.line import LiveLine
from core.placement import place
from core.presets import preset
from core.progress import CancelToken
from core.threshold import Verdict, manual_threshold
from tests.core.line.sources import ScriptedSource, frame, plain

LINE = manual_threshold(10.0, 5.0)


def inspect(pixels: NDArray[np.uint8]) -> Found:
    """The score is a tenth of the brightness."""
    where = place((pixels.shape[0], pixels.shape[1]), preset("standard").preprocessing, 32)
    return Found(float(pixels.mean()) / 10, np.zeros(where.crop[2:], np.float32), where)


class Capturing:
    """Captures on a thread of its own, as the window does."""

    def __init__(self, line: LiveLine, open_source: Callable[[], ScriptedSource]) -> None:
        self.cancel = CancelToken()
        self._thread = threading.Thread(target=line.capture, args=(open_source, self.cancel))
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(10)
        assert not self._thread.is_alive()


class OneByOne(ScriptedSource):
    """Gives the next picture once the one before was judged, so that none is skipped."""

    def __init__(self, script: list[Taken | Exception | None], line: LiveLine) -> None:
        super().__init__(script)
        self._line = line
        self._given = 0

    def read(self, wait: float) -> Taken | None:
        counts = self._line._counts
        if counts.judged + counts.unreadable + counts.unjudged < self._given:
            threading.Event().wait(0.001)
            return None
        self._given += 1
        return super().read(wait)


def run(line: LiveLine, script: list[Taken | Exception | None], **options: object) -> Counts:
    source = OneByOne(script, line)
    capturing = Capturing(line, lambda: source)
    try:
        return line.inspect(options.get("inspect", inspect), CancelToken())  # type: ignore[arg-type]
    finally:
        capturing.join()
        assert source.closed


def test_that_every_verdict_is_counted() -> None:
    line = LiveLine(LINE)
    counts = run(line, [frame(20), frame(70), frame(150), Unreadable("damaged", 0.0), frame(40)])
    assert counts == Counts(received=5, good=2, uncertain=1, flagged=1, unreadable=1)
    assert counts.flagged_rate == pytest.approx(0.25)
    look = line.look()
    assert look.judged is not None
    assert look.judged.verdict is Verdict.GOOD
    assert look.latency is not None
    assert line.look().judged is None  # told once


def test_that_a_picture_that_cannot_be_inspected_is_counted_and_the_line_goes_on() -> None:
    def picky(pixels: NDArray[np.uint8]) -> Found:
        if pixels.mean() < 50:
            raise ImageError("too dark")
        return inspect(pixels)

    line = LiveLine(LINE)
    counts = run(line, [frame(20), frame(60)], inspect=picky)
    assert (counts.unreadable, counts.uncertain) == (1, 1)


def test_that_a_score_that_is_no_number_never_passes_as_good() -> None:
    def broken(pixels: NDArray[np.uint8]) -> Found:
        return inspect(pixels)._replace(score=float("nan"))

    counts = run(LiveLine(LINE), [frame(20)], inspect=broken)
    assert (counts.good, counts.unreadable) == (0, 1)


def test_that_without_a_model_pictures_are_handed_on_unjudged() -> None:
    line = LiveLine(None)
    counts = run(line, [frame(20), frame(200)], inspect=None)
    assert counts == Counts(received=2, unjudged=2)
    judged = line.look().judged
    assert judged is not None
    assert judged.frame is not None
    assert judged.found is None


def test_that_a_new_threshold_holds_from_the_next_picture_on() -> None:
    line = LiveLine(LINE)

    def lower_after_first(pixels: NDArray[np.uint8]) -> Found:
        found = inspect(pixels)
        line.set_threshold(manual_threshold(1.0))
        return found

    judged = run(line, [frame(20), frame(20)], inspect=lower_after_first)
    assert (judged.good, judged.flagged) == (1, 1)


# the newest wins


def test_that_a_slow_inspection_gets_the_newest_frame_and_the_others_are_skipped() -> None:
    line = LiveLine(LINE)
    source = ScriptedSource([frame(grey) for grey in range(1, 101)], endless=True)
    seen = []

    def slow(pixels: NDArray[np.uint8]) -> Found:
        assert source.empty.wait(10)  # while this one is inspected, all others come
        seen.append(int(pixels[0, 0, 0]))
        if seen[-1] == 100:
            line.stop()
        return inspect(pixels)

    capturing = Capturing(line, lambda: source)
    counts = line.inspect(slow, CancelToken())
    capturing.join()
    assert seen[-1] == 100
    assert len(seen) <= 2
    assert counts.received == 100
    assert counts.skipped == 100 - len(seen)
    assert source.closed == 1


def test_that_no_more_than_one_frame_waits() -> None:
    newest = Newest()
    assert not newest.put(frame(1))
    assert newest.put(frame(2))
    taken = newest.take(0)
    assert isinstance(taken, Frame)
    assert int(taken.pixels[0, 0, 0]) == 2
    assert newest.take(0) is None


# ends and losses


def test_that_a_source_that_cannot_be_opened_ends_the_line_with_its_reason() -> None:
    def absent() -> ScriptedSource:
        raise SourceError("There is no camera.")

    line = LiveLine(LINE)
    capturing = Capturing(line, absent)
    with pytest.raises(SourceError, match="no camera"):
        line.inspect(inspect, CancelToken())
    capturing.join()


def test_that_an_unplugged_camera_is_told_opened_again_and_the_counts_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    line = LiveLine(LINE)
    first = OneByOne([frame(20), SourceLostError("The camera is gone.")], line)
    second = OneByOne([frame(150)], line)
    second._given = 1  # the one judged before
    attempts: list[object] = [first, SourceError("still gone"), SourceError("still gone"), second]
    told: list[str] = []

    def reopen() -> ScriptedSource:
        told.append(line.look().lost)
        attempt = attempts.pop(0)
        if isinstance(attempt, Exception):
            raise attempt
        assert isinstance(attempt, ScriptedSource)
        return attempt

    capturing = Capturing(line, reopen)
    counts = line.inspect(inspect, CancelToken())
    capturing.join()
    assert told == ["", "The camera is gone.", "still gone", "still gone"]
    assert (counts.good, counts.flagged) == (1, 1)
    assert line.look().lost == ""
    assert (first.closed, second.closed) == (1, 1)


def test_that_try_again_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_SECONDS", 3600.0)
    line = LiveLine(LINE)
    sources = [ScriptedSource([SourceLostError("gone")]), ScriptedSource([frame(20)])]
    lost = threading.Event()

    def reopen() -> ScriptedSource:
        lost.set()
        return sources.pop(0)

    capturing = Capturing(line, reopen)
    assert lost.wait(10)
    line.try_again()
    assert line.inspect(inspect, CancelToken()).good == 1
    capturing.join()


def test_that_stopping_closes_the_source_while_it_gives_nothing() -> None:
    line = LiveLine(LINE)
    source = ScriptedSource([], endless=True)
    capturing = Capturing(line, lambda: source)
    assert source.empty.wait(10)
    line.stop()
    capturing.join()
    assert source.closed == 1


@pytest.mark.parametrize("error", [DeviceError("no memory"), ZeroDivisionError("a bug")])
def test_that_an_inspection_that_fails_frees_the_device(error: Exception) -> None:
    def fails(_pixels: NDArray[np.uint8]) -> Found:
        raise error

    line = LiveLine(LINE)
    source = ScriptedSource([frame(20)], endless=True)
    capturing = Capturing(line, lambda: source)
    with pytest.raises(type(error)):
        line.inspect(fails, CancelToken())
    capturing.join()
    assert source.closed == 1


def test_that_a_cancel_ends_both_sides_and_frees_the_device() -> None:
    line = LiveLine(LINE)
    source = ScriptedSource([], endless=True)
    capturing = Capturing(line, lambda: source)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(CancelledByUser):
        line.inspect(inspect, cancel)
    capturing.join()
    assert source.closed == 1


# figures


def test_that_a_rate_is_over_the_last_seconds_and_falls_to_nothing() -> None:
    rate = Rate()
    for number in range(100):
        rate.note(number / 20)
    assert rate.value(5.0) == pytest.approx(20.0)
    assert rate.value(60.0) == 0.0


def test_that_latency_is_of_the_latest_pictures() -> None:
    latencies = Latencies()
    assert latencies.value() is None
    latencies.note(9.0)
    for _ in range(LATENCIES - 1):
        latencies.note(0.1)
    value = latencies.value()
    assert value is not None
    assert (value.median, value.worst) == (0.1, 9.0)
    latencies.note(0.2)
    value = latencies.value()
    assert value is not None
    assert value.worst == 0.2


# the latest flagged pictures


def flagged(score: float, verdict: Verdict = Verdict.DEFECT, size: tuple[int, int] = (24, 32)) -> Judged:
    found = inspect(plain(10, size))._replace(score=score)
    return Judged(Frame(plain(10, size), 0.0), found, verdict, "", 0.0, "")


def scores(keeper: FlaggedKeeper) -> list[float]:
    return [one.judged.found.score for one in keeper.latest() if one.judged.found]


def test_that_of_one_defect_in_view_for_long_the_clearest_picture_is_kept() -> None:
    keeper = FlaggedKeeper()
    for score in (11, 14, 12):
        keeper.note(flagged(score))
    keeper.note(flagged(1, Verdict.GOOD))
    keeper.note(flagged(13))
    assert scores(keeper) == [13, 14]


def test_that_separate_parts_are_all_kept_up_to_the_limit() -> None:
    keeper = FlaggedKeeper(separate=True, most=3)
    for score in range(11, 16):
        keeper.note(flagged(score))
    assert scores(keeper) == [15, 14, 13]
    assert len({one.number for one in keeper.latest()}) == 3


def test_that_flagged_pictures_keep_within_their_budget_but_for_one() -> None:
    size = flagged(1).frame.pixels.nbytes + flagged(1).found.anomaly_map.nbytes  # type: ignore[union-attr]
    keeper = FlaggedKeeper(separate=True, budget=2 * size)
    for score in range(11, 16):
        keeper.note(flagged(score))
    assert scores(keeper) == [15, 14]
    small = FlaggedKeeper(separate=True, budget=1)
    small.note(flagged(11))
    small.note(flagged(12))
    assert scores(small) == [12]
