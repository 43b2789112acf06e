"""Anomalib's models with random weights, as stages beside ours; where anomalib is not installed there are none.

    pip install "cfa-gui[peers]"        (best into an environment of its own)

Weights do not change the time. Each has its library's own defaults; images come decoded, resized and normalised.
PaDiM's covariances are one matrix seen from every place, which only makes it faster.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

CORESET = 0.1
TRAINED_ON = 200
FEATURES_OF_PADIM = {"resnet18": 100, "wide_resnet50_2": 550}


def peers(backbone: str, gamma: int, size: int) -> dict[str, Callable[[], object]]:
    """One inspection at batch 1 by each model that knows the backbone."""
    if not importlib.util.find_spec("anomalib") or backbone not in FEATURES_OF_PADIM:
        return {}
    images = torch.rand(1, 3, size, size)
    made: dict[str, Callable[[], Any]] = {
        "anomalib CFA": lambda: _cfa(backbone, gamma, size),
        "anomalib PaDiM": lambda: _padim(backbone, size),
        "anomalib PatchCore": lambda: _patchcore(backbone, size),
        "anomalib EfficientAd": _efficient_ad,
    }
    at_256 = torch.rand(1, 3, 256, 256)  # EfficientAd's autoencoder takes no smaller picture
    return {n: _stage(make().eval(), at_256 if make is _efficient_ad else images) for n, make in made.items()}


def _stage(model: Any, images: Tensor) -> Callable[[], object]:
    return lambda: float(model(images).pred_score.max())


def _cfa(backbone: str, gamma: int, size: int) -> Any:
    import torchvision
    from anomalib.models.image.cfa import torch_model
    from torchvision.models.feature_extraction import create_feature_extractor

    original = torch_model.get_feature_extractor
    torch_model.get_feature_extractor = lambda name, nodes: create_feature_extractor(
        getattr(torchvision.models, name)(weights=None).eval(), return_nodes=nodes
    )
    try:
        model = torch_model.CfaModel(backbone, gamma, gamma, 3, 3, 1e-5)
    finally:
        torch_model.get_feature_extractor = original
    width = {"resnet18": 448, "wide_resnet50_2": 1792}[backbone] // gamma
    model.memory_bank = torch.randn(width, (size // 4) ** 2 // gamma)
    return model


def _padim(backbone: str, size: int) -> Any:
    from anomalib.models.image.padim.torch_model import PadimModel

    count, patches = FEATURES_OF_PADIM[backbone], (size // 4) ** 2
    layers = ["layer1", "layer2", "layer3"]
    model = PadimModel(backbone, layers, pre_trained=False, n_features=count)
    model.gaussian.mean = torch.zeros(count, patches)
    model.gaussian.inv_covariance = torch.eye(count).expand(patches, count, count)
    return model


def _patchcore(backbone: str, size: int) -> Any:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(["layer2", "layer3"], backbone, pre_trained=False)
    width = {"resnet18": 384, "wide_resnet50_2": 1536}[backbone]
    model.memory_bank = torch.randn(round(CORESET * TRAINED_ON * (size // 8) ** 2), width)
    return model


def _efficient_ad() -> Any:
    from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel

    model = EfficientAdModel()
    with torch.no_grad():
        model.mean_std["std"].fill_(1.0)
        for name, value in model.quantiles.items():
            value.fill_(float(name.startswith("qb")))
    return model
