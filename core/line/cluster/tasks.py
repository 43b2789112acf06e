"""Long pieces of work on a cluster, each a task of its own that hears of a cancel and ends cleanly."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import CfaError, ClusterError
from core.line.cluster.connection import require_same_version, resources_of, told
from core.progress import CancelToken
from core.version import VERSION

_LOOK_SECONDS = 0.5
_RETRIES = 2
"""So often a task is begun again where its machine was lost."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of a machine a task has for itself.

    Attributes:
        cpus: Whole ones.
        gpus: A share of a graphics card; 0: none.
    """

    cpus: int
    gpus: float


def share_of(nodes: Sequence[Mapping[str, Any]], *, jobs: int, gpus: float | None) -> Share:
    """What each task has where each machine of a cluster does so many at a time.

    Args:
        nodes: As Ray lists them.
        jobs: At a time on a machine; the smallest one decides the CPUs.
        gpus: For each; None: a card's 1/jobs where there is a card.

    Raises:
        ClusterError: No machine is there.
    """
    resources = resources_of(nodes)
    cpus = [int(held["CPU"]) for held in resources if held.get("CPU", 0) >= 1]
    if not cpus:
        raise ClusterError("No machine of the cluster has a CPU to give. See `ray status`.")
    has_cards = any(held.get("GPU", 0) for held in resources)
    return Share(max(1, min(cpus) // jobs), (1 / jobs if has_cards else 0.0) if gpus is None else gpus)


class _Bell:
    """Tells tasks on other machines that the user has cancelled."""

    def __init__(self) -> None:
        self._rung = False

    def ring(self) -> None:
        self._rung = True

    def rung(self) -> bool:
        return self._rung


def run_tasks(
    ray: Any,
    function: Callable[..., Any],
    calls: Mapping[str, tuple[Any, ...]],
    share: Share,
    cancel: CancelToken,
) -> Iterator[tuple[str, Any]]:
    """Call a function with each of many arguments, on whatever machines have room.

    Once the token is set, tasks that have not begun begin no more, and those that run hear of it and are waited for.

    Args:
        ray: The package, connected.
        function: Of a module; called with the arguments and, behind them, a token.
        calls: Name → arguments.
        share: What each has for itself.
        cancel: Looked at twice a second.

    Yields:
        A name and what the function returned, as soon as it did; where its machine or process was lost again and again,
        a text that says so.

    Raises:
        ClusterError: A machine has another program, or the cluster is lost.
    """
    bell = ray.remote(num_cpus=0)(_Bell).remote()
    task = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus or None, max_retries=_RETRIES)(call)
    names = {task.remote(function, arguments, bell, VERSION): name for name, arguments in calls.items()}
    waiting, rung = list(names), False
    while waiting:
        if cancel.cancelled and not rung:
            ray.get(bell.ring.remote())
            rung = True
        done, waiting = ray.wait(waiting, num_returns=1, timeout=_LOOK_SECONDS)
        for reference in done:
            yield names[reference], _result(ray, reference)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        return f"Its machine or process was lost: {' '.join(str(error).split())[:200]}"
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise ClusterError(str(cause)) if isinstance(cause, CfaError) else told(error) from error
    except ray.exceptions.RayError as error:
        raise told(error) from error


def call(function: Callable[..., Any], arguments: tuple[Any, ...], bell: Any, version: str) -> Any:
    """On the other machine: call it, and set its token when the bell is rung or cannot be asked any more."""
    require_same_version(version)
    cancel, ended = CancelToken(), threading.Event()
    listener = threading.Thread(target=_listen, args=(bell, cancel, ended), daemon=True)
    listener.start()
    try:
        return function(*arguments, cancel)
    finally:
        ended.set()
        listener.join()


def _listen(bell: Any, cancel: CancelToken, ended: threading.Event) -> None:
    import ray  # type: ignore[import-not-found, unused-ignore]  # an optional extra

    while True:
        rung = True
        with contextlib.suppress(ray.exceptions.RayError):  # the asker is gone: nobody waits for the result
            rung = ray.get(bell.rung.remote())
        if rung:
            cancel.cancel()
            return
        if ended.wait(_LOOK_SECONDS):
            return
