"""The network of CFA: frozen pyramid, descriptor, memory bank and radius. Its state is parameters and buffers only."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.backbone import Backbone
from core.compiled_network import CompiledNetwork, checked, compiled, converted, largest_difference
from core.compiled_search import CompiledSearch
from core.config import DescriptorStart, Score
from core.descriptor import Descriptor
from core.folding import FoldedSearch, fold
from core.neighbours import CANDIDATES, ellipsoids, nearest_centres, nearest_ellipsoid
from core.scoring import patch_scores

_TRACED, _PROBE = (2, 3), (5, 4)
"""Height and width of the pictures by which networks are traced and checked, in units of the coarsest stride."""


class _Pooled(nn.Module):
    """The backbone's maps, each averaged over 3 x 3 (section 3.1)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional.avg_pool2d(m, 3, stride=1, padding=1) for m in self.backbone(images))


class CfaModel(nn.Module):
    """Images in, distances to the memory bank out.

    Attributes:
        backbone: Frozen.
        descriptor: phi, trained.
        radius: r, scalar, trained.
        level_scale: (levels,) factor on each pooled map.
        bank: (M, D') centres C; empty until `set_bank`.
        centre_axes: (M, A, R) directions in which the distance to each centre counts less; none until measured.
        axis_basis: (R, D') the basis in which they are written.
        centre_radii: (M,) mean distance of the good patches nearest to each centre; 0 until it is measured.
    """

    level_scale: Tensor
    bank: Tensor
    centre_axes: Tensor
    axis_basis: Tensor
    centre_radii: Tensor

    def __init__(
        self,
        backbone: Backbone,
        *,
        descriptor_ratio: int,
        initial_radius: float,
        start: DescriptorStart = DescriptorStart.ORTHOGONAL,
        generator: torch.Generator | None = None,
    ) -> None:
        """An untrained model.

        Args:
            backbone: Where the features come from.
            descriptor_ratio: gamma_d; D' = D / gamma_d, at least 1 (twice that for EfficientNet-B5).
            initial_radius: r before training.
            start: How the descriptor's weights are drawn.
            generator: Source of the descriptor's random weights.
        """
        super().__init__()
        width = max(1, backbone.width_factor * sum(backbone.channels) // descriptor_ratio)
        self.backbone = backbone
        self._fast_pooled: CompiledNetwork | None = None
        self._fast_searches: dict[int, CompiledSearch | None] = {}
        self.descriptor = Descriptor(backbone.channels, width, start, generator)
        self.radius = nn.Parameter(torch.tensor(initial_radius))
        self.register_buffer("level_scale", torch.ones(len(backbone.channels)))
        self.register_buffer("bank", torch.empty(0, width))
        self.register_buffer("centre_axes", torch.empty(0, 0, 0))
        self.register_buffer("axis_basis", torch.empty(0, width))
        self.register_buffer("centre_radii", torch.empty(0))

    @property
    def cell(self) -> int:
        """Pixels of the network's input per patch."""
        return self.backbone.strides[0]

    @property
    def stride(self) -> int:
        """The network's input must be a multiple of this many pixels."""
        return max(self.backbone.strides)

    def compile_backbone(self) -> None:
        """Make `pyramid` fast on a CPU; it gives the same."""
        if self.backbone not in _COMPILED:
            backbone, probe = self.backbone, _probe(self.backbone)
            _COMPILED[backbone] = compiled(_Pooled(backbone), partial(_front, backbone), backbone.name, probe)
        self._fast_pooled = _COMPILED[self.backbone]

    def compile_all(self, count: int = 1) -> None:
        """Make `nearest` for that many centres fast on a CPU; it gives the same.

        The model must not be trained any more, and the bank not be changed.
        """
        if len(self.bank) >= count and count not in self._fast_searches:
            backbone, probe = self.backbone, _probe(self.backbone)
            search = self._fast_searches[count] = checked(
                lambda: CompiledSearch(_front(backbone), self.folded(), backbone.strides, count),
                lambda fast: largest_difference(self._nearest(probe, count, plain=True)[:1], fast(probe)[:1]),
                backbone.name,
            )
            if search is not None:
                search.expect_one_size()

    @contextmanager
    def several_at_once(self, count: int) -> Iterator[int]:
        """Meanwhile up to `count` threads call `nearest` at once, each with the result that it would have alone.

        Gives how many should: one where torch does the work, which takes all processors for each.
        """
        fast = [search for search in self._fast_searches.values() if search is not None]
        with ExitStack() as stack:
            for search in fast:
                stack.enter_context(search.several_at_once(count))
            yield count if fast else 1

    def folded(self) -> FoldedSearch:
        """Descriptor, scale and bank in one, wherever they are now."""
        descriptor = self.descriptor
        weight = descriptor.weight.detach()
        levels = torch.split(weight[:, :-2], list(descriptor.channels), dim=1)
        scaled = [level.double() * scale for level, scale in zip(levels, self.level_scale.double(), strict=True)]
        parts = (weight[:, -2:], descriptor.bias.detach(), self.bank, self.centre_axes, self.axis_basis)
        return fold([level.cpu().numpy() for level in scaled], *(part.cpu().numpy() for part in parts))

    def set_bank(self, bank: Tensor) -> None:
        """Take (M, D') centres as the memory bank: spheres of radius 0 until their shapes are measured."""
        self.bank = bank.detach().to(self.bank.device, torch.float32).contiguous()
        self.centre_axes, self.axis_basis = self.bank.new_zeros(len(bank), 0, 0), self.bank.new_zeros(0, bank.shape[1])
        self.centre_radii = self.bank.new_zeros(len(bank))

    def set_shapes(self, axes: Tensor, basis: Tensor, radii: Tensor) -> None:
        """Make the centres ellipsoids; see `core.centre_shapes.Shapes`."""
        device = self.bank.device
        self.centre_axes, self.axis_basis, self.centre_radii = axes.to(device), basis.to(device), radii.to(device)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Pooled and scaled features, not yet upsampled; these are what a training may cache.

        Args:
            images: (b, H, W, 3) uint8 RGB, H and W multiples of `stride`.

        Returns:
            One (b, channels, H / stride_i, W / stride_i) float32 map per level.
        """
        with torch.no_grad():
            fast = self._fast_pooled if images.device.type == "cpu" else None
            pooled = _Pooled(self.backbone)(images) if fast is None else fast(images)
            return [m * scale for m, scale in zip(pooled, self.level_scale, strict=True)]

    def describe(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Phi of every patch, one row each.

        Returns:
            (b, h, w, D').
        """
        phi: Tensor = self.descriptor(pyramid)
        return phi.permute(0, 2, 3, 1).contiguous()

    def describe_images(self, images: Tensor) -> Tensor:
        """Phi of every patch, (b, h, w, D'), without gradient.

        Args:
            images: (b, H, W, 3) uint8 RGB.
        """
        with torch.no_grad():
            return self.describe(self.pyramid(images))

    def nearest(self, images: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The nearest centres of every patch, without gradient.

        Args:
            images: (b, H, W, 3) uint8 RGB.
            count: How many.

        Returns:
            Squared distances, ascending, and the centres' rows, each (b, h, w, count). Where only one is asked for, the
            shapes count: see `core.neighbours.nearest_ellipsoid`. They hold until this thread's next call.
        """
        fast = self._fast_searches.get(count) if images.device.type == "cpu" else None
        return self._nearest(images, count) if fast is None else fast(images)

    def _nearest(self, images: Tensor, count: int, *, plain: bool = False) -> tuple[Tensor, Tensor]:
        phi = self.describe_images(images)
        queries = phi.flatten(0, 2)
        if count == 1 and self.centre_axes.shape[1]:
            _, rows = nearest_centres(queries, self.bank, min(CANDIDATES, len(self.bank)), plain=plain)
            distances, rows = nearest_ellipsoid(queries, ellipsoids(self.bank, self.centre_axes, self.axis_basis), rows)
        else:
            distances, rows = nearest_centres(queries, self.bank, count, plain=plain)
        return distances.view(*phi.shape[:3], count), rows.view(*phi.shape[:3], count)

    def forward(self, images: Tensor, score: Score, neighbours: int) -> Tensor:
        """The anomaly score of every patch.

        Args:
            images: (b, H, W, 3) uint8 RGB.
            score: See `Score`.
            neighbours: K, centres that the certainty looks at.

        Returns:
            (b, h, w) float32, >= 0.
        """
        distances, rows = self.nearest(images, centres_needed(score, neighbours))
        scores = patch_scores(distances.flatten(0, 2), score, self.centre_radii.index_select(0, rows[..., 0].flatten()))
        return scores.view(distances.shape[:3])


def centres_needed(score: Score, neighbours: int) -> int:
    """How many of the nearest centres a score looks at."""
    return neighbours if score is Score.CERTAINTY else 1


_COMPILED: WeakKeyDictionary[Backbone, CompiledNetwork | None] = WeakKeyDictionary()
"""Of every backbone alive; several trainings may use one."""
_FRONT: dict[tuple[str, str], Any] = {}
"""By name and weights of the backbone that was last compiled or searched with: its pooled maps' `openvino.Model`."""


def _probe(backbone: Backbone, size: tuple[int, int] = _PROBE) -> Tensor:
    """A (1, H, W, 3) uint8 picture of noise, always the same."""
    height, width = (max(backbone.strides) * side for side in size)
    return torch.randint(0, 256, (1, height, width, 3), generator=torch.Generator().manual_seed(0)).byte()


def _front(backbone: Backbone) -> Any:
    """The pooled maps as an `openvino.Model` of its own.

    Tracing takes half a second, so it is done once for all models with the same backbone that follow each other.
    """
    key = backbone.name, backbone.digest
    front = _FRONT.get(key)
    if front is None:
        front = converted(_Pooled(backbone), _probe(backbone, _TRACED))
        _FRONT.clear()
        _FRONT[key] = front
    return front.clone()
