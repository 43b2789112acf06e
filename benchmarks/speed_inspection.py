"""What one inspection takes, stage by stage, and the backbone alone in every runtime."""

import importlib.util
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.speed_peers import peers
from core.backbone import Backbone, random_backbone
from core.centre_shapes import DIRECTIONS
from core.compiled_network import CompiledNetwork, converted
from core.config import Method
from core.images import read_image
from core.model import CfaModel
from core.neighbours import nearest_centres
from core.scoring import anomaly_map, image_score
from tests.core import published

Stage = Callable[[], object]
METHOD = Method()
"""Of a default model, whose scores are measured."""


def model(backbone: str, ratio: int, size: int) -> CfaModel:
    """An untrained model with a full bank of T / ratio random centres, in the range of its own descriptors."""
    torch.manual_seed(0)
    network = CfaModel(random_backbone(backbone), descriptor_ratio=ratio, initial_radius=0.65).eval()
    with torch.inference_mode():
        phi = network.describe(network.pyramid(picture(size))).flatten(0, 2)
    set_centres(network, phi[torch.randperm(len(phi))[: len(phi) // ratio]] + 0.1 * phi.std())
    network.compile_backbone()
    network.compile_all()
    return network


def set_centres(network: CfaModel, bank: Tensor) -> None:
    """Give it that bank, and axes at random, as many as a default model has."""
    network.set_bank(bank)
    centres, width = bank.shape
    basis = torch.linalg.qr(torch.randn(width, min(DIRECTIONS, width))).Q.T.contiguous()
    axes = 0.5 * torch.randn(centres, METHOD.centre_axes, len(basis)) / len(basis) ** 0.5
    network.set_shapes(axes, basis, torch.zeros(centres))


def picture(size: int, count: int = 1) -> Tensor:
    """Noise as images, (count, size, size, 3) uint8."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def inspection(network: CfaModel, size: int, count: int = 1) -> dict[str, Stage]:
    """What takes turns: each stage alone, the whole, the bare backbone, and the published algorithm."""
    images = picture(size, count)

    pooled = network._fast_pooled or network.pyramid

    def phi_again() -> float:
        return float(network.describe(pyramid)[0, 0, 0, 0])

    def search_again() -> float:
        return float(nearest_centres(phi, network.bank, 1)[0][0, 0])

    everywhere = np.ones((size // 4, size // 4), np.bool_), np.ones((size, size), np.bool_)
    pyramid = network.pyramid(images)
    phi = network.describe(pyramid).flatten(0, 2)
    grid = network(images, METHOD.score, METHOD.neighbours)[0].numpy()
    weight, bias = network.descriptor.weight.detach(), network.descriptor.bias.detach()

    def post(scores: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        return image_score(anomaly_map(scores, *everywhere, 4, 4.0), everywhere[1])

    def whole() -> float:
        return max(post(scores) for scores in network(images, METHOD.score, METHOD.neighbours).numpy())

    def as_published() -> float:
        features = published.concatenated_features(network.backbone(images))
        described = published.coord_conv(features, weight, bias)
        scores = published.scores(published.all_distances(described, network.bank), 3)
        return float(published.anomaly_map(scores.view(size // 4, size // 4), (size, size)).max())

    return {
        "backbone": lambda: network.backbone(images)[-1].sum().item(),
        "compiled": lambda: pooled(images),
        "phi": phi_again,
        "search": search_again,
        "post": lambda: post(grid),
        "whole": whole,
        "published": as_published,
    }


def measured(stages: dict[str, Stage], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every stage in every round; two rounds before them warm up.

    Each stage runs twice at its turn and the second time counts: images come one after another, and the threads of
    the stage before have stopped spinning.
    """
    times: dict[str, list[float]] = {name: [] for name in stages}
    with torch.inference_mode():
        for number in range(rounds + 2):
            for name, stage in stages.items():
                stage()
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
    found: dict[str, Any] = {}
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


def measure_runtimes(backbone: str, size: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of the backbone in every runtime that is there, and its largest error as a share of the range."""
    bare, images = random_backbone(backbone), picture(size)
    apart, compiled = random_backbone(backbone), CompiledNetwork(converted(bare, picture(size)))
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
