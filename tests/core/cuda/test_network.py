"""The backbone made ready for a device beside the one that it was made from."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.backbone import random_backbone
from core.cuda import network
from core.cuda.kernels import HIGH
from core.cuda.network import PooledMaps, SplitConvolution, precision
from tests.core.cuda.devices import needs_cuda
from tests.core.parts import picture


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("backbone", ["lite0", "resnet18", "vgg19_bn", "efficientnet_b5", "mobilenetv3_small_050"])
def test_that_folded_normalisations_and_split_numbers_change_nothing(backbone: str, split: bool) -> None:
    torch.manual_seed(1)
    bare = random_backbone(backbone)
    for module in bare.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    images = torch.from_numpy(np.stack([picture(seed, 32, 64) for seed in range(2)]))
    copied = PooledMaps(bare, torch.device("cpu"), splits=split)
    pooled = [torch.nn.functional.avg_pool2d(level, 3, stride=1, padding=1) for level in bare(images)]
    for one, other in zip(copied(images), pooled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))
    assert copied.splits == (
        split and backbone not in {"lite0", "efficientnet_b5"}
    )  # these pad as the picture asks for
    left = [m for m in copied.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not left


def in_tf32(values: Tensor) -> Tensor:
    """Cut off, as the tensor cores do with what they are given."""
    return (values.contiguous().view(torch.int32) & HIGH).view(torch.float32)


def error(found: Tensor, right: Tensor) -> float:
    return float((found.double() - right).norm() / right.norm())


@pytest.mark.parametrize(("kernel", "stride", "bias"), [(1, 1, True), (3, 2, False), (3, 1, True)])
def test_that_a_split_convolution_is_as_good_as_float32_where_products_are_of_tf32(
    kernel: int, stride: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    whole = torch.nn.Conv2d(40, 24, kernel, stride, padding=kernel // 2, bias=bias).requires_grad_(requires_grad=False)
    x = torch.randn(2, 40, 9, 14) * torch.logspace(-2, 2, 40)[:, None, None]
    exact = functional.conv2d

    def on_tensor_cores(values: Tensor, weight: Tensor, offset: Tensor | None, *how: Any) -> Tensor:
        doubles = in_tf32(values).double(), in_tf32(weight).double(), None if offset is None else offset.double()
        found: Tensor = exact(*doubles, *how)
        return found.float()

    doubles = x.double(), whole.weight.double(), None if whole.bias is None else whole.bias.double()
    right = exact(*doubles, stride, kernel // 2)
    rounded = on_tensor_cores(x, whole.weight, whole.bias, stride, kernel // 2)
    split = SplitConvolution(whole)
    monkeypatch.setattr(functional, "conv2d", on_tensor_cores)
    found = split(x)
    monkeypatch.undo()
    assert error(rounded, right) > 1e-4
    assert error(found, right) < 2e-6


def test_that_what_splitting_changes_too_much_is_left_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "split", lambda rows: torch.cat((rows, rows * 0.01, rows), dim=3))
    copied = PooledMaps(random_backbone("resnet18"), torch.device("cpu"), splits=True)
    assert not copied.splits
    assert not any(isinstance(module, SplitConvolution) for module in copied.modules())
    assert "not split" in caplog.text


@pytest.mark.parametrize("tf32", [False, True])
def test_that_torch_is_told_of_precision_for_a_while_alone(tf32: bool) -> None:
    before = torch.backends.cudnn.allow_tf32
    with precision(tf32=tf32):
        of_convolutions = getattr(torch.backends.cudnn, "conv", None)
        if of_convolutions is None:
            assert torch.backends.cudnn.allow_tf32 == tf32
        else:
            assert of_convolutions.fp32_precision == ("tf32" if tf32 else "ieee")
    assert torch.backends.cudnn.allow_tf32 == before
    with pytest.raises(RuntimeError, match="broken"), precision(tf32=not before):
        raise RuntimeError("broken")
    assert torch.backends.cudnn.allow_tf32 == before


@needs_cuda
@pytest.mark.parametrize("backbone", ["lite0", "resnet18", "wide_resnet50_2"])
def test_that_the_maps_on_a_device_are_those_of_double_precision(backbone: str) -> None:
    torch.manual_seed(2)
    bare = random_backbone(backbone)
    images = torch.randint(0, 256, (3, 96, 64, 3), dtype=torch.uint8)
    found = PooledMaps(bare, torch.device("cuda"))(images.cuda())
    pixels = (images.permute(0, 3, 1, 2).double() / 255.0 - bare.mean) / bare.std
    for one, other in zip(found, bare.double().network(pixels), strict=True):
        right = torch.nn.functional.avg_pool2d(other, 3, stride=1, padding=1)
        assert float((one.cpu() - right).norm() / right.norm()) < 2e-5
