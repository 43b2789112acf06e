"""The pooled pyramids of the training images: in memory up to a budget, the rest in a temporary file."""

import math
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import IO, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import OutputError

DEFAULT_BUDGET = 2 * 1024**3
_HALF_LIMIT = 65504.0
"""The largest number in half precision."""


class _Layout(NamedTuple):
    """How a map lies in memory; the kernels that read it round by it, so that the file must give it back the same.

    Attributes:
        shape: (1, channels, h, w).
        channels_last: Whether the channels of a pixel lie side by side.
    """

    shape: torch.Size
    channels_last: bool

    @classmethod
    def of(cls, level: Tensor) -> Self:
        """The layout of a map."""
        channels_last = level.is_contiguous(memory_format=torch.channels_last) and not level.is_contiguous()
        return cls(level.shape, channels_last)

    def in_file(self, level: Tensor) -> Tensor:
        """The map with its axes in the order of the file."""
        return level.permute(0, 2, 3, 1) if self.channels_last else level

    def from_file(self, values: NDArray[np.float32]) -> Tensor:
        """The inverse of `in_file`."""
        b, c, h, w = self.shape
        flat = torch.from_numpy(values)
        return flat.view(b, h, w, c).permute(0, 3, 1, 2) if self.channels_last else flat.view(self.shape)


class FeatureCache:
    """An append-only list of pyramids; the backbone is frozen, so one pass through it serves every epoch.

    Numbers are kept as float32: training from the cache gives what training from the images gives. In half precision,
    where that is asked for, they take half the room and are rounded by a two-thousandth; those in the file are not.
    """

    def __init__(self, device: torch.device, budget: int = DEFAULT_BUDGET, *, half: bool = False) -> None:
        """An empty cache.

        Args:
            device: Where pyramids are kept and handed out.
            budget: Bytes of the device's memory; what does not fit goes to a temporary file.
            half: Keep them in half precision.
        """
        self._device = device
        self._half = half
        self._free = budget
        self._layouts: list[list[_Layout]] = []
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
        self._layouts.append([_Layout.of(level) for level in pyramid])
        size = sum(level.numel() for level in pyramid) * (2 if self._half else 4)
        if size <= self._free:
            self._free -= size
            self._held.append([self._kept(level) for level in pyramid])
        else:
            self._held.append(self._spill(pyramid))

    def shape(self, index: int) -> tuple[int, int]:
        """(h, w) of the grid of one image."""
        shape = self._layouts[index][0].shape
        return shape[-2], shape[-1]

    def only(self, rows: Sequence[int]) -> "CachedRows":
        """Some of the pyramids, in that order; nothing is copied."""
        return CachedRows(self, tuple(rows))

    def batch(self, indices: Sequence[int]) -> list[Tensor]:
        """The pyramids of images of one grid shape, stacked: one (b, channels, h, w) float32 map per level."""
        pyramids = [self._get(index) for index in indices]
        return [torch.cat(levels).float() for levels in zip(*pyramids, strict=True)]

    def _kept(self, level: Tensor) -> Tensor:
        if self._half:
            kept = level.to(self._device).clamp(-_HALF_LIMIT, _HALF_LIMIT).half()
            return kept.contiguous(memory_format=torch.channels_last)  # as products of matrices take it
        return level.to(self._device, copy=True)

    def _spill(self, pyramid: Sequence[Tensor]) -> int:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="cfa-features-")  # noqa: SIM115  closed in __exit__
            offset = self._file.seek(0, 2)
            for level, layout in zip(pyramid, self._layouts[-1], strict=True):
                self._file.write(layout.in_file(level).detach().cpu().contiguous().numpy().tobytes())
        except OSError as error:
            # gettempdir() would search again, and fail where the disk is full
            where = "" if tempfile.tempdir is None else f" {tempfile.tempdir}"
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
        for layout in self._layouts[index]:
            data = self._file.read(math.prod(layout.shape) * 4)
            levels.append(layout.from_file(np.frombuffer(data, dtype=np.float32).copy()).to(self._device))
        return levels


class CachedRows(NamedTuple):
    """Some of the pyramids of a cache, numbered from 0.

    Attributes:
        cache: Where they are.
        rows: Their numbers there.
    """

    cache: FeatureCache
    rows: tuple[int, ...]

    def shape(self, index: int) -> tuple[int, int]:
        """As `FeatureCache.shape`."""
        return self.cache.shape(self.rows[index])

    def batch(self, indices: Sequence[int]) -> list[Tensor]:
        """As `FeatureCache.batch`."""
        return self.cache.batch([self.rows[index] for index in indices])
