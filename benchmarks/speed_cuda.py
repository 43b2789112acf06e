"""Inspection and training on a CUDA device, beside the bare backbone and the published algorithm in the same run.

    python benchmarks/speed_cuda.py [--backbones lite0 resnet18 wide_resnet50_2] [--ratios 1 4] [--sizes 224]
                                    [--batches 16 64 256] [--rounds 15] [--no-training] [--device cuda] [--out JSON]

Inspection is what a caller sees: decoded images in, scores and maps on the host out (`Inspector.inspect` for one image,
`Inspector.inspect_images` for many), with all copies. Beside it, on images that lie on the device already: the frozen
network in eager torch, in float32 and as torch has it by default (TF32), and the slow transcription of the published
algorithm that the tests hold the engine against. Random weights serve for speed. What is compared takes turns, round by
round; a ratio is the median over the rounds of the quotients. Scores are held against the CPU's. A training is the
whole `core.training.train`, files, shapes of the centres and all; what is published is extrapolated from its step.
"""

import argparse
import copy
import gc
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.backbone import EMBEDDED, random_backbone, spec_of
from core.config import Config
from core.cuda.ensemble import EnsembleScorer
from core.cuda.network import precision
from core.cuda.scoring import BatchScorer
from core.inspection import Inspector
from core.model import CfaModel
from core.presets import preset
from core.progress import Phase, Progress
from core.trained_model import Calibration, TrainedModel, TrainingSummary
from core.training import train
from tests.core import published
from tests.core.parts import write_parts

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ("lite0", "resnet18", "wide_resnet50_2")
DIFFERENT, PASSES = 512, 8
"""Pictures, and how often each is inspected when many are."""
PARITY = 4
TRAINED_ON, EPOCHS, BATCH = 200, 30, 4
WARM_UP = 3
_NONE_HERE = (
    "This measures a CUDA device, and torch finds none here. On a machine with one, and with a torch that supports it, "
    "run the same command; for a CPU there is benchmarks/speed.py."
)
Row = dict[str, Any]
Run = Callable[[], object]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--ratios", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--sizes", nargs="+", type=int, default=[224])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--training", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "speed_cuda.json")
    asked = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit(_NONE_HERE)
    device = torch.device(asked.device)
    with torch.cuda.device(device):
        found = measure(asked, device)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


def measure(asked: argparse.Namespace, device: torch.device) -> Row:
    """All that is asked for, on the current device. A CPU serves to try the program."""
    cases = [(backbone, ratio, size) for backbone in asked.backbones for size in asked.sizes for ratio in asked.ratios]
    return {
        "machine": machine(device),
        "inspection": [measure_inspection(*case, device, asked.batches, asked.rounds) for case in cases],
        "training": [measure_training(backbone, device) for backbone in asked.backbones] if asked.training else [],
    }


