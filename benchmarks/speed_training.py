"""Training, ours and as published, extrapolated from a few images and whole steps."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from PIL import Image

from benchmarks.speed_inspection import model, picture
from core import memory_bank
from core.backbone import spec_of
from core.config import Bank, Config
from core.model import CfaModel
from core.presets import preset
from core.progress import Phase, Progress
from core.samples import Label, Sample
from core.training import train
from tests.core import published

TRAINED_ON, EPOCHS, BATCH, FEW = 200, 30, 4, 8
_STEPS = 6


def measure_training(backbone: str, gamma: int, size: int) -> dict[str, Any]:
    """Seconds for one epoch and for 30, on 200 images.

    Ours: what each image costs outside the steps, the median step, and what comes once (compiling, K-means), all from a
    training on a few images. As published: the median step alone, times the steps of 30 epochs; its bank comes free.
    The steps of both take turns.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(timm.create_model(spec_of(backbone).timm_name, pretrained=False).state_dict(), weights)
        config = preset("paper").with_changes(
            backbone=backbone, bank=Bank.MEAN, bank_ratio=gamma, descriptor_ratio=gamma, resizing="R", image_size=size
        )
        samples = noise_parts(Path(folder), size, FEW)
        theirs = _published_step(model(backbone, gamma, size), size)
        parts = _parts(samples, config.with_changes(epochs=_STEPS), weights, theirs)
    steps = TRAINED_ON / BATCH
    ours = TRAINED_ON * parts.image + EPOCHS * steps * parts.step + parts.once
    published_all = EPOCHS * steps * parts.published
    return {
        "step": round(parts.step, 3),
        "epoch": round(steps * parts.step, 1),
        "by the image": round(parts.image, 3),
        "once": round(parts.once, 1),
        "30 epochs": round(ours, 1),
        "published step": round(parts.published, 3),
        "published epoch": round(steps * parts.published, 1),
        "published 30 epochs": round(published_all, 1),
        "published / ours": round(published_all / ours, 2),
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
    """Seconds: of an image outside the steps, of what comes once, of a step on four images, of one as published."""

    image: float
    once: float
    step: float
    published: float


def _parts(samples: Sequence[Sample], config: Config, weights: Path, published_step: Callable[[], object]) -> _Parts:
    """Train, a published step after every second of ours; of each image as many patches are drawn as of 200."""
    seen: dict[str, list[float]] = defaultdict(list)
    ours, theirs = [], []
    began = learned = time.perf_counter()

    def note(progress: Progress) -> None:
        nonlocal began, learned
        seen[progress.phase].append(time.perf_counter())
        if progress.phase == Phase.TRAINING:
            ours.append(time.perf_counter() - began)
            if len(ours) % 2 == 0:  # the next of ours finds memory as it does in a training, the one after it counts
                before = time.perf_counter()
                published_step()
                theirs.append(time.perf_counter() - before)
            learned = time.perf_counter()
        began = time.perf_counter()

    started = time.perf_counter()
    sample = memory_bank.GLOBAL_SAMPLE
    memory_bank.GLOBAL_SAMPLE = sample * len(samples) // TRAINED_ON
    try:
        trained = train(samples, config, weights=weights, device="cpu", report=note)
    finally:
        memory_bank.GLOBAL_SAMPLE = sample
    ended = time.perf_counter()
    compiling = _compiling(trained.network, config)
    measuring = max(0.0, ended - learned - compiling) / len(samples)
    image = sum(float(np.median(np.diff(seen[phase]))) for phase in (Phase.FEATURES, Phase.BANK)) + measuring
    once = ended - started - sum(theirs) - sum(ours[1:]) - float(np.median(ours)) - len(samples) * image
    return _Parts(image, max(0.0, once), float(np.median(ours[3::2])), float(np.median(theirs[1:])))


def _compiling(network: CfaModel, config: Config) -> float:
    again = CfaModel(network.backbone, descriptor_ratio=config.method.descriptor_ratio, initial_radius=1.0)
    again.set_bank(network.bank)
    started = time.perf_counter()
    again.compile_all()
    return time.perf_counter() - started


def _published_step(network: CfaModel, size: int) -> Callable[[], object]:
    """One step on a batch of four, with the distances twice as the authors compute them."""
    images = picture(size, BATCH)
    weight = torch.nn.Parameter(network.descriptor.weight.detach().clone())
    bias = torch.nn.Parameter(network.descriptor.bias.detach().clone())
    radius = torch.nn.Parameter(torch.tensor(0.65))
    optimiser = torch.optim.AdamW([weight, bias, radius], lr=1e-3, weight_decay=5e-4, amsgrad=True)

    def step() -> float:
        with torch.no_grad():
            features = published.concatenated_features(network.backbone(images))
        described = published.coord_conv(features, weight, bias)
        published.all_distances(described, network.bank)
        optimiser.zero_grad()
        published.loss(published.all_distances(described, network.bank), radius, 3, 3).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return radius.item()

    return step
