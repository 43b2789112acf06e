"""Train CFA on good images alone: a model of one member, or an ensemble of two scales (CFA++, section 4.2)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from core.backbone import build_backbone
from core.checkpoint import Checkpoint
from core.config import Config
from core.counting import counted
from core.dataset import Sample
from core.device import choose_device, describe_device, memory_told
from core.ensemble import unit_of
from core.feature_cache import DEFAULT_BUDGET
from core.hold_out import hold_out
from core.inspection import Failure, Inspection, Inspector
from core.left_alone import left_alone
from core.member_training import Member, Run, train_member
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.threshold import DEFAULT_FALSE_ALARM_RATE, images_needed, percent
from core.trained_model import Calibration, Companion, Skipped, TrainedModel, TrainingSummary

FEW_IMAGES = 10
_UNIT_IMAGES = 20
"""Of the training images, where none is held out to take a member's unit from."""


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
    chosen, cancel = choose_device(device), cancel or CancelToken()
    kept = checkpoint or Checkpoint(None)
    kept.require()
    report(Progress(Phase.READING, 0, 0))
    training, held_out, parts, all_parts = hold_out(
        good, config.training.holdout, config.training.seed, report=report, cancel=cancel
    )
    with memory_told():
        backbone = left_alone(partial(build_backbone, config.backbone, weights), cancel)
        members = []
        for number, of_member in enumerate(config.members):
            told = _told_of(report, number, len(config.members))
            run = Run(of_member, chosen, memory_budget, told, cancel)
            members.append(train_member(training, backbone, run, kept.of_member(number)))
    results = partial(_results, device=device, cancel=cancel)
    summary, created = _summary(members, chosen), datetime.now(UTC).isoformat(timespec="seconds")
    trained = TrainedModel(config.members[0], members[0].network, Calibration(), None, summary, created)
    if len(members) > 1:
        second = replace(trained, config=config.members[1], network=members[1].network)
        seen = held_out or training[:_UNIT_IMAGES]
        units = [
            _unit(results(member, seen, report=_told_of(report, number, len(members))))
            for number, member in enumerate((trained, second))
        ]
        trained = replace(trained, config=config, companion=Companion(second.network, (units[0], units[1])))
    calibrated = _calibrated(trained, results(trained, held_out, report=report), parts)
    notes = tuple(_notes(calibrated, len(good), all_parts))
    summary = replace(calibrated.summary, seconds=time.monotonic() - started, notes=notes)
    return replace(calibrated, summary=summary)


def _told_of(report: Report, number: int, count: int) -> Report:
    """Tell which member of an ensemble it is that makes progress."""

    def tell(progress: Progress) -> None:
        report(replace(progress, part=number + 1, parts=count))

    return tell if count > 1 else report


def _unit(results: Sequence[Inspection | Failure]) -> float:
    """Of a member, from its results for good images."""
    return unit_of([result.score for result in results if isinstance(result, Inspection)])


def _summary(members: Sequence[Member], device: torch.device) -> TrainingSummary:
    """What happened before the calibration; the members learned from the same images."""
    return TrainingSummary(
        images=members[0].images,
        held_out=0,
        skipped=members[0].skipped,
        seconds=0.0,
        device=describe_device(device),
        bank_size=sum(len(member.network.bank) for member in members),
        channels=members[0].network.bank.shape[1],
        level_scale=tuple(factor for member in members for factor in member.network.level_scale.tolist()),
        history=tuple(record for member in members for record in member.history),
    )


def _results(
    trained: TrainedModel, samples: Sequence[Sample], *, device: str, report: Report, cancel: CancelToken
) -> list[Inspection | Failure]:
    """Of good images, by the path that every later inspection takes."""

    def tell(progress: Progress) -> None:
        report(Progress(Phase.CALIBRATING, progress.done, progress.total))

    report(Progress(Phase.CALIBRATING, 0, len(samples)))
    inspector = Inspector(trained, device=device, cancel=cancel)
    return list(inspector.inspect_many(samples, report=tell, cancel=cancel))


def _calibrated(trained: TrainedModel, held_out: Sequence[Inspection | Failure], parts: Sequence[int]) -> TrainedModel:
    """The model with the scores of its held-out images, and its first threshold."""
    failures = [Skipped(result.sample.name, result.message) for result in held_out if isinstance(result, Failure)]
    found = [(result, part) for result, part in zip(held_out, parts, strict=True) if isinstance(result, Inspection)]
    names, scores = tuple(result.sample.name for result, _ in found), tuple(result.score for result, _ in found)
    shown = tuple(part for _, part in found)
    calibration = Calibration(names, scores, shown if len(set(shown)) < len(shown) else ())
    skipped = (*trained.summary.skipped, *failures)
    summary = replace(trained.summary, held_out=len(found), skipped=skipped)
    return replace(trained, calibration=calibration, threshold=calibration.first_threshold(), summary=summary)


def _notes(trained: TrainedModel, good: int, all_parts: int) -> Iterator[str]:
    images, calibration = trained.summary.images, trained.calibration
    if images < FEW_IMAGES:
        yield f"Only {counted(images, 'image was', 'images were')} trained on; use {FEW_IMAGES} or more."
    if all_parts < good:
        yield (
            f"{counted(good, 'good image shows', 'good images show')} about {counted(all_parts, 'part')}. "
            "Images of one part were held out together, so that the threshold holds for new parts."
        )
    if calibration.scores and calibration.smallest_rate() > DEFAULT_FALSE_ALARM_RATE:
        needed = f"{images_needed(DEFAULT_FALSE_ALARM_RATE)}{' parts' if calibration.parts else ''}"
        yield (
            f"{calibration.in_words()} can promise a false-alarm rate of "
            f"{percent(calibration.smallest_rate())} at best; {needed} promise "
            f"{percent(DEFAULT_FALSE_ALARM_RATE)}."
        )
