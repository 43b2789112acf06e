"""Pictures that are there twice: the same bytes, or nearly the same pixels."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.digests import file_digest, file_size

HASH_SIDE = 16
MAX_HASH_DISTANCE = 2
"""Of HASH_SIDE² = 256 bits."""
MAX_MEAN_DIFFERENCE = 0.5
"""Mean absolute difference of two thumbnails, in grey levels of 255, below which they are nearly identical."""

_ONES: NDArray[np.uint8] = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def find_copies(paths: Sequence[Path], check: Callable[[], None]) -> tuple[tuple[int, ...], ...]:
    """Groups of files with the same bytes.

    Only files that share their size with another are read. Empty files and files that cannot be read are in no group.

    Args:
        paths: The files; a file named twice is a copy of itself.
        check: Called before each file is read; may raise to stop.

    Returns:
        Indices into `paths`, ascending, two or more a group; groups by their first index.
    """
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        if size := file_size(path):
            by_size[size].append(index)
    by_content: defaultdict[str, list[int]] = defaultdict(list)
    for indices in by_size.values():
        for index in indices if len(indices) > 1 else ():
            check()
            if content := file_digest(paths[index]):
                by_content[content].append(index)
    return tuple(sorted(tuple(group) for group in by_content.values() if len(group) > 1))


def find_near_duplicates(
    thumbnails: Sequence[NDArray[np.uint8] | None], check: Callable[[], None]
) -> tuple[tuple[int, int], ...]:
    """Pairs of pictures that show the very same thing: saved again, or taken twice without moving anything.

    Good parts look alike by nature, so two tests must agree: the difference hashes (is a pixel of the 16 × 16 picture
    darker than its right neighbour?) differ in at most 2 of 256 bits, and the thumbnails by less than 0.5 grey levels
    on average. As the means of two such thumbnails cannot differ by more, only neighbours in mean are compared.

    Args:
        thumbnails: (h, w) uint8 grey; None: no picture. Pictures of different shape are never a pair.
        check: Called once a thumbnail; may raise to stop.

    Returns:
        (i, j) with i < j, ascending.
    """
    shapes = defaultdict(list)
    for index, thumbnail in enumerate(thumbnails):
        if thumbnail is not None:
            shapes[thumbnail.shape].append(index)
    pairs: list[tuple[int, int]] = []
    for indices in shapes.values():
        pixels = np.stack([thumbnail for index in indices if (thumbnail := thumbnails[index]) is not None])
        pairs += ((indices[i], indices[j]) for i, j in _near_pairs(pixels, check))
    return tuple(sorted((min(pair), max(pair)) for pair in pairs))


def _near_pairs(pixels: NDArray[np.uint8], check: Callable[[], None]) -> list[tuple[int, int]]:
    """Pairs of rows of (n, h, w) uint8."""
    hashes = np.stack([_difference_hash(thumbnail) for thumbnail in pixels])  # (n, 32)
    means = pixels.mean(axis=(1, 2))
    order = np.argsort(means, kind="stable")
    ends = np.searchsorted(means[order], means[order] + MAX_MEAN_DIFFERENCE, side="right")
    pairs = []
    for place, end in enumerate(ends):
        check()
        mine, others = order[place], order[place + 1 : end]
        distances = _ONES[hashes[others] ^ hashes[mine]].sum(axis=1)
        for other in others[distances <= MAX_HASH_DISTANCE]:
            difference = np.abs(pixels[mine].astype(np.int16) - pixels[other]).mean()
            if difference < MAX_MEAN_DIFFERENCE:
                pairs.append((int(mine), int(other)))
    return pairs


def _difference_hash(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(32,) uint8: 256 bits."""
    small = Image.fromarray(thumbnail).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    levels = np.asarray(small)
    return np.packbits(levels[:, :-1] < levels[:, 1:])
