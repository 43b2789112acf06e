"""Inspection and training, stage by stage, beside the bare backbone and the published algorithm in the same run.

    python benchmarks/speed.py [--backbones lite0 resnet18 wide_resnet50_2] [--ratios 1 2 4 8] [--sizes 224 256]
                               [--rounds 15] [--no-training] [--no-memory] [--threads 2] [--out JSON]

Random weights serve for speed. The stages of a whole inspection are one compiled network on a CPU; `phi` and `search`
are what they take apart from it, `backbone` is eager torch, `compiled` the same network by OpenVINO. Where anomalib is
installed its models take part. What is compared takes turns, round by round, so that a busy machine hurts all alike;
a ratio is the median over the rounds of the quotients. The published algorithm is the slow transcription that the tests
hold the engine against: features and descriptor at full resolution, the whole distance matrix, a backbone pass a step.
Decoding is a stage of its own and is not part of the whole. A CUDA device is measured by `benchmarks/speed_cuda.py`.
"""

import argparse
import ctypes
import gc
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed_peers import peers
from core.backbone import Backbone, random_backbone
from core.compiled_network import CompiledNetwork
from core.config import Bank, Config, Score, preset
from core.images import read_image
from core.model import CfaModel
from core.neighbours import nearest_centres
from core.progress import Phase, Progress
from core.samples import Label, Sample
from core.scoring import anomaly_map, image_score
from core.training import train
from tests.core import published

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ("lite0", "resnet18", "wide_resnet50_2")
TRAINED_ON, EPOCHS, BATCH = 200, 30, 4
FEW = 8
Stage = Callable[[], object]


