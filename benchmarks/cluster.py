"""What a cluster costs and brings: one inspector without Ray, then pools of one and of two on this machine.

    python benchmarks/cluster.py [--images 600] [--repeats 2] [--seed 0] [--part ...] [--work DIR] [--out JSON]

The images are sample parts (drawn, seeded), the model is trained on the good ones by the preset `fast`; every inspector
has one thread. The rate of a pool is over the time between its first and its last batch, without the start of Ray and
the loading of the models, which is told apart. The pools take turns; the rates are the medians. All scores are compared
with those of the bare inspector.
Then a run is ended with SIGKILL in the middle, with a look at what Ray leaves behind, and the same command is given
again; another is cancelled by Ctrl-C. POSIX alone; needs ray: pip install "cfa-gui[cluster]".
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)

MOST_SECONDS = 300
PART_SECONDS = 2.0


def prepare(work: Path, images: int, seed: int) -> tuple[Path, Path]:
    """A trained model, and a folder with so many images: the same parts under several names. Left where it is there."""
    from core.dataset import find_samples, good_samples
    from core.model_file import save_model
    from core.presets import preset
    from core.sample_parts import make_sample_parts
    from core.training import train

    model, folder = work / "part.cfa", work / "images"
    if model.exists():
        return model, folder
    parts = make_sample_parts(work / "parts", good=40, seed=seed)
    folder.mkdir()
    sources = [sample.path for sample in find_samples([parts])]
    for number, source in zip(range(images), itertools.cycle(sources), strict=False):
        shutil.copy(source, folder / f"{number:06d}{source.suffix}")
    save_model(train(good_samples(parts), preset("fast"), device="cpu"), model)
    return model, folder


def bare(model: Path, folder: Path) -> tuple[dict[str, float], float]:
    """Scores and images a second of one inspector, one thread, no Ray."""
    import torch

    from core.dataset import find_samples
    from core.inspection import Inspection, Inspector
    from core.model_file import load_model

    torch.set_num_threads(1)
    inspector = Inspector(load_model(model), device="cpu")
    samples = find_samples([folder])
    list(inspector.inspect_many(samples[:20]))
    began = time.monotonic()
    found = [result for result in inspector.inspect_many(samples) if isinstance(result, Inspection)]
    rate = len(found) / (time.monotonic() - began)
    return {str(result.sample.path): result.score for result in found}, rate


def pooled(model: Path, folder: Path, out: Path, workers: int) -> dict[str, Any]:
    """One run of a pool in this process."""
    from core.line.cluster.inspecting import Cluster, Model, inspect_on_cluster
    from core.model_file import identity, load_model
    from core.progress import CancelToken, Progress
    from core.threshold import manual_threshold

    trained = load_model(model)
    known = Model(model.read_bytes(), identity(trained), trained.threshold or manual_threshold(1.0))
    seen: list[tuple[float, float]] = []

    def report(progress: Progress, /) -> None:
        seen.append((time.monotonic(), progress.done))

    began = time.monotonic()
    cluster = Cluster("local", workers)
    outcome = inspect_on_cluster(known, [str(folder)], out, cluster, report=report, cancel=CancelToken())
    (first, some), (last, all_of_them) = seen[0], seen[-1]
    return {
        "images a second": (all_of_them - some) / (last - first),
        "seconds to the first batch": first - began,
        "seconds in all": time.monotonic() - began,
        "inspected": outcome.inspected,
    }


def rows_of(out: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    files = sorted(out.glob("*.parquet"))
    return [row for path in files for row in parquet.read_table(path).to_pylist()]


def compared(out: Path, expected: dict[str, float]) -> dict[str, Any]:
    rows = rows_of(out)
    found = {row["path"]: row["score"] for row in rows}
    return {
        "rows missing": len(expected.keys() - found.keys()),
        "rows double": len(rows) - len(found),
        "scores not equal bit for bit": sum(found[path] != score for path, score in expected.items() if path in found),
        "largest difference": max((abs(found[path] - expected[path]) for path in found), default=0.0),
    }


def command(model: Path, folder: Path, out: Path) -> list[str]:
    program = f"import core.line.cluster.parts as p; p.SECONDS = {PART_SECONDS}; from core.cli.main import main; main()"
    options = ["--cluster", "local", "--workers", "1", "--json", "--out", str(out)]
    return [sys.executable, "-c", program, "inspect", str(model), str(folder), *options]


def start(model: Path, folder: Path, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(model, folder, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def until_a_part_is_there(out: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not any(out.glob("*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def ray_processes() -> int:
    """So many of Ray's processes run on this machine."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return sum(any(word in line for word in ("ray::", "/raylet ", "/gcs_server ")) for line in listed.splitlines())


