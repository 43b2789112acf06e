"""Train one member on good images alone: features once, then memory bank once, descriptor and radius by gradient.

From the same features the networks are made that score held-out images, each by a training of its own without them.
They measure in the unit of the model itself, its factors of the levels: scores could not be compared otherwise.
"""

import hashlib
from collections.abc import Callable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.ahead import AHEAD, DECODERS, ahead
from core.alignment import told_by_position
from core.backbone import Backbone
from core.centre_shapes import centre_shapes
from core.checkpoint import Checkpoint, TrainingState, fingerprint_of, restore, restore_network, state_of
from core.config import Bank, Calibrating, Config, DescriptorStart, Score
from core.cuda.network import PooledMaps
from core.dataset import Sample
from core.device import current, room_on
from core.errors import DatasetError, ImageError
from core.feature_cache import FeatureCache
from core.feature_scale import set_level_scale
from core.geometry import geometry
from core.images import read_image
from core.left_alone import left_alone
from core.memory_bank import centre_radii, ema_bank, global_bank, mean_bank
from core.model import CfaModel
from core.progress import CancelToken, Phase, Progress, Report, StepRecord
from core.trained_model import Skipped
from core.training_search import training_search
from core.training_steps import Features, gradients_of
from core.variation import how_many, variants

_RECORDS = 400
_STEPS_PER_RECORD = 10


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What every step of a training needs.

    Attributes:
        config: Every setting of the member.
        device: Where it is trained.
        memory_budget: Bytes of memory for the cached features.
        report: Told of progress.
        cancel: Checked at least once a batch.
    """

    config: Config
    device: torch.device
    memory_budget: int
    report: Report
    cancel: CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """What a training leaves behind.

    Attributes:
        network: On the CPU, frozen.
        of_turns: For each turn a network that has not learned from its images; None: no other image could be read.
        images: How many it was trained on.
        skipped: What could not be read.
        history: Means over the training steps.
    """

    network: CfaModel
    of_turns: tuple[CfaModel | None, ...]
    images: int
    skipped: tuple[Skipped, ...]
    history: tuple[StepRecord, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """What the images became; one gives one picture, or one for each variant.

    Attributes:
        masks: Of each picture the (h, w) valid patches.
        contents: Of each a digest.
        images: Of each the index of its image.
        skipped: What could not be read.
    """

    masks: list[Tensor]
    contents: list[str]
    images: list[int]
    skipped: list[Skipped]


def train_member(
    good: Sequence[Sample], turns: Sequence[Set[int]], backbone: Backbone, run: Run, kept: Sequence[Checkpoint]
) -> Member:
    """Train the descriptor of one network, and measure its centres; in cross calibration once more for each turn.

    Args:
        good: Good images.
        turns: Of each turn the indices of the images that are held out together. In split calibration there is one at
            most, and what it holds out is not looked at.
        backbone: Frozen; the networks, and several members, may share it.
        run: See there.
        kept: Where each epoch is kept, for the network itself and for that of each turn; if one holds this very
            training, it is gone on with.

    Raises:
        DatasetError: None of the images can be read.
        CheckpointError: The checkpoint was asked for and cannot be used.
        CancelledByUser: The token was set.
    """
    budget, half = room_on(run.device, run.memory_budget), run.device.type == "cuda"
    split = bool(turns) and run.config.training.calibration is Calibrating.SPLIT
    with current(run.device), FeatureCache(run.device, budget, half=half) as cache:
        cross = () if split else turns
        own = replace(run, report=_told_of_turn(run.report, 0, len(cross)))
        pictures = _fill(cache, good, turns[0] if split else frozenset(), backbone, own)
        rows = range(len(pictures.images))
        network, history = _fit(cache, pictures, rows, backbone, None, own, kept[0])
        of_turns: list[CfaModel | None] = [network] if split else []
        for number, turn in enumerate(cross, start=1):
            told = replace(run, report=_told_of_turn(run.report, number, len(cross)))
            others = [row for row in rows if pictures.images[row] not in turn]
            fit = _fit(cache, pictures, others, backbone, network.level_scale, told, kept[number]) if others else None
            of_turns.append(fit and fit[0])
    return Member(network, tuple(of_turns), len(set(pictures.images)), tuple(pictures.skipped), tuple(history))


def _told_of_turn(report: Report, number: int, count: int) -> Report:
    """Tell in which turn of images held out progress is made; how the loss of a turn falls is nobody's concern."""

    def tell(progress: Progress) -> None:
        report(replace(progress, step=None if number else progress.step, turn=number, turns=count))

    return tell


def _network(backbone: Backbone, run: Run, generator: torch.Generator) -> CfaModel:
    """Untrained, on the device."""
    method = run.config.method
    network = CfaModel(
        backbone,
        descriptor_ratio=method.descriptor_ratio,
        initial_radius=method.initial_radius,
        start=method.descriptor_start,
        generator=generator,
    ).to(run.device)
    if run.device.type == "cpu":
        left_alone(network.compile_backbone, run.cancel)
    return network


