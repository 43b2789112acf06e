"""The network of CFA: frozen pyramid, descriptor, memory bank and radius. Its state is parameters and buffers only."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.backbone import Backbone
from core.compiled_backbone import CompiledBackbone, compiled
from core.config import DescriptorStart, Score
from core.descriptor import Descriptor
from core.neighbours import nearest_centres
from core.scoring import patch_scores


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
        self._compiled: CompiledBackbone | None = None
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

    def compile_for_cpu(self) -> None:
        """Run the backbone compiled wherever images lie on a CPU, if it can be compiled; the maps stay the same."""
        if self._compiled is None:
            self._compiled = compiled(self.backbone)

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
            maps = (self._compiled or self.backbone)(images) if images.device.type == "cpu" else self.backbone(images)
            pooled = [functional.avg_pool2d(m, 3, stride=1, padding=1) for m in maps]
            return [m * scale for m, scale in zip(pooled, self.level_scale, strict=True)]

    def describe(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Phi of every patch, one row each.

        Returns:
            (b, h, w, D').
        """
        phi: Tensor = self.descriptor(pyramid)
        return phi.permute(0, 2, 3, 1).contiguous()

    def forward(self, images: Tensor, score: Score, neighbours: int) -> Tensor:
        """The anomaly score of every patch.

        Args:
            images: (b, H, W, 3) uint8 RGB.
            score: See `Score`.
            neighbours: K, centres that the certainty looks at.

        Returns:
            (b, h, w) float32, >= 0.
        """
        phi = self.describe(self.pyramid(images))
        count = neighbours if score is Score.CERTAINTY else 1
        distances, rows = nearest_centres(phi.flatten(0, 2), self.bank, count)
        return patch_scores(distances, score, self.centre_radii[rows[:, 0]]).view(phi.shape[:3])
