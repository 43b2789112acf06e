"""Anomaly maps of many images in bounded memory: the latest used in RAM, the rest in a temporary folder."""

import contextlib
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.leftovers import IN_USE, MAPS_PREFIX

DEFAULT_BUDGET = 128 * 1024 * 1024
"""Bytes of maps held in RAM; about 500 maps of 256 x 256."""


class MapStore:
    """Keeps float32 maps by position. Those over the budget go to disk; where the disk is full they are forgotten.

    An export reads maps on the worker thread while the window shows others: each call waits for the one before.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self._budget = budget
        self._lock = threading.RLock()
        self._held: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._in_use: FileLock | None = None
        self._on_disk: set[int] = set()

    def put(self, index: int, values: NDArray[np.float32]) -> None:
        """Keep a map, in place of an older one."""
        with self._lock:
            self._drop(index)
            self._on_disk.discard(index)
            self._hold(index, values)

    def get(self, index: int) -> NDArray[np.float32] | None:
        """The map of a position, or None where there is none."""
        with self._lock:
            values = self._held.get(index)
            if values is not None:
                self._held.move_to_end(index)
                return values
            if index not in self._on_disk:
                return None
            try:
                values = np.asarray(np.load(self._file(index), allow_pickle=False), np.float32)
            except (OSError, ValueError):
                self._on_disk.discard(index)
                return None
            self._hold(index, values)
            return values

    def clear(self) -> None:
        """Forget all maps and remove the temporary folder."""
        with self._lock:
            self._held.clear()
            self._on_disk.clear()
            self._bytes = 0
            if self._in_use is not None:
                self._in_use.release()
                self._in_use = None
            if self._folder is not None:
                with contextlib.suppress(OSError):
                    self._folder.cleanup()
                self._folder = None

    def _hold(self, index: int, values: NDArray[np.float32]) -> None:
        self._held[index] = values
        self._bytes += values.nbytes
        self._shrink()

    def _file(self, index: int) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=MAPS_PREFIX)
            self._in_use = FileLock(Path(self._folder.name) / IN_USE, timeout=0, thread_local=False)
            self._in_use.acquire()
        return Path(self._folder.name) / f"{index}.npy"

    def _drop(self, index: int) -> None:
        old = self._held.pop(index, None)
        if old is not None:
            self._bytes -= old.nbytes

    def _shrink(self) -> None:
        while self._bytes > self._budget and len(self._held) > 1:
            index, values = self._held.popitem(last=False)
            self._bytes -= values.nbytes
            if index not in self._on_disk:
                with contextlib.suppress(OSError):
                    np.save(self._file(index), values)
                    self._on_disk.add(index)
