"""The work behind the `cfa` commands but `inspect`. Imports the engine, and with it torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.atomic_file import make_folder, require_writable
from core.checkpoint import Checkpoint, Resume
from core.cli import output as out
from core.cli.inspecting import Targets, inspect
from core.cli.words import model_json, print_evaluation, print_model
from core.config import Config
from core.counting import counted
from core.dataset import Dataset, Label, Layout, Sample, find_samples, open_dataset, require_disjoint
from core.errors import CancelledByUser, DatasetError, OutputError
from core.evaluation import evaluate as evaluate_model
from core.inspection import Failure, Inspector
from core.leftovers import remove_leftovers
from core.model_file import load_model, save_model
from core.presets import preset
from core.progress import CancelToken
from core.sample_parts import make_sample_parts
from core.threshold import Threshold, best_f1_threshold, manual_threshold
from core.trained_model import TrainedModel
from core.training import train as train_model

UNFINISHED = ".unfinished"
"""What the name of a model has after it while it is trained."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a training runs.

    Attributes:
        weights: A weights file for the backbone.
        device: auto, cpu, cuda or cuda:N.
        resume: Go on with one that was cut off.
        cancel: Set by Ctrl-C.
    """

    weights: Path | None
    device: str
    resume: bool
    cancel: CancelToken


def train(good: Path, output: Path, test: Path | None, config: Config, run: Run, *, as_json: bool) -> None:
    """`cfa train`."""
    cancel, device = run.cancel, run.device
    cancel.check()
    require_writable(output)
    remove_leftovers([output.parent])
    dataset = open_dataset(good)
    _name_what_is_left_out(dataset)
    tests = _labelled(test) if test is not None else ()
    if output.resolve() in {sample.path.resolve() for sample in (*dataset.good, *dataset.test, *tests)}:
        raise OutputError(f"{output} is one of the images. Name another file for the model.")
    with out.ProgressBars() as bars:
        require_disjoint(dataset.good, (*tests, *dataset.test), report=bars, cancel=cancel)
        unfinished = output.with_name(f"{output.name}{UNFINISHED}")
        checkpoint = Checkpoint(unfinished, Resume.REQUIRED if run.resume else Resume.NO)
        if checkpoint.exists and not run.resume:
            out.note(f"{unfinished} is an unfinished training, which this one replaces; --resume would go on with it.")
        try:
            trained = train_model(
                dataset.good,
                config,
                weights=run.weights,
                device=device,
                checkpoint=checkpoint,
                report=bars,
                cancel=cancel,
            )
        except CancelledByUser:
            if checkpoint.exists:
                out.note(f"The finished epochs are in {unfinished}; --resume goes on with them.")
            raise
        save_model(trained, output)
        checkpoint.remove()
        evaluation = None
        if tests:
            evaluation = evaluate_model(
                Inspector(trained, device=device, cancel=cancel), tests, report=bars, cancel=cancel
            )
    if as_json:
        extra = {} if evaluation is None else {"evaluation": evaluation.to_json()}
        out.json_object(model_json(trained, output) | extra)
        return
    print_model(trained, output)
    if evaluation is not None:
        print_evaluation(evaluation)


def _name_what_is_left_out(dataset: Dataset) -> None:
    if dataset.layout is Layout.SORTED and dataset.test:
        kinds = ", ".join(dict.fromkeys(sample.name.split("/")[0] for sample in dataset.test))
        out.note(f"Not learned from, by the folders' names: {counted(len(dataset.test), 'image')} ({kinds}).")


def evaluate(model: Path, dataset: Path, *, device: str, as_json: bool, cancel: CancelToken) -> None:
    """`cfa evaluate`."""
    cancel.check()
    trained = load_model(model)
    samples = _labelled(dataset)
    with out.ProgressBars() as bars:
        evaluation = evaluate_model(
            Inspector(trained, device=device, cancel=cancel), samples, report=bars, cancel=cancel
        )
    if as_json:
        out.json_object(evaluation.to_json())
    else:
        print_evaluation(evaluation)


def set_threshold(
    model: Path,
    *,
    false_alarms: float | None,
    f1: Path | None,
    value: float | None,
    device: str,
    as_json: bool,
    cancel: CancelToken,
) -> None:
    """`cfa threshold`: one of the three is given."""
    cancel.check()
    trained = load_model(model)
    require_writable(model)
    skipped: list[Failure] = []
    if false_alarms is not None:
        line = trained.calibration.threshold(false_alarms)
    elif f1 is not None:
        line = _best_f1(trained, _labelled(f1), device, skipped, cancel)
    else:
        line = manual_threshold(float("nan") if value is None else value)
    changed = trained.with_threshold(line)
    save_model(changed, model)
    if as_json:
        names = [{"name": failure.sample.name, "message": failure.message} for failure in skipped]
        out.json_object(model_json(changed, model) | {"skipped": names})
    else:
        for failure in skipped:
            out.note(f"skipped {failure.sample.name}: {failure.message}")
        out.line(f"Threshold {line.value:.6g}. {trained.calibration.sentence(line)}")


def info(model: Path, *, as_json: bool, cancel: CancelToken) -> None:
    """`cfa info`."""
    cancel.check()
    trained = load_model(model)
    if as_json:
        out.json_object(model_json(trained, model))
    else:
        print_model(trained, model)


def make_samples(folder: Path, seed: int, *, as_json: bool, cancel: CancelToken) -> None:
    """`cfa samples`."""
    cancel.check()
    with out.ProgressBars() as bars:
        made = make_sample_parts(folder, seed=seed, report=bars, cancel=cancel)
    if as_json:
        out.json_object({"folder": str(made)})
    else:
        out.line(f"Sample parts are in {made}: train/good to train on, test to inspect.")


def demo(folder: Path, *, device: str, cancel: CancelToken) -> None:
    """`cfa demo`."""
    make_folder(folder)
    parts, model = folder / "sample-parts", folder / "sample-parts.cfa"
    make_samples(parts, 0, as_json=False, cancel=cancel)
    run = Run(weights=None, device=device, resume=False, cancel=cancel)
    train(parts, model, None, preset("fast"), run, as_json=False)
    out.line()
    targets = Targets(csv=folder / "results.csv", overlays=folder / "overlays")
    inspect(model, [parts / "test"], targets, threshold=None, device=device, as_json=False, cancel=cancel)
    out.line(f"Scores are in {targets.csv}, pictures with heat maps in {targets.overlays}.")


def _labelled(path: Path) -> tuple[Sample, ...]:
    """The labelled test images of a data set, or of any folder that holds good parts beside kinds of defects."""
    labelled = tuple(sample for sample in find_samples([path]) if sample.label is not None)
    if not labelled:
        raise DatasetError(
            f"No image in {path} is labelled. Name a data set in MVTec AD layout, or a folder with the good images in "
            "`good` and the others in a folder for each kind of defect."
        )
    return labelled


def _best_f1(
    trained: TrainedModel, samples: Sequence[Sample], device: str, skipped: list[Failure], cancel: CancelToken
) -> Threshold:
    scores: list[float] = []
    defect: list[bool] = []
    with out.ProgressBars() as bars:
        for result in Inspector(trained, device=device, cancel=cancel).inspect_many(
            samples, report=bars, cancel=cancel
        ):
            if isinstance(result, Failure):
                skipped.append(result)
            else:
                scores.append(result.score)
                defect.append(result.sample.label is Label.DEFECT)
    if not scores:
        raise DatasetError(f"None of the {len(samples)} labelled images can be read. The first: {skipped[0].message}")
    if all(defect) and trained.calibration.scores:
        out.note(f"no image is good: {trained.calibration.in_words()} stand for the good ones")
        return best_f1_threshold(*trained.calibration.beside(scores, defect))
    return best_f1_threshold(scores, defect)
