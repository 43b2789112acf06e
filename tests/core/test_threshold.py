import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ThresholdError
from core.threshold import (
    BestF1,
    FalseAlarmRate,
    Manual,
    Threshold,
    Verdict,
    best_f1_threshold,
    false_alarm_threshold,
    images_needed,
    judge,
    manual_threshold,
    smallest_rate,
)
from core.trained_model import Calibration

scores_with_ties = st.lists(st.integers(0, 12).map(lambda i: i / 8), min_size=2, max_size=40)
finite = st.floats(-1e6, 1e6)


# --- the promise -----------------------------------------------------------------------------------------------------


@given(scores_with_ties, st.integers(1, 60).map(lambda p: p / 100))
def test_that_over_every_choice_of_the_next_part_the_share_flagged_stays_within_the_rate(
    scores: list[float], rate: float
) -> None:
    """Exchangeable parts: each of the n + 1 is equally likely to be the next one. The mean is exact, no sampling."""
    if len(scores) - 1 < images_needed(rate):
        return
    flagged = 0
    for i, score in enumerate(scores):
        threshold = false_alarm_threshold(scores[:i] + scores[i + 1 :], rate)
        flagged += judge(score, threshold) is Verdict.DEFECT
    assert Fraction(flagged, len(scores)) <= Fraction(str(rate))


def test_that_over_many_random_splits_the_false_alarm_rate_stays_within_the_promise_and_near_it() -> None:
    rng = np.random.default_rng(0)
    held_out, splits, rate = 39, 4000, 0.1
    draws = rng.lognormal(size=(splits, held_out + 1))
    flagged = np.mean([row[-1] > false_alarm_threshold(row[:-1], rate).value for row in draws])
    assert 0.08 < flagged <= rate + 2.5 * math.sqrt(rate * (1 - rate) / splits)


@given(
    st.lists(st.lists(st.integers(0, 12).map(lambda i: i / 8), min_size=1, max_size=5), min_size=2, max_size=14),
    st.integers(1, 60).map(lambda p: p / 100),
)
def test_that_over_every_choice_of_the_next_part_with_all_its_images_the_share_flagged_stays_within_the_rate(
    parts: list[list[float]], rate: float
) -> None:
    """Exchangeable parts of several images each. The mean is exact, no sampling."""
    if len(parts) - 1 < images_needed(rate):
        return
    flagged = Fraction(0)
    for i, images in enumerate(parts):
        others = [(score, number) for number, part in enumerate(parts) for score in part if number != i]
        threshold = false_alarm_threshold([score for score, _ in others], rate, [number for _, number in others])
        flagged += Fraction(sum(judge(score, threshold) is Verdict.DEFECT for score in images), len(images))
    assert flagged / len(parts) <= Fraction(str(rate))


