"""Arrays that another library takes over in a form of its own: set aside in a file, they need no memory beside that."""

import mmap
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ALIGNED = 64
"""Bytes at whose multiples the arrays begin: vector instructions want that."""


class SetAside:
    """Copies of arrays in a temporary file without a name, which is gone with them.

    Attributes:
        arrays: The copies, or where they cannot be written the arrays themselves. They must not be written to.
    """

    def __init__(self, arrays: Sequence[NDArray[np.float32]]) -> None:
        """Copy them.

        Args:
            arrays: Any shapes.
        """
        self._memory: mmap.mmap | None = None
        self.arrays: list[NDArray[np.float32]] = list(arrays)
        if not hasattr(mmap.mmap, "madvise"):  # Windows: nothing would be gained
            return
        ends = np.cumsum([-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays])
        starts = [0, *(int(end) for end in ends)]
        try:
            with tempfile.TemporaryFile() as file:
                for array, start in zip(arrays, starts, strict=False):
                    file.seek(start)
                    array.tofile(file)
                file.truncate(starts[-1])
                self._memory = mmap.mmap(file.fileno(), starts[-1], access=mmap.ACCESS_COPY)
        except OSError:  # no room, or nowhere to write
            return
        self.arrays = [
            np.frombuffer(self._memory, array.dtype, array.size, start).reshape(array.shape)
            for array, start in zip(arrays, starts, strict=False)
        ]

    def release(self) -> None:
        """Give their memory back, until somebody reads them again."""
        if self._memory is not None:
            self._memory.madvise(mmap.MADV_DONTNEED)
