"""PatchCore's coreset: the patches that a farthest-first walk meets (greedy k-centre), exactly, without needless work.

A new centre c can only come nearer to a patch p than p's centre a if |c - a| < 2 |p - a| (triangle inequality); the
others are not looked at. anomalib walks over randomly projected features and looks at every patch in every step.
"""

import numpy as np
from numpy.typing import NDArray


def farthest_first(points: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """The first `count` points of a farthest-first walk from a random point.

    Args:
        points: (n, d).
        count: How many, at most n.
        seed: Draws the first.

    Returns:
        (count,) rows of `points`, in the order of the walk.
    """
    first = int(np.random.default_rng(seed).integers(len(points)))
    chosen = np.empty(count, np.int64)
    chosen[0] = first
    centres = np.empty((count, points.shape[1]), np.float32)
    centres[0] = points[first]
    nearest = _squared(points, points[first])  # to the centre of each point
    owner = np.zeros(len(points), np.int32)
    for step in range(1, count):
        index = int(nearest.argmax())
        chosen[step], centres[step] = index, points[index]
        to_centres = _squared(centres[:step], points[index])
        may_change = np.flatnonzero(4 * nearest > to_centres[owner])
        distances = _squared(points[may_change], points[index])
        closer = distances < nearest[may_change]
        nearest[may_change[closer]] = distances[closer]
        owner[may_change[closer]] = step
        nearest[index] = 0
    return chosen


def _squared(points: NDArray[np.float32], point: NDArray[np.float32]) -> NDArray[np.float32]:
    difference = points - point
    squared: NDArray[np.float32] = np.einsum("nd,nd->n", difference, difference)
    return squared
