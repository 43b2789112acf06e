"""What the command line says of a model and of its evaluation, as plain data and in words."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.backbone import BACKBONES, EMBEDDED
from core.cli import output as out
from core.config import Config
from core.config_words import in_words, origin
from core.counting import counted
from core.evaluation import Evaluation
from core.threshold import percent
from core.trained_model import Skipped, TrainedModel

MOST_LISTED = 20
"""Of images that could not be read, no more are named on a terminal; `--json` names all."""

_ORIGINS = {
    "paper": "the paper's settings, as published",
    "ours": "our settings, not the paper's",
    "custom": "settings of your own",
}
_FIGURES = {
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


def model_json(trained: TrainedModel, path: Path) -> dict[str, Any]:
    """All that a model file holds but its weights."""
    calibration, line = trained.calibration, trained.threshold
    return {
        "model": str(path),
        "created": trained.created,
        "preset": {
            "name": trained.config.preset,
            "origin": origin(trained.config),
            "in_words": f"{whose(trained.config)}: {in_words(trained.config)}",
        },
        "config": trained.config.to_json(),
        "threshold": None if line is None else line.to_json() | {"in_words": calibration.sentence(line)},
        "calibration": {
            "images": len(calibration.scores),
            "parts": calibration.part_count,
            "scores": list(calibration.scores),
            "smallest_false_alarm_rate": calibration.smallest_rate() if calibration.scores else None,
        },
        "summary": trained.summary.to_json(),
    }


def whose(config: Config) -> str:
    """The origin in words."""
    said = _ORIGINS[origin(config)]
    if origin(config) == "paper" and config.backbone not in (set(BACKBONES) - {EMBEDDED}):
        said += f", but for the backbone: {config.backbone} is none of the paper's"
    return said


def print_model(trained: TrainedModel, path: Path) -> None:
    """The same on standard output."""
    config, summary = trained.config, trained.summary
    training, calibration = config.training, trained.calibration
    rows = [
        ("Model", str(path)),
        ("Created", trained.created),
        ("Preset", f"{config.preset} ({whose(config)})"),
        ("Settings", in_words(config)),
        ("Backbone", config.backbone),
        ("Memory bank", f"{counted(summary.bank_size, 'centre')} of {counted(summary.channels, 'channel')}"),
        ("Trained on", f"{counted(summary.images, 'image')}, seed {training.seed}"),
        ("Training took", f"{summary.seconds:.1f} s on {summary.device}"),
        *_loss_rows(trained),
        ("Held out", calibration.in_words("good image") if calibration.scores else "none"),
        ("Threshold", _threshold(trained, path)),
    ]
    if calibration.scores:
        rows.append(("Can promise", f"a false-alarm rate of {percent(calibration.smallest_rate())} at best"))
    rows += _skipped_rows(summary.skipped)
    rows += [("Note", text) for text in summary.notes]
    out.table(rows)


def _loss_rows(trained: TrainedModel) -> Iterator[tuple[str, str]]:
    histories = trained.summary.histories
    for number, history in enumerate(histories):
        which = f", scale {number + 1}" if len(histories) > 1 else ""
        first, last = history[0], history[-1]
        yield f"Loss{which}", f"{first.loss:.4g} at first, {last.loss:.4g} at last"
        yield f"Radius²{which}", f"{last.radius_squared:.3g} (mean nearest distance² {last.nearest_squared:.3g})"
        yield (
            f"Repulsion{which}",
            f"active on {100 * max(record.repulsion_active for record in history):.1f} % of the terms at most",
        )


def _threshold(trained: TrainedModel, path: Path) -> str:
    line = trained.threshold
    if line is None:
        return f"none yet. Set one: cfa threshold {path} --f1 DATASET, or --value X"
    return f"{line.value:.6g}. {trained.calibration.sentence(line)}"


def _skipped_rows(skipped: Sequence[Skipped]) -> list[tuple[str, str]]:
    rows = [("Skipped", f"{skip.name}: {skip.message}") for skip in skipped[:MOST_LISTED]]
    if len(skipped) > MOST_LISTED:
        rows.append(("Skipped", f"and {len(skipped) - MOST_LISTED:,} more"))
    return rows


def print_evaluation(evaluation: Evaluation) -> None:
    """An evaluation on standard output."""
    content = evaluation.to_json()
    rows = [(title, "-" if content[key] is None else f"{content[key]:.4f}") for key, title in _FIGURES.items()]
    rows.append(("Images", f"{evaluation.good} good, {evaluation.defects} defect, {evaluation.masks} with a mask"))
    rows += _skipped_rows(evaluation.skipped)
    out.table(rows)
