"""The search of a training step on a device: nothing waits, and the same seed gives the same bits.

Convolution and upsampling in torch add up their gradients in whatever order the device likes; products of matrices do
not, so both are written as such.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.cuda.search import HalfSearch
from core.cuda.upsampling import mixing
from core.descriptor import Descriptor, coordinate_channels
from core.neighbours import distances_to_known


class DeviceSearch:
    """As `core.training_search.TrainingSearch` asks for; the mask of valid patches stays on the CPU."""

    def __init__(self, bank: Tensor, count: int) -> None:
        """Prepare.

        Args:
            bank: (M, D') centres, fixed.
            count: How many centres for each patch.
        """
        self._bank, self._search = bank, HalfSearch(bank, count)

    def __call__(self, pyramid: Sequence[Tensor], descriptor: Descriptor, valid: Tensor) -> Tensor:
        """See `core.training_search.TrainingSearch`."""
        return self.of_chosen(pyramid, descriptor, chosen_patches(valid, descriptor.weight.device))

    def of_chosen(self, pyramid: Sequence[Tensor], descriptor: Descriptor, chosen: Tensor | None) -> Tensor:
        """As `__call__`, for patches by their places in the flattened batch; None: all."""
        queries = descriptors(pyramid, descriptor).flatten(0, 2)
        if chosen is not None:
            queries = queries.index_select(0, chosen)
        return distances_to_known(queries, self._bank, *self._search(queries.detach()))


def chosen_patches(valid: Tensor, device: torch.device) -> Tensor | None:
    """The places of the valid patches in a flattened batch, (n,) int64 on the device; None where all are valid.

    Args:
        valid: (b, h, w) bool on the CPU.
        device: Where they are wanted; it is not waited for.
    """
    if bool(valid.all()):
        return None
    chosen = valid.flatten().nonzero()[:, 0]
    if device.type == "cuda":
        chosen = chosen.pin_memory()
    return chosen.to(device, non_blocking=True)


def descriptors(pyramid: Sequence[Tensor], descriptor: Descriptor) -> Tensor:
    """What `Descriptor.forward` computes, by products of matrices.

    Args:
        pyramid: Pooled and scaled (b, channels, h_l, w_l) maps, finest first.
        descriptor: phi.

    Returns:
        (b, h, w, D'), differentiable in the descriptor.
    """
    height, width = int(pyramid[0].shape[2]), int(pyramid[0].shape[3])
    levels = torch.split(descriptor.weight[:, :-2], list(descriptor.channels), dim=1)
    places = torch.stack(coordinate_channels((height, width), descriptor.weight.device), dim=2)  # (h, w, 2)
    found = places @ descriptor.weight[:, -2:].T + descriptor.bias  # (h, w, D')
    for weight, level in zip(levels, pyramid, strict=True):
        part = level.permute(0, 2, 3, 1) @ weight.T  # (b, h_l, w_l, D')
        found = found + _upsampled(part, height, width)
    return found


def _upsampled(part: Tensor, height: int, width: int) -> Tensor:
    """Bilinear upsampling of (b, h_l, w_l, D') as `functional.interpolate` does it."""
    b, rows, columns, channels = part.shape
    if (rows, columns) == (height, width):
        return part
    down, across = mixing(height, rows, part.device), mixing(width, columns, part.device)
    tall = (down @ part.reshape(b, rows, columns * channels)).view(b * height, columns, channels)
    return (across @ tall).view(b, height, width, channels)
