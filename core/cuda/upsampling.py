"""Bilinear upsampling as products with matrices, one for the rows and one for the columns."""

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def mixing(size: int, coarse: int, device: torch.device) -> Tensor:
    """(size, coarse) weights by which `functional.interpolate` mixes what lies along one axis.

    Made anew each time: it takes next to nothing, and a recording must not read what someone else may forget.
    """
    eye = torch.eye(coarse, device=device)[None]
    return functional.interpolate(eye, size=size, mode="linear", align_corners=False)[0].T.contiguous()
