"""The way to other machines: Ray, connected while it is needed, and always let go of."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.errors import ClusterError
from core.images import shown
from core.version import VERSION

LOCAL = "local"
"""The address that stands for this machine alone."""
STORE_BYTES = 200_000_000
"""Of Ray's shared memory on this machine alone: only paths and scores go through it, and the model once."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Read by Ray when it is imported; what the user has set stays."""


_MOST_OF_REASON = 240


class RemoteBugError(RuntimeError):
    """A bug that showed on another machine; the text is its traceback there."""


def require_ray() -> Any:
    """The package.

    Raises:
        ClusterError: It is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ClusterError('--cluster needs ray. Install it with `pip install "cfa-gui[cluster]"`.') from error


@contextlib.contextmanager
def connected(address: str, *, cpus: int = 1) -> Iterator[Any]:
    """Ray, connected to a cluster, or to one started on this machine that ends with it.

    Standard output is kept for results: what is printed meanwhile goes to standard error.

    Args:
        address: `local`, `auto` (this machine belongs to a cluster) or HOST:PORT.
        cpus: How many `local` has at least; it has the machine's where they are more.

    Yields:
        The package `ray`.

    Raises:
        ClusterError: It is not installed, or nobody answers.
    """
    if address.startswith("ray://"):
        raise ClusterError(
            f"The address {shown(address)} is that of a Ray client. Run the command on a machine of the cluster, with "
            "--cluster auto."
        )
    ray = require_ray()
    own: dict[str, Any] = {}
    if address == LOCAL:
        count = max(cpus, os.cpu_count() or 1)
        own = {"num_cpus": count, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        with _silent_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"The cluster {shown(address)} cannot be reached ({_reason(error)}). Check that it runs (`ray status`), "
            "and the address."
        ) from error
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints there which processes were lost, the last when it ends
        try:
            logging.getLogger("ray").setLevel(logging.CRITICAL)
            yield ray
        finally:
            ray.shutdown()


def resources_of(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """What each machine that is there has, as Ray names it (CPU, GPU)."""
    return [node["Resources"] for node in nodes if node.get("Alive")]


def require_same_version(asked: str) -> None:
    """See that this machine has the program of the one that asks.

    Raises:
        ClusterError: Another one.
    """
    if asked != VERSION:
        raise ClusterError(
            f"A machine of the cluster has cfa-gui {VERSION}, this one {asked}. Install the same on all."
        )


def told(error: BaseException) -> Exception:
    """The cluster's own complaint as one line; what is no complaint of Ray as it is."""
    if not type(error).__module__.startswith("ray."):
        return error if isinstance(error, Exception) else RuntimeError(repr(error))
    if "ModuleNotFoundError" in str(error) or "ImportError" in str(error):
        return ClusterError(
            f"A machine of the cluster cannot load the program ({_last(error)}). Install the same cfa-gui on all, with "
            '`pip install "cfa-gui[cluster]"`.'
        )
    return ClusterError(f"The cluster gave up ({_last(error)}). The same command again goes on with what is left.")


def _reason(error: BaseException) -> str:
    return shown(" ".join(str(error).split()))[:_MOST_OF_REASON] or type(error).__name__


def _last(error: BaseException) -> str:
    """The last line of a traceback, which says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[-1])[:_MOST_OF_REASON] if lines else type(error).__name__


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's C++ side writes to the process's standard error past Python; what matters is in its exceptions too."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a device, no path
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
