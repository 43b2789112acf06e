"""A heat map over its picture, for files and reports. The colour range is fixed and tied to the threshold."""

import numpy as np
from numpy.typing import NDArray

from core.opencv import cv2

RANGE_IN_THRESHOLDS = 2.0
"""The colour scale ends at this many thresholds, so that every picture of one model is read alike."""
_CONTOUR = (0, 229, 255)
_HALO = (16, 16, 16)


def overlay(
    image: NDArray[np.uint8], source_map: NDArray[np.float32], threshold: float, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Blend the heat map over the picture and draw the contour at the threshold.

    Heat is transparent up to half the threshold and reaches `opacity` at the threshold.

    Args:
        image: (H, W, 3) uint8 RGB.
        source_map: (H, W) float32, the picture's anomaly map; NaN where not inspected.
        threshold: In units of the map; above 0.
        opacity: Of the hottest parts, 0..1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    values = np.nan_to_num(source_map, nan=0.0)
    top = max(threshold, np.finfo(np.float32).tiny)
    share = np.clip(values / (RANGE_IN_THRESHOLDS * top), 0.0, 1.0)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    alpha = (opacity * np.clip(2.0 * values / top - 1.0, 0.0, 1.0))[..., None]
    blended = np.ascontiguousarray((image * (1.0 - alpha) + colours * alpha).astype(np.uint8))
    contours, _ = cv2.findContours((values > threshold).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(2, round(max(image.shape[:2]) / 400))
    cv2.drawContours(blended, contours, -1, _HALO, 2 * width)
    cv2.drawContours(blended, contours, -1, _CONTOUR, width)
    return np.asarray(blended, dtype=np.uint8)
