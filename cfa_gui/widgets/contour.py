"""The line along which a map has one value: marching squares, for the whole map at once."""

import numpy as np
from numpy.typing import NDArray

_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_EDGES_OF_CASE: tuple[tuple[tuple[int, int], ...], ...] = (
    (),
    ((_LEFT, _TOP),),
    ((_TOP, _RIGHT),),
    ((_LEFT, _RIGHT),),
    ((_RIGHT, _BOTTOM),),
    ((_LEFT, _TOP), (_RIGHT, _BOTTOM)),
    ((_TOP, _BOTTOM),),
    ((_LEFT, _BOTTOM),),
    ((_LEFT, _BOTTOM),),
    ((_TOP, _BOTTOM),),
    ((_TOP, _RIGHT), (_LEFT, _BOTTOM)),
    ((_RIGHT, _BOTTOM),),
    ((_LEFT, _RIGHT),),
    ((_TOP, _RIGHT),),
    ((_LEFT, _TOP),),
    (),
)
"""For each pattern of corners above the level (1 top left, 2 top right, 4 bottom right, 8 bottom left).

The edges joined.
"""


def contour_segments(values: NDArray[np.float32], level: float) -> NDArray[np.float64]:
    """Where `values` crosses `level`, as straight pieces.

    The map is taken to be at or below the level outside, so that what reaches the border is closed there.

    Args:
        values: (h, w); NaN counts as below.
        level: In the unit of the map.

    Returns:
        (n, 4) with x0, y0, x1, y1 in cells of the map, 0..w and 0..h; a cell's centre is at +0.5.
    """
    below = np.float32(level) - np.float32(max(abs(level), 1.0)) * np.float32(1e-3)
    padded = np.full((values.shape[0] + 2, values.shape[1] + 2), below, np.float32)
    padded[1:-1, 1:-1] = np.where(np.isnan(values), below, values)
    above = padded > level
    case = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1].astype(np.uint8)
    rows, columns = np.nonzero((case > 0) & (case < 15))
    if rows.size == 0:
        return np.empty((0, 4))
    crossings = _crossings(padded, rows, columns, level)
    cases = case[rows, columns]
    pieces = []
    for number, joined in enumerate(_EDGES_OF_CASE):
        chosen = np.flatnonzero(cases == number)
        pieces += [np.hstack((crossings[chosen, one], crossings[chosen, other])) for one, other in joined]
    limit = np.array([values.shape[1], values.shape[0]] * 2, float)
    segments: NDArray[np.float64] = np.clip(np.vstack(pieces), 0.0, limit)
    return segments


def _crossings(
    padded: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], level: float
) -> NDArray[np.float64]:
    """(n, 4, 2): for each square, the point (x, y) on its top, right, bottom and left edge."""
    top_left = padded[rows, columns].astype(float)
    top_right = padded[rows, columns + 1].astype(float)
    bottom_left = padded[rows + 1, columns].astype(float)
    bottom_right = padded[rows + 1, columns + 1].astype(float)
    x, y = columns - 0.5, rows - 0.5  # centres of the top left cells; the padding is one cell wide
    points = np.empty((rows.size, 4, 2))
    points[:, _TOP] = np.column_stack((x + _share(top_left, top_right, level), y))
    points[:, _RIGHT] = np.column_stack((x + 1, y + _share(top_right, bottom_right, level)))
    points[:, _BOTTOM] = np.column_stack((x + _share(bottom_left, bottom_right, level), y + 1))
    points[:, _LEFT] = np.column_stack((x, y + _share(top_left, bottom_left, level)))
    return points


def _share(first: NDArray[np.float64], second: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """How far along an edge the level is reached, 0..1; any number where it is not crossed."""
    rise = second - first
    return np.clip((level - first) / np.where(rise == 0, 1.0, rise), 0.0, 1.0)
