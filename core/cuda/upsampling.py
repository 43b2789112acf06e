"""Bilinear upsampling as products with matrices, one for the rows and one for the columns."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


@lru_cache(maxsize=64)
def mixing(size: int, coarse: int, device: torch.device) -> Tensor:
    """(size, coarse) weights by which `functional.interpolate` mixes what lies along one axis."""
    with torch.inference_mode(mode=False), torch.no_grad():  # kept, and also used where gradients flow
        eye = torch.eye(coarse, device=device)[None]
        return functional.interpolate(eye, size=size, mode="linear", align_corners=False)[0].T.contiguous()
