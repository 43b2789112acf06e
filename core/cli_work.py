"""The work behind each `cfa` command. Imports the engine, and with it torch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core import cli_output as out
from core.atomic_file import require_writable, write_bytes
from core.config import Config, preset
from core.dataset import Label, Sample, find_samples, open_dataset, require_disjoint
from core.errors import DatasetError, OutputError, ThresholdError
from core.evaluation import Evaluation
from core.evaluation import evaluate as evaluate_model
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.model_file import load_model, save_model
from core.overlay import overlay
from core.sample_parts import make_sample_parts
from core.threshold import (
    Threshold,
    best_f1_threshold,
    false_alarm_threshold,
    judge,
    manual_threshold,
    smallest_rate,
)
from core.trained_model import TrainedModel
from core.training import train as train_model


@dataclass(frozen=True, slots=True)
class Targets:
    """Where an inspection writes; None: nowhere."""

    csv: Path | None = None
    maps: Path | None = None
    overlays: Path | None = None


def train(
    good: Path,
    output: Path,
    test: Path | None,
    config: Config,
    *,
    weights: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """`cfa train`."""
    require_writable(output)
    dataset = open_dataset(good)
    tests = _labelled(test) if test is not None else ()
    require_disjoint(dataset.good, tests or dataset.test)
    with out.ProgressBars() as bars:
        trained = train_model(dataset.good, config, weights=weights, device=device, report=bars)
        save_model(trained, output)
        evaluation = evaluate_model(Inspector(trained, device=device), tests, report=bars) if tests else None
    if as_json:
        content = _described(trained, output)
        out.json_object(content | ({} if evaluation is None else {"evaluation": evaluation.to_json()}))
        return
    _print_model(trained, output)
    if evaluation is not None:
        _print_evaluation(evaluation)


def inspect(
    model: Path, paths: Sequence[Path], targets: Targets, *, threshold: float | None, device: str, as_json: bool
) -> None:
    """`cfa inspect`."""
    trained = load_model(model)
    line = trained.threshold if threshold is None else manual_threshold(threshold)
    if line is None:
        raise ThresholdError(
            f"{model} has no threshold yet: no good image was held out at training. "
            f"Set one with `cfa threshold {model} --f1 DATASET` or `--value X`, or give --threshold X."
        )
    samples = find_samples(paths)
    for target in (targets.maps, targets.overlays):
        _make_folder(target)
    if targets.csv is not None:
        require_writable(targets.csv)
    inspector = Inspector(trained, device=device)
    rows = []
    names = _FileNames()
    with out.ProgressBars() as bars:
        for result in inspector.inspect_many(samples, report=bars):
            rows.append(_row(result, line))
            if isinstance(result, Inspection):
                _write_pictures(result, targets, line, names)
    if targets.csv is not None:
        _write_csv(rows, targets.csv)
    _report_inspection(rows, line, as_json=as_json)


def _row(result: Inspection | Failure, line: Threshold) -> dict[str, Any]:
    row: dict[str, Any] = {"path": result.sample.name, "score": None, "threshold": line.value}
    if isinstance(result, Failure):
        return row | {"verdict": "error", "message": result.message}
    return row | {"score": result.score, "verdict": judge(result.score, line).value, "message": ""}


def _report_inspection(rows: Sequence[dict[str, Any]], line: Threshold, *, as_json: bool) -> None:
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("good", "defect", "error")}
    counts["uncertain"] = len(rows) - sum(counts.values())
    if as_json:
        out.json_object({"threshold": line.value, "counts": counts, "results": list(rows)})
    else:
        flagged = sorted((row for row in rows if row["verdict"] == "defect"), key=lambda row: -row["score"])
        for row in flagged:
            out.line(f"defect  {row['score']:.4f}  {out.printable(row['path'])}")
        for row in rows:
            if row["verdict"] == "error":
                out.line(f"error   {'-':>6}  {out.printable(row['path'])}: {out.printable(row['message'])}")
        out.line(
            f"{len(rows)} images, {counts['defect']} flagged, {counts['good']} good"
            + (f", {counts['uncertain']} uncertain" if counts["uncertain"] else "")
            + (f", {counts['error']} not readable" if counts["error"] else "")
            + f" (threshold {line.value:.4f})."
        )
    if rows and counts["error"] == len(rows):
        raise DatasetError(f"None of the {len(rows)} images could be read.")


def _write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=["path", "score", "threshold", "verdict", "message"])
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8", errors="surrogateescape"))


class _FileNames:
    """`<relative path without suffix>`; the second of two images that differ in their suffix alone keeps its own."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}

    def stem(self, name: str) -> str:
        stem = str(Path(name).with_suffix(""))
        return stem if self._owner.setdefault(stem.casefold(), name) == name else name


