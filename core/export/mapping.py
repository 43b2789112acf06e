"""From the patches' scores to the anomaly map, of one member and of all, in operations of a graph."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config import Config, Region
from core.ensemble import LEAST_SHARE
from core.export.lengths import count_to, divide, lengths
from core.export.preparation import Place


class Mapped(NamedTuple):
    """A member's map.

    Attributes:
        values: (crop height, crop width) float32; 0 where not inspected.
        inspected: (crop height, crop width) bool; None where all is.
        possible: Whether the picture can be judged, a bool scalar.
    """

    values: Tensor
    inspected: Tensor | None
    possible: Tensor

    def score(self) -> Tensor:
        """The maximum, a scalar; NaN where the picture cannot be judged."""
        highest = self.values.max()
        return torch.where(self.possible, highest, torch.full_like(highest, float("nan")))


class Mapping(nn.Module):
    """From the patches' scores to the anomaly map and the image's score."""

    taps: Tensor

    def __init__(self, config: Config, cell: int, precision: torch.dtype) -> None:
        super().__init__()
        self.regions, self.cell, self.precision = config.preprocessing.regions, cell, precision
        sigma = config.method.smoothing
        self.radius = int(4.0 * sigma + 0.5)
        taps = (
            cv2.getGaussianKernel(2 * self.radius + 1, sigma, cv2.CV_32F) if sigma > 0 else np.ones((1, 1), np.float32)
        )
        self.register_buffer("taps", torch.from_numpy(np.asarray(taps, np.float32)).flatten())

    def forward(self, grid: Tensor, place: Place) -> Mapped:
        """See `core.scoring.anomaly_map`.

        Args:
            grid: (h, w) float32.
            place: Of the picture.
        """
        rows, columns = (self._cells(length) for length in place.crop)
        grid = grid.index_select(0, rows).index_select(1, columns)
        if not self.regions:
            return Mapped(self._spread(grid, place), None, place.possible)
        valid = self._inspected(
            place, *(self._centres(cells, length) for cells, length in zip((rows, columns), place.crop, strict=True))
        )
        inspected = self._inspected(place, *(count_to(length).to(self.precision) + 0.5 for length in place.crop))
        weight = self._spread(valid.float(), place)
        values = self._spread(torch.where(valid, grid, torch.zeros_like(grid)), place)
        enough = inspected & (weight > 1e-6)
        values = torch.where(
            enough, values / torch.where(enough, weight, torch.ones_like(weight)), torch.zeros_like(values)
        )
        possible = place.possible & (valid.long().sum() > 0) & (inspected.long().sum() > 0)
        return Mapped(values, inspected, possible)

    def _cells(self, length: Tensor) -> Tensor:
        """The cells of the grid along one axis that hold any of the crop."""
        return count_to(divide(length + self.cell - 1, self.cell)[0])

    def _centres(self, cells: Tensor, length: Tensor) -> Tensor:
        """The centres of cells on the canvas, moved into the crop where they lie beyond."""
        return torch.minimum((cells.to(self.precision) + 0.5) * self.cell, length.to(self.precision) - 0.5)

    def _inspected(self, place: Place, y: Tensor, x: Tensor) -> Tensor:
        """See `core.placement`: (len(y), len(x)) bool for points of the canvas."""
        y = (y + place.start[0].to(self.precision)) / place.resized[0].to(self.precision)
        x = (x + place.start[1].to(self.precision)) / place.resized[1].to(self.precision)
        wanted = [_inside(region, y, x) for region in self.regions if not region.ignored]
        inspected = torch.stack(wanted).any(dim=0) if wanted else torch.ones_like(_inside(self.regions[0], y, x))
        for region in self.regions:
            if region.ignored:
                inspected = inspected & ~_inside(region, y, x)
        return inspected

    def _spread(self, grid: Tensor, place: Place) -> Tensor:
        """Upsample by the cell, cut to the crop, smooth with a reflecting border."""
        large = functional.interpolate(grid[None, None], scale_factor=self.cell, mode="bilinear", align_corners=False)
        rows, columns = (self._reflected(length) for length in place.crop)
        large = large.index_select(2, rows).index_select(3, columns)
        large = functional.conv2d(large, self.taps.view(1, 1, 1, -1))
        return functional.conv2d(large, self.taps.view(1, 1, -1, 1))[0, 0]

    def _reflected(self, length: Tensor) -> Tensor:
        """Pixels along one axis with as many before and after as the smoothing needs, mirrored at the border."""
        turn = 2 * length  # there and back
        places = count_to(length + 2 * self.radius) + (turn * self.radius - self.radius)  # never negative
        around = divide(places, turn)[1]
        return torch.minimum(around, turn - 1 - around)


def _inside(region: Region, y: Tensor, x: Tensor) -> Tensor:
    """Even-odd rule, as `core.placement` has it."""
    points = torch.tensor(region.points, dtype=y.dtype)  # (corners, 2)
    x_a, y_a = points[:, :1], points[:, 1:]
    x_b, y_b = points.roll(-1, dims=0)[:, :1], points.roll(-1, dims=0)[:, 1:]
    crossed = (y_a <= y) != (y_b <= y)  # (corners, rows)
    rise = torch.where(y_a == y_b, torch.ones_like(y_a), y_b - y_a)
    crossing = x_a + (y - y_a) * (x_b - x_a) / rise
    left = x < crossing[:, :, None]  # (corners, rows, columns)
    count = (crossed[:, :, None] & left).long().sum(dim=0)
    return divide(count, 2)[1] == 1


def mean_of(members: Sequence[Mapped], units: Sequence[float], precision: torch.dtype) -> Mapped:
    """See `core.ensemble.combined`: the map of all members on the grid of the first."""
    first = members[0]
    if len(members) == 1:
        return first
    maps = [_on_grid(member, first.values, precision) / unit for member, unit in zip(members, units, strict=True)]
    values = torch.stack(maps).mean(dim=0)
    if first.inspected is not None:
        values = torch.where(first.inspected, values, torch.zeros_like(values))
    possible = torch.stack([member.possible for member in members]).all()
    return Mapped(values, first.inspected, possible)


def _on_grid(member: Mapped, grid: Tensor, precision: torch.dtype) -> Tensor:
    """See `core.ensemble.on_grid`."""
    if member.values is grid:
        return grid
    rows, columns = (
        _area(fine, coarse, precision) for fine, coarse in zip(lengths(member.values), lengths(grid), strict=True)
    )
    coarse = rows @ member.values @ columns.T
    if member.inspected is None:
        return coarse
    share = rows @ member.inspected.float() @ columns.T
    enough = share > LEAST_SHARE
    return torch.where(enough, coarse / torch.where(enough, share, torch.ones_like(share)), torch.zeros_like(coarse))


def _area(fine: Tensor, coarse: Tensor, precision: torch.dtype) -> Tensor:
    """(coarse, fine) float32: which share of each coarse pixel each fine one covers."""
    ratio = fine.to(precision) / coarse.to(precision)
    start = count_to(coarse).to(precision)[:, None] * ratio
    place = count_to(fine).to(precision)[None]
    overlap = torch.minimum(start + ratio, place + 1.0) - torch.maximum(start, place)
    return (overlap.clamp(min=0.0) / ratio).float()
