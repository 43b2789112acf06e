"""Convolutions with half of the multiplications beside torch in double precision."""

import copy
import platform
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import compiled_network, openvino_runtime
from core.backbone import random_backbone
from core.compiled_network import CompiledNetwork, converted
from core.config import Score
from core.model import CfaModel

SIZES = ((1, 1), (2, 5), (7, 4), (8, 14), (5, 33))


@pytest.fixture(autouse=True)
def _measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is right on every processor."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


class Layers(nn.Module):
    """(b, H, W, 3) pictures to 128 maps of the same size, and to what some layers make of them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.wide, self.layers = nn.Conv2d(3, 128, 1), nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
            elif isinstance(module, nn.BatchNorm2d):
                normalize_at_random(module)
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.wide(images.permute(0, 3, 1, 2).to(self.wide.weight.dtype) / 255.0 - 0.5)
        return maps, self.layers(maps)


class Twice(nn.Module):
    """A convolution whose output two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.normalization = convolution(), nn.BatchNorm2d(128)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.first(maps)
        return torch.add(self.normalization(found), found.relu())


def convolution(inputs: int = 128, outputs: int = 128, **others: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, **{"padding": 1, "bias": False} | others)


def normalize_at_random(module: nn.BatchNorm2d) -> None:
    for values, low, high in (
        (module.weight, -1.5, 1.5),
        (module.bias, -1.0, 1.0),
        (module.running_mean, -1.0, 1.0),
        (module.running_var, 0.5, 2.0),
    ):
        assert values is not None
        nn.init.uniform_(values, low, high)


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, (*shape, 3), generator=torch.Generator().manual_seed(0)).byte()


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize(
    "layers",
    [
        (convolution(),),
        (convolution(bias=True), nn.ReLU()),
        (convolution(128, 160), nn.BatchNorm2d(160), nn.ReLU(), convolution(160, 128)),
        (nn.ReLU(), convolution(), nn.BatchNorm2d(128)),
        (Twice(), nn.ReLU()),
    ],
    ids=["alone", "bias and ReLU", "normalization and ReLU, then another", "normalization", "read twice"],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_that_its_maps_are_those_of_the_convolution_for_every_size(layers: tuple[nn.Module, ...], batch: int) -> None:
    network = Layers(*copy.deepcopy(layers))
    model = converted(network, pictures(1, 6, 7))
    assert "GroupConvolution" in kinds(model), "nothing was replaced"
    assert kinds(model).count("Convolution") == 1, "beside the first, none is computed in the old way any more"
    fast, exact = CompiledNetwork(model), copy.deepcopy(network).double()
    for size in SIZES:
        images = pictures(batch, *size)
        for found, expected in zip(fast(images), exact(images), strict=True):
            assert found.shape == expected.shape
            assert float((found - expected).abs().max()) <= 2e-5 * float(expected.abs().max())


@pytest.mark.parametrize(
    "layer",
    [
        convolution(stride=2),
        convolution(padding=0),
        convolution(padding=2, dilation=2),
        convolution(128, 127),
        nn.Conv2d(128, 128, (1, 3), padding=(0, 1)),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
    ],
    ids=["stride", "no padding", "dilation", "few channels", "other size", "groups"],
)
def test_that_other_convolutions_stay(monkeypatch: pytest.MonkeyPatch, layer: nn.Module) -> None:
    network = Layers(layer)
    after = converted(network, pictures(1, 6, 7))
    monkeypatch.setattr(compiled_network, "halve_multiplications", lambda _model: None)
    assert kinds(after) == kinds(converted(network, pictures(1, 6, 7)))


@pytest.mark.parametrize(
    ("before", "replaced"),
    [
        ((nn.Conv2d(128, 64, 1),), False),
        ((nn.Conv2d(128, 64, 2, stride=2),), False),
        ((nn.Conv2d(128, 64, 2, stride=2), nn.MaxPool2d(2)), True),
        ((nn.Conv2d(128, 64, 4, stride=4), nn.BatchNorm2d(64), nn.ReLU()), True),
        ((nn.Conv2d(128, 63, 4, stride=4), nn.Conv2d(63, 64, 1)), True),
    ],
    ids=["as large as the picture", "half", "a quarter by a pool", "a quarter by a stride", "further back"],
)
def test_that_half_as_many_channels_do_where_maps_are_small(before: tuple[nn.Module, ...], replaced: bool) -> None:
    network = Layers(*copy.deepcopy(before), convolution(64, 64))
    model = converted(network, pictures(1, 12, 20))
    assert ("GroupConvolution" in kinds(model)) is replaced
    images = pictures(2, 8, 28)
    for found, expected in zip(CompiledNetwork(model)(images), copy.deepcopy(network).double()(images), strict=True):
        assert float((found - expected).abs().max()) <= 2e-5 * float(expected.abs().max())


def test_that_a_processor_on_which_it_was_not_measured_keeps_its_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "GroupConvolution" not in kinds(converted(Layers(convolution()), pictures(1, 6, 7)))


@pytest.mark.parametrize("shape", [(1, 32, 48), (2, 48, 80)])
def test_that_a_network_of_such_layers_scores_an_image_as_torch_does_and_alike_whatever_was_compiled(
    shape: tuple[int, int, int],
) -> None:
    """With a model for that size alone, with one for all sizes, and among other images."""
    backbone = random_backbone("resnet18")
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            normalize_at_random(module)
    model = CfaModel(backbone, descriptor_ratio=4, initial_radius=1.0).eval()
    model.level_scale.copy_(torch.tensor([0.02, 0.03, 0.04]))
    model.set_bank(model.describe_images(pictures(1, 64, 64)).flatten(0, 2)[::5])
    plain = model(pictures(*shape), Score.NEAREST, 3)
    model.compile_all()
    alone = model(pictures(*shape), Score.NEAREST, 3).clone()
    torch.testing.assert_close(alone, plain, rtol=1e-4, atol=1e-6)
    for size in ((1, 64, 32), shape, (1, 32, 32), shape):
        found = model(pictures(*size), Score.NEAREST, 3)
        assert size != shape or torch.equal(found, alone)
    with model.several_at_once(2):
        assert torch.equal(model(pictures(*shape), Score.NEAREST, 3), alone)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="OpenVINO names its layers otherwise there")
def test_that_weights_are_mixed_when_a_model_is_compiled_and_not_for_every_image() -> None:
    model = converted(Layers(convolution()), pictures(1, 6, 7))
    model.reshape({0: [1, 8, 8, 3]})
    made_of = openvino_runtime._compile(model).get_runtime_model()
    made = [node.get_rt_info()["layerType"].astype(str) for node in made_of.get_ordered_ops()]
    assert made.count("MatMul") == 2  # of inputs and of products
    assert made.count("Convolution") == 2  # the first of them makes the maps wide
