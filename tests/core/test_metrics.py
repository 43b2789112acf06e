import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from sklearn import metrics as peer  # type: ignore[import-untyped]

from core.errors import ConfigError, DatasetError
from core.metrics import (
    Confusion,
    PixelMetrics,
    SortedScores,
    average_precision,
    confusion,
    f1_max,
    image_auroc,
    precision_recall_curve,
    roc_curve,
)

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

labelled = st.lists(st.tuples(st.integers(-8, 8).map(lambda i: i / 4), st.booleans()), min_size=2, max_size=40)
both_kinds = labelled.filter(lambda pairs: len({label for _, label in pairs}) == 2)


def split(pairs: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], Mask]:
    return np.array([score for score, _ in pairs]), np.array([label for _, label in pairs])


# --- images ----------------------------------------------------------------------------------------------------------


def test_that_the_ratios_are_those_of_the_field() -> None:
    counts = Confusion(true_good=50, false_alarm=10, missed=5, true_defect=15)
    assert counts.precision == 15 / 25
    assert counts.recall == 15 / 20
    assert counts.f1 == pytest.approx(2 * 0.6 * 0.75 / (0.6 + 0.75))
    assert counts.false_alarm_rate == 10 / 60
    assert counts.miss_rate == 5 / 20
    assert counts.accuracy == 65 / 80


def test_that_a_ratio_without_a_denominator_is_none_and_never_a_division_by_zero() -> None:
    nothing = Confusion(0, 0, 0, 0)
    assert {
        nothing.precision,
        nothing.recall,
        nothing.f1,
        nothing.false_alarm_rate,
        nothing.miss_rate,
        nothing.accuracy,
    } == {None}
    only_good = Confusion(true_good=7, false_alarm=0, missed=0, true_defect=0)
    assert (only_good.precision, only_good.recall, only_good.false_alarm_rate) == (None, None, 0.0)


@given(labelled, st.integers(-9, 9).map(lambda i: i / 4))
def test_that_the_counts_are_those_of_comparing_one_by_one(pairs: list[tuple[float, bool]], value: float) -> None:
    expected = Confusion(
        true_good=sum(score <= value and not label for score, label in pairs),
        false_alarm=sum(score > value and not label for score, label in pairs),
        missed=sum(score <= value and label for score, label in pairs),
        true_defect=sum(score > value and label for score, label in pairs),
    )
    assert confusion(*split(pairs), value) == expected
    assert SortedScores(*split(pairs)).confusion_at(value) == expected


def test_that_no_image_at_all_counts_nothing() -> None:
    assert SortedScores([], []).confusion_at(0.5) == Confusion(0, 0, 0, 0)


