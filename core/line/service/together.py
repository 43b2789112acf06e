"""Calls from several threads, worked on together."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Together(Generic[Item, Result]):
    """One thread works at a time, and takes along what the others have brought meanwhile: nothing waits for a batch."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], most: int) -> None:
        """Nothing waits yet.

        Args:
            work: A result for each of up to `most` items, in order.
            most: Items; at least 1.
        """
        self._work, self._most = work, most
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._turn = threading.Lock()

    def __call__(self, item: Item) -> Result:
        """The result for an item, or what `work` raises for it alone."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        while not future.done():
            with self._turn:
                if not future.done():  # it was not taken along by the one before
                    self._take()
        return future.result()

    def _take(self) -> None:
        taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        if not self._worked(taken):
            for one in taken:  # one item's fault is not another's
                self._worked([one])

    def _worked(self, taken: Sequence[tuple[Item, "Future[Result]"]]) -> bool:
        """Whether all of them have their result or, where it is one, its fault."""
        try:
            results = self._work([item for item, _ in taken])
        except Exception as error:  # noqa: BLE001  for the thread that waits
            if len(taken) == 1:
                taken[0][1].set_exception(error)
            return len(taken) == 1
        for (_, future), result in zip(taken, results, strict=True):
            future.set_result(result)
        return True
