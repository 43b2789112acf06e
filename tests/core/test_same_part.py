import itertools
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.dataset import open_dataset
from core.hold_out import small_pictures
from core.same_part import SIDE, same_part

Picture = NDArray[np.uint8]


def nothing(_done: float) -> None:
    """Nobody listens."""


def part(seed: int) -> NDArray[np.float64]:
    """A part that looks like no other."""
    return np.random.default_rng(seed).normal(0.0, 30.0, (SIDE, SIDE))


def shot(
    of: NDArray[np.float64], seed: int, *, light: float = 1.0, shade: float = 120.0, grain: float = 4.0
) -> Picture:
    """A picture of it."""
    noise = np.random.default_rng(1000 + seed).normal(0.0, grain, (SIDE, SIDE))
    return np.clip(shade + light * of + noise, 0, 255).astype(np.uint8)


def parts_of(pictures: Sequence[Picture | None], largest: int = 10) -> list[int]:
    return same_part(pictures, largest, nothing)


def test_that_exposures_of_one_part_are_found_whatever_the_light() -> None:
    pictures = [
        shot(part(number), 10 * number + time, light=0.6 + 0.4 * time, shade=90 + 30 * time)
        for time, number in itertools.product(range(3), range(20))
    ]
    assert parts_of(pictures) == [*range(20)] * 3


@pytest.mark.parametrize("moved", [1, 2, 3])
def test_that_a_part_moved_between_two_shots_is_known_again(moved: int) -> None:
    large = [np.random.default_rng(number).normal(0.0, 30.0, (SIDE + 3, SIDE + 3)) for number in range(20)]
    still = [shot(of[:SIDE, :SIDE], number) for number, of in enumerate(large)]
    shifted = [shot(of[moved : SIDE + moved, 1 : SIDE + 1], 50 + number) for number, of in enumerate(large)]
    assert parts_of([*still, *shifted]) == [*range(20)] * 2


def test_that_parts_that_look_alike_are_not_taken_for_one() -> None:
    same_drawing = part(0)
    pictures = [shot(same_drawing + 0.5 * part(number), number) for number in range(1, 60)]
    assert parts_of(pictures) == [*range(59)]


def test_that_a_part_shot_twice_is_found_among_parts_that_look_alike() -> None:
    own = [part(0) + 0.5 * part(number) for number in range(1, 60)]
    pictures = [*(shot(of, number) for number, of in enumerate(own)), shot(own[7], 99), shot(own[30], 98, light=1.2)]
    assert parts_of(pictures) == [*range(59), 7, 30]


def test_that_of_parts_that_differ_in_how_they_lie_those_that_lie_alike_are_not_taken_for_one() -> None:
    """A smooth disc somewhere, in some light: whoever lies nearly alike is nearest in each patch."""
    random, (y, x) = np.random.default_rng(0), np.mgrid[:SIDE, :SIDE]
    pictures = []
    for number in range(200):
        top, left = random.uniform(20, 28, 2)
        size, light = random.uniform(12, 16), random.uniform(0.8, 1.2)
        disc = 1 / (1 + np.exp((np.hypot(y - top, x - left) - size) / 2))
        pictures.append(shot(90 * disc, number, light=light, shade=90, grain=1.5))
    assert len(set(parts_of(pictures))) > 190


def test_that_chance_joins_few_of_many_unlike_parts() -> None:
    pictures = [shot(part(number), number) for number in range(300)]
    assert len(set(parts_of(pictures))) > 290


@pytest.mark.parametrize("count", [1, 2, 3, 6, 15, 16, 30])
def test_that_of_few_pictures_none_are_joined_by_chance(count: int) -> None:
    assert parts_of([shot(part(0), number, grain=10) for number in range(count)]) == [*range(count)]


def test_that_pictures_with_nothing_on_them_are_not_joined() -> None:
    assert parts_of([np.full((SIDE, SIDE), 40 + number, np.uint8) for number in range(30)]) == [*range(30)]


def test_that_a_small_part_on_an_empty_ground_is_found() -> None:
    pictures = []
    for time, number in itertools.product(range(2), range(20)):
        picture = np.full((SIDE, SIDE), 128, np.uint8)
        picture[9:39, 9:39] = shot(part(number), 10 * number + time)[9:39, 9:39]
        pictures.append(picture)
    assert parts_of(pictures) == [*range(20)] * 2


def test_that_what_cannot_be_read_is_a_part_of_its_own() -> None:
    pictures = [shot(part(number), 10 * number + time) for time, number in itertools.product(range(2), range(20))]
    assert parts_of([None, *pictures, None]) == [0, *[*range(1, 21)] * 2, 21]
    assert parts_of([None, None]) == [0, 1]
    assert parts_of([]) == []


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 8))
def test_that_no_part_is_larger_than_allowed(largest: int) -> None:
    pictures = [shot(part(number // 8), number) for number in range(40)]
    sizes = Counter(parts_of(pictures, largest)).values()
    assert max(sizes) <= largest
    assert largest < 2 or max(sizes) > largest // 2


def test_that_the_work_done_is_told_and_may_be_stopped() -> None:
    told: list[float] = []
    same_part([shot(part(number), number) for number in range(20)], 2, told.append)
    assert told == sorted(told)
    assert 0.0 <= told[0] < 0.1 < 0.9 < told[-1] <= 1.0

    def stop(_done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        same_part([shot(part(number), number) for number in range(20)], 2, stop)


@pytest.mark.skipif("CFA_DATA" not in os.environ, reason="CFA_DATA (folder of bottle and magnetic_tile) is not set")
def test_on_real_tiles_that_six_exposures_of_a_tile_are_found() -> None:
    good = sorted(open_dataset(Path(os.environ["CFA_DATA"]) / "magnetic_tile").good, key=lambda sample: sample.name)
    parts = parts_of(small_pictures(good), 150)
    numbers = [int(re.findall(r"\d+", sample.path.stem)[1]) for sample in good]  # those of a tile lie close together
    joined = [(a, b) for a, b in itertools.combinations(range(len(good)), 2) if parts[a] == parts[b]]
    assert 150 < len(set(parts)) < 220
    assert np.mean([abs(numbers[a] - numbers[b]) < 400 for a, b in joined]) > 0.9