def _write_pictures(result: Inspection, targets: Targets, line: Threshold, names: _FileNames) -> None:
    if targets.maps is None and targets.overlays is None:
        return
    stem = names.stem(result.sample.name)
    source_map = result.source_map()
    if targets.maps is not None:
        _write_picture(targets.maps / f"{stem}.tiff", Image.fromarray(source_map), "TIFF")
    if targets.overlays is not None:
        picture = overlay(read_image(result.sample.path), source_map, line.value)
        _write_picture(targets.overlays / f"{stem}.png", Image.fromarray(picture), "PNG")


def _write_picture(path: Path, picture: Image.Image, kind: str) -> None:
    _make_folder(path.parent)
    data = io.BytesIO()
    picture.save(data, kind)
    write_bytes(path, data.getvalue())


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}. Choose another place.") from error


def evaluate(model: Path, dataset: Path, *, device: str, as_json: bool) -> None:
    """`cfa evaluate`."""
    trained = load_model(model)
    samples = _labelled(dataset)
    with out.ProgressBars() as bars:
        evaluation = evaluate_model(Inspector(trained, device=device), samples, report=bars)
    if as_json:
        out.json_object(evaluation.to_json())
    else:
        _print_evaluation(evaluation)


def set_threshold(
    model: Path, *, false_alarms: float | None, f1: Path | None, value: float | None, device: str, as_json: bool
) -> None:
    """`cfa threshold`."""
    trained = load_model(model)
    require_writable(model)
    if false_alarms is not None:
        line = false_alarm_threshold(trained.calibration.scores, false_alarms)
    elif value is not None:
        line = manual_threshold(value)
    elif f1 is not None:
        scores, defect = _scores(trained, _labelled(f1), device)
        line = best_f1_threshold(scores, defect)
    changed = trained.with_threshold(line)
    save_model(changed, model)
    if as_json:
        out.json_object(_described(changed, model))
    else:
        out.line(f"Threshold {line.value:.6g}. {line.sentence()}")


def info(model: Path, *, as_json: bool) -> None:
    """`cfa info`."""
    trained = load_model(model)
    if as_json:
        out.json_object(_described(trained, model))
    else:
        _print_model(trained, model)


def make_samples(folder: Path, seed: int, *, as_json: bool) -> None:
    """`cfa samples`."""
    with out.ProgressBars() as bars:
        made = make_sample_parts(folder, seed=seed, report=bars)
    if as_json:
        out.json_object({"folder": str(made)})
    else:
        out.line(f"Sample parts are in {made}: train/good to train on, test to inspect.")


def demo(folder: Path, *, device: str) -> None:
    """`cfa demo`."""
    _make_folder(folder)
    parts, model = folder / "sample-parts", folder / "sample-parts.cfa"
    make_samples(parts, 0, as_json=False)
    train(parts, model, None, preset("fast"), weights=None, device=device, as_json=False)
    out.line()
    targets = Targets(csv=folder / "results.csv", overlays=folder / "overlays")
    inspect(model, [parts / "test"], targets, threshold=None, device=device, as_json=False)
    out.line(f"Scores are in {targets.csv}, pictures with heat maps in {targets.overlays}.")


def _labelled(path: Path) -> tuple[Sample, ...]:
    """The labelled test images of a data set, or of a test folder with a `good` folder in it."""
    found = find_samples([path])
    labelled = tuple(sample for sample in found if sample.label is not None)
    if not labelled:
        raise DatasetError(
            f"No image in {path} is labelled. Name a data set in MVTec AD layout: test/good and test/<kind of defect>."
        )
    return labelled


