"""The work behind `cfa export`."""

from collections.abc import Sequence
from pathlib import Path

from core.cli import output as out
from core.cli.words import MOST_LISTED
from core.dataset import find_samples
from core.export.export import SIDECAR, export_model
from core.export.words import Exported, Target
from core.model_file import load_model
from core.progress import CancelToken


def export(
    model: Path, target: Target, check: Sequence[Path], *, device: str, as_json: bool, cancel: CancelToken
) -> None:
    """`cfa export`."""
    cancel.check()
    trained = load_model(model)
    samples = find_samples(check) if check else ()
    with out.ProgressBars() as bars:
        exported = export_model(trained, target, samples, device=device, report=bars, cancel=cancel)
    if as_json:
        out.json_object(
            {
                "model": str(model),
                "format": target.format.value,
                "folder": str(exported.folder),
                "files": list(exported.files),
                "parity": exported.parity.to_json(),
            }
        )
    else:
        _print(exported, target, checked=bool(samples))


def _print(exported: Exported, target: Target, *, checked: bool) -> None:
    parity = exported.parity
    for sentence in parity.skipped[:MOST_LISTED]:
        out.note(f"skipped {sentence}")
    if not checked:
        out.note(
            "Checked on images drawn from the model's seed alone. Name images that the model was not trained on with "
            "--check to see that it holds on them too."
        )
    out.table(
        [
            ("Exported", f"{target.format} model in {exported.folder}: {', '.join(exported.files)}"),
            ("Compared", parity.sentence()),
            ("Largest map difference", f"{parity.largest_map_difference:.2g}"),
            (
                "Time per image",
                f"{parity.milliseconds:.0f} ms (the original {parity.original_milliseconds:.0f} ms), here",
            ),
            ("Run it", f"python {exported.folder / 'run.py'} PICTURE...; {SIDECAR} says what goes in and out"),
        ]
    )
