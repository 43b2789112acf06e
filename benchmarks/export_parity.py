"""Does an exported model give the original's scores, verdicts and maps on real images, and how fast?

    python benchmarks/export_parity.py scores DATASET   # every test image and every held-out good image, each format
    python benchmarks/export_parity.py speed DATASET    # milliseconds per image; leave the machine alone meanwhile

DATASET is in MVTec AD layout. The model is trained with `--preset` on its good images, or read with `--model`. Results
go to benchmarks/results/export_parity.json, each part beside the other.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from core.dataset import open_dataset
from core.export.export import export_model
from core.export.parity import load_runner
from core.export.words import Format, Target
from core.images import read_image
from core.inspection import Inspector
from core.model_file import load_model
from core.presets import preset
from core.trained_model import TrainedModel
from core.training import train

RESULTS = Path(__file__).parent / "results" / "export_parity.json"
LARGE = (3000, 4000)
"""12 megapixels."""


def scores(trained: TrainedModel, dataset: Path) -> dict[str, object]:
    """Export to each format, compared on all test images and on the good images that were held out."""
    found = open_dataset(dataset)
    held = set(trained.calibration.names)
    samples = [*found.test, *(sample for sample in found.good if sample.name in held)]
    results: dict[str, object] = {"test_images": len(found.test), "held_out_images": len(samples) - len(found.test)}
    with tempfile.TemporaryDirectory() as scratch:
        for kind in Format:
            exported = export_model(trained, Target(kind, Path(scratch) / kind), samples, device="cpu")
            parity = exported.parity
            results[kind] = {
                "images": parity.images,
                "drawn_images": parity.drawn,
                "largest_relative_score_difference": parity.largest.relative,
                "on": parity.largest.name,
                "ties": {one.name: one.relative for one in parity.ties},
                "verdicts_that_differ": len(parity.flips),
                "maps_of_another_size": len(parity.other_shapes),
                "largest_map_difference": parity.largest_map_difference,
            }
            print(kind, json.dumps(results[kind]), flush=True)
    return results


def speed(trained: TrainedModel, dataset: Path, rounds: int) -> dict[str, object]:
    """Median milliseconds per image, the runtimes taking turns; decoding not counted."""
    small = read_image(open_dataset(dataset).test[0].path)
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (*LARGE, 3), dtype=np.uint8)
    inspector = Inspector(trained, device="cpu")
    with tempfile.TemporaryDirectory() as scratch:
        runs = {"original": inspector.inspect}
        for kind in Format:
            export_model(trained, Target(kind, Path(scratch) / kind), device="cpu")
            runs[kind.value] = load_runner(Path(scratch) / kind).inspect
        results: dict[str, object] = {"threads": torch.get_num_threads(), "processor": platform.processor()}
        for name, picture, count in (("test_image", small, rounds), ("12_megapixels", large, max(3, rounds // 5))):
            seconds: dict[str, list[float]] = {runtime: [] for runtime in runs}
            for turn in range(count + 2):
                for runtime, run in runs.items():
                    started = time.perf_counter()
                    run(picture)
                    if turn >= 2:
                        seconds[runtime].append(time.perf_counter() - started)
            medians = {runtime: round(1000 * statistics.median(values), 1) for runtime, values in seconds.items()}
            results[name] = {"height_width": list(picture.shape[:2]), "milliseconds": medians}
            print(name, medians, flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scores", "speed"))
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", type=Path, help="a model file; trained where left out")
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    if arguments.model:
        trained = load_model(arguments.model)
    else:
        trained = train(open_dataset(arguments.dataset).good, preset(arguments.preset), device="cpu")
    if arguments.what == "scores":
        part = scores(trained, arguments.dataset)
    else:
        part = speed(trained, arguments.dataset, arguments.rounds)
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    content[arguments.what] = {"dataset": arguments.dataset.name, "preset": trained.config.preset, **part}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
