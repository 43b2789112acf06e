"""The seam between the engine and the window."""

import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from cfa_gui.jobs import Job, JobRunner
from core.errors import CancelledByUser, ImageError
from core.progress import CancelToken, Phase, Progress, Report, StepRecord


@pytest.fixture
def runner(qapp: object) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.shutdown()


class Diary:
    """Writes down what a job tells, in order, and on which thread."""

    def __init__(self, job: Job) -> None:
        self.lines: list[tuple[str, object]] = []
        self.threads: set[int] = set()
        job.progressed.connect(self._on_progressed)
        job.succeeded.connect(self._on_succeeded)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        job.finished.connect(self._on_finished)

    def names(self) -> list[str]:
        return [name for name, _ in self.lines]

    def _write(self, name: str, value: object = None) -> None:
        self.lines.append((name, value))
        self.threads.add(threading.get_ident())

    def _on_progressed(self, progress: object) -> None:
        self._write("progressed", progress)

    def _on_succeeded(self, result: object) -> None:
        self._write("succeeded", result)

    def _on_failed(self, error: object) -> None:
        self._write("failed", error)

    def _on_cancelled(self) -> None:
        self._write("cancelled")

    def _on_finished(self) -> None:
        self._write("finished")


def until_cancelled(started: threading.Event) -> Callable[[Report, CancelToken], object]:
    def work(report: Report, cancel: CancelToken) -> object:
        started.set()
        while True:
            cancel.check()
            time.sleep(0.001)

    return work


def step(epoch: float) -> StepRecord:
    return StepRecord(epoch, 1.0, 0.5, 0.5, 0.8, 0.4, 0.04)


def test_that_a_result_is_told_before_finished_and_on_the_gui_thread(qtbot: QtBot, runner: JobRunner) -> None:
    worker: list[int] = []

    def work(report: Report, cancel: CancelToken) -> object:
        worker.append(threading.get_ident())
        report(Progress(Phase.READING, 1, 2))
        return "result"

    job = runner.submit(work)
    diary = Diary(job)
    with qtbot.waitSignals([job.progressed, job.succeeded, job.finished], order="strict"):
        pass
    assert diary.names() == ["progressed", "succeeded", "finished"]
    assert diary.lines[1][1] == "result"
    assert diary.threads == {threading.get_ident()}
    assert worker != [threading.get_ident()]


def test_that_nothing_is_missed_when_connected_after_the_work_has_ended(qtbot: QtBot, runner: JobRunner) -> None:
    ended = threading.Event()

    def work(report: Report, cancel: CancelToken) -> object:
        report(Progress(Phase.READING, 1, 1))
        ended.set()
        return 7

    job = runner.submit(work)
    assert ended.wait(5)
    time.sleep(0.02)
    diary = Diary(job)
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["progressed", "succeeded", "finished"]


@pytest.mark.parametrize("error", [ValueError("a bug"), ImageError("a file"), SystemExit(3), KeyboardInterrupt()])
def test_that_anything_raised_is_told_as_failed(qtbot: QtBot, runner: JobRunner, error: BaseException) -> None:
    def work(report: Report, cancel: CancelToken) -> object:
        raise error

    diary = Diary(runner.submit(work))
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.lines == [("failed", error), ("finished", None)]


def test_that_cancel_reads_as_cancelled_and_never_as_failure(qtbot: QtBot, runner: JobRunner) -> None:
    started = threading.Event()
    job = runner.submit(until_cancelled(started))
    diary = Diary(job)
    assert started.wait(5)
    job.cancel()
    job.cancel()
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["cancelled", "finished"]
    assert job.cancel_requested
    assert job.done


def test_that_a_result_which_comes_after_cancel_is_dropped(qtbot: QtBot, runner: JobRunner) -> None:
    go = threading.Event()

    def work(report: Report, cancel: CancelToken) -> object:
        go.wait(5)
        report(Progress(Phase.READING, 1, 1))
        return "too late"

    job = runner.submit(work)
    diary = Diary(job)
    job.cancel()
    go.set()
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["cancelled", "finished"]


def test_that_an_error_after_cancel_is_still_told(qtbot: QtBot, runner: JobRunner) -> None:
    started, go = threading.Event(), threading.Event()

    def work(report: Report, cancel: CancelToken) -> object:
        started.set()
        go.wait(5)
        raise ValueError("a bug while stopping")

    job = runner.submit(work)
    diary = Diary(job)
    assert started.wait(5)
    job.cancel()
    go.set()
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["failed", "finished"]


def test_that_a_waiting_job_is_cancelled_without_waiting_for_the_one_before(qtbot: QtBot, runner: JobRunner) -> None:
    started, begun = threading.Event(), threading.Event()

    def second(report: Report, cancel: CancelToken) -> object:
        begun.set()
        return None

    first = runner.submit(until_cancelled(started))
    waiting = runner.submit(second)
    diary = Diary(waiting)
    waiting.cancel()
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["cancelled", "finished"]
    assert not first.done
    first.cancel()
    with qtbot.waitSignal(first.finished):
        pass
    assert not begun.is_set()


