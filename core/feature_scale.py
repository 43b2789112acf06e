"""The factor of each level, before descriptor and bank: one scale for every part, the finest level by what it tells."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from core.config import Config, FeatureScale
from core.memory_bank import mean_nearest_squared
from core.model import CfaModel
from core.training_steps import Features

REFERENCE_SQUARED_DISTANCE = 0.5
"""The untrained mean nearest squared distance that every scale but the published one sets."""
_FIXED_WEIGHT = 0.7
_SMALLEST_WEIGHT = 0.5
_SCALE_SAMPLE = 4096
_EXPLAINED_SAMPLE = 8192


def set_level_scale(
    network: CfaModel, features: Features, config: Config, variants: int, cancelled: Callable[[], None]
) -> None:
    """Bring the features to the scale that the constants of the loss ask for (docs/adr: feature scale).

    Args:
        network: Its `level_scale` is set, which was 1 for each level.
        features: Of all training pictures.
        config: Its feature scale and its seed.
        variants: How many pictures in a row show one image.
        cancelled: Asked after each picture; may raise to cancel.
    """
    kind, seed = config.method.feature_scale, config.training.seed
    if kind is FeatureScale.PUBLISHED:
        if network.backbone.divide_by_channels:
            network.level_scale.copy_(1.0 / torch.tensor(network.backbone.channels, device=network.level_scale.device))
        return

    def report(_done: int) -> None:
        cancelled()

    if kind is FeatureScale.EXPLAINED:
        finest = (pyramid[0][0].permute(1, 2, 0)[mask] for pyramid, mask in features.pictures(report))
        weight = max(explained_by_others(finest, len(features), variants, seed), _SMALLEST_WEIGHT)
    else:
        weight = _FIXED_WEIGHT
    network.level_scale[0] = weight  # the finest level sees grain and edges more than parts
    distance = reference_squared_distance(network, features, seed, report)
    if distance > 0:
        network.level_scale.mul_((REFERENCE_SQUARED_DISTANCE / distance) ** 0.5)


@torch.no_grad()
def reference_squared_distance(
    network: CfaModel, features: Features, seed: int, report: Callable[[int], None]
) -> float:
    """Mean squared distance from a random patch to the nearest of as many other random patches, without coordinates.

    Told after each picture how many are done; may raise to cancel.
    """
    generator = torch.Generator().manual_seed(seed)
    quota = -(-2 * _SCALE_SAMPLE // len(features))
    sample = []
    for pyramid, mask in features.pictures(report):
        linear = network.descriptor.project(pyramid)[0].permute(1, 2, 0)[mask]
        sample.append(_drawn(linear, quota, generator))
    patches = torch.cat(sample)
    order = torch.randperm(len(patches), generator=generator).to(patches.device)
    half = len(patches) // 2
    return mean_nearest_squared(patches[order[:half]], patches[order[half:]])


@torch.no_grad()
def explained_by_others(pictures: Iterable[Tensor], count: int, variants: int, seed: int) -> float:
    """How well a patch is foretold by the nearest patch of other images: the coefficient of determination R².

    Random patches of every second image are compared with as many of the others.

    Args:
        pictures: Of each the (n, channels) valid patches at one level.
        count: How many there are.
        variants: How many in a row show one image.
        seed: Draws the patches.

    Returns:
        At most 1, and below 0 where the nearest patch tells less than the mean would; 1 where a single image with
        valid patches leaves it open or no patch differs from another.
    """
    generator = torch.Generator().manual_seed(seed)
    quota = -(-2 * _EXPLAINED_SAMPLE // count)
    halves: tuple[list[Tensor], list[Tensor]] = ([], [])
    for number, patches in enumerate(pictures):
        halves[number // variants % 2].append(_drawn(patches, quota, generator))
    if not all(sum(map(len, half)) for half in halves):
        return 1.0
    known, asked = (torch.cat(half).float() for half in halves)
    variance = float((asked - asked.mean(dim=0)).square().sum(dim=1).mean())
    return 1.0 - mean_nearest_squared(asked, known) / variance if variance > 0 else 1.0


def _drawn(patches: Tensor, quota: int, generator: torch.Generator) -> Tensor:
    return patches[torch.randperm(len(patches), generator=generator)[:quota].to(patches.device)]
