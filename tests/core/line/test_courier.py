"""Results get through, in order, however their receiver behaves."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from core.errors import RefusedError, TargetError
from core.line.watching import courier as module
from core.line.watching.arrivals import Stamp
from core.line.watching.courier import MOST_TRIES, Courier
from core.line.watching.ledger import Ledger
from core.line.watching.results import Result
from tests.core.line.watched import result_of


class Receiver:
    """Takes results unless told otherwise."""

    address = "receiver"

    def __init__(self) -> None:
        self.got: list[int] = []
        self.refuses: set[int] = set()
        self.asked = 0
        self.down = False
        self.at_a_time = 1000
        self.loses_connection = False
        self.bug: Exception | None = None

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        self.asked += 1
        for result in results[: self.at_a_time]:
            if self.bug is not None:
                raise self.bug
            if self.down:
                raise TargetError("receiver cannot be reached.")
            if result.number in self.refuses:
                raise RefusedError("receiver answers 400.")
            self.got.append(result.number)
            yield result
        if self.loses_connection and len(results) > self.at_a_time:
            raise TargetError("receiver lost the connection.")


class Bench:
    """A ledger with results for one receiver, and its courier."""

    def __init__(self, folder: Path, most: int = 1000) -> None:
        self.ledger = Ledger(folder / "l.sqlite", folder)
        self.receiver = Receiver()
        self.number = self.ledger.target("receiver")
        self._most = most
        self._changed = threading.Condition()

    def add(self, count: int) -> None:
        for n in range(count):
            self.ledger.add(result_of(f"{n}.png"), Stamp(1, 1), [self.number])

    def start(self) -> Courier:
        return Courier(self.receiver, lambda: self.ledger.outbox(self.number), self._most, self._notify)

    def until(self, true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(true, 30)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


def test_that_results_are_delivered_in_order_in_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    bench.add(7)
    courier = bench.start()
    bench.until(lambda: courier.has_done_what_it_can)
    bench.add(1)
    courier.nudge()
    bench.until(lambda: courier.has_done_what_it_can)
    courier.stop()
    courier.check()
    assert bench.receiver.got == list(range(1, 9))
    assert (courier.state.delivered, courier.state.waiting) == (8, 0)


def test_that_a_target_that_takes_one_at_a_time_gets_all_also_at_the_end(bench: Bench) -> None:
    bench.receiver.at_a_time = 1
    bench.add(5)
    bench.start().stop()
    assert bench.receiver.got == [1, 2, 3, 4, 5]


def test_that_a_target_that_fails_now_and_then_is_not_waited_for_longer_and_longer(
    bench: Bench,
) -> None:
    """Each try takes one result, then the connection is lost: pauses that doubled would last for hours."""
    bench.receiver.at_a_time = 1
    bench.receiver.loses_connection = True
    bench.add(40)
    courier = bench.start()
    bench.until(lambda: courier.state.delivered == 40)
    courier.stop()
    assert bench.receiver.got == list(range(1, 41))


def test_that_the_end_does_not_wait_for_a_long_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.0)
    bench.receiver.at_a_time = 1
    bench.receiver.down = True
    bench.add(5)
    courier = bench.start()
    bench.until(lambda: bool(courier.state.trouble))
    bench.receiver.down = False
    courier.stop()
    assert len(bench.receiver.got) < 5
    assert courier.state.waiting == 5 - len(bench.receiver.got)


def test_that_what_is_refused_again_and_again_lets_the_others_through(bench: Bench) -> None:
    bench.receiver.refuses = {2, 3}
    bench.add(4)
    courier = bench.start()
    bench.until(lambda: courier.state.delivered == 2 and not courier.state.trouble)
    courier.stop()
    assert bench.receiver.got == [1, 4]
    assert courier.state.given_up == 2
    assert bench.receiver.asked >= 2 * MOST_TRIES


def test_that_of_too_many_waiting_the_latest_are_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most=2)
    bench.receiver.down = True
    bench.add(5)
    courier = bench.start()
    bench.until(lambda: courier.state.waiting == 2)
    bench.receiver.down = False
    bench.until(lambda: courier.state.delivered == 2)
    courier.stop()
    bench.ledger.close()
    assert bench.receiver.got == [4, 5]
    assert courier.state.given_up == 3


def test_that_an_end_in_an_outage_comes_soon_and_keeps_the_results(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 1000.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 1000.0)
    bench.receiver.down = True
    bench.add(2)
    courier = bench.start()
    bench.until(lambda: bool(courier.state.trouble))
    courier.stop()
    assert courier.state.waiting == 2


def test_that_a_bug_in_a_target_is_not_hidden(bench: Bench) -> None:
    bench.receiver.bug = ZeroDivisionError("a bug")
    bench.add(1)
    courier = bench.start()
    courier.stop()
    with pytest.raises(ZeroDivisionError):
        courier.check()
