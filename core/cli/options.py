"""Options and arguments that several commands share."""

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigError


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise typer.BadParameter(f"{name!r} is none of auto, cpu, cuda and cuda:N.")
    return name


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.", callback=_device)]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Work on a Ray cluster: HOST:PORT, auto, or local for this machine alone."
    ),
]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (part.cfa).")]


def require_finite(option: str, value: float | None) -> None:
    """Refuse NaN and infinity; None passes."""
    if value is not None and not math.isfinite(value):
        raise ConfigError(f"{option} is {value}; it must be a finite number.")


def cards(device: str, gpus: float | None) -> float | None:
    """The share of a graphics card that each worker of a cluster has; None: a whole one where the cluster has some.

    Raises:
        ConfigError: Device and share contradict each other, or the device is one that the cluster gives out.
    """
    require_finite("--gpus", gpus)
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"--gpus is {gpus:g}; above 1 it must be a whole number.")
    if device.startswith("cuda:"):
        raise ConfigError(
            f"--device {device} is one of this machine; on a cluster say cuda, and it gives out the cards."
        )
    if device == "cpu" and gpus:
        raise ConfigError("--gpus goes with --device cuda or auto.")
    if device == "cuda" and gpus == 0:
        raise ConfigError("--device cuda needs a share of a card: --gpus above 0.")
    if device == "cpu":
        return 0.0
    return 1.0 if device == "cuda" and gpus is None else gpus
