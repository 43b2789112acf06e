"""The patch descriptor phi: a 1x1 CoordConv, applied to each level at its own resolution.

phi is linear, and 3x3 averaging and bilinear upsampling act on each channel alone, so the 1x1 weights may be applied
before the upsampling instead of after it: the same numbers for a quarter of the work.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config import DescriptorStart

COORDINATE_WEIGHT = 0.7
"""Of the coordinates under an orthogonal start, at most: at the reference scale they say less than the picture does."""


class Descriptor(nn.Module):
    """phi: R^D -> R^D' (section 3.1).

    Attributes:
        weight: (D', D + 2), the last two columns weigh the row and the column coordinate.
        bias: (D',).
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        start: DescriptorStart,
        generator: torch.Generator | None = None,
    ) -> None:
        """Random weights, zero bias.

        Args:
            channels: Channels of each level of the pyramid.
            width: D', channels of the descriptor.
            start: How the weights are drawn.
            generator: Source of the random weights.
        """
        super().__init__()
        self.channels = tuple(channels)
        weight = torch.empty(width, sum(channels) + 2)
        if start is DescriptorStart.PUBLISHED:
            nn.init.kaiming_normal_(weight, generator=generator)
        else:
            draw_orthogonal(weight, generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Describe every patch.

        Args:
            pyramid: One pooled (b, channels, h / 2^i, w / 2^i) map per level, finest first.

        Returns:
            (b, D', h, w), h and w those of the finest level.
        """
        return self.project(pyramid).add_(self.constant(pyramid[0].shape[-2:]))

    @torch.no_grad()
    def weigh_coordinates(self, factor: float) -> None:
        """Let the coordinates count by that much more or less than now."""
        self.weight[:, -2:] *= factor

    def project(self, pyramid: Sequence[Tensor]) -> Tensor:
        """The part of phi that depends on the image, (b, D', h, w), the channels of a patch side by side in memory.

        As a product of patches by weights and not as a convolution: so laid out, upsampling and what comes after work
        on whole channels, and nobody must turn the map around.
        """
        grid = pyramid[0].shape[-2:]
        levels = torch.split(self.weight[:, :-2], list(self.channels), dim=1)
        phi: Tensor | None = None
        for weight, level in zip(levels, pyramid, strict=True):
            part = functional.linear(level.permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)  # (b, D', h / 2^i, w / 2^i)
            if phi is None:
                phi = part
            else:
                phi.add_(functional.interpolate(part, size=grid, mode="bilinear", align_corners=False))
        if phi is None:
            raise ValueError("the pyramid has no level")
        return phi

    def constant(self, grid: Sequence[int]) -> Tensor:
        """The part of phi that is the same for every image: coordinates and bias, (D', h, w)."""
        coordinates = torch.stack(coordinate_channels(grid, self.weight.device), dim=2)  # (h, w, 2)
        return functional.linear(coordinates, self.weight[:, -2:], self.bias).permute(2, 0, 1)


def draw_orthogonal(weight: Tensor, generator: torch.Generator | None) -> None:
    """Fill (D', D + 2) weights in place with a random rotation (D' >= D) or projection that keeps lengths on average.

    Images' columns and coordinates' columns are drawn apart.
    """
    width, inputs = weight.shape[0], weight.shape[1] - 2
    nn.init.orthogonal_(weight[:, :-2], gain=max(1.0, inputs / width) ** 0.5, generator=generator)
    nn.init.orthogonal_(weight[:, -2:], gain=COORDINATE_WEIGHT, generator=generator)


def coordinate_channels(grid: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The two channels of CoordConv, each (h, w) in [-1, 1]: the first grows down the rows, the second along them."""
    rows = torch.linspace(-1.0, 1.0, grid[0], device=device)
    columns = torch.linspace(-1.0, 1.0, grid[1], device=device)
    return rows[:, None].expand(grid[0], grid[1]), columns[None, :].expand(grid[0], grid[1])
