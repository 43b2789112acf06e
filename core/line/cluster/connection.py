"""The way to other machines: Ray, connected while it is needed, and always let go of."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from core.errors import ClusterError

LOCAL = "local"
"""The address that stands for this machine alone."""
STORE_BYTES = 200_000_000
"""Of Ray's shared memory on this machine alone: only paths and scores go through it, and the model once."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Read by Ray when it is imported; what the user has set stays."""


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
def connected(address: str, *, cpus: int | None = None) -> Iterator[Any]:
    """Ray, connected to a cluster, or to one started on this machine that ends with it.

    Args:
        address: `local`, `auto` (this machine belongs to a cluster), HOST:PORT or ray://HOST:PORT.
        cpus: How many `local` has; None: the machine's.

    Yields:
        The package `ray`.

    Raises:
        ClusterError: It is not installed, or nobody answers.
    """
    ray = require_ray()
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        with _silent_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ClusterError(
            f"The cluster {address} cannot be reached ({reason}). Check that it runs (`ray status`), and the address."
        ) from error
    try:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        yield ray
    finally:
        ray.shutdown()


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
