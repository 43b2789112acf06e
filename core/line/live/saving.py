"""Pictures of a line as files: a PNG for each, in a folder for good ones and one for defects."""

import io
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic_file import make_folder, write_bytes
from core.dataset import Label
from core.errors import OutputError

FOLDERS = {Label.GOOD: "good", Label.DEFECT: "defect"}
_MOST_NAMES = 1000


def file_name(when: datetime, score: float | None, number: int = 0) -> str:
    """A name that sorts by time: "2026-03-01_14-05-09.123_score-1.204.png".

    Args:
        when: Local time.
        score: Anomaly score; None without a model.
        number: Told where it is above 0, to part pictures of one millisecond.
    """
    words = [when.strftime("%Y-%m-%d_%H-%M-%S.") + f"{when.microsecond // 1000:03}"]
    words += [f"score-{score:.3f}"] if score is not None else []
    words += [str(number)] if number else []
    return f"{'_'.join(words)}.png"


def save_picture(
    pixels: NDArray[np.uint8], folder: Path, label: Label, when: datetime, score: float | None = None
) -> Path:
    """Write a picture without loss, wholly or not at all, and never over another one.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        folder: The folder that holds "good" and "defect"; made where it is missing.
        label: Which of them.
        when: When it was taken, local time.
        score: For the name.

    Returns:
        The file.

    Raises:
        OutputError: It cannot be written.
    """
    from PIL import Image

    target = folder / FOLDERS[label]
    make_folder(target)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=3)
    for number in range(_MOST_NAMES):
        path = target / file_name(when, score, number)
        if not path.exists():
            write_bytes(path, data.getvalue())
            return path
    raise OutputError(f"{target} holds too many pictures of one moment. Choose another folder.")
