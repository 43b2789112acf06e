"""Train CFA on good images alone: features once, memory bank once, then descriptor and radius by gradient."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.ahead import AHEAD, DECODERS, ahead
from core.backbone import build_backbone
from core.centre_shapes import centre_shapes
from core.checkpoint import Checkpoint, TrainingState, fingerprint_of, restore, restore_network, state_of
from core.config import Bank, Config, FeatureScale, Score
from core.cuda.network import PooledMaps
from core.dataset import Sample
from core.device import choose_device, current, describe_device, memory_told, room_on
from core.errors import DatasetError, ImageError
from core.exposure import exposures
from core.feature_cache import DEFAULT_BUDGET, FeatureCache
from core.geometry import geometry
from core.images import read_image
from core.inspection import Failure, Inspection, Inspector
from core.memory_bank import Described, centre_radii, ema_bank, global_bank, mean_bank, mean_nearest_squared
from core.model import CfaModel
from core.placement import apply
from core.progress import CancelToken, Phase, Progress, Report, StepRecord, silent
from core.threshold import Threshold, false_alarm_threshold, images_needed, percent, smallest_rate
from core.trained_model import Calibration, Skipped, TrainedModel, TrainingSummary
from core.training_search import training_search
from core.training_steps import Features, gradients_of

REFERENCE_SQUARED_DISTANCE = 0.5
"""The untrained mean nearest squared distance that `FeatureScale.REFERENCE` sets."""
DEFAULT_FALSE_ALARM_RATE = 0.05
FEW_IMAGES = 10
_FINEST_LEVEL_WEIGHT = 0.7
_SCALE_SAMPLE = 4096
_RECORDS = 400
_STEPS_PER_RECORD = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What every step of a training needs."""

    config: Config
    device: torch.device
    report: Report
    cancel: CancelToken


