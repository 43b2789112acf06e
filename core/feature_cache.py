"""The pooled pyramids of the training images: in memory up to a budget, the rest in a temporary file."""

import math
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

import numpy as np
import torch
from torch import Tensor

from core.errors import OutputError

DEFAULT_BUDGET = 2 * 1024**3


class FeatureCache:
    """An append-only list of pyramids; the backbone is frozen, so one pass through it serves every epoch.

    Numbers are kept as float32: training from the cache gives what training from the images gives.
    """

    def __init__(self, device: torch.device, budget: int = DEFAULT_BUDGET) -> None:
        """An empty cache.

        Args:
            device: Where pyramids are kept and handed out.
            budget: Bytes of memory; what does not fit goes to a temporary file.
        """
        self._device = device
        self._free = budget
        self._shapes: list[list[torch.Size]] = []
        self._held: list[list[Tensor] | int] = []  # a pyramid, or its offset in the file
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def spilled(self) -> int:
        """How many pyramids lie in the file."""
        return sum(isinstance(entry, int) for entry in self._held)

    def append(self, pyramid: Sequence[Tensor]) -> None:
        """Keep the pyramid of one image: one (1, channels, h, w) map per level.

        Raises:
            OutputError: The temporary folder is full.
        """
        self._shapes.append([level.shape for level in pyramid])
        size = sum(level.numel() for level in pyramid) * 4
        if size <= self._free:
            self._free -= size
            self._held.append([level.to(self._device, copy=True) for level in pyramid])
        else:
            self._held.append(self._spill(pyramid))

    def shape(self, index: int) -> tuple[int, int]:
        """(h, w) of the grid of one image."""
        size = self._shapes[index][0]
        return size[-2], size[-1]

    def batch(self, indices: Sequence[int]) -> list[Tensor]:
        """The pyramids of images of one grid shape, stacked: one (b, channels, h, w) map per level."""
        pyramids = [self._get(index) for index in indices]
        return [torch.cat(levels) for levels in zip(*pyramids, strict=True)]

    def _spill(self, pyramid: Sequence[Tensor]) -> int:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="cfa-features-")  # noqa: SIM115  closed in __exit__
            offset = self._file.seek(0, 2)
            for level in pyramid:
                self._file.write(level.detach().cpu().contiguous().numpy().tobytes())
        except OSError as error:
            where = (
                "" if tempfile.tempdir is None else f" {tempfile.tempdir}"
            )  # gettempdir() fails where the disk is full
            raise OutputError(
                f"The temporary folder{where} cannot take the features ({error.strerror}). "
                "Free some space there, or use fewer images or a smaller image size."
            ) from error
        return offset

    def _get(self, index: int) -> list[Tensor]:
        entry = self._held[index]
        if not isinstance(entry, int):
            return entry
        if self._file is None:
            raise RuntimeError("the cache is closed")
        self._file.seek(entry)
        levels = []
        for shape in self._shapes[index]:
            data = self._file.read(math.prod(shape) * 4)
            values = torch.from_numpy(np.frombuffer(data, dtype=np.float32).copy()).view(shape)
            levels.append(values.to(self._device))
        return levels
