"""A slow, literal transcription of the formulas of the published program, to hold the engine against.

Written from the mathematics (sections 3.1 to 3.3, Algorithm 1 and the authors' conventions), with full-resolution
features, the whole distance matrix and no shared code with `core`. Computes in the precision of what it is given.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional


def concatenated_features(maps: Sequence[Tensor], *, divide_by_channels: bool = False) -> Tensor:
    """Pooled maps, upsampled to the finest grid and concatenated: (b, D, h, w)."""
    sample = None
    for level in maps:
        pooled = functional.avg_pool2d(level, 3, 1, 1)
        if divide_by_channels:
            pooled = pooled / level.shape[1]
        if sample is None:
            sample = pooled
        else:
            pooled = functional.interpolate(pooled, size=sample.shape[2:], mode="bilinear")
            sample = torch.cat((sample, pooled), dim=1)
    assert sample is not None
    return sample


def coord_conv(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1x1 convolution over the features and two coordinate channels: (b, D', h, w)."""
    b, _, h, w = features.shape
    places = _coordinates(h, w).to(features).expand(b, 2, h, w)
    return functional.conv2d(torch.cat((features, places), dim=1), weight[:, :, None, None], bias)


@lru_cache
def _coordinates(h: int, w: int) -> Tensor:
    places = torch.zeros(1, 2, h, w, dtype=torch.float64)
    for i in range(h):
        places[:, 0, i, :] = 2 * i / (h - 1) - 1
    for j in range(w):
        places[:, 1, :, j] = 2 * j / (w - 1) - 1
    return places


def as_rows(phi: Tensor) -> Tensor:
    """(b, D', h, w) -> (b, h * w, D')."""
    return phi.flatten(2).transpose(1, 2)


def all_distances(phi: Tensor, bank: Tensor) -> Tensor:
    """Squared distance of every patch to every centre: (b, h * w, M)."""
    return distances_of_rows(as_rows(phi), bank)


def distances_of_rows(rows: Tensor, bank: Tensor) -> Tensor:
    """Squared distance of every row to every centre: (b, n, D') and (M, D') -> (b, n, M)."""
    return rows.square().sum(2, keepdim=True) + bank.square().sum(1)[None, None] - 2 * rows @ bank.T


def loss_terms(
    distances: Tensor, r: Tensor, k: int, j: int, alpha: float = 0.1, nu: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """Equations 1 and 2, attraction and repulsion."""
    nearest = distances.topk(k + j, largest=False).values
    attraction = torch.mean(torch.clamp(nearest[:, :, :k] - r**2, min=0)) / nu
    if j == 0:
        return attraction, torch.zeros_like(attraction)
    repulsion = torch.mean(torch.clamp(r**2 - nearest[:, :, k:] - alpha, min=0)) / nu
    return attraction, repulsion


def loss(distances: Tensor, r: Tensor, k: int, j: int, alpha: float = 0.1, nu: float = 1e-3) -> Tensor:
    """The soft-boundary loss, equation 3."""
    attraction, repulsion = loss_terms(distances, r, k, j, alpha, nu)
    return attraction + repulsion


def scores(distances: Tensor, k: int) -> Tensor:
    """Certainty times nearest distance, equations 4 and 5: (b, h * w)."""
    nearest = torch.sqrt(torch.clamp(distances, min=0)).topk(k, largest=False).values
    return torch.softmax(-nearest, dim=-1)[:, :, 0] * nearest[:, :, 0]


def anomaly_map(grid: Tensor, size: tuple[int, int], sigma: float = 4.0) -> NDArray[np.float64]:
    """Patch scores (h, w), upsampled to the input's size and smoothed."""
    large = functional.interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return np.asarray(ndimage.gaussian_filter(large.double().numpy(), sigma))


def masked_anomaly_map(
    grid: Tensor, mask: Tensor, cell: int, size: tuple[int, int], sigma: float = 4.0
) -> NDArray[np.float64]:
    """As `anomaly_map` for a picture that does not fill its cells: only patches of the mask weigh anything.

    A weighted mean by the same upsampling and smoothing, over the cells that hold any of the picture.
    """
    rows, columns = -(-size[0] // cell), -(-size[1] // cell)
    sums = []
    for values in (torch.where(mask, grid, 0.0), mask.to(grid.dtype)):
        part = values[:rows, :columns]
        large = functional.interpolate(part[None, None], scale_factor=cell, mode="bilinear", align_corners=False)
        sums.append(ndimage.gaussian_filter(large[0, 0, : size[0], : size[1]].double().numpy(), sigma))
    return np.asarray(sums[0] / sums[1])


def mean_bank(phis: Sequence[Tensor]) -> Tensor:
    """The running mean over images at each position, (h * w, D')."""
    running = torch.zeros_like(phis[0])
    for i, phi in enumerate(phis):
        running = (running * i + phi) / (i + 1)
    return running[0].flatten(1).T


def mean_bank_of_sizes(phis: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """The mean at each position over the (1, D', h, w) images that have a valid patch there, row by row."""
    found: dict[tuple[int, int], list[Tensor]] = {}
    for phi, mask in zip(phis, masks, strict=True):
        for y, x in mask.nonzero().tolist():
            found.setdefault((y, x), []).append(phi[0, :, y, x])
    return torch.stack([torch.stack(found[position]).mean(dim=0) for position in sorted(found)])


def algorithm_1(first_centres: Tensor, images: Sequence[Tensor], beta: float) -> Tensor:
    """Algorithm 1: every centre in turn takes its nearest free patch of each (T, D') image; centres (M, D')."""
    centres = [centre.clone() for centre in first_centres]
    for patches in images:
        taken: set[int] = set()
        for m in range(len(centres)):
            free = [t for t in range(len(patches)) if t not in taken]
            if not free:
                break
            nearest = min(free, key=lambda t: float((patches[t] - centres[m]).square().sum()))
            taken.add(nearest)
            centres[m] = (1 - beta) * centres[m] + beta * patches[nearest]
    return torch.stack(centres)


def optimise(
    images: Sequence[tuple[Tensor, Tensor]],
    parameters: tuple[Tensor, Tensor, Tensor],
    bank: Tensor,
    batches: Sequence[Sequence[int]],
    *,
    k: int,
    j: int,
    learning_rate: float = 1e-3,
    radius_learning_rate: float = 1e-3,
) -> list[float]:
    """Gradient descent on full-resolution features, changing the parameters in place; the loss of every step.

    Args:
        images: Features (1, D, h, w) and the mask (h, w) of the patches that count, for every image.
        parameters: Weight (D', D + 2), bias (D',) and radius, leaves that ask for a gradient.
        bank: (M, D').
        batches: The images of every step.
        k: Attracting neighbours.
        j: Repelling neighbours.
        learning_rate: Of weight and bias; the published program has one for all.
        radius_learning_rate: Of the radius.
    """
    weight, bias, r = parameters
    groups = [{"params": [weight, bias], "lr": learning_rate}, {"params": [r], "lr": radius_learning_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=5e-4, amsgrad=True)
    losses = []
    for batch in batches:
        optimiser.zero_grad()
        described = [(as_rows(coord_conv(images[i][0], weight, bias)), images[i][1]) for i in batch]
        rows = torch.cat([phi[:, mask.flatten()] for phi, mask in described], dim=1)
        value = loss(distances_of_rows(rows, bank), r, k, j)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(value.detach()))
    return losses
