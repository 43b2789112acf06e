"""Training, ours and as published, extrapolated from a few images and whole steps."""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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

    Ours: what each image costs outside the steps, the median step, and what comes once (compiling, K-means), all from a
    training on a few images. As published: the median step alone, times the steps of 30 epochs; its bank comes free.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(timm.create_model(spec_of(backbone).timm_name, pretrained=False).state_dict(), weights)
        config = preset("paper").with_changes(
            backbone=backbone, bank=Bank.MEAN, bank_ratio=gamma, descriptor_ratio=gamma, resizing="R", image_size=size
        )
        samples = noise_parts(Path(folder), size, FEW)
        parts = _parts(samples, config.with_changes(epochs=_STEPS), weights, device)
    theirs = _published_step(model(backbone, gamma, size).to(device), size, device)
    steps = TRAINED_ON / BATCH
    ours = TRAINED_ON * parts.image + EPOCHS * steps * parts.step + parts.once
    return {
        "backbone": backbone,
        "ratio": gamma,
        "size": size,
        "step": round(parts.step, 3),
        "epoch": round(steps * parts.step, 1),
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


class _Parts(NamedTuple):
    """Seconds: what each image costs outside the steps, one step on four images, and the rest, once."""

    image: float
    step: float
    once: float


def _parts(samples: Sequence[Sample], config: Config, weights: Path, device: str) -> _Parts:
    seen: dict[str, list[float]] = defaultdict(list)

    def note(progress: Progress) -> None:
        seen[progress.phase].append(time.perf_counter())

    started = time.perf_counter()
    trained = train(samples, config, weights=weights, device=device, report=note)
    ended = time.perf_counter()
    again = CfaModel(trained.network.backbone, descriptor_ratio=config.method.descriptor_ratio, initial_radius=1.0)
    again.set_bank(trained.network.bank)
    compiling = time.perf_counter()
    again.compile_all()
    compiling = time.perf_counter() - compiling
    steps = seen[Phase.TRAINING]
    measuring = max(0.0, ended - steps[-1] - compiling) / len(samples)  # of radii; its search is that of more patches
    image = sum(float(np.median(np.diff(seen[phase]))) for phase in (Phase.FEATURES, Phase.BANK)) + measuring
    step = float(np.median(np.diff(steps)[2:]))  # the first two prepare
    return _Parts(image, step, ended - started - len(samples) * image - len(steps) * step)


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
