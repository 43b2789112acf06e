"""The work behind `cfa inspect`: verdicts on standard output, a table, maps and overlays in files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from core.atomic_file import require_writable, require_writable_folder, write_bytes
from core.cli import output as out
from core.cli.words import MOST_LISTED
from core.counting import counted
from core.dataset import Sample, find_samples
from core.errors import ImageError, ThresholdError
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.leftovers import remove_leftovers
from core.model_file import load_model
from core.overlay import overlay
from core.progress import CancelToken
from core.result_files import csv_table, file_stems, refuse_overwriting, write_picture
from core.threshold import Threshold, judge, manual_threshold
from core.trained_model import TrainedModel

Row = dict[str, Any]
_COLUMNS = ("path", "score", "threshold", "verdict", "message")


@dataclass(frozen=True, slots=True)
class Targets:
    """Where an inspection writes; None: nowhere.

    Attributes:
        csv: A file.
        maps: A folder.
        overlays: A folder.
    """

    csv: Path | None = None
    maps: Path | None = None
    overlays: Path | None = None

    def files(self, stem: str) -> dict[str, Path]:
        """Where the map and the overlay of one image go; a stem may hold dots and folders."""
        folders = {".tiff": self.maps, ".png": self.overlays}
        return {suffix: folder / f"{stem}{suffix}" for suffix, folder in folders.items() if folder is not None}


def inspect(
    model: Path,
    paths: Sequence[Path],
    targets: Targets,
    *,
    threshold: float | None,
    device: str,
    as_json: bool,
    cancel: CancelToken,
) -> None:
    """`cfa inspect`."""
    cancel.check()
    trained = load_model(model)
    line = threshold_of(trained, model, threshold)
    samples = find_samples(paths)
    inspector = Inspector(trained, device=device, cancel=cancel)
    stems = file_stems(sample.name for sample in samples)
    _check(targets, model, samples, stems)
    _warn_of_mixing(targets, paths)
    with out.ProgressBars() as bars:
        rows = [
            _row(_with_pictures(result, targets.files(stems[result.sample.name]), line), line)
            for result in inspector.inspect_many(samples, report=bars, cancel=cancel)
        ]
    if targets.csv is not None:
        write_bytes(targets.csv, csv_table(_COLUMNS, rows))
    _report(rows, line, as_json=as_json)


def threshold_of(trained: TrainedModel, model: Path, asked: float | None) -> Threshold:
    """The threshold asked for, or else the model's.

    Raises:
        ThresholdError: The model has none.
    """
    line = trained.threshold if asked is None else manual_threshold(asked)
    if line is None:
        raise ThresholdError(
            f"{model} has no threshold yet: no good image was held out at training. Set one with "
            f"`cfa threshold {model} --f1 DATASET` (or --value X), or give --threshold X."
        )
    return line


def _check(targets: Targets, model: Path, samples: Sequence[Sample], stems: dict[str, str]) -> None:
    """See before the work that everything can be written, and that no image nor the model would be overwritten."""
    written = [path for sample in samples for path in targets.files(stems[sample.name]).values()]
    written += [] if targets.csv is None else [targets.csv]
    refuse_overwriting(written, (model, *(sample.path for sample in samples)))
    for folder in (targets.maps, targets.overlays):
        if folder is not None:
            require_writable_folder(folder)
    if targets.csv is not None:
        require_writable(targets.csv)
    remove_leftovers(path.parent for path in written)


def _warn_of_mixing(targets: Targets, paths: Sequence[Path]) -> None:
    for folder in (targets.maps, targets.overlays):
        for path in paths:
            if folder is not None and folder.resolve().is_relative_to(path.resolve()):
                out.note(f"{folder} is inside {path}: the next inspection of {path} will take its files for images.")


def _with_pictures(result: Inspection | Failure, files: dict[str, Path], line: Threshold) -> Inspection | Failure:
    """Write the map and the overlay of one image."""
    if isinstance(result, Failure) or not files:
        return result
    source_map = result.source_map()
    try:
        for suffix, path in files.items():
            if suffix == ".tiff":
                write_picture(path, Image.fromarray(source_map))
            else:
                picture = overlay(read_image(result.sample.path), source_map, line.value)
                write_picture(path, Image.fromarray(picture))
    except ImageError as error:  # gone since it was inspected
        return Failure(result.sample, str(error))
    return result


def _row(result: Inspection | Failure, line: Threshold) -> Row:
    row: Row = {"path": result.sample.name, "score": None, "threshold": line.value}
    if isinstance(result, Failure):
        return row | {"verdict": "error", "message": result.message}
    return row | {"score": result.score, "verdict": judge(result.score, line).value, "message": ""}


def _report(rows: Sequence[Row], line: Threshold, *, as_json: bool) -> None:
    of = {verdict: [row for row in rows if row["verdict"] == verdict] for verdict in VERDICTS}
    counts = {verdict: len(found) for verdict, found in of.items()}
    failed = f"None of the {counted(len(rows), 'image')} can be read." if counts["error"] == len(rows) else None
    if as_json:
        content = {"threshold": line.value, "counts": counts, "results": list(rows)}
        out.json_object(content if failed is None else content | {"error": failed})
    else:
        _print(of, counts, line)
    if failed is not None:
        out.fail(failed)


VERDICTS = {"defect": "flagged", "uncertain": "uncertain", "good": "good", "error": "not readable"}
"""Verdict → how the last line counts it."""


def _print(of: dict[str, list[Row]], counts: dict[str, int], line: Threshold) -> None:
    for verdict in ("defect", "uncertain"):
        for row in sorted(of[verdict], key=lambda row: -row["score"]):
            out.line(f"{verdict:<9}  {row['score']:>8.4f}  {row['path']}")
    for row in of["error"][:MOST_LISTED]:
        out.line(f"error      {'-':>8}  {row['path']}: {row['message']}")
    if counts["error"] > MOST_LISTED:
        out.line(f"error      {'-':>8}  and {counts['error'] - MOST_LISTED:,} more, see --csv or --json")
    said = [
        f"{counts[verdict]:,} {word}"
        for verdict, word in VERDICTS.items()
        if counts[verdict] or verdict in ("defect", "good")
    ]
    out.line(f"{counted(sum(counts.values()), 'image')}: {', '.join(said)} (threshold {line.value:.4f}).")
