"""Who waits and who is at work: a bounded queue before a few threads. Lives on one event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from core.line.service.limits import Limits
from core.line.service.problems import busy

T = TypeVar("T")


class WorkQueue:
    """First come, first served; cancelling who waits costs nothing, who is at work is left to finish."""

    def __init__(self, limits: Limits) -> None:
        """Make the threads.

        Args:
            limits: Its `queue` and `workers`.
        """
        self._limit = limits.queue
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="cfa-inspect")
        self._free = asyncio.Semaphore(limits.workers)
        self.waiting = 0
        self.working = 0

    def require_room(self) -> None:
        """Turn away before anything is read.

        Raises:
            Problem: The queue is full.
        """
        if self.waiting >= self._limit:
            raise busy(f"{self.waiting} images wait already. Try again in a second.")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, on a thread, once one is free.

        Raises:
            Problem: The queue is full.
        """
        self.require_room()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.working += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self.working -= 1
        self._free.release()
        if not future.cancelled():
            future.exception()  # seen, also where nobody waits for it any more

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
