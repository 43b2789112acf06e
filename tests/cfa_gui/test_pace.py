"""How fast a task goes and how long it still takes."""

from collections.abc import Iterator

import pytest

from cfa_gui.models.pace import Estimate, Pace, TrainingPace, clock_text
from core.config import Config
from core.presets import preset
from core.progress import Phase, Progress

FIT = (Phase.BANK, Phase.CLUSTERING, Phase.TRAINING, Phase.MEASURING, Phase.SHAPES)
IMAGES = 100
REPORTS = 10


def test_that_the_time_left_follows_from_the_rate_of_the_phase() -> None:
    pace = Pace()
    first = pace.update(Progress(Phase.FEATURES, 0, 100), 0.0)
    assert (first.seconds_left, first.share) == (None, 0.0)
    estimate = pace.update(Progress(Phase.FEATURES, 20, 100), 2.0)
    assert estimate.rate == pytest.approx(10)
    assert estimate.seconds_left == pytest.approx(8)
    assert estimate.share == pytest.approx(0.2)
    assert pace.update(Progress(Phase.TRAINING, 0, 30, "epochs"), 3.0).rate is None
    assert pace.update(Progress(Phase.READING, 7, 0), 4.0).share is None


def test_that_times_read_as_a_clock() -> None:
    assert [clock_text(value) for value in (0, 41.4, 61, 3729)] == ["0:00", "0:41", "1:01", "1:02:09"]


def steps(members: int, turns: int, shapes: float = 7.0) -> Iterator[tuple[Progress, float]]:
    """Each phase of a training as the engine tells it, and how many seconds it takes on some slow machine."""
    larger = {1: 1.0, 2: 2.5}
    long = {Phase.FEATURES: 9.0, Phase.BANK: 1.0, Phase.CLUSTERING: 8.0, Phase.TRAINING: 14.0, Phase.MEASURING: 5.0}
    yield Progress(Phase.READING, 0, IMAGES), 1.0
    yield Progress(Phase.PARTS, 0, IMAGES), 1.0
    for member in range(1, members + 1):
        yield Progress(Phase.FEATURES, 0, IMAGES, part=member, parts=members, turns=turns), 9.0
        for turn in range(turns + 1):
            for phase in FIT:
                seconds = long.get(phase, shapes) * (0.8 if turn else 1.0) * larger[member]
                yield Progress(phase, 0, 40, part=member, parts=members, turn=turn, turns=turns), seconds
    if members > 1:
        for member in range(1, members + 1):
            yield Progress(Phase.CALIBRATING, 0, 20 * turns, part=member, parts=members), 5.0 * turns * larger[member]
    together = sum(larger[member] for member in range(1, members + 1))
    yield Progress(Phase.CALIBRATING, 0, 20 * max(1, turns)), 5.0 * max(1, turns) * together


def told(config: Config, members: int, turns: int, shapes: float = 7.0) -> list[tuple[float, Progress, Estimate]]:
    """What is said of that training: seconds since it began, the report and the estimate."""
    pace, now, said = TrainingPace(config, IMAGES), 1000.0, []
    for first, seconds in steps(members, turns, shapes):
        for number in range(REPORTS + 1):
            done = first.total * number / REPORTS
            progress = Progress(
                first.phase, done, first.total, part=first.part, parts=first.parts, turn=first.turn, turns=first.turns
            )
            said.append((now - 1000.0, progress, pace.update(progress, now)))
            now += seconds / REPORTS if number < REPORTS else 0.0
    return said


CASES = {
    "in turns": (preset("standard"), 1, 2),
    "many turns": (preset("standard"), 1, 5),
    "once": (preset("standard").with_changes(calibration="split"), 1, 0),
    "ensemble": (preset("thorough"), 2, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_that_the_bar_of_a_training_goes_forward_through_all_phases_and_ends_full(case: str) -> None:
    shares = [estimate.share for _, _, estimate in told(*CASES[case])]
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("case", CASES)
def test_that_the_time_left_is_that_of_the_whole_training(case: str) -> None:
    said = told(*CASES[case])
    end = said[-1][0]
    guesses = [(end - now, progress, estimate.seconds_left) for now, progress, estimate in said]
    known = [(true, progress, guess) for true, progress, guess in guesses if guess is not None]
    assert len(known) > len(said) - 3 * REPORTS - 3
    assert all(guess < 3 * true + 20 for true, _, guess in known)
    in_turns = [(true, guess) for true, progress, guess in known if progress.turn]
    assert all(guess == pytest.approx(true, rel=0.35) for true, guess in in_turns)


@pytest.mark.parametrize("shapes", [1.0, 20.0])
def test_that_a_phase_that_takes_unusually_long_or_short_is_expected_to_do_so_again(shapes: float) -> None:
    said = [(progress, estimate.seconds_left) for _, progress, estimate in told(preset("standard"), 1, 5, shapes)]
    before = [left for progress, left in said if progress.turn == 5 and progress.phase is Phase.MEASURING][-1]
    after = next(left for progress, left in said if progress.phase is Phase.CALIBRATING)
    assert before is not None
    assert after is not None
    assert before - after == pytest.approx(0.8 * shapes, abs=3)  # the turns have four fifths of the images


def test_that_a_training_gone_on_with_is_told_too() -> None:
    """Memory bank and epochs are there already; the engine passes them over."""
    pace = TrainingPace(preset("standard"), IMAGES)
    pace.update(Progress(Phase.FEATURES, 0, IMAGES, turns=2), 0.0)
    pace.update(Progress(Phase.FEATURES, IMAGES, IMAGES, turns=2), 10.0)
    estimate = pace.update(Progress(Phase.MEASURING, 10, IMAGES, turns=2), 11.0)
    assert estimate.seconds_left is not None
    assert 0 < estimate.seconds_left < 1000


def test_that_a_training_that_holds_nothing_out_ends_with_its_last_phase() -> None:
    pace = TrainingPace(preset("standard").with_changes(holdout=0.0), IMAGES)
    last, now = Estimate(), 0.0
    for phase in (Phase.READING, Phase.FEATURES, *FIT):
        for done in (0, 20, 40):
            last, now = pace.update(Progress(phase, done, 40), now), now + 2.0
    assert last.share == pytest.approx(1)
    assert last.seconds_left == pytest.approx(0)
