"""The search of a training step on a device: nothing waits, and the same seed gives the same bits.

Convolution and upsampling in torch add up their gradients in whatever order the device likes; products of matrices do
not, so both are written as such.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

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


class RecordedGradients:
    """Loss and gradients of a batch as one CUDA graph: launched as a whole instead of kernel by kernel."""

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Tensor],
        pyramid: Sequence[Tensor],
        parameters: Sequence[nn.Parameter],
    ) -> None:
        """Record.

        Args:
            compute: Adds to the gradients of the parameters, and returns figures.
            pyramid: Of the first batch; those of all others have the same shapes.
            parameters: Whose gradients are wanted.
        """
        self._pyramid = [level.clone() for level in pyramid]
        self._parameters = list(parameters)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # what is kept from call to call must not be made while recording
            for _ in range(2):
                compute(self._pyramid)
        torch.cuda.current_stream().wait_stream(beside)
        self._forget()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # other threads may use the device
            self._figures = compute(self._pyramid)
        self._gradients = [parameter.grad for parameter in self._parameters]

    def __call__(self, pyramid: Sequence[Tensor]) -> Tensor:
        """The figures; the gradients are those of this batch alone."""
        for kept, level in zip(self._pyramid, pyramid, strict=True):
            kept.copy_(level)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._figures.clone()

    def _forget(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


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
