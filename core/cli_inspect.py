"""The work behind `cfa inspect`: verdicts on standard output, a table, maps and overlays in files."""

import csv
import io
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from core import cli_output as out
from core.atomic_file import make_folder, require_writable, require_writable_folder, write_atomically, write_bytes
from core.cli_words import MOST_LISTED
from core.dataset import Sample, find_samples
from core.errors import ImageError, OutputError, ThresholdError
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.model_file import load_model
from core.overlay import overlay
from core.progress import CancelToken
from core.threshold import Threshold, judge, manual_threshold
from core.trained_model import TrainedModel

Row = dict[str, Any]
_COLUMNS = ("path", "score", "threshold", "verdict", "message")
_QUICKLY = 1
"""PNG's compression level: six times as fast as the usual one, for a tenth more bytes."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


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
    line = _threshold(trained, model, threshold)
    samples = find_samples(paths)
    inspector = Inspector(trained, device=device)
    stems = file_stems(sample.name for sample in samples)
    _check(targets, model, samples, stems)
    _warn_of_mixing(targets, paths)
    with out.ProgressBars() as bars:
        rows = [
            _row(_with_pictures(result, targets.files(stems[result.sample.name]), line), line)
            for result in inspector.inspect_many(samples, report=bars, cancel=cancel)
        ]
    if targets.csv is not None:
        write_bytes(targets.csv, _table(rows))
    _report(rows, line, as_json=as_json)


def _threshold(trained: TrainedModel, model: Path, asked: float | None) -> Threshold:
    line = trained.threshold if asked is None else manual_threshold(asked)
    if line is None:
        raise ThresholdError(
            f"{model} has no threshold yet: no good image was held out at training. Set one with "
            f"`cfa threshold {model} --f1 DATASET` (or --value X), or give --threshold X."
        )
    return line


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """For each image's name the path, without suffix, of what is written for it: relative, never leading outside.

    It is the name without its suffix. Of images that differ in nothing else (or only in capitals, which many disks do
    not tell apart) the first has it, the others keep their suffix.
    """
    stems: dict[str, str] = {}
    taken: set[str] = set()

    def take(name: str, stem: str) -> bool:
        key = unicodedata.normalize("NFC", stem).casefold()
        free = key not in taken
        if free:
            taken.add(key)
            stems[name] = stem
        return free

    inside = {name: _inside(name) for name in names}
    later = [name for name, place in inside.items() if not take(name, str(place.with_suffix("")))]
    for name in later:
        own = str(inside[name])
        candidates = itertools.chain([own], (f"{own}-{number}" for number in itertools.count(2)))
        next(stem for stem in candidates if take(name, stem))
    return stems


def _inside(name: str) -> PurePath:
    """A relative path for a name that may be absolute (images on several drives) or lead upwards."""
    path = PurePath(name)
    drive = re.sub(r"\W+", "_", path.drive).strip("_")
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return PurePath(drive, *parts) if parts else PurePath(drive or "picture")


def _check(targets: Targets, model: Path, samples: Sequence[Sample], stems: dict[str, str]) -> None:
    """See before the work that everything can be written, and that no image nor the model would be overwritten."""
    written = [path for sample in samples for path in targets.files(stems[sample.name]).values()]
    written += [] if targets.csv is None else [targets.csv]
    precious = {_identity(path) for path in (model, *(sample.path for sample in samples))}
    for path in written:
        if _identity(path) in precious:
            raise OutputError(f"{path} would be overwritten, but is itself an image to inspect or the model.")
    for folder in (targets.maps, targets.overlays):
        if folder is not None:
            require_writable_folder(folder)
    if targets.csv is not None:
        require_writable(targets.csv)


def _warn_of_mixing(targets: Targets, paths: Sequence[Path]) -> None:
    for folder in (targets.maps, targets.overlays):
        for path in paths:
            if folder is not None and folder.resolve().is_relative_to(path.resolve()):
                out.note(f"{folder} is inside {path}: the next inspection of {path} will take its files for images.")


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _with_pictures(result: Inspection | Failure, files: dict[str, Path], line: Threshold) -> Inspection | Failure:
    """Write the map and the overlay of one image."""
    if isinstance(result, Failure) or not files:
        return result
    source_map = result.source_map()
    try:
        for suffix, path in files.items():
            if suffix == ".tiff":
                _write_picture(path, Image.fromarray(source_map), format="TIFF")
            else:
                picture = overlay(read_image(result.sample.path), source_map, line.value)
                _write_picture(path, Image.fromarray(picture), format="PNG", compress_level=_QUICKLY)
    except ImageError as error:  # gone since it was inspected
        return Failure(result.sample, str(error))
    return result


def _write_picture(path: Path, picture: Image.Image, **options: Any) -> None:
    make_folder(path.parent)
    write_atomically(path, lambda file: picture.save(file, **options), durable=False)


def _row(result: Inspection | Failure, line: Threshold) -> Row:
    row: Row = {"path": result.sample.name, "score": None, "threshold": line.value}
    if isinstance(result, Failure):
        return row | {"verdict": "error", "message": result.message}
    return row | {"score": result.score, "verdict": judge(result.score, line).value, "message": ""}


def _table(rows: Sequence[Row]) -> bytes:
    """The rows as CSV in UTF-8. A path that a spreadsheet would take for a formula is written with `./` before it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=_COLUMNS)
    writer.writeheader()
    for row in rows:
        path = row["path"]
        writer.writerow(row | {"path": f"./{path}" if path.startswith(_FORMULA_STARTS) else path})
    return out.encodable(text.getvalue()).encode("utf-8")


def _report(rows: Sequence[Row], line: Threshold, *, as_json: bool) -> None:
    of = {verdict: [row for row in rows if row["verdict"] == verdict] for verdict in _VERDICTS}
    counts = {verdict: len(found) for verdict, found in of.items()}
    failed = f"None of the {out.count(len(rows), 'image')} can be read." if counts["error"] == len(rows) else None
    if as_json:
        content = {"threshold": line.value, "counts": counts, "results": list(rows)}
        out.json_object(content if failed is None else content | {"error": failed})
    else:
        _print(of, counts, line)
    if failed is not None:
        out.fail(failed)


_VERDICTS = {"defect": "flagged", "uncertain": "uncertain", "good": "good", "error": "not readable"}
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
        for verdict, word in _VERDICTS.items()
        if counts[verdict] or verdict in ("defect", "good")
    ]
    out.line(f"{out.count(sum(counts.values()), 'image')}: {', '.join(said)} (threshold {line.value:.4f}).")
