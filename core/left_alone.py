"""Work that cannot be interrupted, such as compiling: who cancels need not wait for its end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from core.progress import CancelToken

Result = TypeVar("Result")
_LOOKS = 0.05
"""Seconds between two looks at whether someone has cancelled."""


def left_alone(work: Callable[[], Result], cancel: CancelToken) -> Result:
    """The result of work on a thread of its own; where that is cancelled, it goes on by itself and its result is lost.

    A program ends no sooner than such work.

    Args:
        work: Needs nothing that is closed or changed once this has returned.
        cancel: Asked again and again.

    Raises:
        CancelledByUser: The token was set before the work had ended.
        Exception: What the work raises.
    """
    cancel.check()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="left-alone")
    try:
        future = pool.submit(work)
        while not wait([future], timeout=_LOOKS).done:
            cancel.check()
        return future.result()
    finally:
        pool.shutdown(wait=False)
