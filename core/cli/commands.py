"""Commands of the desk: train, inspect, evaluate, set the threshold, look at a model, make sample parts.

How each is typed; what it does stands in `work` and `inspecting`, which import torch and are imported last.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.options import ClusterAddress, Device, Json, ModelPath, cards, require_finite
from core.config import Bank, Calibrating
from core.errors import ConfigError
from core.presets import preset

app = typer.Typer()


class Preset(StrEnum):
    """The names of `core.config.PRESETS`."""

    FAST = "fast"
    STANDARD = "standard"
    THOROUGH = "thorough"
    PAPER = "paper"


@app.command(short_help="Train a model on good images.")
def train(
    good: Annotated[
        Path,
        typer.Argument(
            metavar="GOOD", help="A folder of good images, one sorted into OK and NG, or a data set in MVTec AD layout."
        ),
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
    second_scale: Annotated[
        float | None,
        typer.Option(
            metavar="F", help="The picture is also seen so many times as large, as 1.5 (CFA++). 0: it is not."
        ),
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
        typer.Option(metavar="F", help="Share of the good images, 0 to 0.5, held out at a time to set the threshold."),
    ] = None,
    calibration: Annotated[
        Calibrating | None,
        typer.Option(metavar="NAME", help="cross: held out in turns, all are learned from; split: once, not learned."),
    ] = None,
    light_variation: Annotated[
        float | None,
        typer.Option(metavar="F", help="Share, 0 to 0.5, by which the light may vary: learned darker and brighter."),
    ] = None,
    blur_variation: Annotated[
        float | None,
        typer.Option(metavar="F", help="Share of the width, 0 to 0.02, by which pictures may be blurred (sigma)."),
    ] = None,
    position_variation: Annotated[
        float | None,
        typer.Option(metavar="F", help="Share of the width, 0 to 0.25, by which parts may lie beside their place."),
    ] = None,
    angle_variation: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="By how much parts may be turned either way, 0 to 180.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same model.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training of the same images and settings that was cut off.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a model on good images and write it to one file.

    Settings that are not given are the preset's. After each epoch the training is kept in FILE.unfinished (those of
    further networks in FILE.unfinished-2 and so on) until the model is written.
    """
    with out.outcome(as_json=as_json) as cancel:
        config = preset(preset_name).with_changes(
            backbone=backbone,
            image_size=image_size,
            second_scale=second_scale,
            bank=bank,
            bank_ratio=bank_ratio,
            descriptor_ratio=descriptor_ratio,
            epochs=epochs,
            holdout=holdout,
            calibration=calibration,
            light_variation=light_variation,
            blur_variation=blur_variation,
            position_variation=position_variation,
            angle_variation=angle_variation,
            seed=seed,
        )
        from core.cli import work

        run = work.Run(weights=weights, device=device, resume=resume, cancel=cancel)
        work.train(good, output, test, config, run, as_json=as_json)


@app.command(short_help="Give images a score and a verdict.")
def inspect(
    model: ModelPath,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Images and folders of images; with --cluster also addresses (s3://BUCKET/FOLDER)."
        ),
    ],
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
    cluster: ClusterAddress = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="With --cluster: where the results go, as Parquet; what is there stays."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --cluster: so many inspectors instead of all that have room.", min=1),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", help="With --cluster: CPUs of each inspector.", min=1)] = 1,
    gpus: Annotated[
        float | None,
        typer.Option(
            metavar="F", help="With --cluster: share of a GPU of each inspector, instead of a whole one.", min=0
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give images a score and a verdict.

    Prints what is flagged, the worst first; --csv and --json tell of every image. Of a data set in MVTec AD layout the
    test images are inspected.

    With --cluster many inspectors share the work, on this machine or on others, and each image gets a row in --out.
    The same command again inspects only what has none.
    """
    with out.outcome(as_json=as_json) as cancel:
        require_finite("--threshold", threshold)
        if cluster is None:
            _refuse_options("--cluster ADDRESS", {"--out": output, "--workers": workers, "--gpus": gpus})
            if addresses := [path for path in paths if "://" in path]:
                raise ConfigError(
                    f"{addresses[0]} needs --cluster: `--cluster local --out DIR` reads it on this machine."
                )
            from core.cli import inspecting

            targets = inspecting.Targets(csv=csv, maps=maps, overlays=overlays)
            inspecting.inspect(
                model,
                [Path(path) for path in paths],
                targets,
                threshold=threshold,
                device=device,
                as_json=as_json,
                cancel=cancel,
            )
            return
        _refuse_options("no --cluster", {"--csv": csv, "--maps": maps, "--overlays": overlays})
        if output is None:
            raise ConfigError("--cluster needs --out DIR, where the results go.")
        from core.cli import cluster_inspecting
        from core.line.cluster.inspecting import Cluster

        where = Cluster(cluster, workers, threads, cards(device, gpus))
        cluster_inspecting.inspect(model, paths, output, where, threshold=threshold, as_json=as_json, cancel=cancel)


def _refuse_options(wanted: str, given: Mapping[str, object]) -> None:
    """See that no option is given that would do nothing."""
    for name, value in given.items():
        if value is not None:
            raise ConfigError(f"{name} goes with {wanted}.")


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
        from core.cli import work

        work.evaluate(model, dataset, device=device, as_json=as_json, cancel=cancel)


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
        require_finite("--value", value)
        from core.cli import work

        work.set_threshold(
            model, false_alarms=false_alarms, f1=f1, value=value, device=device, as_json=as_json, cancel=cancel
        )


@app.command(short_help="Say what a model file holds.")
def info(model: ModelPath, *, as_json: Json = False) -> None:
    """Say what a model file holds: settings, training, calibration, threshold."""
    with out.outcome(as_json=as_json) as cancel:
        from core.cli import work

        work.info(model, as_json=as_json, cancel=cancel)


@app.command(short_help="Draw sample parts to try the program with.")
def samples(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; a new or empty folder.")],
    *,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed draws the same parts.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Draw sample parts to try the program with, good and defective, in MVTec AD layout."""
    with out.outcome(as_json=as_json) as cancel:
        from core.cli import work

        work.make_samples(folder, seed, as_json=as_json, cancel=cancel)


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
        from core.cli import work

        work.demo(folder, device=device, cancel=cancel)