def _scores(
    trained: TrainedModel, samples: Sequence[Sample], device: str
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    with out.ProgressBars() as bars:
        results = list(Inspector(trained, device=device).inspect_many(samples, report=bars))
    usable = [result for result in results if isinstance(result, Inspection)]
    for result in results:
        if isinstance(result, Failure):
            out.note(f"skipped {out.printable(result.sample.name)}: {out.printable(result.message)}")
    return (
        np.asarray([result.score for result in usable], dtype=np.float64),
        np.asarray([result.sample.label is Label.DEFECT for result in usable], dtype=np.bool_),
    )


def _described(trained: TrainedModel, path: Path) -> dict[str, Any]:
    scores = trained.calibration.scores
    return {
        "model": str(path),
        "created": trained.created,
        "config": trained.config.to_json(),
        "threshold": None if trained.threshold is None else trained.threshold.to_json(),
        "calibration": {
            "images": len(scores),
            "scores": list(scores),
            "smallest_false_alarm_rate": smallest_rate(len(scores)) if scores else None,
        },
        "summary": trained.summary.to_json(),
    }


def _print_model(trained: TrainedModel, path: Path) -> None:
    config, summary, method = trained.config, trained.summary, trained.config.method
    scores = trained.calibration.scores
    pre = config.preprocessing
    rows = [
        ("Model", str(path)),
        ("Created", trained.created),
        ("Preset", f"{config.preset} ({_origin(config)})"),
        ("Backbone", config.backbone),
        ("Images", f"{pre.resizing.value}, {pre.image_size} px"),
        ("Memory bank", f"{method.bank.value}, γ_c {method.bank_ratio}: {summary.bank_size} × {summary.channels}"),
        ("Trained on", f"{summary.images} images, {config.training.epochs} epochs, seed {config.training.seed}"),
        ("Training took", f"{summary.seconds:.1f} s on {summary.device}"),
        ("Held out", f"{len(scores)} good images" if scores else "none"),
    ]
    if summary.history:
        first, last = summary.history[0], summary.history[-1]
        rows.append(("Loss", f"{first.loss:.1f} → {last.loss:.1f}"))
        rows.append(("Radius²", f"{last.radius_squared:.3f} (mean nearest distance² {last.nearest_squared:.3f})"))
        rows.append(("Repulsion active", f"{max(r.repulsion_active for r in summary.history):.1%} of terms at most"))
    line = trained.threshold
    rows.append(("Threshold", "none yet" if line is None else f"{line.value:.4f}. {line.sentence()}"))
    if scores:
        rows.append(("Can promise", f"a false-alarm rate of {smallest_rate(len(scores)):.1%} at best"))
    rows += [("Skipped", f"{skip.name}: {skip.message}") for skip in summary.skipped]
    rows += [("Note", text) for text in summary.notes]
    out.table(rows)


def _origin(config: Config) -> str:
    if config.preset == "paper":
        return "as published"
    return "settings of your own" if config.preset == "custom" else "ours, not the paper's"


def _print_evaluation(evaluation: Evaluation) -> None:
    names = {
        "image_auroc": "Image AUROC",
        "average_precision": "Image average precision",
        "f1_max": "Image F1, best threshold",
        "pixel_auroc": "Pixel AUROC",
        "pixel_average_precision": "Pixel average precision",
        "aupro": "AUPRO (to FPR 0.3)",
        "threshold": "Threshold of the model",
        "precision": "  Precision",
        "recall": "  Recall",
        "f1": "  F1",
        "false_alarm_rate": "  False-alarm rate",
        "miss_rate": "  Miss rate",
    }
    content = evaluation.to_json()
    rows = [(title, "–" if content[key] is None else f"{content[key]:.4f}") for key, title in names.items()]
    rows.append(("Images", f"{evaluation.good} good, {evaluation.defects} defect, {evaluation.masks} with a mask"))
    if evaluation.failed:
        rows.append(("Not readable", str(evaluation.failed)))
    out.table(rows)

