"""The models that the service has loaded, by name; each may be read again from its file while the service runs."""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, ThresholdError
from core.inspection import Inspection, Inspector
from core.line.service.limits import BATCH
from core.line.service.together import Together
from core.model_file import identity, load_model
from core.threshold import Threshold

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def named_paths(arguments: Sequence[str]) -> dict[str, Path]:
    """`part.cfa` and `name=part.cfa` as names and files; the first is the one that `/inspect` takes.

    Raises:
        ConfigError: A name cannot stand in an address, or is given twice.
    """
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, path = _named(argument)
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be a model's name in an address. Give one of letters, digits, `.`, `_` and `-`: "
                f"NAME={path}"
            )
        if name in paths:
            raise ConfigError(f"Two models have the name {name}. Give one another name: NAME={path}")
        paths[name] = path
    return paths


def _named(argument: str) -> tuple[str, Path]:
    """A file whose own name has a `=` in it, but is there, is meant as it stands."""
    name, equals, path = argument.partition("=")
    if not equals or Path(argument).exists():
        return Path(argument).stem, Path(argument)
    return name, Path(path)


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A model ready to inspect.

    Attributes:
        name: In addresses.
        inspector: On its device, warmed.
        threshold: Its line.
        identity: Of weights and settings.
        inspect: `Inspector.inspect` for any thread; on a graphics card the images that wait go through together, on a
            CPU one at a time.
    """

    name: str
    inspector: Inspector
    threshold: Threshold
    identity: str
    inspect: Together[NDArray[np.uint8], Inspection] = field(init=False)

    def __post_init__(self) -> None:
        together = Together(self.inspector.inspect_together, BATCH if self.inspector.in_batches else 1)
        object.__setattr__(self, "inspect", together)


def serve_model(name: str, path: Path, device: str) -> ServedModel:
    """Load a model and warm it with one blank image.

    Raises:
        ModelFileError: The file cannot be used.
        DeviceError: The device is absent or its memory too small.
        ThresholdError: The model has no threshold.
    """
    trained = load_model(path)
    if trained.threshold is None:
        raise ThresholdError(
            f"{path} has no threshold yet, so there is no verdict to serve. Set one with `cfa threshold {path} "
            "--f1 DATASET` (or --value X)."
        )
    served = ServedModel(name, Inspector(trained, device=device), trained.threshold, identity(trained))
    side = trained.config.preprocessing.image_size
    served.inspect(np.zeros((side, side, 3), np.uint8))
    return served


class Shelf:
    """The models by name. Loading is done fully before a model takes the place of another."""

    def __init__(self, paths: Mapping[str, Path], device: str) -> None:
        """Load nothing yet.

        Args:
            paths: Files by name, at least one; the first is the default.
            device: auto, cpu, cuda or cuda:N.
        """
        self._paths, self._device = dict(paths), device
        self._served: dict[str, ServedModel] = {}
        self._loading = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the default first."""
        return tuple(self._paths)

    @property
    def ready(self) -> bool:
        """Whether every model is loaded and warmed."""
        return len(self._served) == len(self._paths)

    def get(self, name: str) -> ServedModel | None:
        """The model of that name; None where it is not loaded yet.

        Raises:
            KeyError: There is none of that name.
        """
        if name not in self._paths:
            raise KeyError(name)
        return self._served.get(name)

    def load(self, name: str) -> ServedModel:
        """Read a model from its file; on failure the one that was there stays. Only one is read at a time.

        Raises:
            CfaError: As `serve_model`.
        """
        with self._loading:
            served = serve_model(name, self._paths[name], self._device)
            self._served[name] = served
        return served
