"""How the cost of an inspection grows: with images, with patches, and with the images that were trained on."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.plot import Axis, line_chart
from benchmarks.speed_inspection import METHOD, measured, picture
from benchmarks.speed_training import noise_parts
from core.config import Bank
from core.model import CfaModel
from core.presets import preset
from core.training import train

IMAGES, SIDES, TRAINED_ON = (1, 2, 4, 8, 16, 32), (64, 128, 192, 256, 320, 384, 448, 512), (4, 8, 16, 32, 64)
_SIDE = 224
_KINDS = ("images", "patches", "trained on")
_CHART = Path(__file__).parent / "results" / "speed-growth.svg"


def measure_growth(rounds: int) -> dict[str, list[tuple[int, float]]]:
    """Milliseconds of inspections by the embedded backbone, ratio 4; each figure is the median of some rounds."""
    networks = {count: _trained(count) for count in TRAINED_ON}
    network, image = networks[TRAINED_ON[-1]], picture(_SIDE)
    stages = {("images", n): lambda n=n: [_inspect(network, image) for _ in range(n)] for n in IMAGES}
    stages |= {("trained on", n): lambda other=other: _inspect(other, image) for n, other in networks.items()}
    for side in SIDES:  # a network of its own, which need not change from size to size
        sized, large = _trained(TRAINED_ON[0]), picture(side)
        stages["patches", (side // 4) ** 2] = lambda sized=sized, large=large: _inspect(sized, large)
    times = measured(stages, rounds)  # type: ignore[arg-type]
    found: dict[str, Any] = {kind: [] for kind in _KINDS}
    for (kind, number), values in times.items():  # type: ignore[misc]
        found[kind].append((number, round(statistics.median(values), 2)))
    return found


def draw(growth: dict[str, list[tuple[int, float]]]) -> None:
    """The chart: each cost beside that of its first point, each number beside its first, both on logarithmic axes."""
    ticks = (1, 2, 4, 8, 16, 32, 64)
    series = {}
    for kind in _KINDS:
        points = growth[kind]
        first, cost = points[0]
        series[kind] = [(number / first, max(1.0, ms / cost)) for number, ms in points]
    series["one to one"] = [(1, 1), (64, 64)]
    line_chart(
        _CHART,
        "Time of an inspection, EfficientNet-Lite0, ratio 4, CPU",
        Axis("images, patches or images trained on, times the fewest", ticks, logarithmic=True),
        Axis("time, times that of the fewest", ticks, logarithmic=True),
        series,
    )


def _trained(count: int) -> CfaModel:
    with tempfile.TemporaryDirectory() as folder:
        config = preset("fast").with_changes(
            bank=Bank.MEAN, bank_ratio=4, descriptor_ratio=4, epochs=1, resizing="R", image_size=_SIDE, holdout=0.0
        )
        network = train(noise_parts(Path(folder), _SIDE, count), config, device="cpu").network
    network.compile_all()
    return network


def _inspect(network: CfaModel, images: torch.Tensor) -> float:
    return float(network(images, METHOD.score, METHOD.neighbours).max())
