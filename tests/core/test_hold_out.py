import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import CancelledByUser, DatasetError
from core.hold_out import HoldOut, hold_out
from core.progress import CancelToken, Phase, Progress
from core.samples import Label, Sample


def named(count: int) -> list[Sample]:
    """Images that cannot be read: a part each."""
    return [Sample(Path(f"/nowhere/{n}.png"), f"{n}.png", None, "", None) for n in range(count)]


def shots(folder: Path, parts: int, times: int) -> list[Sample]:
    """Pictures of parts, each several times in another light; the number of the part stands last in the name."""
    samples = []
    for time, number in itertools.product(range(times), range(parts)):
        own = np.random.default_rng(number).normal(0.0, 30.0, (60, 80))
        path = folder / f"{time}-{number:02}.png"
        Image.fromarray(np.clip(100 + 20 * time + own, 0, 255).astype(np.uint8)).save(path)
        samples.append(Sample(path, path.name, Label.GOOD, "good", None))
    return samples


def shown(samples: list[Sample]) -> set[str]:
    return {sample.path.stem[-2:] for sample in samples}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100), st.floats(0, 0.5), st.integers(0, 2**31 - 1), st.randoms())
def test_that_the_halves_are_disjoint_whole_seeded_and_blind_to_order(
    count: int, share: float, seed: int, random: object
) -> None:
    samples = named(count)
    found = hold_out(samples, share, seed)
    assert set(found.images) == set(samples)
    assert not set(found.never_held_out) & set(found.held_out)
    assert set(found.never_held_out) | set(found.held_out) == set(samples)
    assert len(found.never_held_out) + len(found.held_out) == count
    assert found.never_held_out
    assert len(found.turns) == bool(found.held_out)
    assert abs(len(found.held_out) - share * count) <= 1
    assert bool(found.held_out) == (share > 0 and count > 1)
    assert found.part_count == count
    assert len(set(found.held_out_parts)) == len(found.held_out)
    shuffled = samples.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hold_out(shuffled, share, seed) == found


def test_that_another_seed_holds_out_other_images() -> None:
    draws = {tuple(sample.name for sample in hold_out(named(40), 0.2, seed).held_out) for seed in range(10)}
    assert len(draws) == 10


def test_that_of_nothing_nothing_can_be_held_out() -> None:
    with pytest.raises(DatasetError, match="no good image"):
        hold_out([], 0.2, 0)


@pytest.mark.parametrize("seed", range(4))
def test_that_all_images_of_a_part_are_held_out_or_none(tmp_path: Path, seed: int) -> None:
    samples = shots(tmp_path, 20, 3)
    found = hold_out(samples, 0.25, seed)
    assert len(found.held_out) == 15
    assert not shown(found.never_held_out) & shown(found.held_out)
    assert found.part_count == 20
    assert Counter(Counter(found.held_out_parts).values()) == {3: 5}
    of_part = dict(zip(found.held_out_parts, (sample.path.stem[-2:] for sample in found.held_out), strict=True))
    assert [of_part[part] for part in found.held_out_parts] == [sample.path.stem[-2:] for sample in found.held_out]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 120), st.floats(0.01, 0.5), st.integers(0, 2**31 - 1), st.integers(1, 60))
def test_that_turns_hold_out_other_images_until_enough_parts_were(
    count: int, share: float, seed: int, wanted: int
) -> None:
    samples = named(count)
    one, found = hold_out(samples, share, seed), hold_out(samples, share, seed, wanted)
    assert found.turns[0] == one.turns[0]  # the draw of one turn is that of the first of many
    size = len(one.held_out)
    assert all(0 < len(turn) <= size for turn in found.turns)
    assert len(set(found.held_out)) == len(found.held_out)
    assert len(found.turns) <= 10
    if len(found.turns) < 10:
        assert len(found.held_out) >= wanted or 2 * len(found.never_held_out) < size  # no turn for a few
    assert sum(map(len, found.turns[:-1])) < wanted


@pytest.mark.parametrize("seed", range(3))
def test_that_the_turns_hold_out_whole_parts_and_in_the_end_all_of_them(tmp_path: Path, seed: int) -> None:
    found = hold_out(shots(tmp_path, 20, 3), 0.2, seed, 1000)
    turns = [[found.images[index] for index in turn] for turn in found.turns]
    assert [len(turn) for turn in turns] == [12, 12, 12, 12, 12]
    assert sum(len(shown(turn)) for turn in turns) == 20
    assert found.never_held_out == []


def test_that_no_more_is_held_out_than_asked_for_where_parts_do_not_fit(tmp_path: Path) -> None:
    found = hold_out(shots(tmp_path, 8, 3), 0.2, 0)
    assert len(found.held_out) == 3  # of 24 a fifth would be 5
    assert len(set(found.held_out_parts)) == 1


def test_that_without_hold_out_no_image_is_read(tmp_path: Path) -> None:
    told: list[Progress] = []
    samples = shots(tmp_path, 3, 2)
    by_name = sorted(samples, key=lambda sample: sample.name)
    assert hold_out(samples, 0.0, 0, report=told.append) == HoldOut(by_name, (0, 1, 2, 3, 4, 5), ())
    assert not told


def test_that_each_image_read_is_told_of_and_a_cancel_is_heard(tmp_path: Path) -> None:
    told: list[Progress] = []
    samples, token = shots(tmp_path, 5, 2), CancelToken()
    hold_out(samples, 0.2, 0, report=told.append)
    assert told == [Progress(Phase.READING, done + 1, 10) for done in range(10)]  # too few to be compared
    told.clear()
    hold_out(named(20), 0.2, 0, report=told.append)
    assert {progress.phase for progress in told} == {Phase.READING}  # none can be read
    many = shots(tmp_path, 20, 2)
    told.clear()
    hold_out(many, 0.2, 0, report=told.append)
    assert [progress.phase for progress in told[:40]] == [Phase.READING] * 40
    assert {(progress.phase, progress.total) for progress in told[40:]} == {(Phase.PARTS, 40)}
    token.cancel()
    with pytest.raises(CancelledByUser):
        hold_out(samples, 0.2, 0, cancel=token)
