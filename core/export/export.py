"""Export a model: written to a temporary folder, compared with the original there, and moved in place if it holds."""

import gc
import importlib.metadata
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.atomic_file import TEMPORARY_PREFIX, make_folder, require_writable_folder
from core.config_words import in_words
from core.dataset import Sample
from core.digests import file_digest
from core.errors import ExportError, OutputError, ThresholdError
from core.export.formats import MODEL_FILES, PACKAGES, require_runtime, runtime_settings, write_model
from core.export.graph import INPUT, OUTPUTS, VerdictCode, shifted
from core.export.parity import compare, load_runner
from core.export.words import Exported, Target
from core.inspection import Inspector
from core.model_file import identity
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.trained_model import TrainedModel
from core.version import VERSION

SIDECAR = "model.json"
RUNNER = "run.py"
_SIDECAR_VERSION = 1


def export_model(
    trained: TrainedModel,
    target: Target,
    samples: Sequence[Sample] = (),
    *,
    device: str = "auto",
    report: Report = silent,
    cancel: CancelToken | None = None,
) -> Exported:
    """Write a model for another runtime, with its description and a script that runs it.

    Args:
        trained: With a threshold.
        target: What is wanted, and where.
        samples: Images on which exported and original model are compared; best those it was not trained on.
        device: Where the original runs meanwhile.
        report: Told of progress.
        cancel: Checked between the stages and before each image.

    Raises:
        ExportError: The runtime is missing, the format cannot hold the model, or it does not give the original's
            scores; the text has the figures. Nothing was written.
        ThresholdError: The model has no threshold.
        OutputError: The folder cannot be written, or holds other things.
        CancelledByUser: Nothing was written.
    """
    threshold = trained.threshold
    if threshold is None:
        raise ThresholdError("The model has no threshold yet, so an exported one could give no verdict. Set one first.")
    require_runtime(target)
    _require_free(target)
    files = (*MODEL_FILES[target.format], RUNNER, SIDECAR)
    report(Progress(Phase.EXPORTING, 0, 1, "models"))
    with _staged(target.folder, files) as staging:
        _check(cancel)
        write_model(trained, target, staging)
        shutil.copyfile(Path(__file__).with_name("runner.py"), staging / RUNNER)
        about = _about(trained, target, staging)
        _write_json(staging / SIDECAR, about)
        report(Progress(Phase.EXPORTING, 1, 1, "models"))
        _check(cancel)
        inspector = Inspector(trained, device=device, cancel=cancel)
        exported = load_runner(staging)
        parity = compare(inspector, exported, threshold, samples, report=report, cancel=cancel)
        del exported
        gc.collect()  # some systems move no file that is still mapped into memory
        if not parity.holds:
            raise ExportError(
                f"The exported model does not give the scores of the original. {parity.sentence()} Nothing was written."
            )
        _write_json(staging / SIDECAR, about | {"parity": parity.to_json() | {"in_words": parity.sentence()}})
        _check(cancel)
    return Exported(target.folder, files, parity)


def _check(cancel: CancelToken | None) -> None:
    if cancel is not None:
        cancel.check()


def _about(trained: TrainedModel, target: Target, staging: Path) -> dict[str, Any]:
    """All that a user of the model must know, but for the check."""
    config, threshold = trained.config, trained.threshold
    if threshold is None:
        raise ValueError("a model without a threshold is not exported")
    names = MODEL_FILES[target.format]
    package = PACKAGES[target.format]
    return {
        "sidecar_version": _SIDECAR_VERSION,
        "format": target.format.value,
        "file": names[0],
        "sha256": {name: file_digest(staging / name) for name in names},
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "runtime": {
            "package": package,
            "version": importlib.metadata.version(package),
            "device": "CPU",
            "settings": runtime_settings(target),
        },
        "versions": {"cfa-gui": VERSION, "torch": importlib.metadata.version("torch")},
        "model": {
            "identity": identity(trained),
            "created": trained.created,
            "backbone": config.backbone,
            "settings": in_words(config),
            "config": config.to_json(),
        },
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": ["height", "width", 3],
            "layout": "RGB, rows from the top, one picture at a time",
            "sizes": "any height and width",
        },
        "outputs": {
            OUTPUTS[0]: {"type": "float32", "shape": ["rows", "columns"], "is": "score of each pixel inspected"},
            OUTPUTS[1]: {"type": "float32", "shape": [], "is": "maximum of the map; NaN: not to be judged"},
            OUTPUTS[2]: {"type": "int64", "shape": [], "is": "place in `verdicts`"},
        },
        "verdicts": [code.name.lower() for code in VerdictCode],
        "threshold": threshold.to_json()
        | {"in_words": threshold.sentence(), "compared_with": shifted(threshold, trained.calibration.scores)},
    }  # fmt: skip


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n", encoding="ascii")


def _require_free(target: Target) -> None:
    """The folder may be missing, empty, or hold an export of the same format."""
    folder = target.folder
    require_writable_folder(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file. Name a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        earlier = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        same = earlier["format"] == target.format.value and earlier["sidecar_version"] >= 1
    except (OSError, ValueError, LookupError, TypeError):
        same = False
    if not same:
        raise OutputError(
            f"{folder} holds other things. Name a new or empty folder, or one with an earlier {target.format} export."
        )


@contextmanager
def _staged(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """A temporary folder inside `folder`; its files move out when all went well, otherwise all is as it was."""
    fresh = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    make_folder(folder)
    staging = folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    make_folder(staging)
    done = False
    try:
        yield staging
        for name in files:  # the description last: what it tells of is there
            _move(staging / name, folder / name)
        done = True
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not done:
            for place in fresh:
                if place.is_dir() and not any(place.iterdir()):
                    place.rmdir()


def _move(file: Path, target: Path) -> None:
    """Let the disk have a file, then give it its place: after a power cut it is the old one or the new one."""
    try:
        with file.open("rb+") as written:
            os.fsync(written.fileno())
        file.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}. Choose another place.") from error
