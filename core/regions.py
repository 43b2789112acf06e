"""Which parts of an anomaly map are above the threshold, one by one."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ThresholdError
from core.opencv import cv2


@dataclass(frozen=True, slots=True)
class FlaggedRegion:
    """One connected region above the threshold; lengths in pixels of the map it was found in.

    Attributes:
        bounding_box: Top, left, height, width.
        area: Pixels.
        peak: Its highest score.
        peak_at: Row and column of the peak; the first in reading order if there are several.
        mean: Its mean score.
    """

    bounding_box: tuple[int, int, int, int]
    area: int
    peak: float
    peak_at: tuple[int, int]
    mean: float


def flagged_regions(
    anomaly_map: NDArray[np.float32], threshold: float, minimum_area: int = 1
) -> tuple[FlaggedRegion, ...]:
    """The 8-connected regions of the map above the threshold, strictly, highest peak first.

    The comparison is exact: a region is found if and only if the map's maximum is above the threshold as a float64.

    Args:
        anomaly_map: (h, w) float32; NaN (not inspected) counts as below.
        threshold: A score.
        minimum_area: Regions of fewer pixels are left out.

    Raises:
        ThresholdError: The threshold is NaN.
    """
    flagged = _above(anomaly_map, threshold)
    if not flagged.any():
        return ()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flagged.view(np.uint8), connectivity=8)
    pixels = np.flatnonzero(flagged)
    region = np.asarray(labels, np.int32).ravel()[pixels]
    values = np.asarray(anomaly_map, np.float32).ravel()[pixels]
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, region, values)
    at_peak = values == peaks[region]
    peak_at = np.zeros(count, np.int64)
    peak_at[region[at_peak][::-1]] = pixels[at_peak][::-1]  # the last written, hence the first in reading order, stays
    areas = stats[:, cv2.CC_STAT_AREA]
    means = np.bincount(region, weights=values, minlength=count) / np.maximum(areas, 1)
    kept = [i for i in range(1, count) if areas[i] >= minimum_area]
    kept.sort(key=lambda i: (-peaks[i], peak_at[i]))
    return tuple(_region(stats[i], peaks[i], divmod(int(peak_at[i]), flagged.shape[1]), means[i]) for i in kept)


def _above(anomaly_map: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Where the map is above the threshold, compared as if both were float64.

    Comparing with the threshold rounded to nearest may miss the very pixel that gave the image its score.
    """
    limit = np.float32(largest_not_above(threshold))
    return np.asarray(anomaly_map > limit)


def largest_not_above(threshold: float) -> float:
    """The largest float32 that is not above the threshold: a float32 is above the one exactly if above the other.

    Raises:
        ThresholdError: The threshold is NaN.
    """
    if math.isnan(threshold):
        raise ThresholdError("The threshold is not a number: no region can be flagged. Set it again.")
    with np.errstate(over="ignore"):
        limit = np.float32(threshold)
    return float(np.nextafter(limit, np.float32(-np.inf)) if float(limit) > threshold else limit)


def _region(stats: NDArray[np.int32], peak: np.float32, peak_at: tuple[int, int], mean: np.float64) -> FlaggedRegion:
    left, top, width, height, area = (int(value) for value in stats)
    return FlaggedRegion((top, left, height, width), area, float(peak), peak_at, float(mean))