def machine(device: torch.device) -> str:
    """The card, the versions, the host."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    libraries = [f"{module.__name__} {module.__version__}" for module in (torch, timm, np)]
    drivers = [f"CUDA {torch.version.cuda}", f"cuDNN {torch.backends.cudnn.version()}"]  # type: ignore[no-untyped-call]
    return ", ".join((card, *libraries, *drivers, f"Python {platform.python_version()}", platform.machine()))


def pictures(count: int, size: int) -> list[NDArray[np.uint8]]:
    """Noise as decoded images."""
    return list(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def model(backbone: str, ratio: int, size: int) -> TrainedModel:
    """Random weights; a bank of T / ratio centres near its own descriptors, with axes and radii."""
    torch.manual_seed(0)
    config = preset("fast").with_changes(
        backbone=backbone, bank_ratio=ratio, descriptor_ratio=ratio, resizing="R", image_size=size
    )
    network = CfaModel(random_backbone(backbone), descriptor_ratio=ratio, initial_radius=0.65).eval()
    with torch.inference_mode():
        phi = network.describe_images(torch.from_numpy(pictures(1, size)[0])[None]).flatten(0, 2).clone()
    spread, width = float(phi.std()), phi.shape[1]
    network.level_scale.div_(spread)
    rows = torch.randperm(len(phi))[: len(phi) // ratio]
    network.set_bank(phi[rows] / spread + 0.5 * torch.randn(len(rows), width))
    basis = torch.linalg.qr(torch.randn(width, min(64, width))).Q.T.contiguous()
    axes = 0.5 * torch.randn(len(rows), config.method.centre_axes, len(basis)) / len(basis) ** 0.5
    network.set_shapes(axes, basis, torch.full((len(rows),), 0.2 * width**0.5))
    network.requires_grad_(requires_grad=False)
    return TrainedModel(config, network, Calibration(), None, TrainingSummary(1, 0, (), 0.0, "", len(rows), 1, ()), "")


def inspector_on(trained: TrainedModel, device: torch.device) -> tuple[Inspector, BatchScorer]:
    """An inspector that takes the path of a CUDA device, on a CPU as well."""
    inspector = Inspector(trained, device=str(device))
    inspector._scorer = inspector._scorer or EnsembleScorer(trained, device)
    return inspector, inspector._scorer.members[0]


def measure_inspection(
    backbone: str, ratio: int, size: int, device: torch.device, batches: list[int], rounds: int
) -> Row:
    """One row of the table."""
    trained, images = model(backbone, ratio, size), pictures(DIFFERENT, size)
    on_cpu = Inspector(trained, device="cpu")
    reference = [on_cpu.inspect(image).score for image in images[:PARITY]]
    inspector, scorer = inspector_on(trained, device)
    alone = [inspector.inspect(image).score for image in images[:PARITY]]
    bare = Bare(trained.network, images[: max(batches)], device)
    one = in_turn({"whole": lambda: inspector.inspect(images[0]), **bare.runs(1)}, rounds, device)
    rates = {str(count): throughput(inspector, scorer, images, count, device) for count in batches}
    best = max(batches, key=lambda count: rates[str(count)][0])
    rest = in_turn(bare.runs(best), max(3, rounds // 3), device)
    return {
        "backbone": backbone,
        "ratio": ratio,
        "size": size,
        "largest difference of a score from the CPU's": max(
            abs(a - b) / b for a, b in zip(alone, reference, strict=True)
        ),
        "batch 1, ms": medians(one, 3),
        "batch 1, spread in ms": {name: round(statistics.pstdev(values), 3) for name, values in one.items()},
        "batch 1, ratios": ratios(one),
        "images/s": {count: rate for count, (rate, _) in rates.items()},
        "MB at the peak": {count: peak for count, (_, peak) in rates.items()},
        "best batch": best,
        "at the best batch, images/s": {
            name: round(1000 * best / milliseconds, 1) for name, milliseconds in medians(rest, 6).items()
        },
        "stages at the best batch, ms an image": stages(inspector, scorer, images[:best], device),
    }


class Bare:
    """What an inspection is compared with, on images that lie on the device already."""

    def __init__(self, network: CfaModel, images: list[NDArray[np.uint8]], device: torch.device) -> None:
        self._backbone = copy.deepcopy(network.backbone).to(device)
        self._weight, self._bias = (x.detach().to(device) for x in (network.descriptor.weight, network.descriptor.bias))
        self._bank = network.bank.to(device)
        self._images = torch.from_numpy(np.stack(images)).to(device)

    def runs(self, count: int) -> dict[str, Run]:
        """What takes turns with the whole, for that many images; the published one eight at once at most."""
        images = self._images[:count]
        return {
            "backbone, float32": partial(self._network, images, tf32=False),
            "backbone, TF32": partial(self._network, images, tf32=True),
            "published": partial(self._published, images),
        }

    def _network(self, images: Tensor, *, tf32: bool) -> None:
        with torch.inference_mode(), precision(tf32=tf32):
            self._backbone(images)

    def _published(self, images: Tensor) -> None:
        height, width = images.shape[1:3]
        with torch.inference_mode(), precision(tf32=False):
            for part in torch.split(images, 8):
                features = published.concatenated_features(self._backbone(part))
                described = published.coord_conv(features, self._weight, self._bias)
                scores = published.scores(published.all_distances(described, self._bank), 3)
                for grid in scores.view(-1, height // 4, width // 4).cpu():
                    published.anomaly_map(grid, (height, width))


def wait(device: torch.device) -> None:
    """Until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds_of(run: Run, device: torch.device) -> float:
    """Of one run, from a device that has nothing to do until it has nothing to do again."""
    wait(device)
    started = time.perf_counter()
    run()
    wait(device)
    return 1000 * (time.perf_counter() - started)


