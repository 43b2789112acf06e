"""The search of a training step, both ways, beside all distances in double precision and their own gradient."""

import pytest
import torch
from torch import Tensor

from core import training_search
from core.config import DescriptorStart
from core.descriptor import Descriptor
from core.training_search import _ByLevels, _Plain

Case = tuple[list[Tensor], Descriptor, Tensor]


def case(
    channels: tuple[int, ...], width: int, centres: int, grid: tuple[int, int], images: int = 2, seed: int = 0
) -> Case:
    generator = torch.Generator().manual_seed(seed)
    pyramid = [
        torch.randn(images, count, grid[0] >> level, grid[1] >> level, generator=generator)
        for level, count in enumerate(channels)
    ]
    descriptor = Descriptor(channels, width, DescriptorStart.PUBLISHED, generator)
    with torch.no_grad():
        descriptor.bias.copy_(torch.randn(width, generator=generator))
        phi = descriptor(pyramid).permute(0, 2, 3, 1).flatten(0, 2)
    bank = phi[torch.randint(0, len(phi), (centres,), generator=generator)]
    return pyramid, descriptor, bank + 0.2 * torch.randn(bank.shape, generator=generator)


def slowly(descriptor: Descriptor, pyramid: list[Tensor], bank: Tensor, valid: Tensor, count: int) -> Tensor:
    queries = descriptor(pyramid).permute(0, 2, 3, 1)[valid].double()
    distances: Tensor = (queries[:, None] - bank.double()[None]).square().sum(dim=2)
    return distances.topk(count, dim=1, largest=False).values


@pytest.mark.parametrize("way", ["plain", "by levels"])
@pytest.mark.parametrize(
    ("channels", "width", "centres", "grid", "images", "count"),
    [
        ((4, 6, 60), 70, 401, (8, 8), 2, 6),
        ((4, 6, 60), 70, 401, (16, 4), 1, 5),
        ((4, 6, 60), 99, 50, (4, 20), 3, 1),
        ((30, 6, 4), 7, 40, (8, 12), 2, 3),
    ],
    ids=str,
)
def test_that_distances_and_gradient_are_those_written_out(
    way: str,
    channels: tuple[int, ...],
    width: int,
    centres: int,
    grid: tuple[int, int],
    images: int,
    count: int,
) -> None:
    pyramid, descriptor, bank = case(channels, width, centres, grid, images)
    plain = _Plain(bank, count)
    search = plain if way == "plain" else _ByLevels(channels, bank, count, plain)
    generator = torch.Generator().manual_seed(1)
    for share in (2.0, 0.8):
        valid = torch.rand(images, *grid, generator=generator) < share
        ours = search(pyramid, descriptor, valid)
        weights = torch.rand(ours.shape, generator=generator)
        gradients = torch.autograd.grad((ours * weights).sum(), [descriptor.weight, descriptor.bias])
        theirs = slowly(descriptor, pyramid, bank, valid, count)
        expected = torch.autograd.grad((theirs * weights).sum(), [descriptor.weight, descriptor.bias])
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)
        for one, other in zip(gradients, expected, strict=True):
            assert float((one - other).norm()) <= 1e-4 * float(other.norm())


def test_that_patches_that_do_not_count_have_no_part_even_where_they_are_no_numbers() -> None:
    channels = (4, 6, 60)
    pyramid, descriptor, bank = case(channels, 70, 401, (8, 8))
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[:, :, 4:] = False
    clean = _ByLevels(channels, bank, 6, _Plain(bank, 6))(pyramid, descriptor, valid)
    pyramid[0][:, :, :, 4:] = float("nan")
    dirty = _ByLevels(channels, bank, 6, _Plain(bank, 6))(pyramid, descriptor, valid)
    torch.testing.assert_close(dirty, clean)
    (gradient,) = torch.autograd.grad(dirty.sum(), [descriptor.bias])
    assert bool(gradient.isfinite().all())


def test_that_few_patches_that_count_are_searched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = (4, 6, 60)
    pyramid, descriptor, bank = case(channels, 70, 401, (8, 8))
    valid = torch.zeros(2, 8, 8, dtype=torch.bool)
    valid[0, 2, 3] = True
    seen: list[int] = []
    plain = _Plain(bank, 6)

    def spy(pyramid: list[Tensor], descriptor: Descriptor, valid: Tensor) -> Tensor:
        seen.append(int(valid.sum()))
        return plain(pyramid, descriptor, valid)

    found = _ByLevels(channels, bank, 6, spy)(pyramid, descriptor, valid)  # type: ignore[arg-type]
    assert seen == [1]
    torch.testing.assert_close(found.double(), slowly(descriptor, pyramid, bank, valid, 6), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "patches", "by_levels"), [(70, 10_000, True), (70, 30, False), (30, 10_000, False)])
def test_that_the_search_by_levels_is_taken_where_it_is_less_work(width: int, patches: int, by_levels: bool) -> None:
    channels = (2, 3, 70)
    bank = torch.randn(64, width, generator=torch.Generator().manual_seed(0))
    found = training_search.training_search(channels, bank, 6, patches)
    assert isinstance(found, _ByLevels if by_levels else _Plain)


def test_that_without_openvino_the_plain_search_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'openvino'")

    monkeypatch.setattr(training_search, "LevelDistances", absent)
    bank = torch.randn(64, 70, generator=torch.Generator().manual_seed(0))
    assert isinstance(training_search.training_search((2, 3, 70), bank, 6, 10_000), _Plain)
    assert "the search of the training runs in torch" in caplog.text
