"""Images that wait are worked on together."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.line.service.together import Together


class Slow:
    """Squares; what it is given first waits at a gate."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.gate = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.gate.wait(10)
        if -1 in items:
            raise ValueError("the one")
        return [item * item for item in items]


def asked(work: Slow, most: int, first: int, others: Sequence[int]) -> list[int | BaseException | None]:
    """What each caller has: the others come while the first one is worked on."""
    together = Together(work, most)
    with ThreadPoolExecutor(1 + len(others)) as threads:
        futures = [threads.submit(together, first)]
        assert work.begun.wait(10)
        for count, item in enumerate(others, start=1):
            futures.append(threads.submit(together, item))
            while len(together._waiting) < count:
                threading.Event().wait(0.001)
        work.gate.set()
        return [future.exception(10) or future.result() for future in futures]


def test_that_what_came_while_one_was_at_work_goes_through_together() -> None:
    work = Slow()
    assert asked(work, 3, 1, [2, 3, 4, 5]) == [1, 4, 9, 16, 25]
    assert work.batches == [[1], [2, 3, 4], [5]]


def test_that_nothing_is_gathered_where_one_at_a_time_is_best() -> None:
    work = Slow()
    assert asked(work, 1, 1, [2, 3]) == [1, 4, 9]
    assert work.batches == [[1], [2], [3]]


def test_that_one_items_fault_is_not_anothers() -> None:
    work = Slow()
    found = asked(work, 8, 1, [2, -1, 4])
    assert [found[0], found[1], found[3]] == [1, 4, 16]
    assert isinstance(found[2], ValueError)
    assert work.batches == [[1], [2, -1, 4], [2], [-1], [4]]


def test_that_a_fault_leaves_the_next_in_turn() -> None:
    work = Slow()
    work.gate.set()
    together = Together(work, 4)
    with pytest.raises(ValueError, match="the one"):
        together(-1)
    assert together(3) == 9
