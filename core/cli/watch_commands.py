"""`cfa watch`: inspect what comes into a folder. How it is typed; the work stands in `watching`."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import output as out
from core.cli.options import Device, ModelPath, require_finite
from core.errors import ConfigError

app = typer.Typer()


@app.command(short_help="Inspect images as they come into a folder.")
def watch(
    model: ModelPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where images come in, also in its subfolders.")],
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Where results go: a folder, FILE.csv, FILE.sqlite, http(s)://..., mqtt(s)://BROKER:PORT/TOPIC. "
            "May be given several times.",
        ),
    ] = None,
    overlays: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures with the heat map over them there, as PNG.")
    ] = None,
    sort: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Move the images into good, flagged, uncertain and unreadable below DIR."),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="With --sort: copy, do not move.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Inspect what is there, then end.")] = False,
    poll: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Scan the folder so often, for network drives that tell of nothing."),
    ] = None,
    settle: Annotated[
        float, typer.Option(metavar="SECONDS", help="A file is complete when it has not changed for so long.")
    ] = 1.0,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="A file that cannot be read is called unreadable after so long.")
    ] = 10.0,
    threshold: Annotated[
        float | None, typer.Option(metavar="X", help="Use this threshold instead of the model's.")
    ] = None,
    queue: Annotated[
        int, typer.Option(metavar="N", help="So many results may wait for a target that is out of reach.", min=1)
    ] = 100_000,
    heartbeat: Annotated[float, typer.Option(metavar="SECONDS", help="Say how it stands so often.")] = 60.0,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was inspected; in the user's data folder where left out."),
    ] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for machines.")] = False,
) -> None:
    """Inspect each image once, as soon as it is completely written, until Ctrl-C.

    What was inspected is kept on the disk: after a crash or a power cut, start it again, and it goes on where it was.
    Results that a target does not take wait, and are tried again. Secrets come from the environment: CFA_WEBHOOK_TOKEN,
    CFA_MQTT_USER, CFA_MQTT_PASSWORD, CFA_MQTT_CA.
    """
    with out.outcome(as_json=as_json) as cancel:
        out.heed_termination()
        require_finite("--threshold", threshold)
        for option, seconds in (("--poll", poll), ("--settle", settle), ("--patience", patience)):
            _require_seconds(option, seconds)
        _require_seconds("--heartbeat", heartbeat)
        if copy and sort is None:
            raise ConfigError("--copy says how to sort: give --sort DIR with it.")
        from core.cli import watching
        from core.line.watching.watch import Options

        options = Options(
            poll=poll,
            settle=settle,
            patience=patience,
            sort=sort,
            copy=copy,
            once=once,
            queue=queue,
            heartbeat=heartbeat,
        )
        plan = watching.Plan(model, folder, tuple(to or ()), overlays, threshold, ledger, device)
        watching.watch(plan, options, as_json=as_json, cancel=cancel)


def _require_seconds(option: str, seconds: float | None) -> None:
    require_finite(option, seconds)
    if seconds is not None and not 0.01 <= seconds <= 86_400:
        raise ConfigError(f"{option} is {seconds:g} seconds; it must be from 0.01 to 86400.")