@given(both_kinds)
def test_that_the_areas_agree_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    assert image_auroc(scores, labels) == pytest.approx(peer.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(peer.average_precision_score(labels, scores), abs=1e-12)


@given(both_kinds)
def test_that_the_curves_agree_with_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    ours, theirs = roc_curve(scores, labels), peer.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(ours.false_alarm_rate, theirs[0], atol=1e-12)
    np.testing.assert_allclose(ours.recall, theirs[1], atol=1e-12)
    curve, (precision, recall, _) = precision_recall_curve(scores, labels), peer.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(curve.precision, precision[::-1], atol=1e-12)
    np.testing.assert_allclose(curve.recall, recall[::-1], atol=1e-12)


@given(both_kinds)
def test_that_each_point_of_a_curve_is_what_its_threshold_gives(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    roc, curve, table = roc_curve(scores, labels), precision_recall_curve(scores, labels), SortedScores(scores, labels)
    for i, value in enumerate(roc.thresholds):
        counts = table.confusion_at(float(value))
        assert (counts.false_alarm_rate, counts.recall) == (roc.false_alarm_rate[i], roc.recall[i])
        assert (1.0 if counts.precision is None else counts.precision) == curve.precision[i]
    np.testing.assert_array_equal(roc.thresholds, curve.thresholds)


@given(both_kinds)
def test_that_f1_max_is_the_top_of_scikit_learns_curve_and_its_threshold_reaches_it(
    pairs: list[tuple[float, bool]],
) -> None:
    scores, labels = split(pairs)
    best, value = f1_max(scores, labels)
    precision, recall, _ = peer.precision_recall_curve(labels, scores)
    assert best == pytest.approx((2 * precision * recall / np.maximum(precision + recall, 1e-12)).max(), abs=1e-9)
    assert confusion(scores, labels, value).f1 == best


@pytest.mark.parametrize("figure", [image_auroc, average_precision, f1_max, roc_curve, precision_recall_curve])
def test_that_a_figure_of_one_kind_of_image_is_refused_in_words(figure: Callable[..., object]) -> None:
    with pytest.raises(DatasetError, match="none is defective"):
        figure([1.0, 2.0], [False, False])
    with pytest.raises(DatasetError, match="none is good"):
        figure([1.0, 2.0], [True, True])
    with pytest.raises(DatasetError, match="not finite"):
        figure([1.0, np.nan], [True, False])


def test_that_importing_the_metrics_brings_in_nothing_slow() -> None:
    code = "import sys, core.metrics; sys.exit(bool({'scipy', 'sklearn', 'cv2', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- pixels ----------------------------------------------------------------------------------------------------------


def some_maps(seed: int, images: int = 4, levels: int | None = None) -> list[tuple[Map, Mask]]:
    """Small maps with blobs of defects, some maps without; few levels make ties."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(images):
        height, width = rng.integers(5, 14, 2)
        mask = rng.random((height, width)) < (0.0 if i == 1 else 0.25)
        values = rng.normal(size=mask.shape) + 1.2 * mask
        if levels is not None:
            values = np.round(values * levels / 4)
        found.append((values.astype(np.float32), mask))
    return found


def of(maps: list[tuple[Map, Mask]]) -> PixelMetrics:
    pixels = PixelMetrics()
    for anomaly_map, mask in maps:
        pixels.add(anomaly_map, mask)
    return pixels


def flat(maps: list[tuple[Map, Mask]]) -> tuple[Map, Mask]:
    return np.concatenate([m.ravel() for m, _ in maps]), np.concatenate([m.ravel() for _, m in maps])


def slow_aupro(maps: list[tuple[Map, Mask]], limit: float) -> float:
    """One threshold at a time, one region at a time; then the area, in 200,000 thin slices."""
    values, defective = flat(maps)
    regions = []
    for anomaly_map, mask in maps:
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [anomaly_map[labels == k] for k in range(1, count + 1)]
    thresholds = [np.inf, *np.unique(values)[::-1], -np.inf]
    rate = np.array([(values[~defective] >= value).mean() for value in thresholds])
    overlap = np.array([np.mean([(region >= value).mean() for region in regions]) for value in thresholds])
    slices = (np.arange(200_000) + 0.5) / 200_000 * limit
    right = np.searchsorted(rate, slices, side="left")
    share = (slices - rate[right - 1]) / (rate[right] - rate[right - 1])
    return float((overlap[right - 1] + share * (overlap[right] - overlap[right - 1])).mean())


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("limit", [0.3, 0.05, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_that_aupro_agrees_with_the_slow_obvious_way(seed: int, limit: float, levels: int | None) -> None:
    maps = some_maps(seed, levels=levels)
    assert of(maps).aupro(limit) == pytest.approx(slow_aupro(maps, limit), abs=2e-5)


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_that_pixel_figures_agree_with_scikit_learn(seed: int, levels: int | None) -> None:
    maps = some_maps(seed, levels=levels)
    pixels, (values, defective) = of(maps), flat(maps)
    assert pixels.auroc() == pytest.approx(peer.roc_auc_score(defective, values), abs=1e-12)
    assert pixels.average_precision() == pytest.approx(peer.average_precision_score(defective, values), abs=1e-12)
    best, threshold = pixels.f1_max()
    precision, recall, _ = peer.precision_recall_curve(defective, values)
    assert best == pytest.approx((2 * precision * recall / np.maximum(precision + recall, 1e-12)).max(), abs=1e-12)
    assert confusion(values, defective, threshold).f1 == best


def test_that_a_perfect_map_reaches_one_and_a_flat_one_a_half() -> None:
    mask = np.zeros((10, 10), np.bool_)
    mask[2:5, 3:6] = True
    perfect, flat_map = of([(mask.astype(np.float32), mask)]), of([(np.ones((10, 10), np.float32), mask)])
    assert (perfect.auroc(), perfect.aupro(), perfect.average_precision(), perfect.f1_max()) == (1, 1, 1, (1, 0.5))
    assert flat_map.auroc() == 0.5
    assert flat_map.aupro(0.3) == pytest.approx(0.15)  # half the limit, from 0 up to the limit
    best, threshold = flat_map.f1_max()
    assert best == 2 * 9 / (100 + 9)
    assert threshold < 1.0


def test_that_small_regions_count_as_much_as_large_ones() -> None:
    mask = np.zeros((10, 10), np.bool_)
    mask[0, 0] = True
    mask[4:10, 4:10] = True
    values = np.zeros((10, 10), np.float32)
    values[0, 0] = 1.0
    # flagged: the one pixel of the small region; the other region rises along a line to FPR 1
    assert of([(values, mask)]).aupro(0.3) == pytest.approx(0.5 + 0.5 * 0.15)


def test_that_regions_touching_at_a_corner_are_one() -> None:
    mask = np.eye(4, dtype=np.bool_)
    values = np.zeros((4, 4), np.float32)
    values[0, 0] = 1.0
    assert of([(values, mask)]).aupro(1.0) == pytest.approx(0.25 + 0.75 / 2)


def test_that_pixels_that_were_not_inspected_take_part_in_nothing() -> None:
    maps = some_maps(3)
    padded = []
    for anomaly_map, mask in maps:
        wide, wide_mask = np.full((20, 20), np.nan, np.float32), np.ones((20, 20), np.bool_)
        h, w = mask.shape
        wide[2 : 2 + h, 3 : 3 + w], wide_mask[2 : 2 + h, 3 : 3 + w] = anomaly_map, mask
        padded.append((wide, wide_mask))
    plain, cropped = of(maps), of(padded)
    assert (plain.auroc(), plain.average_precision(), plain.f1_max()) == (
        cropped.auroc(),
        cropped.average_precision(),
        cropped.f1_max(),
    )
    assert plain.aupro() == pytest.approx(cropped.aupro(), abs=1e-12)


@given(st.permutations(range(4)))
def test_that_the_order_of_the_images_does_not_matter(order: list[int]) -> None:
    maps = some_maps(4)
    assert of([maps[i] for i in order]).aupro() == pytest.approx(of(maps).aupro(), abs=1e-12)


def test_that_images_can_be_added_after_a_figure_was_asked_for() -> None:
    maps = some_maps(5)
    pixels = of(maps[:2])
    first = pixels.aupro(), pixels.auroc()
    assert first == (of(maps[:2]).aupro(), of(maps[:2]).auroc())
    for anomaly_map, mask in maps[2:]:
        pixels.add(anomaly_map, mask)
    assert pixels.auroc() == of(maps).auroc()
    assert pixels.aupro() == pytest.approx(of(maps).aupro(), abs=1e-12)


def test_that_a_good_image_changes_the_false_positive_rate_and_no_region() -> None:
    maps = some_maps(6)
    quiet = np.full((30, 30), -50.0, np.float32)
    assert of(maps).aupro() < of([*maps, (quiet, np.zeros((30, 30), np.bool_))]).aupro()


def test_that_the_map_given_is_not_changed_nor_kept() -> None:
    anomaly_map, mask = some_maps(7)[0]
    before = anomaly_map.copy()
    pixels = of([(anomaly_map, mask)])
    first = pixels.auroc()
    np.testing.assert_array_equal(anomaly_map, before)
    anomaly_map[:] = 0
    assert pixels.auroc() == first


@pytest.mark.parametrize(("fill", "missing"), [(False, "defective"), (True, "good")])
def test_that_pixel_figures_without_both_kinds_are_refused_in_words(fill: bool, missing: str) -> None:
    pixels = of([(np.zeros((4, 4), np.float32), np.full((4, 4), fill))])
    for figure in (pixels.auroc, pixels.aupro, pixels.average_precision, pixels.f1_max):
        with pytest.raises(DatasetError, match=f"{missing} one"):
            figure()


def test_that_maps_that_cannot_be_compared_are_refused_in_words() -> None:
    pixels = PixelMetrics()
    with pytest.raises(DatasetError, match="must be alike"):
        pixels.add(np.zeros((4, 5), np.float32), np.zeros((5, 4), np.bool_))
    with pytest.raises(DatasetError, match="infinite"):
        pixels.add(np.full((4, 4), np.inf, np.float32), np.zeros((4, 4), np.bool_))


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.1, np.nan])
def test_that_a_limit_outside_0_to_1_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and up to 1"):
        of(some_maps(0)).aupro(limit)


@given(st.integers(0, 10_000))
def test_that_stretching_the_scores_changes_no_figure(seed: int) -> None:
    maps = some_maps(seed, images=2, levels=8)
    assume(any(mask.any() for _, mask in maps))
    stretched = [(4 * values - 3, mask) for values, mask in maps]
    plain, other = of(maps), of(stretched)
    assert (plain.auroc(), plain.aupro(), plain.f1_max()[0]) == (other.auroc(), other.aupro(), other.f1_max()[0])
