"""A model file of every past format version is kept, and opens for ever with the scores it had."""

from pathlib import Path

import numpy as np
import pytest

from core.config import Calibrating
from core.inspection import Inspector
from core.model_file import FORMAT_VERSION, identity, load_model

GOLDEN = Path(__file__).parent / "golden"
SCORES = {
    1: 8.654245376586914,
    2: 4.587654113769531,
    3: 6.351617336273193,
    4: 6.713681221008301,
    5: 7.1783857345581055,
    6: 5.068089008331299,
    7: 4.77342414855957,
}


def stripes() -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    """A picture that every version of numpy draws alike."""
    rows, columns = np.mgrid[0:72, 0:96]
    return np.stack([(rows * 3 + columns) % 256, (rows + columns * 2) % 256, (rows * columns) % 256], axis=2).astype(
        np.uint8
    )


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_that_a_file_of_a_past_version_opens_with_its_scores(version: int) -> None:
    trained = load_model(GOLDEN / f"format-{version}.cfa")
    assert trained.threshold is not None
    assert trained.summary.history
    assert Inspector(trained, device="cpu").inspect(stripes()).score == pytest.approx(SCORES[version], rel=1e-4)


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (3, "563d3336f2d02cb6b6d0d1cc6afa4b655327b84d4eac85711a43be01ef872bac"),
        (4, "d8fa825ad2dcb906c5cc05d24b5c9fd1fc099322388c46c48958e12eedecb029"),
    ],
)
def test_that_a_model_from_before_the_second_scale_is_still_the_same_one(version: int, digest: str) -> None:
    assert identity(load_model(GOLDEN / f"format-{version}.cfa")) == digest


def test_that_a_model_from_before_cross_calibration_says_that_its_images_were_held_out_once() -> None:
    assert load_model(GOLDEN / "format-5.cfa").config.training.calibration is Calibrating.SPLIT
    assert load_model(GOLDEN / "format-6.cfa").config.training.calibration is Calibrating.CROSS


def test_that_a_model_from_before_places_and_angles_varied_was_told_that_they_do_not() -> None:
    before, now = (load_model(GOLDEN / f"format-{version}.cfa").config.training for version in (6, 7))
    assert (before.position_variation, before.angle_variation) == (0.0, 0.0)
    assert (now.position_variation, now.angle_variation) == (0.1, 5.0)
    assert before.blur_variation == now.blur_variation == 0.0