def interrupted(model: Path, folder: Path, out: Path, expected: dict[str, float], number: int) -> dict[str, Any]:
    """End a run by a signal once its first part is there, look at what is left, and give the command again."""
    first = start(model, folder, out)
    until_a_part_is_there(out, first)
    time.sleep(1.0)
    sent = time.monotonic()
    first.send_signal(number)
    said, _ = first.communicate(timeout=MOST_SECONDS)
    ended = time.monotonic() - sent
    written = len(rows_of(out))
    time.sleep(5.0)
    left = ray_processes()
    second = start(model, folder, out)
    again, complaint = second.communicate(timeout=MOST_SECONDS)
    if second.returncode:
        raise RuntimeError(complaint)
    told = json.loads(again)
    return {
        "exit status": first.returncode,
        "said": json.loads(said).get("error") if said else None,
        "seconds to its end": round(ended, 2),
        "rows written before": written,
        "processes of Ray 5 s later": left,
        "inspected by the second run": told["inspected"],
        **compared(out, expected),
    }


def pools(work: Path, rate: float, expected: dict[str, float], arguments: argparse.Namespace) -> dict[str, Any]:
    """Pools of one and two inspectors in turn, beside the rate of the bare one."""
    import ray

    model, folder = work / "part.cfa", work / "images"
    runs_of: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(arguments.repeats):
        for workers, runs in runs_of.items():
            out = Path(tempfile.mkdtemp(dir=work))
            runs.append(pooled(model, folder, out, workers) | compared(out, expected))
    rates = {workers: statistics.median(run["images a second"] for run in runs) for workers, runs in runs_of.items()}
    return {
        "CPUs": os.cpu_count(),
        "ray": ray.__version__,
        "images a second, no Ray, one thread": rate,
        "images a second, pool of 1": rates[1],
        "images a second, pool of 2": rates[2],
        "pool of 2 / pool of 1": rates[2] / rates[1],
        "pool of 1 / no Ray": rates[1] / rate,
        "runs": runs_of,
    }


def main() -> None:
    arguments = _arguments()
    out = Path(arguments.out) if arguments.out else None
    figures = json.loads(out.read_text()) if out is not None and out.exists() else {}
    with tempfile.TemporaryDirectory() as made:
        work = Path(arguments.work or made)
        model, folder = prepare(work, arguments.images, arguments.seed)
        if arguments.part == "prepare":
            return
        expected, rate = bare(model, folder)
        if arguments.part != "signals":
            figures |= {
                "images": len(expected),
                "seed": arguments.seed,
                "pools": pools(work, rate, expected, arguments),
            }
        if arguments.part != "pools":
            for name, number in (("SIGKILL", signal.SIGKILL), ("Ctrl-C", signal.SIGINT)):
                seen = interrupted(model, folder, Path(tempfile.mkdtemp(dir=work)), expected, number)
                figures[name] = {"images": len(expected), **seen}
    text = json.dumps(figures, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("prepare", "pools", "signals", "all"), default="all")
    parser.add_argument("--work", help="keep model and images there, for the next call")
    parser.add_argument("--out", help="write the figures there, as JSON, beside those of the other part")
    return parser.parse_args()


if __name__ == "__main__":
    main()
