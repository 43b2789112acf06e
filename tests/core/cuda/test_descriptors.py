"""Descriptors of a batch in the folded basis beside the plain ones: the same distances."""

import pytest
import torch

from core.config import DescriptorStart
from core.cuda.descriptors import FoldedDescriptor
from core.descriptor import Descriptor
from core.folding import fold
from tests.core.cuda.devices import DEVICES


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("grid", [(8, 12), (16, 4), (4, 4)])
@pytest.mark.parametrize(
    ("channels", "width"), [((6, 10, 20), 36), ((6, 10, 20), 70), ((20, 10, 5), 9), ((3, 4, 6), 1)]
)
def test_that_distances_and_steps_along_axes_are_those_of_plain_descriptors(
    device: str, grid: tuple[int, int], channels: tuple[int, ...], width: int
) -> None:
    generator = torch.Generator().manual_seed(width)
    sizes = [(grid[0] >> level, grid[1] >> level) for level in range(len(channels))]
    maps = [torch.randn(3, c, *size, generator=generator) for c, size in zip(channels, sizes, strict=True)]
    descriptor = Descriptor(channels, width, DescriptorStart.ORTHOGONAL, generator).requires_grad_(requires_grad=False)
    bank, basis = torch.randn(17, width, generator=generator) + 1.0, torch.randn(5, width, generator=generator)
    levels = torch.split(descriptor.weight[:, :-2], list(channels), dim=1)
    arrays = (descriptor.weight[:, -2:], descriptor.bias, bank, torch.zeros(17, 0, 5), basis)
    folded = fold([level.numpy() for level in levels], *(values.numpy() for values in arrays))

    ours = FoldedDescriptor(folded, torch.device(device))([level.to(device) for level in maps]).cpu()
    plain = descriptor(maps).permute(0, 2, 3, 1)
    assert ours.shape[:3] == plain.shape[:3]
    found = (ours.flatten(0, 2)[:, None] - torch.from_numpy(folded.centres)).square().sum(dim=2)
    apart = plain.flatten(0, 2)[:, None] - bank
    torch.testing.assert_close(found, apart.square().sum(dim=2), rtol=1e-4, atol=1e-4)
    turned = (ours.flatten(0, 2) @ torch.from_numpy(folded.basis).T)[:, None] - torch.from_numpy(folded.feet)
    torch.testing.assert_close(turned, apart @ basis.T, rtol=1e-3, atol=1e-3)
