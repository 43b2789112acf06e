"""Train CFA on good images alone: a model of one member, or an ensemble of two scales (CFA++, section 4.2)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from core.backbone import build_backbone
from core.calibration import calibrated
from core.checkpoint import Checkpoint
from core.config import Calibrating, Config
from core.counting import counted
from core.dataset import Sample
from core.device import choose_device, describe_device, memory_told
from core.feature_cache import DEFAULT_BUDGET
from core.hold_out import hold_out
from core.left_alone import left_alone
from core.member_training import Member, Run, train_member
from core.progress import CancelToken, Phase, Progress, Report, silent, told_of_part
from core.threshold import DEFAULT_FALSE_ALARM_RATE, images_needed, percent
from core.trained_model import Calibration, TrainedModel, TrainingSummary

FEW_IMAGES = 10
PARTS_HELD_OUT = images_needed(DEFAULT_FALSE_ALARM_RATE / 2)
"""At least, in turns, where there are so many: of fewer the highest score alone would be the first threshold."""


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
        good: Defect-free images; of them some are held out for calibration (`config.training.holdout`, `calibration`).
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
    wanted = PARTS_HELD_OUT if config.training.calibration is Calibrating.CROSS else 1
    plan = hold_out(good, config.training.holdout, config.training.seed, wanted, report=report, cancel=cancel)
    turns = [frozenset(turn) for turn in plan.turns]
    with memory_told():
        backbone = left_alone(partial(build_backbone, config.backbone, weights), cancel)
        members = []
        for number, of_member in enumerate(config.members):
            told = told_of_part(report, number, len(config.members))
            run = Run(of_member, chosen, memory_budget, told, cancel)
            files = [kept.of_network(turn * len(config.members) + number) for turn in range(1 + len(turns))]
            members.append(train_member(plan.images, turns, backbone, run, files))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    plain = TrainedModel(config, members[0].network, Calibration(), None, _summary(members, chosen), created)
    trained = calibrated(plain, members, plan, device, report, cancel)
    notes = tuple(_notes(trained, len(good), plan.part_count))
    summary = replace(trained.summary, seconds=time.monotonic() - started, notes=notes)
    return replace(trained, summary=summary)


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
