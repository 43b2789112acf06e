"""What the camera set-up must hold still: figures when the test images change and the model does not.

    python benchmarks/line_changes.py DATASET... [--preset standard] [--seed 0] [--test 200]
                                      [--light-variation 0.1] [--blur-variation 0.005]
                                      [--position-variation 0.05] [--angle-variation 10]
                                      [--changes none ...] [--out benchmarks/results/line_changes]

A model is trained once for each set; then every test image is shifted, turned, brightened, blurred or compressed. The
model may be told what to expect.
Lengths are shares of the picture's width, so that they mean the same for every camera. False alarms and misses are
counted at the threshold that the model set for itself (5 %, or the smallest that its held-out images promise).
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.few_images import tested
from core.cli.output import ProgressBars
from core.dataset import open_dataset
from core.images import read_image
from core.inspection import Inspector
from core.metrics import confusion, image_auroc
from core.opencv import cv2
from core.presets import PRESETS, preset
from core.samples import Label
from core.training import train

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]
TOLD = ("light_variation", "blur_variation", "position_variation", "angle_variation")
"""Settings: what the model is told to expect."""
FIELDS = ("dataset", "preset", *TOLD, "seed", "change", "image_auroc", "false_alarm_rate", "miss_rate", "images")


def moved(image: Picture, degrees: float, across: float, down: float) -> Picture:
    """Turned about its middle and shifted by pixels; the border is mirrored."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (across, down)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def shift(share: float) -> Change:
    """By a share of the width, in a random direction."""

    def change(image: Picture, random: np.random.Generator) -> Picture:
        angle, far = random.uniform(0, 2 * np.pi), share * image.shape[1]
        return moved(image, 0.0, far * np.cos(angle), far * np.sin(angle))

    return change


def turn(degrees: float) -> Change:
    """Either way, at random."""
    return lambda image, random: moved(image, float(random.choice((-degrees, degrees))), 0.0, 0.0)


def brightness(factor: float) -> Change:
    """All values times a factor."""
    return lambda image, _: np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def blur(share: float) -> Change:
    """A Gaussian whose sigma is a share of the width."""
    return lambda image, _: np.asarray(cv2.GaussianBlur(image, (0, 0), share * image.shape[1]), np.uint8)


def jpeg(quality: int) -> Change:
    """Compressed and read again."""

    def change(image: Picture, _: np.random.Generator) -> Picture:
        data = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    return change


CHANGES: dict[str, Change] = {
    "none": lambda image, _: image,
    **{f"shift {100 * share:g} % of the width": shift(share) for share in (0.01, 0.02, 0.05)},
    **{f"turn {degrees:g}°": turn(degrees) for degrees in (1, 3, 10)},
    **{f"brightness {factor:+.0%}": brightness(1 + factor) for factor in (-0.2, -0.1, 0.1, 0.2)},
    **{f"blur σ {100 * share:g} % of the width": blur(share) for share in (0.002, 0.005, 0.01)},
    **{f"JPEG quality {quality}": jpeg(quality) for quality in (90, 50, 20)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--preset", default="standard", choices=sorted(PRESETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=int, default=200)
    for name in TOLD:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=0.0, help="what the model is told")
    parser.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/line_changes"))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    path = arguments.out.with_suffix(".csv")
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for folder in arguments.datasets:
        told = tuple(getattr(arguments, name) for name in TOLD)
        same = [row for row in rows if row["dataset"] == folder.name and _told(row) == told]
        rows += measured(folder, arguments, {row["change"] for row in same})
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
    table = ["| set | told to expect | change | image AUROC | false alarms | misses |", "|---|---|---|---|---|---|"]
    for row in rows:
        rates = " | ".join(f"{100 * float(row[name]):.1f} %" for name in ("false_alarm_rate", "miss_rate"))
        table.append(
            f"| {row['dataset']} | {_in_words(row)} | {row['change']} | {float(row['image_auroc']):.4f} | {rates} |"
        )
    text = "\n".join(table)
    arguments.out.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


def _told(row: dict[str, Any]) -> tuple[float, ...]:
    return tuple(float(row[name]) for name in TOLD)


def _in_words(row: dict[str, Any]) -> str:
    light, blur, position, angle = _told(row)
    words = [
        f"light ± {light:.0%}" if light else "",
        f"blur ≤ {100 * blur:g} %" if blur else "",
        f"place ± {position:.0%}" if position else "",
        f"angle ± {angle:g}°" if angle else "",
    ]
    return ", ".join(filter(None, words)) or "nothing"


def measured(folder: Path, arguments: argparse.Namespace, known: set[str]) -> list[dict[str, Any]]:
    """The rows of one set that are not known."""
    wanted = [name for name in arguments.changes if name not in known]
    if not wanted:
        return []
    dataset = open_dataset(folder)
    test = tested(dataset, arguments.test)
    rows = []
    with ProgressBars() as bars:
        told = {name: getattr(arguments, name) for name in TOLD}
        config = preset(arguments.preset).with_changes(seed=arguments.seed, **told)
        trained = train(dataset.good, config, report=bars)
    inspector, threshold = Inspector(trained), trained.threshold
    if threshold is None:
        raise SystemExit(f"{folder} has too few good images to set a threshold from.")
    labels = [sample.label is Label.DEFECT for sample in test]
    for name in wanted:
        random = np.random.default_rng(arguments.seed)
        scores = [inspector.inspect(CHANGES[name](read_image(sample.path), random)).score for sample in test]
        at = confusion(scores, labels, threshold.value)
        run = (folder.name, arguments.preset, *told.values(), arguments.seed, name)
        figures = (*run, image_auroc(scores, labels))
        rows.append(dict(zip(FIELDS, (*figures, at.false_alarm_rate, at.miss_rate, len(test)), strict=True)))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    main()
