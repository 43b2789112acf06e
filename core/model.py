"""The network of CFA: frozen pyramid, descriptor, memory bank and radius. Its state is parameters and buffers only."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.backbone import Backbone
from core.compiled_network import CompiledNetwork, compiled
from core.config import DescriptorStart, Score
from core.descriptor import Descriptor
from core.neighbours import nearest_centres
from core.scoring import patch_scores

_PROBES = ((2, 3), (5, 4))
"""Heights and widths of the pictures on which compiled networks are checked, in units of the coarsest stride."""


class _Pooled(nn.Module):
    """The backbone's maps, each averaged over 3 x 3 (section 3.1)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional.avg_pool2d(m, 3, stride=1, padding=1) for m in self.backbone(images))


class _Described(nn.Module):
    """Phi of every patch of an image, from the image and from what is the same for all images."""

    level_scale: Tensor

    def __init__(self, network: "CfaModel") -> None:
        super().__init__()
        self.pooled, self.descriptor = _Pooled(network.backbone), network.descriptor
        self.register_buffer("level_scale", network.level_scale)

    def forward(self, images: Tensor, constant: Tensor) -> tuple[Tensor]:
        pyramid = [m * self.level_scale[i] for i, m in enumerate(self.pooled(images))]
        return ((self.descriptor.project(pyramid) + constant).permute(0, 2, 3, 1),)


class CfaModel(nn.Module):
    """Images in, distances to the memory bank out.

    Attributes:
        backbone: Frozen.
        descriptor: phi, trained.
        radius: r, scalar, trained.
        level_scale: (levels,) factor on each pooled map.
        bank: (M, D') centres C; empty until `set_bank`.
        centre_radii: (M,) mean distance of the good patches nearest to each centre; 0 until it is measured.
    """

    level_scale: Tensor
    bank: Tensor
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
        self._fast_described: CompiledNetwork | None = None
        self.descriptor = Descriptor(backbone.channels, width, start, generator)
        self.radius = nn.Parameter(torch.tensor(initial_radius))
        self.register_buffer("level_scale", torch.ones(len(backbone.channels)))
        self.register_buffer("bank", torch.empty(0, width))
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
            probes = [(picture,) for picture in self._probes()]
            _COMPILED[self.backbone] = compiled(_Pooled(self.backbone), self.backbone.name, probes, [[-1, -1, -1, 3]])
        self._fast_pooled = _COMPILED[self.backbone]

    def compile_all(self) -> None:
        """Make `forward` fast on a CPU; it gives the same. The model must not be trained any more."""
        if self._fast_described is None:
            probes = [(picture, self.constant(picture)) for picture in self._probes()]
            shapes = [[-1, -1, -1, 3], [len(self.descriptor.bias), -1, -1]]
            self._fast_described = compiled(_Described(self), self.backbone.name, probes, shapes)

    def _probes(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        sizes = [(rows * self.stride, columns * self.stride) for rows, columns in _PROBES]
        return [torch.randint(0, 256, (1, *size, 3), generator=generator).byte() for size in sizes]

    def set_bank(self, bank: Tensor) -> None:
        """Take (M, D') centres as the memory bank; their radii are 0 until measured."""
        self.bank = bank.detach().to(self.bank.device, torch.float32).contiguous()
        self.centre_radii = self.bank.new_zeros(len(bank))

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

    def constant(self, images: Tensor) -> Tensor:
        """What phi holds for every image of that size, (D', h, w)."""
        with torch.no_grad():
            return self.descriptor.constant((images.shape[1] // self.cell, images.shape[2] // self.cell))

    def describe_images(self, images: Tensor) -> Tensor:
        """Phi of every patch, (b, h, w, D'), without gradient.

        Args:
            images: (b, H, W, 3) uint8 RGB.
        """
        if self._fast_described is not None and images.device.type == "cpu":
            return self._fast_described(images, self.constant(images))[0]
        with torch.no_grad():
            return self.describe(self.pyramid(images))

    def forward(self, images: Tensor, score: Score, neighbours: int) -> Tensor:
        """The anomaly score of every patch.

        Args:
            images: (b, H, W, 3) uint8 RGB.
            score: See `Score`.
            neighbours: K, centres that the certainty looks at.

        Returns:
            (b, h, w) float32, >= 0.
        """
        phi = self.describe_images(images)
        count = neighbours if score is Score.CERTAINTY else 1
        distances, rows = nearest_centres(phi.flatten(0, 2), self.bank, count)
        return patch_scores(distances, score, self.centre_radii[rows[:, 0]]).view(phi.shape[:3])


_COMPILED: WeakKeyDictionary[Backbone, CompiledNetwork | None] = WeakKeyDictionary()
"""Of every backbone alive; several trainings may use one."""
