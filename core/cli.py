"""The `cfa` command: train, inspect, evaluate, set the threshold, look at a model, make sample parts.

Exit status: 0 fine, 1 failed or cancelled, 2 wrong use. Results go to standard output, progress and messages to standard
error; with --json standard output is one JSON object.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from core import cli_output as out
from core.config import Bank, Config, preset
from core.version import VERSION

app = typer.Typer(
    name="cfa",
    help="Visual inspection from good parts only (CFA).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Preset(StrEnum):
    """The names of `core.config.PRESETS`."""

    FAST = "fast"
    STANDARD = "standard"
    THOROUGH = "thorough"
    PAPER = "paper"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
ModelPath = Annotated[Path, typer.Argument(metavar="part.cfa", help="A model file.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:  # noqa: FBT002
    if version:
        out.line(f"cfa {VERSION}")
        raise typer.Exit


@app.command()
def train(
    good: Annotated[
        Path, typer.Argument(metavar="GOOD", help="A folder of good images, or a data set in MVTec AD layout.")
    ],
    *,
    output: Annotated[Path, typer.Option("--out", help="The model file to write.")],
    test: Annotated[Path | None, typer.Option(help="Labelled images to measure the model on.")] = None,
    preset_name: Annotated[Preset, typer.Option("--preset", help="Where the settings start from.")] = Preset.STANDARD,
    backbone: Annotated[
        str | None, typer.Option(help="lite0, resnet18, wide_resnet50_2, vgg19_bn, efficientnet_b5, or a timm model.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights: a state dict.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels: square root of the network input's area.")] = None,
    bank: Annotated[Bank | None, typer.Option(help="How the memory bank is modelled.")] = None,
    bank_ratio: Annotated[int | None, typer.Option(help="gamma_c: the bank holds one centre per so many patches.")] = None,
    descriptor_ratio: Annotated[int | None, typer.Option(help="gamma_d: channels are divided by this.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    holdout: Annotated[float | None, typer.Option(help="Share of good images kept for calibration, 0 to 0.5.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a model on good images and write it to one file."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        config: Config = preset(preset_name).with_changes(
            backbone=backbone,
            image_size=image_size,
            bank=bank,
            bank_ratio=bank_ratio,
            descriptor_ratio=descriptor_ratio,
            epochs=epochs,
            holdout=holdout,
            seed=seed,
        )
        cli_work.train(good, output, test, config, weights=weights, device=device, as_json=as_json)


@app.command()
def inspect(
    model: ModelPath,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images and folders of images.")],
    *,
    csv: Annotated[Path | None, typer.Option(help="Write path, score, threshold, verdict, message.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Folder for the anomaly maps, float32 TIFF.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="Folder for pictures with the heat map over them.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Use this threshold instead of the model's.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Inspect images: a score and a verdict for each."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        targets = cli_work.Targets(csv=csv, maps=maps, overlays=overlays)
        cli_work.inspect(model, paths, targets, threshold=threshold, device=device, as_json=as_json)


@app.command()
def evaluate(
    model: ModelPath,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set in MVTec AD layout.")],
    *,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a model on labelled images."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        cli_work.evaluate(model, dataset, device=device, as_json=as_json)


@app.command()
def threshold(
    model: ModelPath,
    *,
    false_alarms: Annotated[float | None, typer.Option(help="Highest share of good parts that may be flagged.")] = None,
    f1: Annotated[Path | None, typer.Option(metavar="DATASET", help="Labelled images to find the best F1 on.")] = None,
    value: Annotated[float | None, typer.Option(help="This very score.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Set the model's threshold; no training is needed. Name exactly one of the three ways."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        if sum(option is not None for option in (false_alarms, f1, value)) != 1:
            raise typer.BadParameter("Name exactly one of --false-alarms, --f1 and --value.")
        if false_alarms is not None and not 0 < false_alarms < 1:
            raise typer.BadParameter("--false-alarms is a share above 0 and below 1 (0.01 means 1 %).")
        cli_work.set_threshold(
            model, false_alarms=false_alarms, f1=f1, value=value, device=device, as_json=as_json
        )


@app.command()
def info(model: ModelPath, *, as_json: Json = False) -> None:
    """Say what a model file holds: settings, threshold, calibration, training."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        cli_work.info(model, as_json=as_json)


@app.command()
def samples(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to make them.")],
    *,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Draw sample parts, good and defective, in MVTec AD layout, to try the program with."""
    from core import cli_work

    with out.outcome(as_json=as_json):
        cli_work.make_samples(folder, seed, as_json=as_json)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where parts and model go.")] = Path("cfa-demo"),
    *,
    device: Device = "auto",
) -> None:
    """The main job in one go: draw sample parts, train on the good ones, print what is flagged."""
    from core import cli_work

    with out.outcome(as_json=False):
        cli_work.demo(folder, device=device)


def main() -> None:
    """Entry point of the `cfa` command."""
    for stream in (sys.stdout, sys.stderr):  # names on disk may hold what the terminal's encoding cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