def _fit(
    cache: FeatureCache,
    pictures: _Pictures,
    rows: Sequence[int],
    backbone: Backbone,
    scale: Tensor | None,
    run: Run,
    kept: Checkpoint,
) -> tuple[CfaModel, list[StepRecord]]:
    """A network that has learned from some of the pictures, on the CPU and frozen, and the history of its training.

    Its levels have the factors `scale`, or where that is None those that suit its pictures.
    """
    config = run.config
    generator = torch.Generator().manual_seed(config.training.seed)
    network = _network(backbone, run, generator)
    features = Features(cache.only(rows), network, [pictures.masks[row] for row in rows])
    contents = [pictures.contents[row] for row in rows] + ([] if scale is None else [str(scale.tolist())])
    fingerprint = fingerprint_of(contents, config, network, run.device)
    left = kept.load(fingerprint)
    if left is None:
        if scale is None:
            set_level_scale(network, features, config, how_many(config.training), run.cancel.check)
        else:
            network.level_scale.copy_(scale)
        if config.method.descriptor_start is DescriptorStart.ALIGNED:
            network.descriptor.weigh_coordinates(told_by_position(features.pictures(lambda _done: run.cancel.check())))
        _build_bank(network, features, run)
    else:
        restore_network(left, network)
    history = _optimise(network, features, generator, left, lambda state: kept.save(fingerprint, state), run)
    _measure_shapes(network, features, run)
    network.requires_grad_(requires_grad=False).cpu()
    return network.eval(), history


def _measure_shapes(network: CfaModel, features: Features, run: Run) -> None:
    """The shapes of the centres, under the trained descriptor."""
    method, seed, count, centres = run.config.method, run.config.training.seed, len(features), len(network.bank)

    def report(done: int) -> None:
        run.cancel.check()
        run.report(Progress(Phase.MEASURING, done, count, _counted_in(run)))

    def report_shapes(done: int) -> None:
        run.cancel.check()
        run.report(Progress(Phase.SHAPES, done, centres, "centres"))

    described = features.described(report)
    if method.centre_axes == 0 or method.score is Score.CERTAINTY or len(network.bank[0]) < 2:
        network.centre_radii.copy_(centre_radii(described, count, network.bank, seed))
        return
    shapes = centre_shapes(described, count, network.bank, method.centre_axes, seed, report_shapes)
    network.set_bank(shapes.centres)
    network.set_shapes(shapes.axes, shapes.basis, shapes.radii)


def _fill(cache: FeatureCache, good: Sequence[Sample], without: Set[int], backbone: Backbone, run: Run) -> _Pictures:
    """One pass through the backbone, of all images but some, given by their indices."""
    pictures = _Pictures([], [], [], [])
    network = _network(backbone, run, torch.Generator())  # whose features are not scaled yet
    pyramid: Callable[[Tensor], list[Tensor]] = network.pyramid
    if run.device.type == "cuda":
        pyramid = PooledMaps(network.backbone, run.device)
    indices = [index for index in range(len(good)) if index not in without]

    def prepared(index: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
        image, training = read_image(good[index].path), run.config.training
        place_of = geometry((image.shape[0], image.shape[1]), run.config, network.stride, network.cell)
        random = np.random.default_rng((training.seed, index))
        return variants(image, place_of.placement, training, random), place_of.valid

    workers = DECODERS if run.device.type == "cuda" else 1
    with closing(ahead(prepared, indices, workers=workers, waiting=workers * AHEAD)) as decoded:
        for done, index in enumerate(indices):
            run.cancel.check()
            _, picture = next(decoded)
            try:
                canvases, valid = picture.result()
            except ImageError as error:
                pictures.skipped.append(Skipped(good[index].name, str(error)))
            else:
                for canvas in canvases:
                    cache.append(pyramid(torch.from_numpy(canvas)[None].to(run.device)))
                    pictures.masks.append(torch.from_numpy(valid))
                    pictures.contents.append(hashlib.sha256(canvas.tobytes()).hexdigest())
                    pictures.images.append(index)
            run.report(Progress(Phase.FEATURES, done + 1, len(indices)))
    if not pictures.masks:
        first = pictures.skipped[0].message
        raise DatasetError(f"None of the {len(indices)} training images can be read. The first: {first}")
    return pictures


def _build_bank(network: CfaModel, features: Features, run: Run) -> None:
    method, seed = run.config.method, run.config.training.seed
    minimum = method.neighbours + method.hard_negatives

    def report(done: int) -> None:
        run.cancel.check()
        run.report(Progress(Phase.BANK, done, len(features), _counted_in(run)))

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


def _counted_in(run: Run) -> str:
    """What is learned from: where something may vary, several pictures of each image."""
    return "images" if how_many(run.config.training) == 1 else "pictures"


def _optimise(
    network: CfaModel,
    features: Features,
    generator: torch.Generator,
    left: TrainingState | None,
    keep: Callable[[TrainingState], None],
    run: Run,
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