def test_that_jobs_run_one_after_the_other_in_order(qtbot: QtBot, runner: JobRunner) -> None:
    running: list[int] = []
    order: list[int] = []

    def make(number: int) -> Callable[[Report, CancelToken], object]:
        def work(report: Report, cancel: CancelToken) -> object:
            running.append(number)
            time.sleep(0.002)
            assert running == [number]
            running.clear()
            order.append(number)
            return number

        return work

    jobs = [runner.submit(make(number)) for number in range(20)]
    diaries = [Diary(job) for job in jobs]
    qtbot.waitUntil(lambda: not runner.busy)
    assert order == list(range(20))
    assert [diary.names() for diary in diaries] == [["succeeded", "finished"]] * 20


def test_that_a_flood_of_reports_is_thinned_but_every_step_and_the_last_report_are_kept(
    qtbot: QtBot, runner: JobRunner
) -> None:
    def work(report: Report, cancel: CancelToken) -> object:
        for index in range(5000):
            report(Progress(Phase.FEATURES, index, 5000))
        for index in range(200):
            report(Progress(Phase.TRAINING, index, 200, "steps", step(index)))
        return None

    diary = Diary(runner.submit(work))
    qtbot.waitUntil(lambda: "finished" in diary.names())
    reports = [value for name, value in diary.lines if name == "progressed" and isinstance(value, Progress)]
    features = [item for item in reports if item.phase is Phase.FEATURES]
    steps = [item.step.epoch for item in reports if item.step is not None]
    assert len(features) < 100
    assert features[-1].done == 4999
    assert steps == list(range(200))
    assert reports == sorted(reports, key=lambda item: (item.phase is Phase.TRAINING, item.done))


def test_that_reports_reach_the_window_at_most_about_thirty_times_a_second(qtbot: QtBot, runner: JobRunner) -> None:
    def work(report: Report, cancel: CancelToken) -> object:
        begin = time.monotonic()
        while time.monotonic() < begin + 0.5:
            report(Progress(Phase.FEATURES, time.monotonic(), 0))
            time.sleep(0.0005)
        return None

    diary = Diary(runner.submit(work))
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert 3 <= diary.names().count("progressed") <= 18


def test_that_shutdown_cancels_all_and_every_job_still_finishes(qtbot: QtBot) -> None:
    runner = JobRunner()
    started = threading.Event()
    diaries = [Diary(runner.submit(until_cancelled(started))) for _ in range(3)]
    assert started.wait(5)
    runner.shutdown()
    runner.shutdown()
    assert [diary.names() for diary in diaries] == [["cancelled", "finished"]] * 3
    assert not runner.busy
    with pytest.raises(RuntimeError, match="shut down"):
        runner.submit(until_cancelled(started))


def test_that_work_cannot_be_submitted_from_another_thread(qtbot: QtBot, runner: JobRunner) -> None:
    caught: list[BaseException] = []

    def submit() -> None:
        try:
            runner.submit(until_cancelled(threading.Event()))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join()
    assert "GUI thread" in str(caught[0])


def test_that_busy_is_told_once_at_the_start_and_once_at_the_end(qtbot: QtBot, runner: JobRunner) -> None:
    told: list[bool] = []
    runner.busy_changed.connect(told.append)
    for _ in range(3):
        runner.submit(lambda report, cancel: None)
    qtbot.waitUntil(lambda: not runner.busy)
    assert told == [True, False]


def test_that_a_job_submitted_in_the_outcome_of_another_runs(qtbot: QtBot, runner: JobRunner) -> None:
    followers: list[Diary] = []

    def follow(result: object) -> None:
        followers.append(Diary(runner.submit(lambda report, cancel: result)))

    runner.submit(lambda report, cancel: 5).succeeded.connect(follow)
    qtbot.waitUntil(lambda: bool(followers) and "finished" in followers[0].names())
    assert followers[0].lines == [("succeeded", 5), ("finished", None)]


def test_that_a_slot_which_raises_does_not_keep_finished_back(qtbot: QtBot, runner: JobRunner) -> None:
    def bad(result: object) -> None:
        raise ValueError("in a slot")

    job = runner.submit(lambda report, cancel: 1)
    job.succeeded.connect(bad)
    with qtbot.captureExceptions() as caught, qtbot.waitSignal(job.finished):
        pass
    assert [kind for kind, _, _ in caught] == [ValueError]


def test_that_a_job_nobody_holds_is_destroyed_on_the_gui_thread(qtbot: QtBot, runner: JobRunner) -> None:
    destroyed: list[int] = []

    def note() -> None:
        destroyed.append(threading.get_ident())

    for _ in range(50):
        runner.submit(lambda report, cancel: None).destroyed.connect(note)
    qtbot.waitUntil(lambda: len(destroyed) == 50)
    assert set(destroyed) == {threading.get_ident()}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="True is immortal from Python 3.12 on")
def test_that_a_thousand_signals_leave_the_reference_count_of_true_alone(qtbot: QtBot, runner: JobRunner) -> None:
    heard: list[bool] = []
    truth = bool(1)
    runner.busy_changed.connect(heard.append)
    before = sys.getrefcount(truth)
    for _ in range(1000):
        runner.busy_changed.emit(truth)
    heard.clear()
    assert abs(sys.getrefcount(truth) - before) < 50


def test_that_cancelled_by_user_needs_no_token(qtbot: QtBot, runner: JobRunner) -> None:
    def work(report: Report, cancel: CancelToken) -> object:
        raise CancelledByUser

    diary = Diary(runner.submit(work))
    qtbot.waitUntil(lambda: "finished" in diary.names())
    assert diary.names() == ["cancelled", "finished"]
