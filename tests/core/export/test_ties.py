"""Where a patch is as near to two centres runtimes choose differently: the check tells that from a mistake."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from core.export.parity import compare
from core.export.words import Parity
from core.inspection import Inspector
from core.presets import preset
from core.progress import silent
from core.threshold import judge, manual_threshold

Map = NDArray[np.float32]
SIDE, PATCH = 64, (slice(30, 34), slice(30, 34))
"""Of a map; a patch, 16 of its 4,096 pixels, where it is highest."""
FIRST_DRAWN = "drawn 64 × 64"


def original_map() -> Map:
    values = np.full((SIDE, SIDE), 0.5, np.float32)
    values[PATCH] = 1.0
    return values


def in_the_patch(share: float) -> Callable[[Map], Map]:
    def alter(values: Map) -> Map:
        altered = values.copy()
        altered[PATCH] *= 1 + share
        return altered

    return alter


def parity_where(alter: Callable[[Map], Map], images: int, threshold: float = 2.0) -> Parity:
    """That of a model which gives other maps for the first of the eight drawn images."""
    line = manual_threshold(threshold)
    seen: list[int] = []

    def exported(picture: NDArray[np.uint8]) -> tuple[Map, float, str]:
        seen.append(len(seen))
        values = alter(original_map()) if len(seen) <= images else original_map()
        return values, float(values.max()), judge(float(values.max()), line).value

    original = SimpleNamespace(
        trained=SimpleNamespace(config=preset("fast")),
        inspect=lambda picture: SimpleNamespace(anomaly_map=original_map(), score=1.0),
    )
    model: Any = SimpleNamespace(inspect=exported)
    return compare(cast("Inspector", original), model, line, (), report=silent, cancel=None)


def test_that_one_patch_as_near_to_two_centres_is_told_and_allowed() -> None:
    parity = parity_where(in_the_patch(0.003), images=1)
    assert parity.holds
    assert [tie.name for tie in parity.ties] == [FIRST_DRAWN]
    assert parity.largest.relative == 0.0
    assert parity.sentence().endswith(
        "On 1 image a patch is as near to one centre as to another, and the score differs by 3.0e-03 "
        f"(allowed 0.01): {FIRST_DRAWN}."
    )
    assert parity.to_json()["ties"][0]["name"] == FIRST_DRAWN


@pytest.mark.parametrize(
    ("alter", "images"),
    [
        pytest.param(lambda values: values * np.float32(1.003), 1, id="the whole map differs"),
        pytest.param(in_the_patch(0.02), 1, id="by more than a tie does"),
        pytest.param(in_the_patch(0.003), 2, id="too many images"),
    ],
)
def test_that_what_is_no_tie_is_refused(alter: Callable[[Map], Map], images: int) -> None:
    parity = parity_where(alter, images)
    assert not parity.holds
    assert parity.ties == ()
    assert parity.largest.name == FIRST_DRAWN


def test_that_a_tie_must_not_change_a_verdict() -> None:
    parity = parity_where(in_the_patch(0.003), images=1, threshold=1.001)
    assert len(parity.ties) == 1
    assert not parity.holds


def test_that_a_small_difference_is_no_tie() -> None:
    parity = parity_where(in_the_patch(0.0005), images=8)
    assert parity.holds and parity.ties == () and parity.tie_sentence() == ""
