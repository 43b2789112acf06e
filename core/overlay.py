"""A heat map over its picture, for files and reports, and the one colour scale of all heat maps."""

import numpy as np
from numpy.typing import NDArray

from core.opencv import cv2

RANGE_IN_THRESHOLDS = 4.0
"""The colours go from the threshold divided by this to as many thresholds: all pictures of a model read alike."""
_CLEAR, _OPAQUE = np.float32(0.32), np.float32(0.75)
"""Shares of the colours: transparent below the first, at 0.6 of the threshold, opaque above the second, at twice."""
_BAND = 512
"""Rows blended at a time, so that a picture of 100 megapixels needs no gigabytes."""
_LEAST, _MOST = 1e-30, 1e38
"""Thresholds beyond these are 0 and infinity to float32."""
_CONTOUR = (0, 229, 255)
_HALO = (16, 16, 16)


def heat_range(threshold: float) -> tuple[float, float]:
    """Where the colours begin and end. Equal ratios are equally far apart; the threshold, above 0, is in the middle."""
    middle = min(max(threshold, _LEAST), _MOST / RANGE_IN_THRESHOLDS)
    return middle / RANGE_IN_THRESHOLDS, middle * RANGE_IN_THRESHOLDS


def overlay(
    image: NDArray[np.uint8], source_map: NDArray[np.float32], threshold: float, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Blend the heat map over the picture and draw the contour at the threshold.

    Each doubling of the map is a quarter of the colours, see `heat_range`. Heat is transparent well below the threshold
    and reaches `opacity` at twice the threshold. Where nothing was inspected, the picture stays as it is.

    Args:
        image: (H, W, 3) uint8 RGB.
        source_map: (H, W) float32, the picture's anomaly map; NaN where not inspected.
        threshold: In units of the map; at 0 or below, whatever is above 0 is at its hottest.
        opacity: Of the hottest parts, 0..1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    threshold = min(max(threshold, -_MOST), _MOST)
    blended = np.empty_like(image)
    for top in range(0, len(image), _BAND):
        rows = slice(top, top + _BAND)
        blended[rows] = _blend(image[rows], source_map[rows], threshold, opacity)
    above = (source_map > threshold).astype(np.uint8)  # NaN is not
    contours, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(2, round(max(image.shape[:2]) / 400))
    cv2.drawContours(blended, contours, -1, _HALO, 2 * width)
    cv2.drawContours(blended, contours, -1, _CONTOUR, width)
    return blended


def _blend(
    image: NDArray[np.uint8], source_map: NDArray[np.float32], threshold: float, opacity: float
) -> NDArray[np.uint8]:
    with np.errstate(over="ignore"):
        in_thresholds = source_map / np.float32(max(threshold, _LEAST))
    coldest, hottest = heat_range(1.0)
    heat = np.clip(np.nan_to_num(in_thresholds, nan=0.0), np.float32(coldest), np.float32(hottest))
    share = np.float32(0.5) + np.log(heat) / np.float32(2 * np.log(RANGE_IN_THRESHOLDS))
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    ramp = np.clip((share - _CLEAR) / (_OPAQUE - _CLEAR), 0, 1)[..., None]
    alpha = np.float32(opacity) * ramp * ramp * (3 - 2 * ramp)
    return np.asarray(np.rint(image * (1 - alpha) + colours * alpha), dtype=np.uint8)