def train(
    good: Sequence[Sample],
    config: Config,
    *,
    weights: Path | None = None,
    device: str = "auto",
    memory_budget: int = DEFAULT_BUDGET,
    checkpoint: Checkpoint | None = None,
    report: Report = silent,
    cancel: CancelToken | None = None,
) -> TrainedModel:
    """Train a model.

    Args:
        good: Defect-free images; a share of them (`config.training.holdout`) is held out for calibration.
        config: Every setting; the same settings, images and device give the same model.
        weights: A weights file for the backbone; None: embedded, or timm's hub.
        device: auto, cpu, cuda or cuda:N.
        memory_budget: Bytes of memory for the cached features, on a graphics card no more than half of what is free;
            what exceeds it goes to a temporary file.
        checkpoint: Where each epoch is kept until the training is finished; if it holds this very training, it is gone
            on with, and the model is the same as if it had never been interrupted.
        report: Told of progress.
        cancel: Checked at least once a batch.

    Returns:
        The model after the last epoch, its threshold set from the held-out images where there are enough.

    Raises:
        DatasetError: No image, or none that can be read.
        WeightsError: The backbone's weights are missing.
        DeviceError: The device is absent or its memory too small.
        CheckpointError: The checkpoint was asked for and cannot be used.
        CancelledByUser: The token was set.
    """
    started = time.monotonic()
    run = _Run(config, choose_device(device), report, cancel or CancelToken())
    kept = checkpoint or Checkpoint(None)
    kept.require()
    training, held_out = split(good, config.training.holdout, config.training.seed)
    budget, half = room_on(run.device, memory_budget), run.device.type == "cuda"
    with memory_told(), current(run.device), FeatureCache(run.device, budget, half=half) as cache:
        run.report(Progress(Phase.READING, 0, 0))
        generator = torch.Generator().manual_seed(config.training.seed)
        backbone = build_backbone(config.backbone, weights)
        network = CfaModel(
            backbone,
            descriptor_ratio=config.method.descriptor_ratio,
            initial_radius=config.method.initial_radius,
            start=config.method.descriptor_start,
            generator=generator,
        ).to(run.device)
        if run.device.type == "cpu":
            network.compile_backbone()
        masks, contents, skipped = _fill(cache, network, training, run)
        images = len(training) - len(skipped)
        features = Features(cache, network, masks)
        fingerprint = fingerprint_of(contents, config, network, run.device)
        left = kept.load(fingerprint)
        if left is None:
            _set_level_scale(network, features, run)
            _build_bank(network, features, run)
        else:
            restore_network(left, network)
        history = _optimise(network, features, generator, left, lambda state: kept.save(fingerprint, state), run)
        described = features.described(lambda _done: run.cancel.check())
        _measure_shapes(network, described, len(features), config)
    network.requires_grad_(requires_grad=False).cpu()
    summary = TrainingSummary(
        images=images,
        held_out=len(held_out),
        skipped=tuple(skipped),
        seconds=0.0,
        device=describe_device(run.device),
        bank_size=len(network.bank),
        channels=network.bank.shape[1],
        level_scale=tuple(network.level_scale.tolist()),
        history=tuple(history),
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    trained = TrainedModel(config, network.eval(), Calibration(), None, summary, created)
    return _calibrate(trained, held_out, device, started, run)


def _measure_shapes(network: CfaModel, described: Iterator[Described], count: int, config: Config) -> None:
    """The shapes of the centres, under the trained descriptor."""
    method, seed = config.method, config.training.seed
    if method.centre_axes == 0 or method.score is Score.CERTAINTY or len(network.bank[0]) < 2:
        network.centre_radii.copy_(centre_radii(described, count, network.bank, seed))
        return
    shapes = centre_shapes(described, count, network.bank, method.centre_axes, seed)
    network.set_bank(shapes.centres)
    network.set_shapes(shapes.axes, shapes.basis, shapes.radii)


def split(good: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Training images and held-out images, by a seeded draw that does not depend on the order given.

    Raises:
        DatasetError: There is no image.
    """
    if not good:
        raise DatasetError("There is no good image to train on. Add a folder with images of defect-free parts.")
    ordered = sorted(good, key=lambda sample: sample.name)
    count = min(round(share * len(ordered)), len(ordered) - 1)
    if share > 0 and len(ordered) > 1:
        count = max(count, 1)
    drawn = set(np.random.default_rng(seed).permutation(len(ordered))[:count].tolist())
    return (
        [sample for index, sample in enumerate(ordered) if index not in drawn],
        [sample for index, sample in enumerate(ordered) if index in drawn],
    )


def _fill(
    cache: FeatureCache, network: CfaModel, samples: Sequence[Sample], run: _Run
) -> tuple[list[Tensor], list[str], list[Skipped]]:
    """One pass through the backbone; of each picture the (h, w) mask of valid patches and a digest; what was skipped.

    An image gives one picture, or one for each exposure.
    """
    masks: list[Tensor] = []
    contents: list[str] = []
    skipped: list[Skipped] = []
    pyramid: Callable[[Tensor], list[Tensor]] = network.pyramid
    if run.device.type == "cuda":
        pyramid = PooledMaps(network.backbone, run.device)  # nothing is scaled yet

    def prepared(sample: Sample) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
        image = read_image(sample.path)
        place_of = geometry((image.shape[0], image.shape[1]), run.config, network.stride, network.cell)
        return exposures(apply(image, place_of.placement), run.config.training.light_variation), place_of.valid

    workers = DECODERS if run.device.type == "cuda" else 1
    with closing(ahead(prepared, samples, workers=workers, waiting=workers * AHEAD)) as pictures:
        for done in range(len(samples)):
            run.cancel.check()
            sample, picture = next(pictures)
            try:
                canvases, valid = picture.result()
            except ImageError as error:
                skipped.append(Skipped(sample.name, str(error)))
            else:
                for canvas in canvases:
                    cache.append(pyramid(torch.from_numpy(canvas)[None].to(run.device)))
                    masks.append(torch.from_numpy(valid))
                    contents.append(hashlib.sha256(canvas.tobytes()).hexdigest())
            run.report(Progress(Phase.FEATURES, done + 1, len(samples)))
    if not masks:
        raise DatasetError(f"None of the {len(samples)} training images can be read. The first: {skipped[0].message}")
    return masks, contents, skipped


def _set_level_scale(network: CfaModel, features: Features, run: _Run) -> None:
    """Bring the features to the scale that the constants of the loss ask for (docs/adr: feature scale)."""
    if run.config.method.feature_scale is FeatureScale.PUBLISHED:
        if network.backbone.divide_by_channels:
            network.level_scale.copy_(1.0 / torch.tensor(network.backbone.channels, device=run.device))
        return
    network.level_scale[0] = _FINEST_LEVEL_WEIGHT  # it sees grain and edges more than parts
    distance = reference_squared_distance(network, features, run.config.training.seed)
    if distance > 0:
        network.level_scale.mul_((REFERENCE_SQUARED_DISTANCE / distance) ** 0.5)


@torch.no_grad()
def reference_squared_distance(network: CfaModel, features: Features, seed: int) -> float:
    """Mean squared distance from a random patch to the nearest of as many other random patches, without coordinates."""
    generator = torch.Generator().manual_seed(seed)
    quota = -(-2 * _SCALE_SAMPLE // len(features))
    sample = []
    for index in range(len(features)):
        linear = network.descriptor.project(features.pyramid([index]))[0].permute(1, 2, 0)[features.masks[index]]
        sample.append(linear[torch.randperm(len(linear), generator=generator)[:quota].to(linear.device)])
    patches = torch.cat(sample)
    order = torch.randperm(len(patches), generator=generator).to(patches.device)
    half = len(patches) // 2
    return mean_nearest_squared(patches[order[:half]], patches[order[half:]])


def _build_bank(network: CfaModel, features: Features, run: _Run) -> None:
    method, seed = run.config.method, run.config.training.seed
    minimum = method.neighbours + method.hard_negatives

    def report(done: int) -> None:
        run.cancel.check()
        run.report(Progress(Phase.BANK, done, len(features)))

    def report_clustering(done: int, total: int) -> None:
        run.cancel.check()
        run.report(Progress(Phase.CLUSTERING, done, total, "batches"))

    images = features.described(report)
    if method.bank is Bank.MEAN:
        bank = mean_bank(images, method.bank_ratio, seed, minimum, report_clustering)
    elif method.bank is Bank.EMA:
        bank = ema_bank(images, method.bank_ratio, method.ema_beta, seed, minimum)
    else:
        bank = global_bank(images, len(features), method.bank_ratio, seed, minimum, report_clustering)
    if len(bank) < minimum:
        raise DatasetError(
            f"The images give only {len(bank)} patches; K + J = {minimum} are needed. Use a larger image size."
        )
    network.set_bank(bank)


def _optimise(
    network: CfaModel,
    features: Features,
    generator: torch.Generator,
    left: TrainingState | None,
    keep: Callable[[TrainingState], None],
    run: _Run,
) -> list[StepRecord]:
    """The epochs that are not done yet; `left` is where an earlier run was cut off, `keep` is told after each epoch."""
    settings, method = run.config.training, run.config.method
    groups: list[dict[str, Any]] = [
        {"params": list(network.descriptor.parameters()), "lr": settings.learning_rate},
        {"params": [network.radius], "lr": settings.radius_learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, amsgrad=True, fused=True)
    steps = -(-len(features) // settings.batch_size)
    recorder, first = _Recorder(), 0
    if left is not None:
        restore(left, optimiser, generator)
        recorder.history.extend(left.history)
        first = left.epochs
    patches = settings.batch_size * features.masks[0].numel()
    count = method.neighbours + method.hard_negatives
    search = training_search(network.backbone.channels, network.bank, count, patches)
    gradients = gradients_of(network, features, search, method, settings.batch_size)
    stride = max(1, min(_STEPS_PER_RECORD, settings.epochs * steps // _RECORDS))  # a short training shows every step
    for epoch in range(first, settings.epochs):
        order = torch.randperm(len(features), generator=generator).tolist()
        for step in range(steps):
            run.cancel.check()
            batch = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            recorder.add(gradients(batch))
            optimiser.step()
            done = epoch + (step + 1) / steps
            if (step + 1) % stride == 0 or step + 1 == steps:
                record = recorder.flush(done)
                run.report(Progress(Phase.TRAINING, done, settings.epochs, "epochs", record))
        keep(state_of(network, optimiser, generator, epoch + 1, recorder.history))
    return recorder.history


class _Recorder:
    """Means over steps; reads from the device only when flushed."""

    def __init__(self) -> None:
        self.history: list[StepRecord] = []
        self._figures: list[Tensor] = []

    def add(self, figures: Tensor) -> None:
        self._figures.append(figures)

    def flush(self, epoch: float) -> StepRecord:
        record = StepRecord(epoch, *torch.stack(self._figures).mean(dim=0).tolist())
        self.history.append(record)
        self._figures.clear()
        return record


def _calibrate(
    trained: TrainedModel, held_out: Sequence[Sample], device: str, started: float, run: _Run
) -> TrainedModel:
    """Score the held-out images by the path that every later inspection takes, and set the first threshold."""
    names, scores, skipped = [], [], list(trained.summary.skipped)
    inspector = Inspector(trained, device=device)

    def report(progress: Progress) -> None:
        run.report(Progress(Phase.CALIBRATING, progress.done, progress.total))

    for result in inspector.inspect_many(held_out, report=report, cancel=run.cancel):
        if isinstance(result, Failure):
            skipped.append(Skipped(result.sample.name, result.message))
        elif isinstance(result, Inspection):
            names.append(result.sample.name)
            scores.append(result.score)
    config, old = trained.config, trained.summary
    summary = TrainingSummary(
        images=old.images,
        held_out=len(scores),
        skipped=tuple(skipped),
        seconds=time.monotonic() - started,
        device=old.device,
        bank_size=old.bank_size,
        channels=old.channels,
        level_scale=old.level_scale,
        history=old.history,
        notes=tuple(_notes(old.images, len(scores))),
    )
    threshold = first_threshold(scores)
    return TrainedModel(
        config, trained.network, Calibration(tuple(names), tuple(scores)), threshold, summary, trained.created
    )


def first_threshold(held_out: Sequence[float]) -> Threshold | None:
    """The threshold that a new model gets: a false-alarm rate of 5 %, or the smallest that the images can promise."""
    if not held_out:
        return None
    return false_alarm_threshold(held_out, max(DEFAULT_FALSE_ALARM_RATE, smallest_rate(len(held_out))))


def _notes(images: int, held_out: int) -> Iterator[str]:
    if images < FEW_IMAGES:
        were = "image was" if images == 1 else "images were"
        yield f"Only {images} {were} trained on; use {FEW_IMAGES} or more."
    if held_out and smallest_rate(held_out) > DEFAULT_FALSE_ALARM_RATE:
        yield (
            f"{held_out} held-out image{'' if held_out == 1 else 's'} can promise a false-alarm rate of "
            f"{percent(smallest_rate(held_out))} at best; {images_needed(DEFAULT_FALSE_ALARM_RATE)} promise "
            f"{percent(DEFAULT_FALSE_ALARM_RATE)}."
        )
