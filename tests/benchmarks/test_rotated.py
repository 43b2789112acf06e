from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rotated import CROP, write_rotated
from core.dataset import open_dataset
from core.images import read_image, read_mask


def test_that_image_and_mask_are_moved_alike(tmp_path: Path) -> None:
    marked = np.full((300, 300, 3), 60, np.uint8)
    marked[120:180, 110:190] = 250
    for place in ("train/good", "test/dent", "ground_truth/dent"):
        (tmp_path / "parts" / place).mkdir(parents=True)
    Image.fromarray(np.full((300, 300, 3), 60, np.uint8)).save(tmp_path / "parts/train/good/a.png")
    mask = (marked[..., 0] > 200).astype(np.uint8) * 255
    for number in range(4):
        Image.fromarray(marked).save(tmp_path / f"parts/test/dent/{number}.png")
        Image.fromarray(mask).save(tmp_path / f"parts/ground_truth/dent/{number}_mask.png")
    write_rotated(open_dataset(tmp_path / "parts"), tmp_path / "rd", seed=3)
    moved = open_dataset(tmp_path / "rd")
    assert len(moved.good) == 1
    masks = []
    for sample in moved.test:
        image = read_image(sample.path)
        assert sample.mask is not None
        mask_moved = read_mask(sample.mask)
        assert image.shape == (CROP, CROP, 3)
        bright = image[..., 0] > 155
        union, both = (bright | mask_moved).sum(), (bright & mask_moved).sum()
        assert both / union > 0.95
        masks.append(mask_moved)
    assert any((masks[0] != other).any() for other in masks[1:])