def in_turn(runs: dict[str, Run], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds of each in every round; a few rounds before them warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(WARM_UP + rounds):
        for name, run in runs.items():
            milliseconds = milliseconds_of(run, device)
            if number >= WARM_UP:
                times[name].append(milliseconds)
    return times


def medians(times: dict[str, list[float]], digits: int) -> dict[str, float]:
    """Of each, over the rounds."""
    return {name: round(statistics.median(values), digits) for name, values in times.items()}


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """Medians over the rounds of the quotients."""
    pairs = [("whole", "backbone, float32"), ("whole", "backbone, TF32"), ("published", "whole")]
    return {
        f"{above} / {below}": round(
            statistics.median(a / b for a, b in zip(times[above], times[below], strict=True)), 2
        )
        for above, below in pairs
    }


def throughput(
    inspector: Inspector, scorer: BatchScorer, images: list[NDArray[np.uint8]], count: int, device: torch.device
) -> tuple[float, float]:
    """Images a second in batches of `count`, the small first ones included, median of three, and MB at the peak."""
    scorer._most = count * images[0].shape[0] * images[0].shape[1]
    many = images * PASSES
    drain(inspector.inspect_images(many[: 4 * count]))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = [milliseconds_of(lambda: drain(inspector.inspect_images(many)), device) / 1000 for _ in range(3)]
    return round(len(many) / statistics.median(seconds), 1), peak_of(device)


def drain(results: Iterable[object]) -> None:
    """Take every result."""
    for _ in results:
        pass


def peak_of(device: torch.device) -> float:
    """MB of the device since that was last reset; 0 on a CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 2**20, 1) if device.type == "cuda" else 0.0


def stages(
    inspector: Inspector, scorer: BatchScorer, images: list[NDArray[np.uint8]], device: torch.device
) -> dict[str, float]:
    """Milliseconds an image of each stage on the device, one after the other."""
    maker = scorer._size(inspector._prepared(images[0])[0][0]).maker
    on_device = torch.from_numpy(np.stack(images)).to(device)
    with torch.inference_mode():
        pooled = scorer._pooled(on_device)
        few = [level[:8] for level in pooled]  # as all of a large batch are not described at once, either
        queries = scorer._describe(few).flatten(0, 2)
        grids = torch.rand(len(images), *pooled[0].shape[2:], device=device)
        runs: dict[str, tuple[Run, int]] = {
            "backbone and pooling": (lambda: scorer._pooled(on_device), len(images)),
            "descriptors": (lambda: scorer._describe(few), len(few[0])),
            "search": (lambda: scorer._search(queries), len(few[0])),
            "descriptors, search and patch scores": (lambda: scorer._grid(few), len(few[0])),
            "maps": (lambda: maker(grids), len(images)),
            "all": (lambda: scorer._compute(on_device, maker), len(images)),
        }
        times = in_turn({name: run for name, (run, _) in runs.items()}, 3, device)
    return {name: round(statistics.median(times[name]) / count, 4) for name, (_, count) in runs.items()}


def training_of(backbone: str) -> Config:
    """Thirty epochs: with our default bank on the embedded backbone, the paper's way on the others."""
    ours = preset("standard" if backbone == EMBEDDED else "paper").with_changes(backbone=backbone)
    return ours.with_changes(epochs=EPOCHS, batch_size=BATCH, resizing="R", image_size=224, holdout=0.0)


def measure_training(backbone: str, device: torch.device) -> Row:
    """Seconds of a whole training, by phase, and of one as published, extrapolated from its step."""
    config = training_of(backbone)
    seen: list[tuple[str, float]] = []
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder:
        samples = write_parts(Path(folder) / "parts", [(config.preprocessing.image_size,) * 2] * TRAINED_ON)
        weights = None if backbone == EMBEDDED else Path(folder) / "weights.pth"
        if weights is not None:
            torch.save(timm.create_model(spec_of(backbone).timm_name, pretrained=False).state_dict(), weights)
        started = time.perf_counter()

        def note(progress: Progress) -> None:
            seen.append((progress.phase.value, time.perf_counter() - started))

        train(samples, config, weights=weights, device=str(device), report=note)
        seconds = time.perf_counter() - started
    peak = peak_of(device)
    phases = dict.fromkeys((phase for phase, _ in seen), 0.0)
    for (phase, moment), before in zip(seen, (0.0, *(moment for _, moment in seen)), strict=False):
        phases[phase] += moment - before
    steps = EPOCHS * -(-TRAINED_ON // BATCH)
    theirs = steps * published_step(config, device)
    return {
        "backbone": backbone,
        "bank": f"{config.method.bank.value}, {config.method.bank_ratio}, {config.method.descriptor_ratio}",
        "epochs": EPOCHS,
        "images": TRAINED_ON,
        "seconds": round(seconds, 2),
        "by phase": {phase: round(value, 2) for phase, value in phases.items()},
        "after the last step": round(seconds - seen[-1][1], 2),
        "a step, ms": round(1000 * phases.get(Phase.TRAINING.value, 0.0) / steps, 3),
        "MB at the peak": peak,
        "published, s (extrapolated)": round(theirs, 1),
        "published / ours": round(theirs / seconds, 4),
    }


def published_step(config: Config, device: torch.device) -> float:
    """Median seconds of one step, with the distances twice as the authors compute them; the first of four warms up."""
    size, ratio = config.preprocessing.image_size, config.method.descriptor_ratio
    network = model(config.backbone, ratio, size).network
    backbone, bank = network.backbone.to(device), network.bank.to(device)
    images = torch.from_numpy(np.stack(pictures(BATCH, size))).to(device)
    described_by = [network.descriptor.weight, network.descriptor.bias, torch.tensor(0.65)]
    weight, bias, radius = (torch.nn.Parameter(x.detach().to(device, copy=True)) for x in described_by)
    optimiser = torch.optim.AdamW([weight, bias, radius], lr=1e-3, weight_decay=5e-4, amsgrad=True)

    def step() -> None:
        with torch.no_grad():
            features = published.concatenated_features(backbone(images))
        described = published.coord_conv(features, weight, bias)
        published.all_distances(described, bank)
        optimiser.zero_grad()
        published.loss(published.all_distances(described, bank), radius, 3, 3).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return statistics.median([milliseconds_of(step, device) for _ in range(4)][1:]) / 1000


def show(found: Row) -> None:
    """Tables."""
    console = Console(width=190)
    console.print(found["machine"])
    timed = list(found["inspection"][0]["batch 1, ms"])
    quotients = list(found["inspection"][0]["batch 1, ratios"])
    table = Table("backbone", "γ", "size", *timed, *quotients, "images/s", "backbone", "error", box=None)
    table.title = "One image, ms; many images, images/s at the best batch, beside the backbone in float32"
    for row in found["inspection"]:
        best, error = row["best batch"], row["largest difference of a score from the CPU's"]
        cells = [
            *(row["batch 1, ms"][name] for name in timed),
            *(row["batch 1, ratios"][name] for name in quotients),
            f"{row['images/s'][str(best)]} ({best})",
            row["at the best batch, images/s"]["backbone, float32"],
            f"{error:.0e}",
        ]
        table.add_row(row["backbone"], str(row["ratio"]), str(row["size"]), *map(str, cells))
    console.print(table)
    for row in found["inspection"]:
        console.print(row["backbone"], row["ratio"], row["size"], row["stages at the best batch, ms an image"])
    if found["training"]:
        table = Table(*found["training"][0], box=None)
        for row in found["training"]:
            table.add_row(*map(str, row.values()))
        console.print(table)


if __name__ == "__main__":
    main()
