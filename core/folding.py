"""The search for the nearest centre, folded into the levels of the pyramid. Exact; pure linear algebra.

phi is linear, and so are averaging and upsampling, and they act on each channel alone. Two things follow. The product
of a patch with a centre is a sum over the levels, each part of which may be computed at the level's own resolution and
upsampled as a number. And a rotation of descriptors and centres changes no distance, so that one may be chosen under
which the coarser levels alone fill most of the channels, or the axes are written already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UPSAMPLING = 250
"""Multiplications that take as long as a product upsampled and added up."""
CONSTANTS = 3
"""Channels beside those of the finest level: row, column and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class FoldedSearch:
    """A descriptor and a bank in another basis. All float32; the finest level's matrices end with the constants.

    Attributes:
        weights: One (channels, r_l) per level. The sum over the levels of the upsampled products, each padded with
            zeros to r channels, is the rotated descriptor.
        centres: (M, r) rotated centres.
        products: One (channels, M) per level: the sum of the upsampled products is ``|c|^2 - 2 q.c``.
        axes: (M, A, R) axes of the centres in their basis, as they are.
        basis: (R, r) rotated basis of the axes, for descriptors; and
        feet: (M, R) the centres in it: a centre may have a share where no descriptor has.
    """

    weights: tuple[NDArray[np.float32], ...]
    centres: NDArray[np.float32]
    products: tuple[NDArray[np.float32], ...]
    axes: NDArray[np.float32]
    basis: NDArray[np.float32]
    feet: NDArray[np.float32]

    @property
    def in_parts(self) -> bool:
        """Whether products level by level cost less than those of whole descriptors."""
        per_product = sum(len(part) / 4**level for level, part in enumerate(self.products))
        return bool(per_product + _UPSAMPLING < self.centres.shape[1])

    @property
    def in_basis(self) -> bool:
        """Whether the rotated descriptors stand in the basis of the axes already, and the centres are their feet."""
        return bool(self.basis.shape[0] == self.basis.shape[1])


def fold(
    levels: Sequence[NDArray[np.float32]],
    coordinates: NDArray[np.float32],
    bias: NDArray[np.float32],
    bank: NDArray[np.float32],
    axes: NDArray[np.float32],
    basis: NDArray[np.float32],
) -> FoldedSearch:
    """Fold a descriptor into a bank.

    Args:
        levels: (D', channels) weights of each level, finest first, with any scale of the level.
        coordinates: (D', 2) weights of the row and the column.
        bias: (D',).
        bank: (M, D').
        axes: (M, A, R) of the centres.
        basis: (R, D') of the axes, orthonormal.
    """
    mean = bank.mean(axis=0, dtype=np.float64)  # measured from it, distances lose fewer digits
    centres = bank - mean
    constants = np.concatenate((coordinates, (bias - mean)[:, None]), axis=1)
    parts = [np.concatenate((levels[0], constants), axis=1), *(np.asarray(part, np.float64) for part in levels[1:])]
    rotation, weights = _rotation(parts, basis)
    rotated, turned = centres @ rotation, basis @ rotation
    if rotation.shape[0] > rotation.shape[1]:  # what no descriptor reaches
        rest = np.square(centres).sum(axis=1) - np.square(rotated).sum(axis=1)
        beyond = np.sqrt(np.maximum(rest, 0.0))
        rotated = np.concatenate((rotated, beyond[:, None]), axis=1)
        turned = np.concatenate((turned, np.zeros((len(turned), 1))), axis=1)
    products = [-2.0 * part.T @ centres.T for part in parts]
    products[0][-1] += np.square(centres).sum(axis=1)
    own, turned_basis, feet = _single([rotated, turned, centres @ basis.T])
    return FoldedSearch(_single(weights), own, _single(products), axes, turned_basis, feet)


def _rotation(
    parts: Sequence[NDArray[np.float64]], basis: NDArray[np.float32]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """(D', r) directions to be the channels, and each level's (channels, r_l) weights under them.

    They are those of the axes where these are written in as many as there are: descriptors need no second rotation
    then. Else those under which the finer levels fill few channels.
    """
    if len(basis) == basis.shape[1]:
        rotation = np.asarray(basis.T, np.float64)
        return rotation, [part.T @ rotation for part in parts]
    rotation, triangle = np.linalg.qr(np.concatenate(parts, axis=1))  # (D', r), (r, D + 3)
    ends = np.cumsum([part.shape[1] for part in parts])
    columns = np.split(triangle, ends[:-1], axis=1)
    return rotation, [part[:end].T for part, end in zip(columns, ends, strict=True)]


def _single(parts: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float32], ...]:
    return tuple(np.ascontiguousarray(part, np.float32) for part in parts)
