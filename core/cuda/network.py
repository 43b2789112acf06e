"""The frozen backbone for a CUDA device: normalisations folded into the convolutions, float32 in effect.

Half precision and TF32 as such change scores by a thousandth and more (docs/adr/0016-cuda.md). Where a network is dense
enough for it to pay, each convolution is computed by the tensor cores on numbers split in two, ``x = high + low``, both
of which TF32 holds exactly or nearly: ``high w_high + low w_high + high w_low`` leaves out what is below float32's last
digits.
"""

import copy
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from timm.layers import BatchNormAct2d  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from core.backbone import Backbone
from core.compiled_network import largest_difference
from core.cuda.kernels import HIGH, split

_TOLERANCE = 2e-5
_DENSE = 300
"""Multiplications per number that goes into a convolution, above which splitting should pay. An estimate: a number is
written three times more, and three products by the tensor cores are to take less time than one without them."""
_PRECISION = threading.Lock()
_LOG = logging.getLogger(__name__)


class PooledMaps(nn.Module):
    """The backbone's maps, each averaged over 3 x 3 (section 3.1); a copy that may stand on another device."""

    def __init__(self, backbone: Backbone, device: torch.device, *, splits: bool | None = None) -> None:
        """Copy, fold and move.

        Args:
            backbone: Stays as it is.
            device: Where to compute.
            splits: Whether to split numbers in two for the tensor cores; None: where it pays.
        """
        super().__init__()
        plain, dense = folded(backbone)
        self.backbone = plain.to(device).to(memory_format=torch.channels_last)
        self.splits = False
        if (dense >= _DENSE and device.type == "cuda") if splits is None else splits:
            self._try_split()
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """From (b, H, W, 3) uint8 images to one (b, channels, h_l, w_l) float32 map per level."""
        with precision(tf32=self.splits):
            maps = cast("Sequence[Tensor]", self.backbone(images))
        return [functional.avg_pool2d(level, 3, stride=1, padding=1) for level in maps]

    @torch.no_grad()
    def _try_split(self) -> None:
        """Split every convolution, if that can be done and gives what it gave."""
        plain = self.backbone
        images = _probe(plain).to(plain.mean.device)
        right = self(images)
        candidate = copy.deepcopy(plain)
        for name, module in list(candidate.named_modules()):
            if isinstance(module, nn.Conv2d) and not _depthwise(module):
                if type(module) is not nn.Conv2d or module.groups > 1 or module.padding_mode != "zeros":
                    return  # it pads as the picture asks for, or is grouped: left whole
                candidate.set_submodule(name, SplitConvolution(module))
        self.backbone, self.splits = candidate, True
        found = largest_difference(right, self(images))
        if found > _TOLERANCE:
            _LOG.warning("%s is not split: it would differ by %.1e.", plain.name, found)
            self.backbone, self.splits = plain, False


class SplitConvolution(nn.Module):
    """A convolution as one of three times as many channels: the high parts, the low parts, the high parts again."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = convolution.weight.detach().contiguous()
        high = (weight.view(torch.int32) & HIGH).view(torch.float32)
        parts = torch.cat((high, high, weight - high), dim=1).contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", parts)
        self.register_buffer("bias", convolution.bias)
        self._stride, self._dilation = convolution.stride, convolution.dilation
        self._padding = cast("tuple[int, ...]", convolution.padding)  # or a word, which torch takes as well

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`, while TF32 is allowed."""
        rows = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)  # (b, h, w, c) side by side
        parts = split(rows).permute(0, 3, 1, 2)
        bias = cast("Tensor | None", self.bias)
        return functional.conv2d(parts, cast("Tensor", self.weight), bias, self._stride, self._padding, self._dilation)


@contextmanager
def precision(*, tf32: bool) -> Iterator[None]:
    """Inside, convolutions may use TF32 or must not. torch knows this of the whole process: one thread at a time."""
    of_convolutions = getattr(torch.backends.cudnn, "conv", None)  # since torch 2.9
    holder, name = (
        (torch.backends.cudnn, "allow_tf32") if of_convolutions is None else (of_convolutions, "fp32_precision")
    )
    wanted = tf32 if of_convolutions is None else ("tf32" if tf32 else "ieee")
    with _PRECISION:
        before = getattr(holder, name)
        setattr(holder, name, wanted)
        try:
            yield
        finally:
            setattr(holder, name, before)


@torch.no_grad()
def folded(backbone: Backbone) -> tuple[Backbone, float]:
    """A copy on the CPU in which every normalisation that follows a convolution is part of it, where that can be done.

    Returns:
        The copy, and its multiplications per number that goes into a convolution.
    """
    plain = copy.deepcopy(backbone).cpu()
    probe, candidate = _probe(plain), copy.deepcopy(plain)
    pairs, dense = _walk(candidate, probe)
    for name, convolution in pairs:
        norm = cast("nn.BatchNorm2d", candidate.get_submodule(name))
        _fold(convolution, norm)
        candidate.set_submodule(name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
    found = largest_difference(plain(probe), candidate(probe))
    if found > _TOLERANCE:
        _LOG.warning("%s keeps its normalisations: folded it differs by %.1e.", backbone.name, found)
        return plain, dense
    return candidate, dense


def _probe(backbone: Backbone) -> Tensor:
    side = 3 * max(backbone.strides)
    return torch.randint(0, 256, (1, side, side, 3), generator=torch.Generator().manual_seed(0)).byte()


def _depthwise(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.in_channels > 1


class _Walk:
    """What a pass through a network shows."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, nn.Conv2d]] = []
        self.work = 0
        self.inputs = 0
        self._made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # holds the outputs, so that no address is given twice

    def after(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Note a convolution."""
        convolution = cast("nn.Conv2d", module)
        self._made[id(output)] = (convolution, output)
        self.work += output[0, 0].numel() * convolution.weight.numel()
        self.inputs += inputs[0].numel()

    def before(self, name: str, inputs: tuple[Tensor, ...]) -> None:
        """Note a normalisation that takes a convolution's output."""
        if id(inputs[0]) in self._made:
            self.pairs.append((name, self._made.pop(id(inputs[0]))[0]))


def _walk(backbone: Backbone, probe: Tensor) -> tuple[list[tuple[str, nn.Conv2d]], float]:
    """Normalisations that take a convolution's output, with that convolution; and multiplications per input number."""
    seen, handles = _Walk(), []
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(seen.after))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(lambda _, inputs, name=name: seen.before(name, inputs)))
    try:
        backbone(probe)
    finally:
        for handle in handles:
            handle.remove()
    return seen.pairs, seen.work / max(seen.inputs, 1)


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, var = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale, offset, bias = (None if x is None else x.double() for x in (norm.weight, norm.bias, convolution.bias))
    weight, shift = fuse_conv_bn_weights(
        convolution.weight.double(), bias, mean.double(), var.double(), norm.eps, scale, offset
    )
    convolution.weight = nn.Parameter(weight.float(), requires_grad=False)
    convolution.bias = nn.Parameter(shift.float(), requires_grad=False)
