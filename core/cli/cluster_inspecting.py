"""The work behind `cfa inspect --cluster`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli import output as out
from core.cli.inspecting import VERDICTS, threshold_of
from core.cli.words import MOST_LISTED
from core.counting import counted
from core.errors import ModelFileError
from core.line.cluster.inspecting import Cluster, Model, Outcome, inspect_on_cluster
from core.model_file import identity, load_model
from core.progress import CancelToken


def inspect(
    model: Path,
    sources: Sequence[str],
    folder: Path,
    cluster: Cluster,
    *,
    threshold: float | None,
    as_json: bool,
    cancel: CancelToken,
) -> None:
    """`cfa inspect --cluster`."""
    cancel.check()
    trained = load_model(model)
    known = Model(_content(model), identity(trained), threshold_of(trained, model, threshold))
    with out.ProgressBars() as bars:
        outcome = inspect_on_cluster(known, sources, folder, cluster, report=bars, cancel=cancel)
    _report(outcome, known, folder, as_json=as_json)


def _content(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:  # gone since it was loaded
        raise ModelFileError(f"{model} cannot be read: {error.strerror or error}.") from error


def _report(outcome: Outcome, model: Model, folder: Path, *, as_json: bool) -> None:
    rows, missed = sum(outcome.counts.values()), outcome.missed
    failed = (
        f"{len(missed):,} of {outcome.inspected + len(missed):,} images could not be inspected and have no row in "
        f"{folder}. The first: {missed[0]} The same command again tries them."
        if missed
        else f"None of the {counted(rows, 'image')} can be read."
        if outcome.counts["error"] == rows
        else None
    )
    if as_json:
        content = _json(outcome, model, folder)
        out.json_object(content if failed is None else content | {"error": failed})
    else:
        for text in missed[:MOST_LISTED]:
            out.note(text)
        _print(outcome, model, folder)
    if failed is not None:
        out.fail(failed)


def _json(outcome: Outcome, model: Model, folder: Path) -> dict[str, Any]:
    return {
        "out": str(folder),
        "model": model.identity,
        "threshold": model.threshold.value,
        "lower": model.threshold.lower,
        "counts": {verdict: outcome.counts[verdict] for verdict in VERDICTS},
        "before": outcome.before,
        "inspected": outcome.inspected,
        "missed": list(outcome.missed),
        "workers": outcome.workers,
        "seconds": round(outcome.seconds, 3),
    }


def _print(outcome: Outcome, model: Model, folder: Path) -> None:
    if outcome.inspected:
        rate = outcome.inspected / max(outcome.seconds, 1e-9)
        by = counted(outcome.workers, "inspector")
        out.line(f"{counted(outcome.inspected, 'image')} by {by} in {outcome.seconds:.1f} s ({rate:.1f} a second).")
    if outcome.before:
        out.line(f"{counted(outcome.before, 'image')} had a result already.")
    counts = outcome.counts
    said = [f"{counts[verdict]:,} {word}" for verdict, word in VERDICTS.items() if counts[verdict]]
    out.line(f"{folder}: {', '.join(said) or 'no result'} (threshold {model.threshold.value:.4f}).")
