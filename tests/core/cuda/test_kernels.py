"""The kernels beside their plain counterparts."""

import pytest
import torch

from core.cuda import kernels
from tests.core.cuda.devices import DEVICES, needs_cuda


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 5, 7, 3), (1, 9, 4, 64), (2, 3, 3, 1000)])
def test_that_split_numbers_add_up_and_are_what_tf32_holds(device: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    parts = kernels.split(x)
    assert torch.equal(parts, kernels.split_plainly(x))
    high, low, again = parts.split(shape[3], dim=3)
    assert torch.equal(high, again)
    assert torch.equal(high + low, x)
    assert not bool((high.contiguous().view(torch.int32) & 0x1FFF).any())
    assert bool((low.abs() <= x.abs() * 2.0**-10).all())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("width", "count"), [(1, 1), (44, 2), (176, 7), (1025, 3), (1792, 2)])
def test_that_distances_are_those_of_double_precision(device: str, width: int, count: int) -> None:
    generator = torch.Generator().manual_seed(width)
    queries, bank = torch.randn(33, width, generator=generator), torch.randn(50, width, generator=generator)
    rows = torch.randint(0, 50, (33, count), generator=generator)
    found = kernels.squared_distances(queries.to(device), bank.to(device), rows.to(device))
    right = (queries.double()[:, None] - bank.double()[rows]).square().sum(dim=2)
    torch.testing.assert_close(found.cpu().double(), right, rtol=1e-5, atol=1e-9)


@needs_cuda
def test_that_triton_is_in_use_here() -> None:
    assert kernels._usable(True) is not None
