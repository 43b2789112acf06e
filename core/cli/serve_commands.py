"""`cfa serve`: how it is typed."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.options import Device

app = typer.Typer()


@app.command(short_help="Inspect images over HTTP.")
def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", help="Model files, part.cfa or name=part.cfa; /inspect takes the first."),
    ],
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; elsewhere than on this machine a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 takes a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A token that clients must send; or CFA_TOKEN in the environment."),
    ] = None,
    max_megabytes: Annotated[int, typer.Option(metavar="N", help="Of one request.", min=1, max=1024)] = 32,
    max_megapixels: Annotated[int, typer.Option(metavar="N", help="Of one image.", min=1, max=200)] = 50,
    queue: Annotated[
        int, typer.Option(metavar="N", help="Images that may wait; more are told to come again.", min=1, max=10_000)
    ] = 32,
    device: Device = "auto",
) -> None:
    """Inspect images over HTTP: POST an image, get score, verdict and regions, or the heat map.

    Prints its address, and a line once the models are loaded; / is a page to try it with, /openapi.json says the rest.
    Stops at SIGTERM and Ctrl-C after the images at work; SIGHUP reads the model files again.
    """
    with out.outcome(as_json=False) as cancel:
        from core.cli import serving

        bounds = serving.Bounds(megabytes=max_megabytes, megapixels=max_megapixels, queue=queue)
        serving.serve(models, host, port, token_file, bounds, device=device, cancel=cancel)
