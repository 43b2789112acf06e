"""`cfa train-many`: one model for each kind of part. How it is typed; the work stands in `training_many`."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.commands import Preset
from core.cli.options import ClusterAddress, Device, Json, cards
from core.errors import ConfigError

app = typer.Typer()


@app.command("train-many", short_help="Train a model for each of many data sets.")
def train_many(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET", help="Folders of good images or data sets, or a folder that holds data sets."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the models and summary.csv go.")],
    preset_name: Annotated[
        Preset, typer.Option("--preset", metavar="NAME", help="fast, standard, thorough (ours), or paper.")
    ] = Preset.STANDARD,
    image_size: Annotated[
        int | None, typer.Option(metavar="N", help="Pixels; the square root of the area that the network sees.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training images.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same models.")] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="So many at a time, each in a process of its own.", min=1)] = 1,
    test: Annotated[
        bool, typer.Option("--test", help="Measure each model on the test images of its data set, where it has some.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave models that are there, go on with trainings that were cut off.")
    ] = False,
    device: Device = "auto",
    cluster: ClusterAddress = None,
    gpus: Annotated[
        float | None,
        typer.Option(metavar="F", help="With --cluster: share of a GPU of each training, instead of 1/jobs.", min=0),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model for each of many data sets, DIR/NAME.cfa, and write a table of all: DIR/summary.csv.

    Each is trained as by `cfa train` in a process of its own; one that fails does not stop the others. With --cluster
    each machine trains --jobs at a time; all must see the data sets and DIR under the same paths (a shared drive).
    """
    with out.outcome(as_json=as_json) as cancel:
        from core.cli import training_many

        options = ["--preset", preset_name.value, "--device", device]
        for name, value in (("--image-size", image_size), ("--epochs", epochs), ("--seed", seed)):
            options += [] if value is None else [name, str(value)]
        if cluster is None and gpus is not None:
            raise ConfigError("--gpus goes with --cluster ADDRESS.")
        share = None if cluster is None or (device == "cuda" and gpus is None) else cards(device, gpus)
        plan = training_many.Plan(output, tuple(options), jobs, test, resume, cluster, share)
        training_many.train_many(datasets, plan, as_json=as_json, cancel=cancel)
