import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import model as network
from core import openvino_runtime
from core.backbone import Backbone, random_backbone, restore_backbone
from core.compiled_network import CompiledNetwork, compiled, converted
from core.config import Score
from core.model import CfaModel


@pytest.fixture(scope="module")
def fast(backbone: Backbone) -> CompiledNetwork:
    maps, probe = Maps(backbone), pictures(1, 32, 48)
    found = compiled(maps, lambda: converted(maps, probe), "lite0", pictures(1, 64, 32))
    assert found is not None, "the embedded backbone must compile"
    return found


class Maps(nn.Module):
    """A backbone's maps as a tuple."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(images))


class Moody(Maps):
    """Maps that depend on the picture's size in a way that a trace cannot follow."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(m * float(int(images.shape[1])) for m in self.backbone(images))


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (*shape, 3), generator=torch.Generator().manual_seed(seed)).byte()


def model_of(backbone: Backbone) -> CfaModel:
    generator = torch.Generator().manual_seed(3)
    model = CfaModel(backbone, descriptor_ratio=4, initial_radius=1.0, generator=generator).eval()
    model.level_scale.copy_(torch.tensor([0.02, 0.03, 0.04]))
    model.set_bank(model.describe_images(pictures(1, 64, 64, seed=9)).flatten(0, 2)[::5])
    return model


def assert_equal(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert [m.shape for m in ours] == [m.shape for m in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).abs().max()) <= 1e-5 * float(other.abs().max())


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 64, 48), (1, 48, 112), (3, 32, 64), (1, 224, 224)])
def test_that_the_compiled_maps_are_those_of_torch_for_every_size_and_batch(
    backbone: Backbone, fast: CompiledNetwork, shape: tuple[int, int, int]
) -> None:
    images = pictures(*shape)
    with torch.inference_mode():
        assert_equal(fast(images), backbone(images))


def test_that_the_maps_of_an_image_do_not_depend_on_what_was_seen_before(fast: CompiledNetwork) -> None:
    image = pictures(1, 64, 64, seed=1)
    first = [m.clone() for m in fast(image)]
    fast(pictures(1, 96, 32, seed=2))
    assert all(torch.equal(one, other) for one, other in zip(first, fast(image), strict=True))


@pytest.mark.parametrize("shape", [(1, 32, 48), (2, 64, 32), (1, 224, 160)])
def test_that_an_image_has_the_same_score_whether_or_not_its_size_has_a_model_of_its_own(
    monkeypatch: pytest.MonkeyPatch, backbone: Backbone, shape: tuple[int, int, int]
) -> None:
    made: list[bool] = []
    compile_model = openvino_runtime._compile

    def spy(made_of: Any, streams: int) -> Any:
        made.append(made_of.is_dynamic())
        return compile_model(made_of, streams)

    monkeypatch.setattr(openvino_runtime, "_compile", spy)
    model = model_of(backbone)
    model.compile_all()
    seen: list[tuple[bool, Tensor]] = []
    for size in (shape, (1, 32, 32), *[shape] * 9):
        scores = model(pictures(*size, seed=6), Score.NEAREST, 3).clone()
        if size == shape:
            seen.append((made[-1], scores))
    assert [for_all for for_all, _ in seen] == [False, *[True] * 7, False, False]
    assert all(torch.equal(seen[0][1], other) for _, other in seen)


def test_that_threads_do_not_get_into_each_others_maps(fast: CompiledNetwork) -> None:
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


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 48, 112), (2, 64, 32)])
def test_that_a_compiled_model_gives_the_pyramid_and_the_scores_of_the_plain_one(
    backbone: Backbone, shape: tuple[int, int, int]
) -> None:
    plain, quick = model_of(backbone), model_of(backbone)
    quick.compile_backbone()
    for count in (1, 3):
        quick.compile_all(count)
    images = pictures(*shape, seed=5)
    assert_equal(quick.pyramid(images), plain.pyramid(images))
    for score in Score:
        torch.testing.assert_close(quick(images, score, 3), plain(images, score, 3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b5"])
def test_that_other_backbones_compile_too(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """EfficientNet-B5 joins the maps of several blocks, which hooks put aside."""
    backbone = random_backbone(name)
    plain, quick = (CfaModel(backbone, descriptor_ratio=16, initial_radius=1.0) for _ in range(2))
    quick.compile_backbone()
    assert not caplog.text
    assert_equal(quick.pyramid(pictures(1, 64, 96)), plain.pyramid(pictures(1, 64, 96)))


def test_that_a_model_told_to_compile_uses_it(monkeypatch: pytest.MonkeyPatch, backbone: Backbone) -> None:
    calls: list[list[tuple[int, ...]]] = []
    original: Callable[..., list[Tensor]] = CompiledNetwork.__call__

    def spy(self: CompiledNetwork, *inputs: Tensor) -> list[Tensor]:
        calls.append([tuple(x.shape) for x in inputs])
        return original(self, *inputs)

    monkeypatch.setattr(CompiledNetwork, "__call__", spy)
    model = model_of(backbone)
    assert not calls
    model.compile_backbone()
    calls.clear()
    model.pyramid(pictures(1, 32, 32))
    assert calls == [[(1, 32, 32, 3)]]


def test_that_models_with_one_backbone_trace_it_once_and_do_not_keep_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = random_backbone("resnet18"), random_backbone("resnet18")
    same_again = restore_backbone("resnet18", first.state_dict())
    traced: list[nn.Module] = []

    def spy(module: nn.Module, example: Tensor) -> Any:
        traced.append(module)
        return converted(module, example)

    monkeypatch.setattr(network, "converted", spy)
    models = [model_of(backbone) for backbone in (first, first, same_again)]
    for model in models:
        model.compile_backbone()
        model.compile_all()
    assert len(traced) == 1
    images = pictures(1, 32, 32)
    for model in models:
        torch.testing.assert_close(model.nearest(images, 1)[0], model_of(first).nearest(images, 1)[0])
    apart = model_of(other)
    apart.compile_all()
    assert len(traced) == 2
    torch.testing.assert_close(apart.nearest(images, 1)[0], model_of(other).nearest(images, 1)[0])
    traced.clear()
    gone = [weakref.ref(backbone) for backbone in (first, other, same_again)]
    del first, other, same_again, models, model, apart
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_that_a_network_that_would_give_other_maps_runs_in_torch(
    backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    moody = Moody(backbone)
    assert compiled(moody, lambda: converted(moody, pictures(1, 32, 32)), "moody", pictures(1, 64, 32)) is None
    assert "moody runs in torch: compiled it differs by" in caplog.text


def test_that_without_openvino_everything_runs_in_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'openvino'")

    monkeypatch.setattr(network, "converted", absent)
    model = model_of(random_backbone("resnet18"))
    model.compile_all()
    assert model(pictures(1, 32, 32), Score.EXCESS, 3).shape == (1, 8, 8)
    assert "resnet18 runs in torch: No module named 'openvino'" in caplog.text
