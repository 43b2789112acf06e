import threading
from collections.abc import Iterator

import pytest

from core.ahead import AHEAD, ahead


def test_that_results_come_in_order_with_their_items() -> None:
    assert [(item, done.result()) for item, done in ahead(lambda x: x * x, range(20))] == [
        (x, x * x) for x in range(20)
    ]
    assert list(ahead(lambda x: x, [])) == []


def test_that_the_next_item_is_worked_on_while_the_caller_uses_this_one() -> None:
    begun = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    results = ahead(work, range(5))
    assert next(results)[1].result() == 0
    assert begun.wait(timeout=60)


def test_that_it_looks_no_further_than_a_few_items_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    results = ahead(lambda x: x, items())
    for item in range(10):
        next(results)
        assert max(asked) == item + AHEAD


def test_that_an_error_belongs_to_its_item_and_the_others_go_on() -> None:
    def work(item: int) -> float:
        return 1 / item

    found = [done.exception() or done.result() for _, done in ahead(work, [1, 0, 2])]
    assert found[0] == 1.0
    assert isinstance(found[1], ZeroDivisionError)
    assert found[2] == 0.5


def test_that_closing_it_early_leaves_no_thread_and_begins_nothing_more() -> None:
    before = set(threading.enumerate())
    worked: list[int] = []
    results = ahead(worked.append, range(50))
    next(results)
    assert len(set(threading.enumerate()) - before) == 1
    results.close()
    assert not set(threading.enumerate()) - before
    assert len(worked) <= 1 + AHEAD


def test_that_an_error_of_the_items_reaches_the_caller_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())

    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ahead(lambda x: x, items()))
    assert not set(threading.enumerate()) - before
