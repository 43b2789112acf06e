"""The kernels beside their plain counterparts, where there is no device in Triton's interpreter."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

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
    high, low, again = torch.split(parts, shape[3], dim=3)
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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("width", "axes", "queries", "count"), [(1, 1, 1, 1), (44, 16, 33, 3), (176, 5, 900, 3), (1025, 3, 20, 2)]
)
def test_that_distances_to_ellipsoids_are_those_of_double_precision(
    device: str, width: int, axes: int, queries: int, count: int
) -> None:
    generator = torch.Generator().manual_seed(width)
    points, bank = (torch.randn(number, width, generator=generator) for number in (queries, 50))
    inside = max(1, width // 2)
    foot, feet = (torch.randn(number, inside, generator=generator) for number in (queries, 50))
    directions = torch.randn(50, axes, inside, generator=generator) / width
    rows = torch.randint(0, 50, (queries, count), generator=generator)
    given = (points, foot, bank, feet, directions, rows)
    found = kernels.ellipsoid_distances(*(values.to(device) for values in given))
    apart = points.double()[:, None] - bank.double()[rows]
    steps = foot.double()[:, None] - feet.double()[rows]
    along = (directions.double()[rows] @ steps[..., None]).square().sum(dim=(2, 3))
    right = (apart.square().sum(dim=2) - along).clamp(min=0.0)
    torch.testing.assert_close(found.cpu().double(), right, rtol=1e-4, atol=1e-6)
    assert float(along.min()) > 0


INTERPRETED = """
import torch
from core.cuda import kernels, triton_kernels

assert kernels.agree(triton_kernels, torch.device("cpu"))
generator = torch.Generator().manual_seed(0)
for width, count, n in ((1, 1, 1), (44, 2, 9), (176, 7, 5), (1025, 3, 4), (1792, 16, 3)):
    queries, bank = torch.randn(n, width, generator=generator), torch.randn(11, width, generator=generator)
    rows = torch.randint(0, 11, (n, count), generator=generator)
    inside = max(1, width // 2)
    foot, feet = torch.randn(n, inside, generator=generator), torch.randn(11, inside, generator=generator)
    axes = torch.randn(11, count, inside, generator=generator) / width
    cases = {"squared_distances": (queries, bank, rows), "ellipsoid_distances": (queries, foot, bank, feet, axes, rows)}
    for name, given in cases.items():
        found = getattr(triton_kernels, name)(*given)
        torch.testing.assert_close(found, getattr(kernels, name + "_plainly")(*given), rtol=1e-4, atol=1e-6)
for shape in ((1, 1, 1, 1), (2, 5, 7, 3), (1, 3, 4, 300)):
    x = torch.randn(shape, generator=generator)
    assert torch.equal(triton_kernels.split(x), kernels.split_plainly(x))
triton_kernels.split = lambda x: kernels.split_plainly(x + 1)
assert not kernels.agree(triton_kernels, torch.device("cpu"))
"""


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="there is no Triton")
def test_that_the_kernels_give_in_tritons_interpreter_what_torch_gives() -> None:
    """In a process of its own: Triton decides when it is imported."""
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], check=False, capture_output=True, text=True, env=environment, timeout=100
    )
    assert done.returncode == 0, done.stderr


@needs_cuda
def test_that_triton_is_in_use_here() -> None:
    assert kernels.triton_kernels(cuda=True) is not None
