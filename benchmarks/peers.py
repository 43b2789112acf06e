"""Other methods under the same conditions: the same frozen backbone, the same canvases, the same figures.

The models are anomalib's own (`pip install "cfa-gui[peers]"`); only what reads images and weights is replaced, so that
they see what this program sees. Each peer says in one line how it still differs.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.coreset import farthest_first
from core.backbone import Backbone, build_backbone
from core.errors import CfaError

TIMM_NAME = "tf_efficientnet_lite0"
CFA_EPOCHS = 30


class PeerError(CfaError):
    """A peer cannot be measured here."""


def _anomalib(name: str) -> Any:
    try:
        return importlib.import_module(f"anomalib.models.image.{name}.torch_model")
    except ImportError as error:
        raise PeerError('The peers need anomalib. Install it with: pip install "cfa-gui[peers]"') from error


class _Maps(nn.Module):
    """Stands where anomalib has its feature extractor: our backbone's maps, by level."""

    def __init__(self, backbone: Backbone, levels: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.levels = backbone, tuple(levels)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Of (b, 3, H, W) floats in 0..255."""
        with torch.no_grad():
            maps = self.backbone(images.permute(0, 2, 3, 1))
        return {level: maps[level - 1] for level in self.levels}


class Peer:
    """A method that learns from good canvases and scores others.

    Attributes:
        model: anomalib's.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, canvases: Iterable[NDArray[np.uint8]], seed: int) -> None:
        """Learn from good canvases, (H, W, 3) each, all of one size."""
        self.model.train()
        with torch.no_grad():
            for canvas in canvases:
                self.model(_batch(canvas))
        self.finish(seed)
        self.model.eval()

    def finish(self, seed: int) -> None:
        """What comes after all images were seen."""
        del seed
        self.model.fit()

    def inspect(self, canvas: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
        """Score and (H, W) map of a canvas."""
        with torch.no_grad():
            result = self.model(_batch(canvas))
        values = result.anomaly_map.reshape(canvas.shape[:2]).numpy().astype(np.float32)
        return float(result.pred_score.reshape(-1)[0]), values


def _batch(canvas: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float()


class PatchCore(Peer):
    """anomalib's PatchCore; the coreset by the exact walk of `benchmarks.coreset`."""

    def __init__(self, backbone: Backbone, levels: Sequence[int], share: float) -> None:
        model = _anomalib("patchcore").PatchcoreModel(list(levels), TIMM_NAME, pre_trained=False)
        model.feature_extractor = _Maps(backbone, levels)
        super().__init__(model)
        self._share = share

    def finish(self, seed: int) -> None:
        patches = torch.vstack(self.model.embedding_store)
        self.model.embedding_store.clear()
        count = max(1, int(len(patches) * self._share))
        self.model.memory_bank = patches[farthest_first(patches.numpy(), count, seed)]


def _padim(backbone: Backbone, features: int | None) -> Peer:
    channels = features or sum(backbone.channels)
    model = _anomalib("padim").PadimModel(TIMM_NAME, [1, 2, 3], pre_trained=False, n_features=channels)
    model.feature_extractor = _Maps(backbone, (1, 2, 3))
    return Peer(model)


class _Dfm(Peer):
    """anomalib's DFM: the reconstruction error of a PCA over the pooled map of one level."""

    def __init__(self, backbone: Backbone) -> None:
        model = _anomalib("dfm").DFMModel(TIMM_NAME, 3, pre_trained=False)
        model.feature_extractor = _Maps(backbone, (3,))
        super().__init__(model)

    def inspect(self, canvas: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
        with torch.no_grad():
            features, shape = self.model.get_features(_batch(canvas))
            score, values = self.model.score(features, shape)
        large = nn.functional.interpolate(values, size=canvas.shape[:2], mode="bilinear", align_corners=False)
        return float(score[0]), large[0, 0].numpy()


class _Cfa(Peer):
    """anomalib's CFA: descriptor, bank, loss and map are its own; its table of backbones is passed by."""

    def __init__(self, backbone: Backbone) -> None:
        module = _anomalib("cfa")
        width = sum(backbone.channels)

        class Model(module.CfaModel):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                nn.Module.__init__(self)
                self.gamma_c = self.gamma_d = 1
                self.num_nearest_neighbors = self.num_hard_negative_features = 3
                self.register_buffer("memory_bank", torch.tensor(0.0))
                self.backbone = TIMM_NAME
                self.feature_extractor = _Maps(backbone, (1, 2, 3))
                self.descriptor = module.Descriptor(1, "resnet18")
                self.descriptor.layer = module.CoordConv2d(in_channels=width, out_channels=width, kernel_size=1)
                self.anomaly_map_generator = module.AnomalyMapGenerator(num_nearest_neighbors=3)

        super().__init__(Model())

    def fit(self, canvases: Iterable[NDArray[np.uint8]], seed: int) -> None:
        loss_of = importlib.import_module("anomalib.models.image.cfa.loss").CfaLoss(3, 3, 1e-5)
        model, images = self.model, [_batch(canvas) for canvas in canvases]
        bank = torch.zeros(1)
        with torch.no_grad():
            for image in images:
                bank = bank + model.descriptor(model.feature_extractor(image))
        model.memory_bank = (bank / len(images))[0].flatten(1)  # (D', T)
        optimiser = torch.optim.AdamW(model.descriptor.parameters(), lr=1e-3, weight_decay=5e-4, amsgrad=True)
        generator = torch.Generator().manual_seed(seed)
        model.train()
        for _ in range(CFA_EPOCHS):
            order = torch.randperm(len(images), generator=generator).tolist()
            for start in range(0, len(order), 4):
                optimiser.zero_grad()
                loss = loss_of(model(torch.cat([images[row] for row in order[start : start + 4]])))
                loss.backward(retain_graph=True)  # as its own program does: its radius is no leaf of the graph
                optimiser.step()
        model.eval()


@dataclass(frozen=True, slots=True)
class Spec:
    """A peer by name.

    Attributes:
        make: Builds it on our backbone.
        differs: How it differs from the same conditions, or from the published method.
    """

    make: Callable[[Backbone], Peer]
    differs: str


PEERS: dict[str, Spec] = {
    "PaDiM": Spec(lambda b: _padim(b, None), "all 176 channels, levels at strides 4, 8, 16; none drawn at random"),
    "PaDiM 100": Spec(lambda b: _padim(b, 100), "100 channels drawn at random, as published for a small backbone"),
    "PatchCore 1 %": Spec(
        lambda b: PatchCore(b, (1, 2, 3), 0.01), "levels at strides 4, 8, 16 as ours; exact coreset without projection"
    ),
    "PatchCore 1 %, published levels": Spec(
        lambda b: PatchCore(b, (2, 3), 0.01), "levels at strides 8 and 16; exact coreset without projection"
    ),
    "PatchCore 10 %, published levels": Spec(
        lambda b: PatchCore(b, (2, 3), 0.1), "levels at strides 8 and 16; exact coreset without projection"
    ),
    "DFM": Spec(_Dfm, "level at stride 16 alone, pooled 4 × 4, PCA of the whole map; no smoothing"),
    "CFA of anomalib": Spec(_Cfa, f"{CFA_EPOCHS} epochs, features unscaled, its radius is not learned"),
}


def build(name: str, seed: int) -> Peer:
    """The peer of that name on the embedded backbone.

    Raises:
        PeerError: There is none, or anomalib is missing.
    """
    if name not in PEERS:
        raise PeerError(f"There is no peer {name!r}. Use one of: {', '.join(PEERS)}.")
    torch.manual_seed(seed)
    return PEERS[name].make(build_backbone("lite0"))
