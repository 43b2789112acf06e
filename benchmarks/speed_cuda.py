"""The figures of a CUDA device, for `python benchmarks/speed.py --device cuda`.

Inspection is what a caller sees: decoded images in, scores and maps on the host out (`Inspector.inspect` for one image,
`Inspector.inspect_images` for many), with all copies. Beside it in the same run: the bare backbone (the frozen network
in eager torch on images that lie on the device, float32, no TF32), and the slow transcription of the published algorithm
that the tests hold the engine against. What is compared takes turns. Scores are held against the CPU's. A training is
the whole `core.training.train`, files and calibration included.
"""

import argparse
import copy
import gc
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from rich.console import Console
from rich.table import Table

from core.backbone import EMBEDDED, random_backbone, spec_of
from core.config import Bank, Config, preset
from core.cuda.scoring import BatchScorer
from core.device import choose_device
from core.inspection import Inspector
from core.model import CfaModel
from core.progress import Phase, Progress
from core.trained_model import Calibration, TrainedModel, TrainingSummary
from core.training import train
from tests.core import published
from tests.core.parts import write_parts

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
PARITY = 4
MANY = 1024


def main(asked: argparse.Namespace) -> None:
    """Measure what is asked for, print tables, write JSON."""
    from benchmarks.speed import ROOT, write

    device = choose_device(asked.device)
    found: dict[str, Any] = {"machine": machine(device), "inspection": [], "training": []}
    batches = [count for count in asked.batches if count > 1] or [64]
    for backbone in asked.backbones:
        for size in asked.sizes:
            for ratio in asked.ratios:
                found["inspection"].append(measure_inspection(backbone, ratio, size, device, batches, asked.rounds))
    if asked.training:
        found["training"] = [measure_training(*case, device) for case in trainings(asked.backbones)]
    write(found, asked.out or ROOT / "benchmarks" / "results" / "speed_cuda.json")
    show(found)


def machine(device: torch.device) -> str:
    """The card, the versions, the host."""
    name = torch.cuda.get_device_name(device)
    return f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda}, {platform.machine()}"


