"""What tells contents apart: SHA-256 of files and of weights. Imports no torch at run time."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's content in hexadecimal digits; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def file_size(path: Path) -> int | None:
    """Bytes of a file; None where it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def state_digest(state: Mapping[str, "Tensor"]) -> str:
    """SHA-256 of names, types, shapes and values of a network's state, in whatever order they come."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
