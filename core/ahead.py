"""Work done ahead of its use, on a thread beside the caller's: decoding while the network computes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""How many results wait at most, beside the one in use: pictures may be large."""


def ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with the finished work on it, in order; the next ones are worked on meanwhile.

    Closing the iterator drops what has not been begun and waits for what has.

    Args:
        work: Called on a thread of its own, for one item at a time; what it raises, the future holds.
        items: Looked at no further than `AHEAD` items beyond the one in use.

    Yields:
        An item and its future, which is done.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > AHEAD:
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(entry: tuple[Item, Future[Result]]) -> tuple[Item, Future[Result]]:
    entry[1].exception()  # waits
    return entry
