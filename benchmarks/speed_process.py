"""What only a process of its own can tell: peak memory, and how long an import takes."""

import ctypes
import gc
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.speed_inspection import METHOD, Stage, picture, set_centres
from core.backbone import random_backbone
from core.model import CfaModel

SPEED = Path(__file__).with_name("speed.py")
_OFFSCREEN = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
_STARTS = {
    "Python": "pass",
    "the package core": "import core",
    "the command line, ready to take a command": "import core.cli.main",
    "the engine ready to inspect": "import core.inspection",
    "the window's modules": "import cfa_gui.app, cfa_gui.main_window",
}


def measure_memory(backbone: str, gamma: int, size: int) -> dict[str, float]:
    """MB that an inspection at batch 1 needs, each number from processes of their own.

    `beyond the backbone`: the peak of the whole process beyond that of one that holds the same model, bank and
    descriptor included, and runs the backbone alone by the same runtime.
    `while inspecting`: the peak beyond what is resident once the model is loaded and has inspected its first image.
    """
    found = {stage: _peak_of(stage, backbone, gamma, size) for stage in ("compiled", "whole")}
    return {
        "beyond the backbone": round(found["whole"][0] - found["compiled"][0], 1),
        "while inspecting": round(found["whole"][0] - found["whole"][1], 1),
        "the backbone while computing": round(found["compiled"][0] - found["compiled"][1], 1),
    }


def _peak_of(stage: str, backbone: str, gamma: int, size: int) -> tuple[float, float]:
    command = [sys.executable, str(SPEED), "--peak", stage, backbone, str(gamma), str(size)]
    peak_mb, before = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(peak_mb), float(before)


def peak(stage: str, backbone: str, gamma: int, size: int) -> tuple[float, float]:
    """MB of resident memory at the peak of a few runs of one stage, and before them; Linux alone tells."""
    images = picture(size)
    network = CfaModel(random_backbone(backbone), descriptor_ratio=gamma, initial_radius=0.65).eval()
    set_centres(network, torch.randn((size // 4) ** 2 // gamma, network.bank.shape[1]))
    if stage == "whole":
        network.compile_all()
        run: Stage = lambda: network(images, METHOD.score, METHOD.neighbours)  # noqa: E731
    else:
        network.compile_backbone()
        run = lambda: network.pyramid(images)  # noqa: E731
    with torch.inference_mode():
        run()  # what is made once for all images
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


def measure_starts(times: int = 7) -> dict[str, float]:
    """Median seconds from the start of a process to the end of an import, with warm files."""
    found = {}
    for name, program in _STARTS.items():
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, cwd=SPEED.parents[1], env=_OFFSCREEN)
            taken.append(time.perf_counter() - started)
        found[name] = round(statistics.median(taken[1:]), 3)
    return found
