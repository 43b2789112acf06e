from collections.abc import Sequence

import numpy as np
import pytest

from core.exposure import exposures
from core.images import read_image
from core.inspection import Inspector
from core.samples import Sample
from core.training import train
from tests.core.parts import TINY, picture


def test_that_steady_light_leaves_the_picture_alone() -> None:
    canvas = picture(0)
    (alone,) = exposures(canvas, 0.0)
    assert alone is canvas


def test_that_varying_light_adds_a_darker_and_a_brighter_picture() -> None:
    canvas = np.array([[[0, 10, 100], [200, 240, 255]]], np.uint8)
    as_it_is, darker, brighter = exposures(canvas, 0.1)
    np.testing.assert_array_equal(as_it_is, canvas)
    np.testing.assert_array_equal(darker, [[[0, 9, 90], [180, 216, 230]]])
    np.testing.assert_array_equal(brighter, [[[0, 11, 110], [220, 255, 255]]])


@pytest.mark.usefixtures("shared_backbone")
def test_that_a_model_told_that_light_varies_takes_a_darker_part_for_less_of_a_defect(parts: Sequence[Sample]) -> None:
    config = TINY.with_changes(epochs=0, bank="global", bank_ratio=2, score="tangent", descriptor_start="orthogonal")
    steady = train(parts, config, device="cpu")
    varying = train(parts, config.with_changes(light_variation=0.3), device="cpu")
    dark = (read_image(parts[0].path) * 0.7).astype(np.uint8)
    scores = [Inspector(model, device="cpu").inspect(dark).score for model in (steady, varying)]
    assert scores[1] < 0.7 * scores[0]
    assert varying.summary.images == steady.summary.images
