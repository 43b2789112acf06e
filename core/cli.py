"""The `cfa` command: train, inspect, evaluate, set the threshold, look at a model, make sample parts.

Exit status: 0 fine, 1 failed or cancelled, 2 wrong use. Results go to standard output, progress and messages to
standard error; with --json standard output is one JSON object.
"""

import math
import re
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from core import cli_output as out
from core.config import Bank, preset
from core.errors import ConfigError
from core.version import VERSION

app = typer.Typer(
    name="cfa",
    help="Visual inspection from good parts only (CFA).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Preset(StrEnum):
    """The names of `core.config.PRESETS`."""

    FAST = "fast"
    STANDARD = "standard"
    THOROUGH = "thorough"
    PAPER = "paper"


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise typer.BadParameter(f"{name!r} is none of auto, cpu, cuda and cuda:N.")
    return name


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.", callback=_device)]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (part.cfa).")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.line(f"cfa {VERSION}")
        raise typer.Exit


@app.command(short_help="Train a model on good images.")
def train(
    good: Annotated[
        Path, typer.Argument(metavar="GOOD", help="A folder of good images, or a data set in MVTec AD layout.")
    ],
    *,
    output: Annotated[Path, typer.Option("--out", metavar="FILE", help="The model file to write.")],
    test: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Labelled images to measure the model on, never to train on.")
    ] = None,
    preset_name: Annotated[
        Preset, typer.Option("--preset", metavar="NAME", help="fast, standard, thorough (ours), or paper.")
    ] = Preset.STANDARD,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="lite0 (embedded), resnet18, wide_resnet50_2, vgg19_bn, efficientnet_b5 or a timm model.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The backbone's weights, a state dict; else timm's hub is asked."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(metavar="N", help="Pixels; the square root of the area that the network sees.")
    ] = None,
    bank: Annotated[
        Bank | None, typer.Option(metavar="NAME", help="mean, ema or global: how the memory bank is modelled.")
    ] = None,
    bank_ratio: Annotated[
        int | None, typer.Option(metavar="N", help="The memory bank has one centre per N patches (gamma_c).")
    ] = None,
    descriptor_ratio: Annotated[
        int | None, typer.Option(metavar="N", help="The descriptor has 1/N of the features' channels (gamma_d).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    holdout: Annotated[
        float | None,
        typer.Option(metavar="F", help="Share of the good images, 0 to 0.5, that only sets the threshold."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same model.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training of the same images and settings that was cut off.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a model on good images and write it to one file.

    Settings that are not given are the preset's. After each epoch the training is kept in FILE.unfinished until the
    model is written.
    """
    with out.outcome(as_json=as_json) as cancel:
        config = preset(preset_name).with_changes(
            backbone=backbone,
            image_size=image_size,
            bank=bank,
            bank_ratio=bank_ratio,
            descriptor_ratio=descriptor_ratio,
            epochs=epochs,
            holdout=holdout,
            seed=seed,
        )
        from core import cli_work

        run = cli_work.Run(weights=weights, device=device, resume=resume, cancel=cancel)
        cli_work.train(good, output, test, config, run, as_json=as_json)


@app.command(short_help="Give images a score and a verdict.")
def inspect(
    model: ModelPath,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Images and folders of images.")],
    *,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write path, score, threshold, verdict and message of each image."),
    ] = None,
    maps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the anomaly maps there, as float32 TIFF.")
    ] = None,
    overlays: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures with the heat map over them there, as PNG.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="X", help="Use this threshold instead of the model's.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Give images a score and a verdict.

    Prints what is flagged, the worst first; --csv and --json tell of every image. Of a data set in MVTec AD layout the
    test images are inspected.
    """
    with out.outcome(as_json=as_json) as cancel:
        _require_finite("--threshold", threshold)
        from core import cli_inspect

        targets = cli_inspect.Targets(csv=csv, maps=maps, overlays=overlays)
        cli_inspect.inspect(model, paths, targets, threshold=threshold, device=device, as_json=as_json, cancel=cancel)


@app.command(short_help="Measure a model on labelled images.")
def evaluate(
    model: ModelPath,
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="A data set in MVTec AD layout, or a folder with `good` beside kinds of defects."
        ),
    ],
    *,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a model on labelled images. The model stays as it is."""
    with out.outcome(as_json=as_json) as cancel:
        from core import cli_work

        cli_work.evaluate(model, dataset, device=device, as_json=as_json, cancel=cancel)


@app.command(short_help="Set a model's threshold.")
def threshold(
    model: ModelPath,
    *,
    false_alarms: Annotated[
        float | None,
        typer.Option(metavar="E", help="From the held-out good images: at most this share of good parts is flagged."),
    ] = None,
    f1: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="From labelled images: where F1 is highest on them.")
    ] = None,
    value: Annotated[
        float | None, typer.Option(metavar="X", help="By hand: parts that score above X are flagged.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Set a model's threshold; no training is needed.

    Name exactly one of --false-alarms, --f1 and --value.
    """
    with out.outcome(as_json=as_json) as cancel:
        if sum(option is not None for option in (false_alarms, f1, value)) != 1:
            raise ConfigError("Name exactly one of --false-alarms, --f1 and --value.")
        if false_alarms is not None and not 0 < false_alarms < 1:
            raise ConfigError(f"--false-alarms is {false_alarms}; it is a share above 0 and below 1 (0.01 is 1 %).")
        _require_finite("--value", value)
        from core import cli_work

        cli_work.set_threshold(
            model, false_alarms=false_alarms, f1=f1, value=value, device=device, as_json=as_json, cancel=cancel
        )


@app.command(short_help="Say what a model file holds.")
def info(model: ModelPath, *, as_json: Json = False) -> None:
    """Say what a model file holds: settings, training, calibration, threshold."""
    with out.outcome(as_json=as_json) as cancel:
        from core import cli_work

        cli_work.info(model, as_json=as_json, cancel=cancel)


@app.command(short_help="Draw sample parts to try the program with.")
def samples(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; a new or empty folder.")],
    *,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed draws the same parts.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Draw sample parts to try the program with, good and defective, in MVTec AD layout."""
    with out.outcome(as_json=as_json) as cancel:
        from core import cli_work

        cli_work.make_samples(folder, seed, as_json=as_json, cancel=cancel)


@app.command(short_help="Draw sample parts, train on the good ones, print what is flagged.")
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where parts, model and results go.")] = Path(
        "cfa-demo"
    ),
    *,
    device: Device = "auto",
) -> None:
    """The main job in one go: draw sample parts, train on the good ones, inspect the others, print what is flagged."""
    with out.outcome(as_json=False) as cancel:
        from core import cli_work

        cli_work.demo(folder, device=device, cancel=cancel)


review = typer.Typer(
    name="review", help="List, export and check what was reviewed in the window.", no_args_is_help=True
)
app.add_typer(review)
Store = Annotated[Path | None, typer.Option(metavar="FILE", help="The review store; the window's own where left out.")]
ProjectId = Annotated[int, typer.Argument(metavar="REVIEW", help="Its number; `cfa review list` shows them.")]


@review.command("list", short_help="The reviews in the store.")
def review_list(*, store: Store = None, as_json: Json = False) -> None:
    """The reviews in the store, the latest first."""
    with out.outcome(as_json=as_json):
        from core import cli_review

        cli_review.list_projects(store, as_json=as_json)


@review.command("export", short_help="Write a review as CSV or Parquet.")
def review_export(
    project: ProjectId,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .csv or .parquet.")],
    *,
    store: Store = None,
    log: Annotated[
        bool, typer.Option("--log", help="Who said what and when, instead of one row for each image.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a review: for each image its score, verdict and label, and by which model, threshold and person."""
    with out.outcome(as_json=as_json):
        from core import cli_review

        cli_review.export(project, output, store, log=log, as_json=as_json)


@review.command("check", short_help="See whether a store is sound.")
def review_check(*, store: Store = None, as_json: Json = False) -> None:
    """See whether a store is sound, and which images are no longer where they were."""
    with out.outcome(as_json=as_json):
        from core import cli_review

        cli_review.check(store, as_json=as_json)


def _require_finite(option: str, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise ConfigError(f"{option} is {value}; it must be a finite number.")


def main() -> None:
    """Entry point of the `cfa` command."""
    out.heed_interrupts()
    out.prepare_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, to their developers
    app(prog_name="cfa")


if __name__ == "__main__":
    main()
