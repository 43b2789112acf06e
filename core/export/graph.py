"""An inspection as one graph of tensor operations: picture in; anomaly map, score and verdict out.

The same as `core.inspection.Inspector`, in operations that every runtime has, for pictures of any size. What follows
from a picture's size is computed within the graph, from int64 scalars: a Python number would be a constant there.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from enum import IntEnum

import cv2
import numpy as np
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from core.backbone import Backbone
from core.config import Config, Preprocessing, Region, Resizing, Score, StrideFit
from core.export.lengths import count_to, divide, lengths
from core.export.resizing import Axis, resize
from core.model import CfaModel
from core.neighbours import BANK_TILE, CANDIDATES
from core.placement import MAX_ELONGATION_CROP, MAX_ELONGATION_WHOLE, Filter
from core.regions import largest_not_above
from core.threshold import FalseAlarmRate, Threshold

INPUT = "image"
OUTPUTS = ("anomaly_map", "score", "verdict")


class VerdictCode(IntEnum):
    """The verdict as the graph gives it."""

    GOOD = 0
    UNCERTAIN = 1
    DEFECT = 2
    NONE = 3
    """The picture cannot be judged: too elongated for R+C, or its regions leave nothing to inspect."""


_MARGIN = 1e-5
"""A share of the threshold that covers the last digits in which runtimes differ."""


def shifted(threshold: Threshold, calibration: Sequence[float]) -> float:
    """What the exported model compares scores with.

    A threshold that promises a false-alarm rate is the score of a held-out image, to the last digit. In another runtime
    that image's score may be a few millionths higher, and the very image that the threshold was taken from would be
    flagged. So the line is drawn a hair above it, at most half-way to the next held-out score.
    """
    if not isinstance(threshold.policy, FalseAlarmRate):
        return threshold.value
    above = min((score for score in calibration if score > threshold.value), default=math.inf)
    return min(threshold.value + _MARGIN * abs(threshold.value), (threshold.value + above) / 2)


class InspectionGraph(nn.Module):
    """What is exported."""

    def __init__(self, network: CfaModel, config: Config, lines: tuple[float, float], precision: torch.dtype) -> None:
        """Put the stages together.

        Args:
            network: Stays as it is.
            config: Of the model.
            lines: What scores are compared with: above the first they are not good, above the second a defect.
            precision: Of what follows from the picture's size: float64, or float32 where a runtime has no more.
        """
        super().__init__()
        self.preparation = Preparation(config.preprocessing, network.stride, precision)
        self.patches = _PatchScores(network, config)
        self.mapping = _Mapping(config, network.cell, precision)
        self.lower, self.upper = (largest_not_above(line) for line in lines)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inspect a picture.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            The anomaly map, (crop height, crop width) float32; the score, float32 scalar, NaN where the picture cannot
            be judged; the verdict, int64 scalar, a `VerdictCode`.
        """
        place = self.preparation.place(image)
        canvas = self.preparation(image, place)
        values, score = self.mapping(self.patches(canvas), place)
        defect, good = score > self.upper, score <= self.lower
        uncertain = (score > self.lower) & (score <= self.upper)
        verdict = VerdictCode.NONE - 3 * good.long() - 2 * uncertain.long() - defect.long()
        return values, score, verdict


class Place:
    """Where a picture lies, as `core.placement.Placement`; all int64 scalars but `possible` (bool scalar)."""

    def __init__(self, source: tuple[Tensor, Tensor], resized: tuple[Tensor, Tensor], possible: Tensor) -> None:
        self.source, self.resized, self.possible = source, resized, possible
        self.start = (torch.zeros_like(resized[0]), torch.zeros_like(resized[1]))
        self.crop = resized

    def cropped(self, side: int) -> "Place":
        """The central square."""
        self.crop = (torch.full_like(self.resized[0], side), torch.full_like(self.resized[1], side))
        self.start = (_half(self.resized[0] - side), _half(self.resized[1] - side))
        return self


def _half(length: Tensor) -> Tensor:
    """Half of a whole number, rounded to the even neighbour, as Python's round does."""
    half, odd = divide(length, 2)
    return half + odd * divide(half, 2)[1]


