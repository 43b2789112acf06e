"""A heat map over its picture, for files and reports. The colour range is fixed and tied to the threshold."""

import numpy as np
from numpy.typing import NDArray

from core.opencv import cv2

RANGE_IN_THRESHOLDS = 2.0
"""The colour scale ends at this many thresholds, so that every picture of one model is read alike."""
_BAND = 512
"""Rows blended at a time, so that a picture of 100 megapixels needs no gigabytes."""
_LEAST, _MOST = 1e-30, 1e38
"""Thresholds beyond these are 0 and infinity to float32."""
_CONTOUR = (0, 229, 255)
_HALO = (16, 16, 16)


def overlay(
    image: NDArray[np.uint8], source_map: NDArray[np.float32], threshold: float, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Blend the heat map over the picture and draw the contour at the threshold.

    Heat is transparent up to half the threshold and reaches `opacity` at the threshold. Where nothing was inspected,
    the picture stays as it is.

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
    heat = np.where(np.isnan(source_map), np.float32(0), np.clip(in_thresholds, 0, RANGE_IN_THRESHOLDS))
    shade = (heat * (255 / RANGE_IN_THRESHOLDS)).astype(np.uint8)
    colours = cv2.applyColorMap(shade, cv2.COLORMAP_INFERNO)[..., ::-1]
    alpha = np.float32(opacity) * np.clip(2 * heat - 1, 0, 1)[..., None]
    return np.asarray(np.rint(image * (1 - alpha) + colours * alpha), dtype=np.uint8)
