"""Harder sets made of the two real ones at hand: parts and defects are real, cut out and turned.

    python benchmarks/derived.py FOLDER --bottle BOTTLE --tile MAGNETIC_TILE
    python benchmarks/accuracy.py FOLDER/* --protocol R --seeds 0 --out benchmarks/results/derived.csv
        [--peers PaDiM "PatchCore 1 %, published levels"]

- quarter: the upper left quarter of every bottle; aligned, and each place looks otherwise.
- strip: the middle half of every bottle, twice as wide as high.
- crop (of both): six tenths of the picture, cut out at random; parts that do not lie still.
- turned: tiles turned by a random multiple of 90° and mirrored; no position means anything.

Of the tiles 250 good ones and 350 test images are drawn. A picture whose defect was cut away, but for fewer than 30
pixels, is left out. Images keep their resolution, masks are cut alike.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rotated import write_picture
from core.dataset import open_dataset
from core.images import read_image, read_mask
from core.samples import Label, Sample

Picture = NDArray[np.uint8]
Pair = tuple[Picture, Picture]
Move = Callable[[Picture, Picture, np.random.Generator], Pair]
FEWEST = 30
"""Pixels of a defect that must be left."""
CROP = 0.6
TRIES = 30
TILES, TILES_TESTED = 250, 350


def quarter(image: Picture, mask: Picture, random: np.random.Generator) -> Pair:
    """The upper left one."""
    del random
    height, width = image.shape[:2]
    return image[: height // 2, : width // 2], mask[: height // 2, : width // 2]


def strip(image: Picture, mask: Picture, random: np.random.Generator) -> Pair:
    """The middle half of the height."""
    del random
    height = len(image)
    return image[height // 4 : 3 * height // 4], mask[height // 4 : 3 * height // 4]


def crop(image: Picture, mask: Picture, random: np.random.Generator) -> Pair:
    """A share of each side, anywhere; where there is a defect, some of it is looked for."""
    height, width = (int(side * CROP) for side in image.shape[:2])
    window = slice(0), slice(0)
    for _ in range(TRIES):
        top, left = (int(random.integers(most)) for most in (len(image) - height + 1, image.shape[1] - width + 1))
        window = slice(top, top + height), slice(left, left + width)
        if not mask.any() or np.count_nonzero(mask[window]) > FEWEST:
            break
    return image[window], mask[window]


def turned(image: Picture, mask: Picture, random: np.random.Generator) -> Pair:
    """By a multiple of 90°, every second one mirrored."""
    times = int(random.integers(4))
    image, mask = np.rot90(image, times), np.rot90(mask, times)
    return (image[:, ::-1], mask[:, ::-1]) if random.random() < 0.5 else (image, mask)


def derive(source: Path, folder: Path, move: Move, seed: int, most: tuple[int, int] | None = None) -> None:
    """Write a set anew in MVTec AD layout, as PNG.

    Args:
        source: A set in that layout.
        folder: Where to.
        move: What happens to each image and its mask.
        seed: Of the draw of images and of what happens to them.
        most: Good images and test images; None: all.
    """
    random = np.random.default_rng(seed)
    dataset = open_dataset(source)
    good, test = (
        _drawn(some, count, random)
        for some, count in zip((dataset.good, dataset.test), most or (None, None), strict=True)
    )
    for number, sample in enumerate(good):
        write_picture(folder / "train/good" / f"{number:04d}.png", move(*_pair(sample), random)[0])
    for number, sample in enumerate(test):
        image, mask = move(*_pair(sample), random)
        if sample.label is Label.DEFECT:
            if np.count_nonzero(mask) < FEWEST:
                continue
            write_picture(folder / "ground_truth" / sample.kind / f"{number:04d}_mask.png", mask)
        write_picture(folder / "test" / sample.kind / f"{number:04d}.png", image)


def _drawn(samples: Sequence[Sample], count: int | None, random: np.random.Generator) -> list[Sample]:
    return [samples[row] for row in sorted(random.permutation(len(samples))[:count])]


def _pair(sample: Sample) -> Pair:
    """(H, W, 3) RGB and (H, W), 255 where the defect is."""
    image = read_image(sample.path)
    mask = np.zeros(image.shape[:2], np.uint8)
    return image, mask if sample.mask is None else read_mask(sample.mask).astype(np.uint8) * 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bottle", type=Path, required=True)
    parser.add_argument("--tile", type=Path, required=True)
    arguments = parser.parse_args()
    tiles = TILES, TILES_TESTED
    derive(arguments.bottle, arguments.folder / "bottle_quarter", quarter, 1)
    derive(arguments.bottle, arguments.folder / "bottle_strip", strip, 1)
    derive(arguments.bottle, arguments.folder / "bottle_crop", crop, 2)
    derive(arguments.tile, arguments.folder / "tile_turned", turned, 3, tiles)
    derive(arguments.tile, arguments.folder / "tile_crop", crop, 4, tiles)


if __name__ == "__main__":
    main()
