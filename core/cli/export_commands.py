"""`cfa export`: a model for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.options import Device, Json, ModelPath
from core.export.words import Format, Target

app = typer.Typer()


@app.command(short_help="Write a model for other runtimes, checked against the original.")
def export(
    model: ModelPath,
    *,
    format_: Annotated[Format, typer.Option("--format", metavar="NAME", help="onnx, openvino or torchscript.")],
    output: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A new or empty folder, or one with an earlier export.")
    ],
    check: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Images, or a folder of them, that it was not trained on. May be repeated."),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Write a model for other runtimes: picture in; anomaly map, score and verdict out.

    The exported model is compared with the original on the images after --check and on images of many sizes drawn from
    the model's seed. It is refused if a score differs by more than a thousandth or a verdict differs.
    """
    with out.outcome(as_json=as_json) as cancel:
        from core.cli import exporting

        exporting.export(model, Target(format_, output), check or [], device=device, as_json=as_json, cancel=cancel)
