"""Inspection and training, stage by stage, beside the bare backbone, the published algorithm and anomalib in one run.

    python benchmarks/speed.py [--backbones lite0 resnet18 wide_resnet50_2] [--ratios 1 2 4 8] [--sizes 224 256]
                               [--parts inspection files training memory runtimes starts growth decoding]
                               [--rounds 9] [--threads 2] [--out JSON] [--rows N]

Random weights serve for speed. The stages of a whole inspection are one compiled network on a CPU; `phi` and `search`
are what they take apart from it, `backbone` is eager torch, `compiled` the same network by OpenVINO. Where anomalib is
installed its models take part. What is compared takes turns, round by round, so that a busy machine hurts all alike;
a ratio is the median over the rounds of the quotients. The published algorithm is the slow transcription that the tests
hold the engine against: features and descriptor at full resolution, the whole distance matrix, a backbone pass a step.
Decoding is a stage of its own and is not part of the whole.

A row that the JSON holds is not measured again, so a run that was cut off, or ended after `--rows` rows, goes on.
Beside the JSON lie the same figures as tables (.md) and the growth as a chart. A CUDA device is
measured by `benchmarks/speed_cuda.py`.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import core  # noqa: F401  before torch, as everywhere in the program: it sets how long torch's threads spin

# isort: split
import torch

from benchmarks.speed_files import measure_files
from benchmarks.speed_growth import draw, measure_growth
from benchmarks.speed_inspection import measure_decoding, measure_inspection, measure_runtimes
from benchmarks.speed_process import measure_memory, measure_starts, peak
from benchmarks.speed_tables import tables
from benchmarks.speed_training import measure_training

BACKBONES = ("lite0", "resnet18", "wide_resnet50_2")
PARTS = ("inspection", "files", "training", "memory", "runtimes", "starts", "growth", "decoding")
_RATIOS = {1, 4}
"""At which files, training and memory are measured, too; at the first size alone."""
_RESULTS = Path(__file__).parent / "results" / "speed.json"
Row = dict[str, Any]


def main() -> None:
    """Measure what is asked for and not there yet; write JSON and tables after each row."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    if asked.peak:
        stage, backbone, gamma, size = asked.peak
        sys.stdout.write(" ".join(map(str, peak(stage, backbone, int(gamma), int(size)))))
        return
    found: dict[str, list[Row]] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    left = asked.rows
    for part, key, measure in _rows(asked):
        rows = found.setdefault(part, [])
        if left == 0 or any(key.items() <= row.items() for row in rows):
            continue
        rows.append(key | measure() | {"machine": _machine()})
        left -= 1
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
        sys.stderr.write(f"{part} {key}\n")
    asked.out.with_suffix(".md").write_text(tables(found))
    if found.get("growth"):
        draw(found["growth"][0])
    sys.stdout.write(tables(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--ratios", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--sizes", nargs="*", type=int, default=[224, 256])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=-1, help="how many rows to measure; -1: all")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def _rows(asked: argparse.Namespace) -> Iterator[tuple[str, Row, Callable[[], Row]]]:
    """Every row that is asked for: its part, what it is known by, and how it is measured."""
    rounds = asked.rounds
    by_case: dict[str, Callable[..., Row]] = {
        "inspection": lambda *case: measure_inspection(*case, rounds, asked.batches),
        "files": lambda *case: measure_files(*case, rounds),
        "training": measure_training,
        "memory": measure_memory,
    }
    once: dict[str, Callable[[], Row]] = {
        "starts": measure_starts,
        "growth": lambda: measure_growth(rounds),
        "decoding": _decoding,
    }
    for case in ((b, g, s) for s in asked.sizes for b in asked.backbones for g in asked.ratios):
        of_all = case[2] == asked.sizes[0] and case[1] in _RATIOS
        parts = ["inspection", *(["files", "training", "memory"] if of_all else [])]
        for part in (part for part in parts if part in asked.parts):
            key = dict(zip(("backbone", "ratio", "size"), case, strict=True))
            yield part, key, lambda part=part, case=case: by_case[part](*case)
    for backbone in asked.backbones if "runtimes" in asked.parts else ():
        yield "runtimes", {"backbone": backbone}, lambda b=backbone: measure_runtimes(b, 224, rounds)
    for part in (part for part in once if part in asked.parts):
        yield part, {}, once[part]


def _decoding() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return measure_decoding(Path(folder))


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    libraries = ("openvino", "anomalib")
    versions = [f"{n} {version(n)}" for n in libraries if importlib.util.find_spec(n)]
    return (
        ", ".join((f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}", *versions))
        + load
    )


if __name__ == "__main__":
    main()