class Preparation(nn.Module):
    """From the picture to the network's input."""

    def __init__(self, preprocessing: Preprocessing, stride: int, precision: torch.dtype) -> None:
        super().__init__()
        self.preprocessing, self.stride, self.precision = preprocessing, stride, precision

    def place(self, image: Tensor) -> Place:
        """See `core.placement.place`."""
        source = lengths(image)
        height, width = source[0], source[1]
        size = self.preprocessing.image_size
        short, long = torch.minimum(height, width), torch.maximum(height, width)
        possible = height > 0
        match self.preprocessing.resizing:
            case Resizing.WHOLE:
                resized = self._whole(height, width, long)
            case Resizing.SQUARE:
                resized = (torch.full_like(height, size), torch.full_like(width, size))
            case Resizing.CROP:
                new_long = divide(size * long, short)[0]
                possible = new_long <= MAX_ELONGATION_CROP * size
                resized = (
                    torch.where(height <= width, torch.full_like(height, size), new_long),
                    torch.where(height <= width, new_long, torch.full_like(width, size)),
                )
        place = Place((height, width), resized, possible)
        return place.cropped(self.preprocessing.crop_size) if self._crops else place

    @property
    def _crops(self) -> bool:
        return self.preprocessing.resizing is Resizing.CROP

    def _whole(self, height: Tensor, width: Tensor, long: Tensor) -> tuple[Tensor, Tensor]:
        size = self.preprocessing.image_size
        area = height.to(self.precision) * width.to(self.precision)
        scale = torch.minimum(size / area.sqrt(), MAX_ELONGATION_WHOLE * size / long.to(self.precision))
        resized = (
            (height.to(self.precision) * scale).round().clamp(min=1.0).long(),
            (width.to(self.precision) * scale).round().clamp(min=1.0).long(),
        )
        if self.preprocessing.stride_fit is StrideFit.PADDED:
            return resized
        return self._rounded(resized[0]), self._rounded(resized[1])

    def _rounded(self, length: Tensor) -> Tensor:
        return divide(length + self.stride // 2, self.stride)[0].clamp(min=1) * self.stride

    def forward(self, image: Tensor, place: Place) -> Tensor:
        """(1, canvas H, canvas W, 3) float32, whole numbers in 0..255; see `core.placement.apply`."""
        kind = Filter.BILINEAR if self.preprocessing.resizing is Resizing.WHOLE else Filter.LANCZOS
        rows, columns = (
            Axis(source, resized, self._wanted(crop, start), kind, self.stride, self.precision)
            for source, resized, crop, start in zip(place.source, place.resized, place.crop, place.start, strict=True)
        )
        return resize(image, rows, columns)[None]

    def _wanted(self, length: Tensor, start: Tensor) -> Tensor:
        """The pixels of the resized picture along one axis of the canvas; its edge is repeated."""
        canvas = divide(length + self.stride - 1, self.stride)[0] * self.stride
        return torch.minimum(count_to(canvas), length - 1) + start


class _PatchScores(nn.Module):
    """From the network's input to the anomaly score of every patch."""

    bank: Tensor
    norms: Tensor
    radii: Tensor
    axes: Tensor
    basis: Tensor
    level_scale: Tensor

    def __init__(self, network: CfaModel, config: Config) -> None:
        super().__init__()
        self.score = config.method.score
        self.shaped = self.score is not Score.CERTAINTY and network.centre_axes.shape[1] > 0
        self.neighbours = config.method.neighbours if self.score is Score.CERTAINTY else 1
        if self.shaped:
            self.neighbours = min(CANDIDATES, len(network.bank))
        self.backbone, self.descriptor = _padded_by_numbers(network.backbone).cpu(), deepcopy(network.descriptor).cpu()
        self.register_buffer("level_scale", network.level_scale.cpu())
        self.register_buffer("bank", network.bank.cpu())
        self.register_buffer("norms", self.bank.square().sum(dim=1))
        self.register_buffer("radii", network.centre_radii.cpu())
        self.register_buffer("axes", network.centre_axes.cpu())
        self.register_buffer("basis", network.axis_basis.cpu())

    def forward(self, canvas: Tensor) -> Tensor:
        """Score every patch.

        Args:
            canvas: (1, canvas H, canvas W, 3) float32.

        Returns:
            (h, w) float32, >= 0.
        """
        maps = self.backbone(canvas)
        pyramid = [functional.avg_pool2d(m, 3, stride=1, padding=1) * self.level_scale[i] for i, m in enumerate(maps)]
        phi = self.descriptor.project(pyramid)[0] + self._constant(pyramid[0])  # (D', h, w)
        queries = phi.flatten(1).T  # (n, D')
        squared, rows = self._nearest(queries)
        if self.shaped:
            squared, rows = self._nearest_ellipsoid(queries, rows)
        elif self.neighbours == 1:  # without the cancellation of large norms
            squared = (queries - self.bank.index_select(0, rows[:, 0])).square().sum(dim=1, keepdim=True)
        else:
            squared = (squared + queries.square().sum(dim=1, keepdim=True)).clamp(min=0.0)
        return self._scores(squared.sqrt(), rows).reshape_as(phi[0])

    def _constant(self, finest: Tensor) -> Tensor:
        """See `core.descriptor.Descriptor.constant`."""
        shape = lengths(finest)
        rows, columns = _ramp(shape[2]), _ramp(shape[3])
        weight = self.descriptor.weight[:, -2:, None, None]
        return weight[:, 0] * rows[:, None] + weight[:, 1] * columns[None] + self.descriptor.bias[:, None, None]

    def _nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances less the query's own norm, (n, K) ascending, and rows (n, K) int64."""
        best: list[Tensor] = []
        best_rows: list[Tensor] = []
        for start in range(0, len(self.bank), BANK_TILE):
            tile = slice(start, min(start + BANK_TILE, len(self.bank)))
            ranks = self.norms[tile] - 2.0 * (queries @ self.bank[tile].T)
            if self.neighbours == 1:
                values, rows = ranks.min(dim=1, keepdim=True)
            else:
                values, rows = ranks.topk(min(self.neighbours, tile.stop - tile.start), dim=1, largest=False)
            best.append(values)
            best_rows.append(rows + start)
        values, order = torch.cat(best, dim=1).topk(self.neighbours, dim=1, largest=False)
        return values, torch.cat(best_rows, dim=1).gather(1, order)

    def _nearest_ellipsoid(self, queries: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `core.neighbours.nearest_ellipsoid`: squared distances and rows (n, 1) of one among `rows` (n, K)."""
        found = []
        for candidate in range(self.neighbours):  # one after the other: their axes are the largest tensor there is
            row = rows[:, candidate]
            apart = queries - self.bank.index_select(0, row)
            along = self.axes.index_select(0, row) @ (apart @ self.basis.T)[:, :, None]  # (n, A, 1)
            counted = apart.square().sum(dim=1, keepdim=True) - along.square().sum(dim=1)
            found.append(counted.clamp(min=0.0))
        squared, best = torch.cat(found, dim=1).min(dim=1, keepdim=True)
        return squared, rows.gather(1, best)

    def _scores(self, distances: Tensor, rows: Tensor) -> Tensor:
        """See `core.scoring.patch_scores`."""
        nearest = distances[:, 0]
        radii = self.radii.index_select(0, rows[:, 0])
        excess = (nearest - radii).clamp(min=0.0)
        match self.score:
            case Score.NEAREST:
                return nearest
            case Score.EXCESS:
                return excess
            case Score.TANGENT:
                return (excess * (nearest + radii)).sqrt()
            case Score.CERTAINTY:
                return functional.softmin(distances, dim=1)[:, 0] * nearest


class _Padded(nn.Module):
    """A strided convolution with TensorFlow's "same" padding, for pictures that are a multiple of the stride."""

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution
        self.padding: list[int] = []
        for size, stride, dilation in zip(
            convolution.kernel_size[::-1], convolution.stride[::-1], convolution.dilation[::-1], strict=True
        ):
            spare = max(0, dilation * (size - 1) + 1 - stride)
            self.padding += [spare // 2, spare - spare // 2]

    def forward(self, x: Tensor) -> Tensor:
        own = self.convolution
        padded = functional.pad(x, self.padding)
        return functional.conv2d(padded, own.weight, own.bias, own.stride, 0, own.dilation, own.groups)


def _padded_by_numbers(backbone: Backbone) -> Backbone:
    """A copy whose "same" padding is not computed from the size of the picture, which is a multiple of every stride."""
    copy = deepcopy(backbone)
    for name, module in list(copy.named_modules()):
        if isinstance(module, Conv2dSame):
            parent, _, own = name.rpartition(".")
            setattr(copy.get_submodule(parent), own, _Padded(module))
    return copy


def _ramp(length: Tensor) -> Tensor:
    """`torch.linspace(-1, 1, length)`, each half counted from its own end."""
    places = count_to(length)
    step = 2.0 / (length - 1).clamp(min=1).float()
    back = (length - 1 - places).float()
    forth = places.float()
    return torch.where(2 * places < length, forth * step - 1.0, 1.0 - back * step)


class _Mapping(nn.Module):
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

    def forward(self, grid: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """See `core.scoring.anomaly_map` and `core.scoring.image_score`.

        Args:
            grid: (h, w) float32.
            place: Of the picture.

        Returns:
            The map, (crop height, crop width) float32, and its maximum, a scalar; NaN where nothing can be inspected.
        """
        rows, columns = (self._cells(length) for length in place.crop)
        grid = grid.index_select(0, rows).index_select(1, columns)
        if not self.regions:
            values = self._spread(grid, place)
            return values, _or_nan(values.max(), place.possible)
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
        return values, _or_nan(values.max(), possible)

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


def _or_nan(score: Tensor, possible: Tensor) -> Tensor:
    return torch.where(possible, score, torch.full_like(score, float("nan")))


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
