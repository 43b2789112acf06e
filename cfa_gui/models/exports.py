"""Writes scores and overlays. Runs on a worker thread; holds no Qt object."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cfa_gui.models.results import COLUMNS, ImageResult, Results
from core.atomic_file import TEMPORARY_PREFIX, make_folder, require_writable_folder, write_bytes
from core.errors import ImageError, OutputError
from core.images import read_image
from core.overlay import overlay
from core.progress import CancelToken, Phase, Progress, Report
from core.result_files import csv_table, file_stems, refuse_overwriting, write_picture

MapOf = Callable[[int], NDArray[np.float32] | None]
"""The anomaly map of a position in the review, or None where it is no longer held; called on a worker thread."""


def write_scores(results: Results, path: Path, precious: Sequence[Path]) -> None:
    """Write a table of all images; the columns and words are those of `cfa inspect --csv`, and the label.

    Args:
        results: What to write.
        path: The file.
        precious: Files that must not be overwritten: the model.

    Raises:
        OutputError: It cannot be written, or would overwrite an image or a precious file.
    """
    refuse_overwriting([path], [*precious, *(image.sample.path for image in results.images)])
    write_bytes(path, csv_table(COLUMNS, results.rows()))


@dataclass(frozen=True, slots=True)
class Written:
    """What came of an export of overlays.

    Attributes:
        count: Pictures written.
        skipped: Why each of the others was not.
    """

    count: int
    skipped: tuple[str, ...]


def write_overlays(
    images: Sequence[ImageResult],
    threshold: float,
    map_of: MapOf,
    folder: Path,
    precious: Sequence[Path],
    report: Report,
    cancel: CancelToken,
) -> Written:
    """Write a PNG for each image, heat map and contour over the picture, in its own size.

    All of them are written to a temporary folder first, and put in their places at the end.

    Args:
        images: With a score.
        threshold: The contour, and the middle of the colours.
        map_of: Gives the anomaly maps.
        folder: Where to; it is made where it is missing. Names below it are those of the images.
        precious: Files that must not be overwritten: all images and the model.
        report: Told after each image.
        cancel: Checked before each image.

    Raises:
        OutputError: Something cannot be written, or would overwrite a precious file. Nothing was written.
        CancelledByUser: Nothing was written.
    """
    stems = file_stems(image.sample.name for image in images)
    names = {image.place: f"{stems[image.sample.name]}.png" for image in images}
    refuse_overwriting((folder / name for name in names.values()), precious)
    require_writable_folder(folder)
    skipped: list[str] = []
    with _whole_or_nothing(folder) as partial:
        for done, image in enumerate(images):
            cancel.check()
            report(Progress(Phase.SAVING, done, len(images)))
            try:
                picture = _overlaid(image, threshold, map_of)
            except ImageError as error:  # gone since it was inspected
                skipped.append(str(error))
                continue
            write_picture(partial / names[image.place], Image.fromarray(picture))
        cancel.check()
        report(Progress(Phase.SAVING, len(images), len(images)))
    return Written(len(images) - len(skipped), tuple(skipped))


def _overlaid(image: ImageResult, threshold: float, map_of: MapOf) -> NDArray[np.uint8]:
    values = map_of(image.place)
    if values is None or image.placement is None:
        raise ImageError(f"The heat map of {image.sample.name} is no longer held. Inspect the image again.")
    picture = read_image(image.sample.path)
    if picture.shape[:2] != image.placement.source:
        raise ImageError(f"{image.sample.name} is another picture than the one inspected. Inspect it again.")
    return overlay(picture, image.placement.map_to_source(values), threshold)


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder`; its files move out when all went well, otherwise they are gone."""
    fresh = not folder.exists()
    make_folder(folder)
    partial = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        yield partial
        _move_all(partial, folder)
    except OutputError as error:
        if partial.name in str(error):  # the user does not know that folder
            raise OutputError(str(error).replace(f"{partial.name}/", "").replace(f"{partial.name}\\", "")) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if fresh and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _move_all(partial: Path, folder: Path) -> None:
    for path in sorted(partial.rglob("*.png")):
        target = folder / path.relative_to(partial)
        make_folder(target.parent)
        try:
            path.replace(target)
        except OSError as error:
            raise OutputError(
                f"{target} cannot be written: {error.strerror or error}. Choose another place."
            ) from error
