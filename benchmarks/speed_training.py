"""Training, ours and as published, extrapolated from a few images and whole steps."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

from benchmarks.speed_inspection import model, picture
from core.backbone import spec_of
from core.config import Bank, Config, preset
from core.model import CfaModel
from core.progress import Phase, Progress
from core.samples import Label, Sample
from core.training import train
from tests.core import published

TRAINED_ON, EPOCHS, BATCH, FEW = 200, 30, 4, 8
_STEPS = 5


def measure_training(backbone: str, gamma: int, size: int, device: str) -> dict[str, Any]:
    """Seconds for one epoch and for 30, on 200 images.

    Ours: everything before the first step and after the last, by the image, and the median step, all from a training
    on a few images. As published: the median step alone, times the steps of 30 epochs; its bank comes free.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(timm.create_model(spec_of(backbone).timm_name, pretrained=False).state_dict(), weights)
        config = preset("paper").with_changes(
            backbone=backbone, bank=Bank.MEAN, bank_ratio=gamma, descriptor_ratio=gamma, resizing="R", image_size=size
        )
        samples = noise_parts(Path(folder), size, FEW)
        image, bank, step = _parts(samples, config.with_changes(epochs=_STEPS), weights, device)
    theirs = _published_step(model(backbone, gamma, size).to(device), size, device)
    steps = TRAINED_ON / BATCH
    ours = TRAINED_ON * image + bank + EPOCHS * steps * step
    return {
        "backbone": backbone,
        "ratio": gamma,
        "size": size,
        "step": round(step, 3),
        "epoch": round(steps * step, 1),
        "30 epochs": round(ours, 1),
        "published step": round(theirs, 3),
        "published epoch": round(steps * theirs, 1),
        "published 30 epochs": round(EPOCHS * steps * theirs, 1),
        "published / ours": round(EPOCHS * steps * theirs / ours, 2),
    }


def noise_parts(folder: Path, size: int, count: int) -> list[Sample]:
    """Files of noise as good samples."""
    samples = []
    for index, image in enumerate(picture(size, count).numpy()):
        path = folder / f"{index}.png"
        Image.fromarray(image).save(path)
        samples.append(Sample(path, path.name, Label.GOOD, "good", None))
    return samples


def _parts(samples: Sequence[Sample], config: Config, weights: Path, device: str) -> tuple[float, float, float]:
    """Seconds by the image outside the steps, seconds of K-means, and median seconds of a step on four images."""
    seen: list[tuple[str, float]] = []

    def note(progress: Progress) -> None:
        seen.append((progress.phase, time.perf_counter()))

    train(samples, config, weights=weights, device=device, report=note)
    ended = time.perf_counter()
    before = [moment for phase, moment in seen if phase in {Phase.FEATURES, Phase.BANK}]
    steps = [moment for phase, moment in seen if phase == Phase.TRAINING]
    image = (before[-1] - before[0]) / (len(samples) - 1) + (ended - steps[-1]) / len(samples)
    step = float(np.median(np.diff(steps)[2:]))  # the first two prepare
    return image, max(0.0, steps[0] - step - before[-1]), step


def _published_step(network: CfaModel, size: int, device: str) -> float:
    """Median seconds of one step on a batch of four, with the distances twice as the authors compute them."""
    images = picture(size, BATCH).to(device)
    weight = torch.nn.Parameter(network.descriptor.weight.detach().clone())
    bias = torch.nn.Parameter(network.descriptor.bias.detach().clone())
    radius = torch.nn.Parameter(torch.tensor(0.65, device=device))
    optimiser = torch.optim.AdamW([weight, bias, radius], lr=1e-3, weight_decay=5e-4, amsgrad=True)
    times = []
    for _ in range(_STEPS):
        started = time.perf_counter()
        with torch.no_grad():
            features = published.concatenated_features(network.backbone(images))
        described = published.coord_conv(features, weight, bias)
        published.all_distances(described, network.bank)
        optimiser.zero_grad()
        published.loss(published.all_distances(described, network.bank), radius, 3, 3).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        radius.item()
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])
