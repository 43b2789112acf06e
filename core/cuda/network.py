"""The frozen backbone for a CUDA device: normalisations folded into the convolutions, channels side by side, float32.

Half precision and TF32 would be faster and are not used: they change scores by more than a thousandth (docs/adr/0016).
"""

import copy
import logging
from collections.abc import Sequence
from typing import cast

import torch
from timm.layers import BatchNormAct2d  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from core.backbone import Backbone
from core.compiled_network import largest_difference

_TOLERANCE = 1e-5
_LOG = logging.getLogger(__name__)


class PooledMaps(nn.Module):
    """The backbone's maps, each averaged over 3 x 3 (section 3.1); a copy that may stand on another device."""

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        """Copy, fold and move.

        Args:
            backbone: Stays as it is.
            device: Where to compute.
        """
        super().__init__()
        moved = folded(copy.deepcopy(backbone).cpu()).to(device)
        self.backbone = moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> list[Tensor]:
        """From (b, H, W, 3) uint8 images to one (b, channels, h_l, w_l) map per level, channels side by side."""
        maps = cast("Sequence[Tensor]", self.backbone(images))
        return [functional.avg_pool2d(level, 3, stride=1, padding=1) for level in maps]


@torch.no_grad()
def folded(backbone: Backbone) -> Backbone:
    """A copy in which every normalisation that follows a convolution is part of it; the backbone where that fails."""
    side = 3 * max(backbone.strides)
    probe = torch.randint(0, 256, (1, side, side, 3), generator=torch.Generator().manual_seed(0)).byte()
    candidate = copy.deepcopy(backbone)
    for name, convolution in _normalised(candidate, probe):
        norm = cast("nn.BatchNorm2d", candidate.get_submodule(name))
        _fold(convolution, norm)
        candidate.set_submodule(name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
    found = largest_difference(backbone(probe), candidate(probe))
    if found > _TOLERANCE:
        _LOG.warning("%s keeps its normalisations: folded it differs by %.1e.", backbone.name, found)
        return backbone
    return candidate


def _normalised(backbone: Backbone, probe: Tensor) -> list[tuple[str, nn.Conv2d]]:
    """Names of the normalisations that take a convolution's output, and that convolution."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the outputs, so that no address is given twice
    pairs: list[tuple[str, nn.Conv2d]] = []
    handles = []
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(lambda m, _, out: made.__setitem__(id(out), (m, out))))
        elif isinstance(module, nn.BatchNorm2d):

            def note(_module: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                if id(inputs[0]) in made:
                    pairs.append((name, made.pop(id(inputs[0]))[0]))

            handles.append(module.register_forward_pre_hook(note))
    try:
        backbone(probe)
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, var = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    doubles = [None if value is None else value.double() for value in (norm.weight, norm.bias)]
    bias = None if convolution.bias is None else convolution.bias.double()
    weight, shift = fuse_conv_bn_weights(
        convolution.weight.double(), bias, mean.double(), var.double(), norm.eps, *doubles
    )
    convolution.weight = nn.Parameter(weight.float(), requires_grad=False)
    convolution.bias = nn.Parameter(shift.float(), requires_grad=False)