def model(backbone: str, ratio: int, size: int) -> CfaModel:
    """An untrained model with a full bank of T / ratio random centres, in the range of its own descriptors."""
    torch.manual_seed(0)
    network = CfaModel(random_backbone(backbone), descriptor_ratio=ratio, initial_radius=0.65).eval()
    with torch.inference_mode():
        phi = network.describe(network.pyramid(picture(size))).flatten(0, 2)
    network.set_bank(phi[torch.randperm(len(phi))[: len(phi) // ratio]] + 0.1 * phi.std())
    network.compile_backbone()
    network.compile_all()
    return network


def picture(size: int, count: int = 1) -> Tensor:
    """Noise as images, (count, size, size, 3) uint8."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def inspection(network: CfaModel, size: int, count: int = 1) -> dict[str, Stage]:
    """What takes turns: each stage alone, the whole, the bare backbone, and the published algorithm."""
    images = picture(size, count)

    def phi_again() -> float:
        return float(network.describe(pyramid)[0, 0, 0, 0])

    def search_again() -> float:
        return float(nearest_centres(phi, network.bank, 1)[0][0, 0])

    everywhere = np.ones((size // 4, size // 4), np.bool_), np.ones((size, size), np.bool_)
    pyramid = network.pyramid(images)
    phi = network.describe(pyramid).flatten(0, 2)
    grid = network(images, Score.EXCESS, 3)[0].cpu().numpy()
    weight, bias = network.descriptor.weight.detach(), network.descriptor.bias.detach()

    def post(scores: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        return image_score(anomaly_map(scores, *everywhere, 4, 4.0), everywhere[1])

    def whole() -> float:
        return max(post(scores) for scores in network(images, Score.EXCESS, 3).cpu().numpy())

    def as_published() -> float:
        features = published.concatenated_features(network.backbone(images))
        described = published.coord_conv(features, weight, bias)
        scores = published.scores(published.all_distances(described, network.bank), 3)
        return float(published.anomaly_map(scores.view(size // 4, size // 4), (size, size)).max())

    return {
        "backbone": lambda: network.backbone(images)[-1].sum().item(),
        "compiled": lambda: network.pyramid(images)[-1].sum().item(),
        "phi": phi_again,
        "search": search_again,
        "post": lambda: post(grid),
        "whole": whole,
        "published": as_published,
    }


def measured(stages: dict[str, Stage], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every stage in every round; two rounds before them warm up."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    with torch.inference_mode():
        for number in range(rounds + 2):
            for name, stage in stages.items():
                started = time.perf_counter()
                stage()
                if number >= 2:
                    times[name].append(1000 * (time.perf_counter() - started))
    return times


def ratio(times: dict[str, list[float]], above: str, below: str) -> float:
    """Median over the rounds of one stage's time by another's."""
    return statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))


def measure_inspection(backbone: str, gamma: int, size: int, rounds: int, batches: list[int]) -> dict[str, Any]:
    """One row of the table."""
    network = model(backbone, gamma, size)
    stages = inspection(network, size)
    others = peers(backbone, gamma, size)
    times = measured(stages | others, rounds)
    found: dict[str, Any] = {"backbone": backbone, "ratio": gamma, "size": size}
    found["ms"] = {name: round(statistics.median(values), 2) for name, values in times.items()}
    found["spread_ms"] = {name: round(statistics.pstdev(values), 2) for name, values in times.items()}
    for above, below in (("whole", "backbone"), ("published", "whole"), *((other, "whole") for other in others)):
        found[f"{above} / {below}"] = round(ratio(times, above, below), 2)
    found["images/s"] = {}
    for count in batches:
        whole = {"whole": inspection(network, size, count)["whole"]}
        milliseconds = statistics.median(measured(whole, max(3, rounds // 3))["whole"])
        found["images/s"][str(count)] = round(1000 * count / milliseconds, 1)
    return found


def measure_memory(backbone: str, gamma: int, size: int) -> dict[str, float]:
    """MB that an inspection at batch 1 needs, each number from processes of their own.

    `beyond the backbone`: the peak of the whole process beyond that of one that runs the backbone by the same runtime.
    `while inspecting`: the peak beyond what is resident once the model is loaded and compiled.
    """
    found = {stage: _peak_of(stage, backbone, gamma, size) for stage in ("compiled", "whole")}
    return {
        "beyond the backbone": round(found["whole"][0] - found["compiled"][0], 1),
        "while inspecting": round(found["whole"][0] - found["whole"][1], 1),
        "the backbone while computing": round(found["compiled"][0] - found["compiled"][1], 1),
    }


def _peak_of(stage: str, backbone: str, gamma: int, size: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--peak", stage, backbone, str(gamma), str(size)]
    peak_mb, before = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(peak_mb), float(before)


def peak(stage: str, backbone: str, gamma: int, size: int) -> tuple[float, float]:
    """MB of resident memory at the peak of a few runs of one stage, and before them; Linux alone tells."""
    images = picture(size)
    network = CfaModel(random_backbone(backbone), descriptor_ratio=gamma, initial_radius=0.65).eval()
    network.set_bank(torch.randn((size // 4) ** 2 // gamma, network.bank.shape[1]))
    if stage == "whole":
        network.compile_all()
        run: Stage = lambda: network(images, Score.EXCESS, 3)  # noqa: E731
    else:
        network.compile_backbone()
        run = lambda: network.pyramid(images)  # noqa: E731
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    with torch.inference_mode():
        for _ in range(3):
            run()
    return _resident("VmHWM"), before


def _resident(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) / 1024


def measure_training(backbone: str, gamma: int, size: int) -> dict[str, Any]:
    """Seconds for 30 epochs on 200 images, extrapolated from whole epochs on a few images, ours and as published."""
    with tempfile.TemporaryDirectory() as folder:
        samples = _noise_parts(Path(folder), size)
        weights = Path(folder) / "weights.pth"
        import timm

        from core.backbone import spec_of

        torch.save(timm.create_model(spec_of(backbone).timm_name, pretrained=False).state_dict(), weights)
        config = preset("paper").with_changes(
            backbone=backbone, bank=Bank.MEAN, bank_ratio=gamma, descriptor_ratio=gamma, resizing="R", image_size=size
        )
        features, ours_step = _parts_of_training(samples, config, weights)
    steps = EPOCHS * TRAINED_ON / BATCH
    ours = TRAINED_ON * features + steps * ours_step
    step = _published_step(model(backbone, gamma, size), size)
    theirs = steps * step
    return {
        "backbone": backbone,
        "ratio": gamma,
        "size": size,
        "seconds": round(ours, 1),
        "published seconds": round(theirs, 1),
        "published / ours": round(theirs / ours, 2),
    }


def measure_runtimes(backbone: str, size: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of the backbone in every runtime that is there, and its largest error as a share of the range."""
    bare, images = random_backbone(backbone), picture(size)
    apart, compiled = random_backbone(backbone), CompiledNetwork(bare, (picture(size),), [[-1, -1, -1, 3]])
    apart.load_state_dict(bare.state_dict())
    apart.to(memory_format=torch.channels_last)

    def in_half() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return bare(images)  # type: ignore[no-any-return]

    runs: dict[str, Callable[[], list[Tensor]]] = {
        "torch": lambda: bare(images),
        "channels last": lambda: apart(images),
        "bfloat16": in_half,
        "OpenVINO": lambda: compiled(images),
    }
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnxscript"):
        runs["ONNX Runtime"] = _in_onnx_runtime(bare, images)
    if shutil.which("c++"):
        inductor = torch.compile(bare)
        runs["torch.compile"] = lambda: inductor(images)
    times = measured(dict(runs), rounds)
    with torch.inference_mode():
        right = bare(images)
        error = {name: max(_error(f, r) for f, r in zip(run(), right, strict=True)) for name, run in runs.items()}
    return {
        "backbone": backbone,
        "ms": {name: round(statistics.median(values), 2) for name, values in times.items()},
        "error": error,
    }


def _error(found: Tensor, right: Tensor) -> float:
    return float((found.float() - right).abs().max() / right.abs().max())


def _in_onnx_runtime(bare: Backbone, images: Tensor) -> Callable[[], list[Tensor]]:
    import onnxruntime  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "backbone.onnx"
        torch.onnx.export(bare, (images,), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: [torch.from_numpy(m) for m in session.run(None, {name: images.numpy()})]


def _noise_parts(folder: Path, size: int) -> list[Sample]:
    samples = []
    for index, image in enumerate(picture(size, FEW).numpy()):
        path = folder / f"{index}.png"
        Image.fromarray(image).save(path)
        samples.append(Sample(path, path.name, Label.GOOD, "good", None))
    return samples


def _parts_of_training(samples: list[Sample], config: Config, weights: Path) -> tuple[float, float]:
    """Seconds of features and bank for one image, and median seconds of one step on a batch of four."""
    seen: list[tuple[str, float]] = []

    def note(progress: Progress) -> None:
        seen.append((progress.phase, time.perf_counter()))

    train(samples, config.with_changes(epochs=4), weights=weights, device="cpu", report=note)
    before = [moment for phase, moment in seen if phase in {Phase.FEATURES, Phase.BANK}]
    steps = np.diff([moment for phase, moment in seen if phase == Phase.TRAINING])
    return (before[-1] - before[0]) / (FEW - 1), float(np.median(steps))


def _published_step(network: CfaModel, size: int) -> float:
    """Median seconds of one step on a batch of four, with the distances twice as the authors compute them."""
    images = picture(size, BATCH)
    weight = torch.nn.Parameter(network.descriptor.weight.detach().clone())
    bias = torch.nn.Parameter(network.descriptor.bias.detach().clone())
    radius = torch.nn.Parameter(torch.tensor(0.65))
    optimiser = torch.optim.AdamW([weight, bias, radius], lr=1e-3, weight_decay=5e-4, amsgrad=True)
    times = []
    for _ in range(3):
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
    return statistics.median(times[1:])


def measure_decoding(folder: Path) -> dict[str, float]:
    """Milliseconds to read a 1024 x 1024 picture of noise, smoothed as a camera's."""
    small = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((1024, 1024), Image.Resampling.BICUBIC)
    found = {}
    for suffix in ("jpg", "png"):
        path = folder / f"part.{suffix}"
        large.save(path)
        stages: dict[str, Stage] = {"decode": lambda path=path: read_image(path)}  # type: ignore[misc]
        found[suffix] = round(statistics.median(measured(stages, 10)["decode"]), 1)
    return found


def main() -> None:
    """Measure what is asked for, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--ratios", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--sizes", nargs="*", type=int, default=[224, 256])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--training", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--runtimes", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "speed.json")
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.peak:
        stage, backbone, gamma, size = asked.peak
        sys.stdout.write(" ".join(map(str, peak(stage, backbone, int(gamma), int(size)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {"machine": _machine(), "decode 1 MP, ms": measure_decoding(Path(folder))}
    cases = [(b, g, s) for b in asked.backbones for s in asked.sizes for g in asked.ratios]
    found["inspection"] = [measure_inspection(*case, asked.rounds, asked.batches) for case in cases]
    if asked.runtimes:
        found["runtimes"] = [measure_runtimes(b, 224, asked.rounds) for b in asked.backbones]
    if asked.memory and sys.platform == "linux":
        for row in (row for row in found["inspection"] if row["ratio"] == 1):
            row["MB"] = measure_memory(row["backbone"], row["ratio"], row["size"])
    if asked.training:
        found["training"] = [measure_training(b, 1, 224) for b in asked.backbones]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    _print(found)


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    libraries = ("openvino", "anomalib")
    versions = [f"{n} {version(n)}" for n in libraries if importlib.util.find_spec(n)]
    return (
        ", ".join((f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}", *versions))
        + load
    )


def _print(found: dict[str, Any]) -> None:
    console = Console(width=150)
    console.print(found["machine"], "· decoding 1 megapixel:", found["decode 1 MP, ms"], "ms")
    names = [n for n in found["inspection"][0]["ms"] if "anomalib" not in n] if found["inspection"] else []
    table = Table("backbone", "γ", "size", *names, "whole / backbone", "published / whole", "images/s", "MB", box=None)
    table.title = "One image, ms"
    for row in found["inspection"]:
        rate = max(row["images/s"].items(), key=lambda item: item[1])
        figures = (row["whole / backbone"], row["published / whole"], f"{rate[1]} ({rate[0]})", row.get("MB", ""))
        cells = [*(row["ms"][name] for name in names), *figures]
        table.add_row(row["backbone"], str(row["ratio"]), str(row["size"]), *map(str, cells))
    console.print(table)
    for row in found["inspection"]:
        others = {name: value for name, value in row.items() if name.startswith("anomalib")}
        if others:
            console.print(row["backbone"], row["ratio"], row["size"], others)
    if found.get("runtimes"):
        table = Table("backbone", *found["runtimes"][0]["ms"], title="The backbone alone at 224, ms (error)", box=None)
        for row in found["runtimes"]:
            table.add_row(row["backbone"], *(f"{ms} ({row['error'][name]:.0e})" for name, ms in row["ms"].items()))
        console.print(table)
    if found.get("training"):
        title = f"{EPOCHS} epochs on {TRAINED_ON} images, extrapolated from whole epochs on {FEW}"
        table = Table(*found["training"][0], title=title, box=None)
        for row in found["training"]:
            table.add_row(*map(str, row.values()))
        console.print(table)


if __name__ == "__main__":
    main()
