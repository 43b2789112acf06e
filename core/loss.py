"""The loss of section 3.1: patches are drawn to their nearest centres and kept off the next ones."""

from typing import NamedTuple

import torch
from torch import Tensor


class LossTerms(NamedTuple):
    """Scalars on the device, with gradient where it is due.

    Attributes:
        total: L_CFA (equation 3).
        attraction: L_att (equation 1), divided by nu.
        repulsion: L_rep (equation 2), divided by nu.
        repulsion_active: Share of the terms of L_rep above zero, 0..1; no gradient.
    """

    total: Tensor
    attraction: Tensor
    repulsion: Tensor
    repulsion_active: Tensor


def cfa_loss(distances: Tensor, radius: Tensor, *, neighbours: int, alpha: float, nu: float) -> LossTerms:
    """L_CFA = L_att + L_rep (equations 1 to 3), with the factor 1/nu of the published program.

    Args:
        distances: (n, K + J) squared distances to the nearest centres, ascending. J may be 0 and may differ from K.
        radius: r, scalar, learnable.
        neighbours: K.
        alpha: Balance of the two terms.
        nu: Soft-boundary constant.
    """
    r_squared = radius.square()
    attraction = (distances[:, :neighbours] - r_squared).clamp(min=0).mean() / nu
    hard_negatives = distances[:, neighbours:]
    if hard_negatives.shape[1] == 0:
        zero = torch.zeros_like(attraction)
        return LossTerms(attraction, attraction, zero, zero)
    violations = (r_squared - hard_negatives - alpha).clamp(min=0)
    repulsion = violations.mean() / nu
    return LossTerms(attraction + repulsion, attraction, repulsion, (violations.detach() > 0).float().mean())
