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
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (part.cfa).")]


def require_finite(option: str, value: float | None) -> None:
    """Refuse NaN and infinity; None passes."""
    if value is not None and not math.isfinite(value):
        raise ConfigError(f"{option} is {value}; it must be a finite number.")