def test_that_each_part_counts_alike_however_many_images_it_has() -> None:
    scores = [0.1, 0.2, 0.3, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    parts = [0, 1, 2, 3, 3, 3, 3, 3, 3]
    assert false_alarm_threshold(scores, 0.2, parts).value == 0.9  # 4 parts of 5: all of each
    assert false_alarm_threshold(scores, 0.3, parts).value == 0.6  # 3.5 parts of 5: half of the last one
    assert false_alarm_threshold(scores, 0.3).value == 0.7  # the 7th of 9 images


@given(scores_with_ties, st.integers(1, 60).map(lambda p: p / 100))
def test_that_with_one_image_of_each_part_the_parts_change_nothing(scores: list[float], rate: float) -> None:
    if len(scores) >= images_needed(rate):
        assert false_alarm_threshold(scores, rate, range(7, 7 + len(scores))) == false_alarm_threshold(scores, rate)


def test_that_numbers_of_parts_belong_to_the_scores() -> None:
    with pytest.raises(ValueError, match="3 scores but 2 numbers"):
        false_alarm_threshold([0.1, 0.2, 0.3], 0.5, [0, 1])


@given(st.integers(1, 1000), st.integers(1, 99))
def test_that_the_rank_is_exact_for_every_whole_percentage(images: int, percent: int) -> None:
    rate = percent / 100
    rank = -((images + 1) * (percent - 100) // 100)  # ceil((n + 1)(1 - p/100)) in integers
    if rank > images:
        with pytest.raises(ThresholdError):
            false_alarm_threshold(np.arange(1, images + 1), rate)
    else:
        assert false_alarm_threshold(np.arange(1, images + 1), rate).value == rank


@pytest.mark.parametrize(("images", "rate", "rank"), [(9, 0.1, 9), (19, 0.05, 19), (99, 0.07, 93), (999, 0.001, 999)])
def test_that_products_that_floats_round_up_do_not_move_the_rank(images: int, rate: float, rank: int) -> None:
    scores = np.random.default_rng(1).permutation(np.arange(1, images + 1))
    assert false_alarm_threshold(scores, rate).value == rank


@given(st.integers(1, 5000))
def test_that_the_smallest_rate_is_granted_and_nothing_below_it_is(images: int) -> None:
    rate = smallest_rate(images)
    assert rate == pytest.approx(1 / (images + 1), rel=1e-14)
    assert images_needed(rate) == images
    assert images_needed(math.nextafter(rate, 0.0)) == images + 1
    assert false_alarm_threshold(np.arange(images), rate).value == images - 1


def test_that_too_few_images_are_told_what_they_can_promise_and_how_many_are_needed() -> None:
    with pytest.raises(ThresholdError) as caught:
        false_alarm_threshold(np.arange(20), 0.001)
    assert str(caught.value) == (
        "20 held-out good images can promise a false-alarm rate of 4.8 % at best; 0.1 % needs 999. "
        "Hold out more images or ask for a higher rate."
    )
    with pytest.raises(ThresholdError, match=r"^1 held-out good image can promise .* of 50 % at best"):
        false_alarm_threshold([0.3], 0.05)
    with pytest.raises(
        ThresholdError, match=r"^20 .* images of 5 parts can promise .* 17 % at best; 5 % needs 19 parts"
    ):
        false_alarm_threshold(np.arange(20), 0.05, [number // 4 for number in range(20)])


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_that_a_rate_outside_0_to_1_is_refused(rate: float) -> None:
    for ask in (lambda: false_alarm_threshold([1.0, 2.0, 3.0], rate), lambda: images_needed(rate)):
        with pytest.raises(ThresholdError, match="use a share above 0 and below 1"):
            ask()


def test_that_no_image_promises_nothing() -> None:
    with pytest.raises(ThresholdError, match="No good image is held out"):
        smallest_rate(0)


@pytest.mark.parametrize("scores", [[], [1.0, math.nan, 2.0], [1.0, math.inf], [-math.inf]])
def test_that_empty_or_broken_scores_set_no_threshold(scores: list[float]) -> None:
    with pytest.raises(ThresholdError):
        false_alarm_threshold(scores, 0.5)
    with pytest.raises(ThresholdError):
        best_f1_threshold(scores, [i == 0 for i in range(len(scores))])


def test_that_float32_scores_keep_their_value() -> None:
    scores = np.array([0.1, 0.2, 0.3], np.float32)
    threshold = false_alarm_threshold(scores, 0.25)
    assert threshold.value == float(np.float32(0.3))
    assert judge(float(scores[2]), threshold) is Verdict.GOOD


# --- best F1 ---------------------------------------------------------------------------------------------------------


def slow_f1(scores: list[float], labels: list[bool], value: float) -> float:
    flagged = [score > value for score in scores]
    found = sum(f and d for f, d in zip(flagged, labels, strict=True))
    return 2 * found / (sum(flagged) + sum(labels))


labelled = st.lists(st.tuples(st.integers(0, 10).map(lambda i: i / 4), st.booleans()), min_size=2, max_size=30).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


@given(labelled)
def test_that_no_cut_has_a_higher_f1_and_the_one_taken_lies_halfway_in_the_widest_gap(
    pairs: list[tuple[float, bool]],
) -> None:
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    threshold = best_f1_threshold(scores, labels)
    distinct = sorted(set(scores))
    cuts = [distinct[0] - 1.0] + [(a + b) / 2 for a, b in itertools.pairwise(distinct)] + [distinct[-1] + 1.0]
    gaps = [0.0] + [b - a for a, b in itertools.pairwise(distinct)] + [0.0]
    reached = [slow_f1(scores, labels, cut) for cut in cuts]
    best = slow_f1(scores, labels, threshold.value)
    assert best == max(reached)
    assert threshold.policy == BestF1(len(scores), best)
    equal = [i for i, f1 in enumerate(reached) if f1 == best]
    widest = max(equal, key=lambda i: (gaps[i], -i))
    if widest == 0:
        assert threshold.value < distinct[0]
    else:
        assert threshold.value == cuts[widest]


@given(st.lists(st.tuples(finite, st.booleans()), min_size=2, max_size=20))
@settings(max_examples=200)
def test_that_the_threshold_flags_exactly_what_its_f1_counts_even_between_neighbouring_floats(
    pairs: list[tuple[float, bool]],
) -> None:
    close = [math.nextafter(score, math.inf) for score, _ in pairs]
    scores, labels = [s for s, _ in pairs] + close, [d for _, d in pairs] + [not d for _, d in pairs]
    threshold = best_f1_threshold(scores, labels)
    assert math.isfinite(threshold.value)
    assert isinstance(threshold.policy, BestF1)
    assert slow_f1(scores, labels, threshold.value) == threshold.policy.f1


def test_that_a_clean_gap_is_parted_in_its_middle() -> None:
    assert best_f1_threshold([0.0, 1.0, 3.0, 4.0], [False, False, True, True]) == Threshold(2.0, BestF1(4, 1.0))


def test_that_of_cuts_alike_in_f1_and_gap_the_lowest_is_taken() -> None:
    labels = [True, False, False, True, False]  # F1 is 2/3 above 4 and above 1
    assert best_f1_threshold([5.0, 4.0, 3.0, 2.0, 1.0], labels).value == 1.5


def test_that_where_flagging_everything_is_best_the_threshold_is_finite_and_below_all() -> None:
    assert best_f1_threshold([1.0, 2.0, 3.0], [True, True, False]).value == 0.5
    assert best_f1_threshold([2.0, 2.0], [True, False]).value < 2.0


@pytest.mark.parametrize(("label", "word"), [(True, "good"), (False, "defective")])
def test_that_labels_of_one_kind_are_refused_in_words(label: bool, word: str) -> None:
    with pytest.raises(ThresholdError, match=f"none is {word}"):
        best_f1_threshold([1.0, 2.0], [label, label])


# --- by hand, verdicts, sentences, JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_that_a_threshold_or_lower_line_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ThresholdError, match="finite"):
        manual_threshold(value)
    with pytest.raises(ThresholdError, match="finite"):
        manual_threshold(1.0, lower=value)


def test_that_the_lower_line_may_not_pass_the_threshold() -> None:
    assert manual_threshold(1.0).with_lower(1.0).lower == 1.0
    with pytest.raises(ThresholdError, match="must not be above"):
        manual_threshold(1.0).with_lower(1.5)


def test_that_a_part_is_flagged_only_strictly_above_the_threshold() -> None:
    threshold = manual_threshold(1.0)
    assert judge(1.0, threshold) is Verdict.GOOD
    assert judge(math.nextafter(1.0, 2.0), threshold) is Verdict.DEFECT


def test_that_between_the_two_lines_a_part_is_uncertain() -> None:
    threshold = manual_threshold(1.0, lower=0.5)
    verdicts = [judge(score, threshold) for score in (0.5, 0.6, 1.0, 1.1)]
    assert verdicts == [Verdict.GOOD, Verdict.UNCERTAIN, Verdict.UNCERTAIN, Verdict.DEFECT]


def test_that_a_score_that_is_not_a_number_never_passes_as_good() -> None:
    with pytest.raises(ThresholdError, match="not a number"):
        judge(math.nan, manual_threshold(1.0))


def test_that_the_sentences_say_how_the_threshold_was_chosen() -> None:
    good = Threshold(1.0, FalseAlarmRate(0.05, 40))
    assert good.sentence() == (
        "Set from 40 held-out good images: the chance that the next good part is flagged is at most 5 %."
    )
    assert Threshold(1.0, FalseAlarmRate(0.0005, 1)).sentence().startswith("Set from 1 held-out good image:")
    assert (
        Threshold(1.0, FalseAlarmRate(0.05, 40, 20))
        .sentence()
        .startswith("Set from 40 held-out good images of 20 parts:")
    )
    assert Threshold(1.0, FalseAlarmRate(0.05, 40, 40)).sentence() == good.sentence()
    assert "at most 7.7 %" in Threshold(1.0, FalseAlarmRate(smallest_rate(12), 12)).sentence()
    assert "at most 0.05 %" in Threshold(1.0, FalseAlarmRate(0.0005, 1999)).sentence()
    assert Threshold(1.0, BestF1(83, 0.95349)).sentence() == (
        "Set where F1 is highest on 83 labelled images: F1 is 0.953."
    )
    assert manual_threshold(1.0, lower=0.5).sentence() == "Set by hand. Scores above 0.5 are uncertain."


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "It flags 3 of 3 held-out good images."),
        (2.0, "It flags 1 of 3 held-out good images."),
        (3.0, "It flags none of 3 held-out good images."),
    ],
)
def test_that_where_nothing_is_promised_the_held_out_images_flagged_are_told(value: float, words: str) -> None:
    calibration = Calibration(("a", "b", "c"), (1.0, 2.0, 3.0), (0, 0, 1))
    assert calibration.sentence(manual_threshold(value)) == f"Set by hand. {words}"
    assert calibration.sentence(Threshold(value, BestF1(9, 0.5))).endswith(f"F1 is 0.500. {words}")


def test_that_held_out_images_count_as_good_beside_labelled_ones() -> None:
    calibration = Calibration(("a", "b", "c"), (1.0, 2.0, 3.0))
    scores, defect = calibration.beside([2.5, 5.0], [True, True])
    assert scores.tolist() == [2.5, 5.0, 1.0, 2.0, 3.0]
    assert defect.tolist() == [True, True, False, False, False]
    best = best_f1_threshold(scores, defect)
    assert 2.0 < best.value < 2.5
    assert best.policy == BestF1(5, 0.8)


def test_that_a_promise_and_a_model_without_held_out_images_have_the_threshold_s_own_sentence() -> None:
    promised = false_alarm_threshold([1.0, 2.0, 3.0], 0.5)
    assert Calibration(("a", "b", "c"), (1.0, 2.0, 3.0)).sentence(promised) == promised.sentence()
    assert Calibration().sentence(manual_threshold(1.0)) == "Set by hand."


def test_that_the_second_line_is_told_last() -> None:
    told = Calibration(("a", "b"), (1.0, 3.0)).sentence(manual_threshold(2.0, lower=1.5))
    assert told == "Set by hand. It flags 1 of 2 held-out good images. Scores above 1.5 are uncertain."


policies = st.one_of(
    st.builds(FalseAlarmRate, st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(1, 10**6)),
    st.builds(FalseAlarmRate, st.just(0.05), st.integers(40, 10**6), st.integers(1, 40)),
    st.builds(BestF1, st.integers(1, 10**6), st.floats(0, 1)),
    st.builds(Manual),
)


@given(finite, policies, st.one_of(st.none(), st.floats(0, 10)))
def test_that_json_brings_back_every_bit(value: float, policy: FalseAlarmRate | BestF1 | Manual, below: float) -> None:
    threshold = Threshold(value, policy, None if below is None else value - below)
    assert Threshold.from_json(json.loads(json.dumps(threshold.to_json()))) == threshold


def test_that_of_parts_nothing_is_written_where_each_image_shows_its_own() -> None:
    assert "parts" not in Threshold(1.0, FalseAlarmRate(0.05, 40)).to_json()["policy"]


@pytest.mark.parametrize(
    "damage",
    [
        {"value": None},
        {"value": "high"},
        {"value": math.nan},
        {"lower": "x"},
        {"lower": 9.0},
        {"policy": None},
        {"policy": {}},
        {"policy": {"kind": "guess"}},
        {"policy": {"kind": "manual", "rate": 0.1}},
        {"policy": {"kind": "false_alarm_rate", "rate": 2.0, "images": 40}},
        {"policy": {"kind": "false_alarm_rate", "rate": "x", "images": 40}},
        {"policy": {"kind": "false_alarm_rate", "rate": 0.1, "images": 40, "parts": 41}},
        {"policy": {"kind": "false_alarm_rate", "rate": 0.1, "images": 40, "parts": "x"}},
        {"policy": {"kind": "best_f1", "f1": 0.5, "images": 0}},
    ],
)
def test_that_a_damaged_threshold_is_refused_in_words(damage: dict[str, object]) -> None:
    with pytest.raises(ThresholdError):
        Threshold.from_json(manual_threshold(1.0).to_json() | damage)


@pytest.mark.parametrize("missing", ["value", "lower", "policy"])
def test_that_a_threshold_with_a_part_missing_is_refused_in_words(missing: str) -> None:
    data = manual_threshold(1.0).to_json()
    del data[missing]
    with pytest.raises(ThresholdError, match=missing):
        Threshold.from_json(data)
