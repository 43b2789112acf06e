"""Distances to the nearest centres under a descriptor that changes from step to step, with their gradient, on a CPU.

Autograd would take the descriptors of a batch, 90 MB for four images and 1792 channels, a dozen times through memory
that the kernel must lend and wipe each time. Here those of each image are made once, in memory that is kept, and turn
into their own gradient in place.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from core.compiled_search import PyramidSearch
from core.descriptor import coordinate_channels
from core.folding import CONSTANTS
from core.search_graph import upsampling


class LevelDistances:
    """Pyramids in, squared distances to the nearest centres out, differentiable in the descriptor."""

    def __init__(self, channels: Sequence[int], bank: Tensor, count: int) -> None:
        """Compile the search.

        Args:
            channels: Of each level of the pyramid, finest first.
            bank: (M, D') centres on the CPU.
            count: How many centres for each patch.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: It cannot compile the search.
        """
        self.channels = tuple(channels)
        self.mean = bank.mean(dim=0)
        self.centres = bank - self.mean  # measured from it, distances lose fewer digits
        self._norms = self.centres.square().sum(dim=1)
        self._search = PyramidSearch(channels, len(bank), count)
        self._kept: list[Tensor] = []

    def __call__(self, pyramid: Sequence[Tensor], weight: Tensor, bias: Tensor, valid: Tensor) -> Tensor:
        """Search.

        Args:
            pyramid: Pooled and scaled (b, channels, h_l, w_l) maps on the CPU; h a multiple of the coarsest level's.
            weight: (D', D + 2) of the descriptor.
            bias: (D',).
            valid: (b, h, w) bool, the patches that count.

        Returns:
            (n, count) ascending distances of the n patches that count.
        """
        distances: Tensor = _Distances.apply(weight, bias, self, pyramid, valid)
        return distances

    def search(self, pyramid: Sequence[Tensor], parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What to add to the squared norms of the descriptors, and the centres' rows, each (b, h * w, count)."""
        products = [(-2.0 * part).T @ self.centres.T for part in parts]
        products[0][-1] += self._norms
        ranks, rows = self._search(pyramid, products)
        return ranks.view(len(pyramid[0]), -1, ranks.shape[1]), rows.view(len(pyramid[0]), -1, rows.shape[1])

    def room(self, images: int, patches: int) -> Tensor:
        """(images, patches, D') of memory, anything in it."""
        shape = (images, patches, self.centres.shape[1])
        kept = [memory for memory in self._kept if memory.shape == shape]
        if not kept:
            return torch.empty(shape)
        self._kept = [memory for memory in self._kept if memory is not kept[-1]]
        return kept[-1]

    def put_back(self, memory: Tensor) -> None:
        """Keep what `room` gave for the next who asks."""
        self._kept = [*self._kept[-1:], memory]


class _Image:
    """The levels of one image of a batch, as matrices of patches."""

    def __init__(self, pyramid: Sequence[Tensor], index: int) -> None:
        maps = [level[index] for level in pyramid]
        self.grids = [(int(values.shape[1]), int(values.shape[2])) for values in maps]
        constants = torch.stack((*coordinate_channels(self.grids[0], maps[0].device), torch.ones(self.grids[0])))
        finest = torch.cat((maps[0], constants))
        self.inputs = [values.flatten(1) for values in (finest, *maps[1:])]  # (channels, h_l * w_l) each

    def describe(self, parts: Sequence[Tensor], out: Tensor) -> None:
        """Write (h * w, D') descriptors."""
        (height, width), channels = self.grids[0], out.shape[1]
        torch.mm(self.inputs[0].T, parts[0].T, out=out)
        for (rows, columns), values, part in zip(self.grids[1:], self.inputs[1:], parts[1:], strict=True):
            coarse = (values.T @ part.T).view(rows, columns, channels)
            wide = upsampling(width, columns) @ coarse  # (h_l, w, D')
            out.view(height, -1).addmm_(upsampling(height, rows), wide.view(rows, -1))

    def add_gradients(self, gradient: Tensor, sums: Sequence[Tensor]) -> None:
        """Add what the (h * w, D') gradient of the descriptors makes of that of each part."""
        (height, width), channels = self.grids[0], gradient.shape[1]
        sums[0].addmm_(gradient.T, self.inputs[0].T)
        for (rows, columns), values, total in zip(self.grids[1:], self.inputs[1:], sums[1:], strict=True):
            low = (upsampling(height, rows).T @ gradient.view(height, -1)).view(rows, width, channels)
            coarse = upsampling(width, columns).T @ low  # (h_l, w_l, D')
            total.addmm_(coarse.view(-1, channels).T, values.T)


class _Distances(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, owner: LevelDistances, pyramid: Sequence[Tensor], valid: Tensor
    ) -> Tensor:
        finest, *coarse, coordinates = torch.split(weight, [*owner.channels, 2], dim=1)
        parts = [torch.cat((finest, coordinates, (bias - owner.mean)[:, None]), dim=1), *coarse]
        ranks, rows = owner.search(pyramid, parts)
        described = owner.room(*ranks.shape[:2])
        for index, phi in enumerate(described):
            _Image(pyramid, index).describe(parts, phi)
        norms = torch.linalg.vector_norm(described, dim=2, keepdim=True).square_()
        ctx.owner, ctx.pyramid, ctx.valid, ctx.described = owner, pyramid, valid, described
        ctx.save_for_backward(rows)
        return ranks.add_(norms).clamp_(min=0.0)[valid.flatten(1)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (rows,), owner, valid = ctx.saved_tensors, ctx.owner, ctx.valid.flatten(1)
        weights = rows.new_zeros(rows.shape, dtype=torch.float32)  # (b, h * w, count)
        weights[valid] = 2.0 * gradients[0]  # d|q - c_k|^2 / dq = 2 (q - c_k)
        described, ctx.described = ctx.described, None  # a second time there would be others' in it
        width = owner.centres.shape[1]
        sums = [torch.zeros(width, size) for size in (owner.channels[0] + CONSTANTS, *owner.channels[1:])]
        for index, phi in enumerate(described):
            weight = weights[index]
            centres = functional.embedding_bag(rows[index], owner.centres, mode="sum", per_sample_weights=weight)
            phi.mul_(weight.sum(dim=1, keepdim=True)).sub_(centres)
            if not valid[index].all():
                phi[~valid[index]] = 0.0
            _Image(ctx.pyramid, index).add_gradients(phi, sums)
        owner.put_back(described)
        finest, coordinates, bias = torch.split(sums[0], [owner.channels[0], 2, 1], dim=1)
        return torch.cat((finest, *sums[1:], coordinates), dim=1), bias[:, 0], None, None, None
