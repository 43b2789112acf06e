"""Tiny pictures of parts, and settings small enough to train on them in a fraction of a second."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.config import (
    Bank,
    Calibrating,
    Config,
    DescriptorStart,
    FeatureScale,
    Method,
    Preprocessing,
    Resizing,
    Score,
    StrideFit,
    Training,
)
from core.samples import Label, Sample

Picture = NDArray[np.uint8]

TINY = Config(
    preset="custom",
    backbone="lite0",
    preprocessing=Preprocessing(resizing=Resizing.SQUARE, image_size=32, stride_fit=StrideFit.ROUNDED),
    method=Method(
        bank=Bank.MEAN,
        bank_ratio=1,
        descriptor_ratio=1,
        neighbours=3,
        hard_negatives=3,
        initial_radius=1e-5,
        feature_scale=FeatureScale.REFERENCE,
        score=Score.CERTAINTY,
        descriptor_start=DescriptorStart.PUBLISHED,
        centre_axes=4,
    ),
    training=Training(
        epochs=1,
        batch_size=4,
        learning_rate=1e-3,
        radius_learning_rate=1e-3,
        weight_decay=5e-4,
        holdout=0.25,
        calibration=Calibrating.SPLIT,
        seed=0,
    ),
)
"""No setting is left to a default that may change."""

WHOLE_64 = TINY.with_changes(resizing=Resizing.WHOLE, stride_fit=StrideFit.PADDED, image_size=64)
"""The whole picture on about 64 x 64 pixels. Pictures of `UNSCALED` sizes are not resized by it."""

UNSCALED = ((64, 64), (56, 73), (73, 56), (32, 128))
"""(height, width) of about 64 x 64 pixels of area: two of them are no multiple of 16 and get padding."""


def picture(seed: int, height: int = 32, width: int = 32) -> Picture:
    """A part: a bright disc on a dark, grainy ground, (height, width, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2 < 0.1
    shades = np.where(inside[..., None], (190, 160, 120), (40, 60, 70))
    return np.clip(shades + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def with_defect(image: Picture, top: int, left: int, side: int) -> Picture:
    """The same part with a loud square on it."""
    spoiled = image.copy()
    spoiled[top : top + side, left : left + side] = (255, 0, 255)
    return spoiled


def write_parts(folder: Path, sizes: Sequence[tuple[int, int]], first_seed: int = 0) -> tuple[Sample, ...]:
    """One good part of each size in `folder`, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index, (height, width) in enumerate(sizes):
        path = folder / f"part {index:02}.png"
        Image.fromarray(picture(first_seed + index, height, width)).save(path)
        samples.append(Sample(path, path.name, Label.GOOD, "good", None))
    return tuple(samples)


def write_text_file(folder: Path, name: str) -> Sample:
    """A file with a picture's suffix that is none."""
    path = folder / name
    path.write_text("this is no picture")
    return Sample(path, name, Label.GOOD, "good", None)
