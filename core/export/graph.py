"""An inspection as one graph of tensor operations: picture in; anomaly map, score and verdict out.

The same as `core.inspection.Inspector`, in operations that every runtime has, for pictures of any size. What follows
from a picture's size is computed within the graph, from int64 scalars: a Python number would be a constant there.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from enum import IntEnum

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from core.backbone import Backbone
from core.config import Config, Score
from core.export.lengths import count_to, lengths
from core.export.mapping import Mapped, Mapping, mean_of
from core.export.preparation import Preparation
from core.model import CfaModel
from core.neighbours import BANK_TILE, CANDIDATES
from core.regions import largest_not_above
from core.threshold import FalseAlarmRate, Threshold
from core.trained_model import TrainedModel

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

    def __init__(self, trained: TrainedModel, lines: tuple[float, float], precision: torch.dtype) -> None:
        """Put the stages together.

        Args:
            trained: Stays as it is.
            lines: What scores are compared with: above the first they are not good, above the second a defect.
            precision: Of what follows from the picture's size: float64, or float32 where a runtime has no more.
        """
        super().__init__()
        backbone = _padded_by_numbers(trained.network.backbone).cpu()  # all members have it
        self.members = nn.ModuleList(
            _Member(network, backbone, config, precision)
            for network, config in zip(trained.networks, trained.config.members, strict=True)
        )
        self.units, self.precision = trained.units, precision
        self.lower, self.upper = (largest_not_above(line) for line in lines)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inspect a picture.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            The anomaly map, (crop height, crop width) float32; the score, float32 scalar, NaN where the picture cannot
            be judged; the verdict, int64 scalar, a `VerdictCode`.
        """
        mapped = mean_of([member(image) for member in self.members], self.units, self.precision)
        score = mapped.score()
        defect, good = score > self.upper, score <= self.lower
        uncertain = (score > self.lower) & (score <= self.upper)
        verdict = VerdictCode.NONE - 3 * good.long() - 2 * uncertain.long() - defect.long()
        return mapped.values, score, verdict


class _Member(nn.Module):
    """From the picture to the anomaly map of one network."""

    def __init__(self, network: CfaModel, backbone: Backbone, config: Config, precision: torch.dtype) -> None:
        super().__init__()
        self.preparation = Preparation(config.preprocessing, network.stride, precision)
        self.patches = _PatchScores(network, backbone, config)
        self.mapping = Mapping(config, network.cell, precision)

    def forward(self, image: Tensor) -> Mapped:
        place = self.preparation.place(image)
        mapped: Mapped = self.mapping(self.patches(self.preparation(image, place)), place)
        return mapped


class _PatchScores(nn.Module):
    """From the network's input to the anomaly score of every patch."""

    bank: Tensor
    norms: Tensor
    radii: Tensor
    axes: Tensor
    basis: Tensor
    mean: Tensor
    places: Tensor
    """(M, A), of the centres along their own axes."""
    level_scale: Tensor

    def __init__(self, network: CfaModel, backbone: Backbone, config: Config) -> None:
        super().__init__()
        self.score = config.method.score
        self.shaped = self.score is not Score.CERTAINTY and network.centre_axes.shape[1] > 0
        self.neighbours = config.method.neighbours if self.score is Score.CERTAINTY else 1
        if self.shaped:
            self.neighbours = min(CANDIDATES, len(network.bank))
        self.backbone, self.descriptor = backbone, deepcopy(network.descriptor).cpu()
        self.register_buffer("level_scale", network.level_scale.cpu())
        self.register_buffer("bank", network.bank.cpu())
        self.register_buffer("norms", self.bank.square().sum(dim=1))
        self.register_buffer("radii", network.centre_radii.cpu())
        self.register_buffer("axes", network.centre_axes.cpu())
        self.register_buffer("basis", network.axis_basis.cpu())
        self.register_buffer("mean", self.bank.mean(dim=0))  # measured from it, steps lose fewer digits
        feet = (self.bank - self.mean) @ self.basis.T
        self.register_buffer("places", (self.axes @ feet[:, :, None])[:, :, 0])

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
        found, feet = [], ((queries - self.mean) @ self.basis.T)[:, :, None]  # (n, R, 1)
        for candidate in range(self.neighbours):  # one after the other: their axes are the largest tensor there is
            row = rows[:, candidate]
            apart = queries - self.bank.index_select(0, row)
            along = (self.axes.index_select(0, row) @ feet)[:, :, 0] - self.places.index_select(0, row)  # (n, A)
            counted = apart.square().sum(dim=1, keepdim=True) - along.square().sum(dim=1, keepdim=True)
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
