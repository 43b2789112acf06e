"""RD, the paper's protocol for parts that do not lie still: each image turned by up to 10°, then cropped at random."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.images import read_image, read_mask
from core.opencv import cv2
from core.samples import Dataset, Label, Sample

RESIZED, CROP, DEGREES = 256, 224, 10.0


def write_rotated(dataset: Dataset, folder: Path, seed: int) -> None:
    """Write a data set anew, image and mask turned and cropped alike, 224 × 224 PNG in MVTec AD layout."""
    random = np.random.default_rng(seed)
    for number, sample in enumerate(dataset.good):
        write_picture(folder / "train/good" / f"{number:05d}.png", _moved(sample, random)[0])
    for number, sample in enumerate(dataset.test):
        image, mask = _moved(sample, random)
        write_picture(folder / "test" / sample.kind / f"{number:05d}.png", image)
        if mask is not None and sample.label is Label.DEFECT:
            write_picture(folder / "ground_truth" / sample.kind / f"{number:05d}_mask.png", mask)


def _moved(sample: Sample, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Of one draw: the image, (224, 224, 3) RGB, and the mask, (224, 224), 255 where the defect is."""
    image = read_image(sample.path)
    mask = None if sample.mask is None else read_mask(sample.mask).astype(np.uint8) * 255
    angle = random.uniform(-DEGREES, DEGREES)
    top, left = random.integers(0, RESIZED - CROP + 1, 2)
    window = slice(top, top + CROP), slice(left, left + CROP)
    turned = _turned(image, angle, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    small = np.asarray(cv2.resize(turned, (RESIZED, RESIZED), interpolation=cv2.INTER_AREA), np.uint8)[window]
    if mask is None:
        return small, None
    turned = _turned(mask, angle, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    return small, np.asarray(cv2.resize(turned, (RESIZED, RESIZED), interpolation=cv2.INTER_NEAREST), np.uint8)[window]


def _turned(image: NDArray[np.uint8], angle: float, interpolation: int, border: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), flags=interpolation, borderMode=border)
    return np.asarray(turned, np.uint8)


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """(H, W, 3) RGB or (H, W) grey as PNG; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = image if image.ndim == 2 else image[..., ::-1]
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(channels))[1].tobytes())
