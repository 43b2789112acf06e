"""Work done ahead of its use, on threads beside the caller's: decoding while the network computes."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""How many results wait at most, beside the one in use: pictures may be large."""
DECODERS = min(8, os.cpu_count() or 1)
"""Threads that decode for a device that would wait for one alone."""


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1, waiting: int = AHEAD
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with the finished work on it, in order; the next ones are worked on meanwhile.

    Closing the iterator drops what has not been begun and waits for what has.

    Args:
        work: Called on threads of its own; what it raises, the future holds.
        items: Looked at no further than `waiting` items beyond the one in use.
        workers: How many items are worked on at once.
        waiting: How many results wait at most, beside the one in use.

    Yields:
        An item and its future, which is done.
    """
    begun: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="ahead")
    try:
        for item in items:
            begun.append((item, pool.submit(work, item)))
            if len(begun) > waiting:
                yield _done(begun.popleft())
        while begun:
            yield _done(begun.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(entry: tuple[Item, Future[Result]]) -> tuple[Item, Future[Result]]:
    entry[1].exception()  # waits
    return entry


def finished(work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """The work done at once, as a future."""
    future: Future[Result] = Future()
    try:
        future.set_result(work(item))
    except Exception as error:  # noqa: BLE001  whoever asks for the result gets it
        future.set_exception(error)
    return future
