"""The engine as the window sees it: one Protocol, so that tests put a fake in its place, and the real one.

Importing torch takes seconds. `CoreEngine` imports it inside its methods, and these run on the worker thread only.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.atomic_file import make_folder
from core.config import Config
from core.dataset import Sample
from core.errors import OutputError
from core.export.words import Exported, Target
from core.line.live.judged import Found, Inspect
from core.placement import Placement
from core.progress import CancelToken, Report
from core.trained_model import TrainedModel


@dataclass(frozen=True, slots=True, eq=False)
class Inspected:
    """The result for one image; a `core.inspection.Inspection` without what stands on torch.

    Attributes:
        sample: The image.
        score: Anomaly score.
        anomaly_map: (crop height, crop width) float32, read-only.
        placement: Where the image lay on the network's input.
    """

    sample: Sample
    score: float
    anomaly_map: NDArray[np.float32]
    placement: Placement


@dataclass(frozen=True, slots=True)
class NotInspected:
    """An image that could not be inspected, and why, for the user."""

    sample: Sample
    message: str


@dataclass(frozen=True, slots=True)
class Facilities:
    """What the machine offers.

    Attributes:
        devices: Name for the engine ("cpu", "cuda:0") and description of each.
        versions: Name and version of the libraries that matter for a bug report.
    """

    devices: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]


class Engine(Protocol):
    """Everything the window asks of the engine. All methods are slow and run on the worker thread."""

    def warm_up(self) -> Facilities:
        """Import what is slow to import."""
        ...

    def train(
        self, good: Sequence[Sample], config: Config, *, device: str, report: Report, cancel: CancelToken
    ) -> TrainedModel:
        """Train a model from good parts; one that was cut off is gone on with."""
        ...

    def load(self, path: Path) -> TrainedModel:
        """Read a model file."""
        ...

    def save(self, model: TrainedModel, path: Path) -> None:
        """Write a model file, whole or not at all."""
        ...

    def identity(self, model: TrainedModel) -> str:
        """What tells a model from every other one, wherever it is stored."""
        ...

    def inspect_many(
        self, model: TrainedModel, samples: Sequence[Sample], *, device: str, report: Report, cancel: CancelToken
    ) -> Iterator[Inspected | NotInspected]:
        """Inspect images one after another."""
        ...

    def open_inspector(self, model: TrainedModel, *, device: str) -> Inspect:
        """What inspects one picture after another; called on the worker thread too."""
        ...

    def export(
        self,
        model: TrainedModel,
        target: Target,
        samples: Sequence[Sample],
        *,
        device: str,
        report: Report,
        cancel: CancelToken,
    ) -> Exported:
        """Write a model for another runtime, once it gives the original's scores."""
        ...

    def make_sample_parts(self, folder: Path, *, report: Report, cancel: CancelToken) -> Path:
        """Write the sample parts into a folder, or one beside it if it is taken, and return the folder to open."""
        ...


class CoreEngine:
    """The real engine.

    Args:
        unfinished: Where an unfinished training is kept; None: nowhere.
    """

    def __init__(self, unfinished: Path | None = None) -> None:
        self._unfinished = unfinished

    def warm_up(self) -> Facilities:
        """Import torch and what stands on it; describe the devices."""
        import sklearn.cluster  # type: ignore[import-untyped]  # noqa: F401  imported within a training it stalls the window
        import torch

        import core.inspection
        import core.training  # noqa: F401  the first training then starts at once
        from core.device import describe_device

        names = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        return Facilities(tuple((name, describe_device(torch.device(name))) for name in names), _versions())

    def train(
        self, good: Sequence[Sample], config: Config, *, device: str, report: Report, cancel: CancelToken
    ) -> TrainedModel:
        """See `core.training.train`."""
        from core.checkpoint import Checkpoint
        from core.training import train

        if self._unfinished is not None:
            with contextlib.suppress(OutputError):  # it then trains without
                make_folder(self._unfinished.parent)
        checkpoint = Checkpoint(self._unfinished)
        trained = train(good, config, device=device, checkpoint=checkpoint, report=report, cancel=cancel)
        checkpoint.remove()
        return trained

    def load(self, path: Path) -> TrainedModel:
        """See `core.model_file.load_model`."""
        from core.model_file import load_model

        return load_model(path)

    def save(self, model: TrainedModel, path: Path) -> None:
        """See `core.model_file.save_model`."""
        from core.model_file import save_model

        save_model(model, path)

    def identity(self, model: TrainedModel) -> str:
        """See `core.model_file.identity`."""
        from core.model_file import identity

        return identity(model)

    def inspect_many(
        self, model: TrainedModel, samples: Sequence[Sample], *, device: str, report: Report, cancel: CancelToken
    ) -> Iterator[Inspected | NotInspected]:
        """See `core.inspection.Inspector.inspect_many`."""
        from core.inspection import Failure, Inspector

        inspector = Inspector(model, device=device, cancel=cancel)
        for result in inspector.inspect_many(samples, report=report, cancel=cancel):
            if isinstance(result, Failure):
                yield NotInspected(result.sample, result.message)
            else:
                yield Inspected(result.sample, result.score, result.anomaly_map, result.placement)

    def open_inspector(self, model: TrainedModel, *, device: str) -> Inspect:
        """See `core.inspection.Inspector.inspect`."""
        from core.inspection import Inspector

        inspector = Inspector(model, device=device)

        def inspect(pixels: NDArray[np.uint8]) -> Found:
            inspection = inspector.inspect(pixels)
            return Found(inspection.score, inspection.anomaly_map, inspection.placement)

        return inspect

    def export(
        self,
        model: TrainedModel,
        target: Target,
        samples: Sequence[Sample],
        *,
        device: str,
        report: Report,
        cancel: CancelToken,
    ) -> Exported:
        """See `core.export.export.export_model`."""
        from core.export.export import export_model

        return export_model(model, target, samples, device=device, report=report, cancel=cancel)

    def make_sample_parts(self, folder: Path, *, report: Report, cancel: CancelToken) -> Path:
        """See `core.sample_parts.make_sample_parts`."""
        from core.sample_parts import make_sample_parts

        return make_sample_parts(folder, or_beside=True, report=report, cancel=cancel)


def _versions() -> tuple[tuple[str, str], ...]:
    names = ("torch", "torchvision", "timm", "numpy", "cv2", "PySide6", "pyqtgraph")
    found = ((name, getattr(sys.modules.get(name), "__version__", "")) for name in names)
    return (("Python", sys.version.split()[0]), *((name, version) for name, version in found if version))
