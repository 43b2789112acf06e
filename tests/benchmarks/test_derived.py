from pathlib import Path

import numpy as np
import pytest

from benchmarks.derived import FEWEST, Move, crop, derive, quarter, strip, turned
from core.dataset import open_dataset
from core.images import read_image, read_mask
from tests.core.cli_runs import write

MOVES = pytest.mark.parametrize("move", [quarter, strip, crop, turned])


def marked(height: int, width: int, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture with a bright square, and the square's mask."""
    image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    image[top : top + 12, left : left + 12], mask[top : top + 12, left : left + 12] = 255, 255
    return image, mask


@MOVES
def test_that_the_mask_goes_where_the_picture_goes(move: Move) -> None:
    for seed in range(8):
        image, mask = move(*marked(90, 120, 30, 40), np.random.default_rng(seed))
        np.testing.assert_array_equal(image[..., 0], mask)


def test_that_a_crop_keeps_some_of_the_defect() -> None:
    for seed in range(8):
        _, mask = crop(*marked(90, 120, 5, 80), np.random.default_rng(seed))
        assert np.count_nonzero(mask) > FEWEST


def test_that_a_set_is_written_with_its_masks_and_without_defects_that_were_cut_away(tmp_path: Path) -> None:
    source = tmp_path / "parts"
    for name, (image, mask) in {"kept": marked(80, 80, 10, 10), "gone": marked(80, 80, 60, 60)}.items():
        write(source / f"train/good/{name}.png", image // 2)
        write(source / f"test/good/{name}.png", image // 2)
        write(source / f"test/dent/{name}.png", image)
        write(source / f"ground_truth/dent/{name}_mask.png", np.dstack([mask] * 3))
    derive(source, tmp_path / "quarter", quarter, 0, (1, 4))
    found = open_dataset(tmp_path / "quarter")
    assert len(found.good) == 1
    assert sorted(sample.kind for sample in found.test) == ["dent", "good", "good"]
    (dent,) = (sample for sample in found.test if sample.kind == "dent")
    assert dent.mask is not None
    np.testing.assert_array_equal(read_mask(dent.mask), read_image(dent.path)[..., 0] > 128)
