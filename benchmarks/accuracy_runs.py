"""One row: train a method on the good images of a set, measure it on its test images."""

import copy
import dataclasses
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.accuracy_rows import OURS
from benchmarks.measuring import Measurement
from benchmarks.rotated import write_rotated
from core.checkpoint import Checkpoint, TrainingState, restore_network
from core.config import Calibrating, Config, Resizing, Score
from core.dataset import open_dataset
from core.hold_out import hold_out
from core.images import read_image
from core.inspection import Inspection, Inspector
from core.model import CfaModel
from core.placement import Placement, apply, place
from core.progress import Report
from core.samples import Dataset, Sample
from core.trained_model import Calibration, TrainedModel
from core.training import train

PROTOCOLS = ("whole", "R", "R+C", "RD")
RD_SIZE = 224
_STRIDE = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What makes one row.

    Attributes:
        folder: A data set in MVTec AD layout.
        method: `OURS`, or a name of `benchmarks.peers`.
        protocol: How images become canvases: one of `PROTOCOLS`.
        config: Every setting, the protocol's resizing and the seed included.
        best_epoch: Measure every epoch too, to compare with papers that take the best one.
    """

    folder: Path
    method: str
    protocol: str
    config: Config
    best_epoch: bool = False

    def key(self) -> dict[str, Any]:
        """What tells this row from others."""
        ours = self.method == OURS
        whole = self.config.to_json()
        if not ours:
            del whole["preprocessing"]["second_scale"]  # peers have one scale
        held_out = {name: whole["training"][name] for name in ("holdout", "calibration")}
        settings = whole if ours else {"preprocessing": whole["preprocessing"], **held_out}
        return {
            "dataset": self.folder.name,
            "method": self.method,
            "protocol": self.protocol,
            "preset": self.config.preset if ours else "",
            "settings": json.dumps(settings, sort_keys=True),
            "seed": self.config.training.seed,
        }


def under_protocol(config: Config, protocol: str) -> Config:
    """The settings that the protocol asks for; RD images are written as 224 × 224 and taken as they are."""
    if protocol == "RD":
        return config.with_changes(resizing=Resizing.SQUARE, image_size=RD_SIZE)
    return config.with_changes(resizing=Resizing(protocol))


def run(job: Job, device: str, report: Report) -> dict[str, Any]:
    """The row of a job."""
    with _images(job) as dataset:
        figures = _ours(job, dataset, device, report) if job.method == OURS else _peer(job, dataset)
    return {
        **job.key(),
        **figures,
        "version": f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads",
    }


@contextmanager
def _images(job: Job) -> Iterator[Dataset]:
    if job.protocol != "RD":
        yield open_dataset(job.folder)
        return
    with tempfile.TemporaryDirectory(prefix="rd-") as folder:
        write_rotated(open_dataset(job.folder), Path(folder), job.config.training.seed)
        yield open_dataset(Path(folder))


def _ours(job: Job, dataset: Dataset, device: str, report: Report) -> dict[str, Any]:
    started = time.monotonic()
    epochs = _Epochs()
    trained = train(
        dataset.good, job.config, device=device, checkpoint=epochs if job.best_epoch else None, report=report
    )
    seconds = time.monotonic() - started
    history = trained.summary.history
    return {
        "images": trained.summary.images,
        **measure(trained, dataset.test, device, report),
        **(_best(epochs, trained, dataset, device, report) if job.best_epoch else {}),
        "train_s": round(seconds, 1),
        "radius_squared": history[-1].radius_squared if history else None,
        "repulsion_active": max((record.repulsion_active for record in history), default=None),
    }


def measure(trained: TrainedModel, test: Sequence[Sample], device: str, report: Report) -> dict[str, float | None]:
    """The figures of a trained model."""
    measurement = Measurement()
    for result in Inspector(trained, device=device).inspect_many(test, report=report):
        if isinstance(result, Inspection):
            measurement.add(result.sample, result.score, result.anomaly_map, result.placement)
    return measurement.figures(trained.calibration)


class _Epochs(Checkpoint):
    """Keeps the state after each epoch in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.states: list[TrainingState] = []

    def save(self, fingerprint: str, state: TrainingState) -> None:
        del fingerprint
        self.states.append(copy.deepcopy(state))


def _best(epochs: _Epochs, trained: TrainedModel, dataset: Dataset, device: str, report: Report) -> dict[str, Any]:
    """The figures that choosing the epoch by the test images would have given, each figure its own, as published."""
    if trained.config.method.score in (Score.EXCESS, Score.TANGENT):
        raise ValueError("the score needs the centres' radii, which are measured after the last epoch only")
    if trained.companion is not None:
        raise ValueError("the members of an ensemble are not trained side by side: it has no common epoch")
    figures, method = [], trained.config.method
    for state in epochs.states:
        network = CfaModel(
            trained.network.backbone, descriptor_ratio=method.descriptor_ratio, initial_radius=method.initial_radius
        )
        restore_network(state, network)
        figures.append(measure(dataclasses.replace(trained, network=network.eval()), dataset.test, device, report))
    image, pixel = ([float(f[name] or 0.0) for f in figures] for name in ("image_auroc", "pixel_auroc"))
    return {
        "best_epoch_on_test": int(np.argmax(image)) + 1,
        "image_auroc_best_epoch_on_test": max(image),
        "pixel_auroc_best_epoch_on_test": max(pixel),
    }


def _peer(job: Job, dataset: Dataset) -> dict[str, Any]:
    seed = job.config.training.seed
    learns_all = job.config.training.calibration is Calibrating.CROSS
    plan = hold_out(dataset.good, 0.0 if learns_all else job.config.training.holdout, seed)
    peer = peers.build(job.method, seed)
    started = time.monotonic()
    peer.fit((_canvas(sample, job.config)[0] for sample in plan.never_held_out), seed)
    seconds = time.monotonic() - started
    good = tuple(peer.inspect(_canvas(sample, job.config)[0])[0] for sample in plan.held_out)
    calibration = Calibration(tuple(sample.name for sample in plan.held_out), good, plan.held_out_parts)
    measurement = Measurement()
    for sample in dataset.test:
        canvas, placement = _canvas(sample, job.config)
        score, values = peer.inspect(canvas)
        height, width = placement.crop[2:]
        measurement.add(sample, score, values[:height, :width], placement)
    return {"images": len(plan.never_held_out), **measurement.figures(calibration), "train_s": round(seconds, 1)}


def _canvas(sample: Sample, config: Config) -> tuple[NDArray[np.uint8], Placement]:
    image = read_image(sample.path)
    placement = place((image.shape[0], image.shape[1]), config.preprocessing, _STRIDE)
    return apply(image, placement), placement