def model(backbone: str, ratio: int, size: int) -> TrainedModel:
    """Random weights, a full bank of T / ratio centres near its own descriptors, radii below the distances."""
    torch.manual_seed(0)
    config = preset("fast").with_changes(
        backbone=backbone, bank_ratio=ratio, descriptor_ratio=ratio, resizing="R", image_size=size
    )
    network = CfaModel(random_backbone(backbone), descriptor_ratio=ratio, initial_radius=0.65).eval()
    with torch.inference_mode():
        phi = network.describe_images(torch.from_numpy(pictures(1, size)[0])[None]).flatten(0, 2)
    with torch.no_grad():
        network.level_scale.div_(float(phi.std()))
        bank = phi.clone() / phi.std()
        rows = torch.randperm(len(bank))[: len(bank) // ratio]
        network.set_bank(bank[rows] + 0.5 * torch.randn(len(rows), bank.shape[1]))
        network.centre_radii.fill_(0.2 * bank.shape[1] ** 0.5)
    network.requires_grad_(requires_grad=False)
    return TrainedModel(config, network, Calibration(), None, TrainingSummary(1, 0, (), 0.0, "", len(rows), 1, ()), "")


def pictures(count: int, size: int) -> list[Pixels]:
    """Noise as decoded images."""
    return list(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def measure_inspection(
    backbone: str, ratio: int, size: int, device: torch.device, batches: list[int], rounds: int
) -> dict[str, Any]:
    """One row of the table."""
    trained, images = model(backbone, ratio, size), pictures(MANY, size)
    with torch.inference_mode():
        reference = [result.score for result in map(Inspector(trained, device="cpu").inspect, images[:PARITY])]
    inspector = Inspector(trained, device=str(device))
    alone = [inspector.inspect(image).score for image in images[:PARITY]]
    row: dict[str, Any] = {"backbone": backbone, "ratio": ratio, "size": size}
    row["largest difference of a score from the CPU's"] = worst(alone, reference)
    bare = Bare(trained.network, images, device)
    times = in_turn(
        {
            "whole": lambda: inspector.inspect(images[0]),
            "backbone": lambda: bare.backbone(1),
            "published": lambda: bare.published(1),
        },
        max(rounds, 10),
    )
    row["batch 1, ms"] = {name: round(statistics.median(values), 3) for name, values in times.items()}
    row["batch 1, spread in ms"] = {name: round(statistics.pstdev(values), 3) for name, values in times.items()}
    row["batch 1, ratios"] = ratios(times)
    row["images/s"] = {}
    for count in batches:
        found, peak = throughput(trained, device, images, count)
        row["images/s"][str(count)] = found
        row.setdefault("MB at the peak", {})[str(count)] = peak
    best = max(row["images/s"], key=lambda name: row["images/s"][name])
    row["best batch"] = int(best)
    others = {"backbone": lambda: bare.backbone(int(best)), "published": lambda: bare.published(8)}
    rest = {name: statistics.median(values) for name, values in in_turn(others, 5).items()}
    row["bare backbone, images/s"] = round(1000 * int(best) / rest["backbone"], 1)
    row["published, images/s"] = round(8000 / rest["published"], 1)
    row["stages at the best batch, ms an image"] = stages(trained, images[: int(best)], device)
    del bare, inspector
    gc.collect()
    torch.cuda.empty_cache()
    return row


def worst(found: list[float], right: list[float]) -> float:
    """The largest relative difference."""
    return max(abs(one - other) / other for one, other in zip(found, right, strict=True))


class Bare:
    """What an inspection is compared with, on images that lie on the device already."""

    def __init__(self, network: CfaModel, images: list[Pixels], device: torch.device) -> None:
        self._backbone = copy.deepcopy(network.backbone).to(device)
        self._weight, self._bias = (x.detach().to(device) for x in (network.descriptor.weight, network.descriptor.bias))
        self._bank = network.bank.to(device)
        self._images = torch.from_numpy(np.stack(images[:256])).to(device)

    def backbone(self, count: int) -> None:
        with torch.inference_mode():
            self._backbone(self._images[:count])
        torch.cuda.synchronize()

    def published(self, count: int) -> None:
        images = self._images[:count]
        with torch.inference_mode():
            features = published.concatenated_features(self._backbone(images))
            described = published.coord_conv(features, self._weight, self._bias)
            scores = published.scores(published.all_distances(described, self._bank), 3)
            height, width = images.shape[1] // 4, images.shape[2] // 4
            for grid in scores.view(-1, height, width).cpu():
                published.anomaly_map(grid, (images.shape[1], images.shape[2]))
        torch.cuda.synchronize()


def in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each in every round; three rounds before them warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 3):
        for name, run in runs.items():
            torch.cuda.synchronize()
            started = time.perf_counter()
            run()
            if number >= 3:
                times[name].append(1000 * (time.perf_counter() - started))
    return times


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """Medians over the rounds of the quotients."""
    pairs = {"whole / backbone": ("whole", "backbone"), "published / whole": ("published", "whole")}
    return {
        name: round(statistics.median(a / b for a, b in zip(times[above], times[below], strict=True)), 2)
        for name, (above, below) in pairs.items()
    }


def throughput(trained: TrainedModel, device: torch.device, images: list[Pixels], count: int) -> tuple[float, float]:
    """Images a second in batches of `count`, median of three, and MB of the device at the peak."""
    inspector = Inspector(trained, device=str(device))
    scorer = inspector._scorer
    assert isinstance(scorer, BatchScorer)
    scorer._most = count * images[0].shape[0] * images[0].shape[1]
    for _ in inspector.inspect_images(images[: 4 * count]):
        pass
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        for _result in inspector.inspect_images(images):
            pass
        times.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() / 2**20
    return round(len(images) / statistics.median(times), 1), round(peak, 1)


def stages(trained: TrainedModel, images: list[Pixels], device: torch.device) -> dict[str, float]:
    """Milliseconds an image of each stage on the device, one after the other, in a batch."""
    inspector = Inspector(trained, device=str(device))
    scorer = inspector._scorer
    assert isinstance(scorer, BatchScorer)
    place_of = inspector._prepared(images[0])[0]
    on_device = torch.from_numpy(np.stack(images)).to(device)
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        work()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        for _ in range(3):
            result = work()
        events[1].record()
        events[1].synchronize()
        found[name] = round(events[0].elapsed_time(events[1]) / 3 / len(images), 4)
        return result

    with torch.inference_mode():
        pooled = timed("backbone and pooling", lambda: scorer._pooled(on_device))
        part = [level[:8] for level in pooled]
        phi = timed("descriptors", lambda: scorer._describe(part)).flatten(0, 2)
        timed("search", lambda: scorer._search(phi))
        for name in ("descriptors", "search"):
            found[name] = round(found[name] * len(images) / len(part[0]), 4)
        grids = torch.rand(len(images), *pooled[0].shape[2:], device=device)
        timed("maps", lambda: scorer._size(place_of).maker(grids))
        timed("all", lambda: scorer._compute(on_device, scorer._size(place_of).maker))
    return found


def trainings(backbones: list[str]) -> list[tuple[str, Config]]:
    """Thirty epochs: our bank with and without ratios on the embedded backbone, the paper's way on the others."""
    found = []
    if EMBEDDED in backbones:
        ours = preset("standard").with_changes(epochs=30, resizing="R", image_size=224)
        found += [
            ("lite0, global bank, ratio 4", ours.with_changes(bank_ratio=4, descriptor_ratio=4)),
            ("lite0, global bank, ratio 1", ours),
        ]
    paper = preset("paper").with_changes(resizing="R", image_size=224, feature_scale="reference")
    for name in (name for name in backbones if name != EMBEDDED):
        found.append((f"{name}, mean bank, ratio 1", paper.with_changes(backbone=name, initial_radius=0.65)))
    if "wide_resnet50_2" in backbones:
        both = paper.with_changes(backbone="wide_resnet50_2", bank=Bank.GLOBAL, epochs=30, learning_rate=1e-3)
        found.append(("wide_resnet50_2, global bank, ratio 1", both))
    return found


def measure_training(name: str, config: Config, device: torch.device) -> dict[str, Any]:
    """Seconds of a whole training on 200 images, by phase, and of a step as published."""
    from benchmarks import speed

    seen: list[tuple[str, float]] = []

    def note(progress: Progress) -> None:
        seen.append((str(progress.phase.value), time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        samples = write_parts(Path(folder) / "parts", [(config.preprocessing.image_size,) * 2] * speed.TRAINED_ON)
        weights = None
        if config.backbone != EMBEDDED:
            weights = Path(folder) / "weights.pth"
            network = timm.create_model(spec_of(config.backbone).timm_name, pretrained=False)
            torch.save(network.state_dict(), weights)
        torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        changed = config.with_changes(holdout=0.0)
        trained = train(samples, changed, weights=weights, device=str(device), report=note)
        seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**20
    phases: dict[str, float] = {}
    before = started
    for phase, moment in seen:
        phases[phase] = phases.get(phase, 0.0) + moment - before
        before = moment
    phases["after the last step"] = started + seconds - before
    bare = speed.model(config.backbone, config.method.descriptor_ratio, config.preprocessing.image_size).to(device)
    step = speed._published_step(bare, config.preprocessing.image_size, str(device))
    steps = config.training.epochs * speed.TRAINED_ON / speed.BATCH
    return {
        "training": name,
        "epochs": config.training.epochs,
        "images": trained.summary.images,
        "seconds": round(seconds, 2),
        "phases, s": {phase: round(value, 2) for phase, value in phases.items()},
        "MB at the peak": round(peak, 1),
        "published, s (extrapolated from its step)": round(steps * step, 1),
        "published / ours": round(steps * step / seconds, 2),
        "step, ms": round(1000 * phases.get(Phase.TRAINING.value, 0.0) / steps, 3),
    }


def show(found: dict[str, Any]) -> None:
    """Tables."""
    console = Console(width=170)
    console.print(found["machine"])
    for row in found["inspection"]:
        console.print(row)
    table = Table(*(found["training"][0] if found["training"] else ()), box=None)
    for row in found["training"]:
        table.add_row(*map(str, row.values()))
    console.print(table)
