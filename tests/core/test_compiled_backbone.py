import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from core import compiled_backbone
from core.backbone import Backbone, random_backbone
from core.compiled_backbone import CompiledBackbone, compiled
from core.model import CfaModel


@pytest.fixture(scope="module")
def fast(backbone: Backbone) -> CompiledBackbone:
    found = compiled(backbone)
    assert found is not None, "the embedded backbone must compile"
    return found


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (*shape, 3), generator=torch.Generator().manual_seed(seed)).byte()


def assert_equal_maps(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert [m.shape for m in ours] == [m.shape for m in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).abs().max()) <= 1e-5 * float(other.abs().max())


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 64, 48), (1, 48, 112), (3, 32, 64), (1, 224, 224)])
def test_that_the_compiled_maps_are_those_of_torch_for_every_size_and_batch(
    backbone: Backbone, fast: CompiledBackbone, shape: tuple[int, int, int]
) -> None:
    images = pictures(*shape)
    with torch.inference_mode():
        assert_equal_maps(fast(images), backbone(images))


def test_that_the_maps_of_an_image_do_not_depend_on_what_was_seen_before(fast: CompiledBackbone) -> None:
    image = pictures(1, 64, 64, seed=1)
    first = [m.clone() for m in fast(image)]
    fast(pictures(1, 96, 32, seed=2))
    assert all(torch.equal(one, other) for one, other in zip(first, fast(image), strict=True))


def test_that_threads_do_not_get_into_each_others_maps(fast: CompiledBackbone) -> None:
    images = [pictures(1, 64, 64, seed=seed) for seed in range(4)]
    alone = [[m.clone() for m in fast(image)] for image in images]
    wrong: list[int] = []

    def repeat(index: int) -> None:
        for _ in range(10):
            found = fast(images[index])
            if not all(torch.equal(one, other) for one, other in zip(found, alone[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b5"])
def test_that_other_backbones_compile_too(name: str) -> None:
    """EfficientNet-B5 joins the maps of several blocks, which hooks put aside."""
    backbone = random_backbone(name)
    found = compiled(backbone)
    assert found is not None
    images = pictures(1, 64, 96)
    with torch.inference_mode():
        assert_equal_maps(found(images), backbone(images))


def test_that_a_backbone_is_compiled_once_and_not_kept_alive() -> None:
    backbone = random_backbone("resnet18")
    assert compiled(backbone) is compiled(backbone)
    gone = weakref.ref(backbone)
    del backbone
    gc.collect()
    assert gone() is None


class Moody(nn.Module):
    """A network whose maps depend on the picture's size in a way that a trace cannot follow."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = backbone.network

    def forward(self, x: Tensor) -> list[Tensor]:
        return [m * float(x.shape[2]) for m in self.network(x)]


def test_that_a_network_that_would_give_other_maps_runs_in_torch(caplog: pytest.LogCaptureFixture) -> None:
    backbone = random_backbone("resnet18")
    backbone.network = Moody(backbone)
    assert compiled(backbone) is None
    assert "resnet18 runs in torch" in caplog.text


def test_that_without_openvino_the_backbone_runs_in_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(_backbone: Backbone) -> None:
        raise ModuleNotFoundError("No module named 'openvino'")

    monkeypatch.setattr(compiled_backbone, "CompiledBackbone", absent)
    model = CfaModel(random_backbone("resnet18"), descriptor_ratio=8, initial_radius=1.0)
    model.compile_for_cpu()
    assert [m.shape[-1] for m in model.pyramid(pictures(1, 32, 32))] == [8, 4, 2]
    assert "No module named 'openvino'" in caplog.text


def test_that_a_model_told_to_compile_uses_it(monkeypatch: pytest.MonkeyPatch, backbone: Backbone) -> None:
    calls: list[tuple[int, ...]] = []
    original: Callable[[CompiledBackbone, Tensor], list[Tensor]] = CompiledBackbone.__call__

    def spy(self: CompiledBackbone, images: Tensor) -> list[Tensor]:
        calls.append(tuple(images.shape))
        return original(self, images)

    monkeypatch.setattr(CompiledBackbone, "__call__", spy)
    model = CfaModel(backbone, descriptor_ratio=8, initial_radius=1.0)
    plain = model.pyramid(pictures(1, 32, 32))
    assert not calls
    model.compile_for_cpu()
    calls.clear()
    assert_equal_maps(model.pyramid(pictures(1, 32, 32)), plain)
    assert calls == [(1, 32, 32, 3)]
