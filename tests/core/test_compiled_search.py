"""The compiled way from image to nearest centres beside descriptors in double precision and all distances."""

import sys
import threading
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from core import search_graph
from core.compiled_network import converted
from core.compiled_search import CompiledSearch
from core.config import DescriptorStart
from core.descriptor import Descriptor
from core.folding import FoldedSearch, fold
from core.neighbours import Ellipsoids, ellipsoids
from tests.core.nameless_files import in_memory

STRIDES = (4, 8, 16)
SHAPES = ((1, 16, 16), (1, 32, 80), (2, 96, 16), (3, 48, 64))


class Levels(nn.Module):
    """A backbone of one layer a level: means of blocks of the picture, mixed by fixed random weights."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.ModuleList(
            nn.Conv2d(3, count, stride, stride=stride) for count, stride in zip(channels, STRIDES, strict=True)
        ).requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        x = images.permute(0, 3, 1, 2).to(next(self.parameters()).dtype) / 255.0
        return tuple(layer(x) for layer in self.layers)


def case(channels: tuple[int, ...], width: int, centres: int, seed: int = 0) -> tuple[Levels, Descriptor, Tensor]:
    """Maps, descriptor and bank; the bank lies among the descriptors, two centres are the same."""
    generator = torch.Generator().manual_seed(seed)
    maps = Levels(channels).eval()
    descriptor = Descriptor(channels, width, DescriptorStart.PUBLISHED, generator).requires_grad_(requires_grad=False)
    descriptor.bias.copy_(torch.randn(width, generator=generator))
    phi = descriptor(maps(pictures(1, 64, 64, seed=77))).permute(0, 2, 3, 1).flatten(0, 2)
    bank = phi[torch.randint(0, len(phi), (centres,), generator=generator)]
    bank = bank + 0.05 * torch.randn(bank.shape, generator=generator)
    bank[-1] = bank[0]
    return maps, descriptor, bank


def folded(descriptor: Descriptor, bank: Tensor, shapes: Ellipsoids | None = None) -> FoldedSearch:
    shapes = shapes or ellipsoids(bank, bank.new_zeros(len(bank), 0, 0), bank.new_zeros(0, bank.shape[1]))
    weight = descriptor.weight.detach()
    levels = torch.split(weight[:, :-2], list(descriptor.channels), dim=1)
    arrays = [x.numpy() for x in (weight[:, -2:], descriptor.bias.detach(), bank, shapes.axes, shapes.basis)]
    return fold([x.numpy() for x in levels], *arrays)


def slowly(maps: Levels, descriptor: Descriptor, bank: Tensor, images: Tensor) -> Tensor:
    """(n, M) squared distances in double precision, by full-resolution descriptors and direct subtraction."""
    grid = (images.shape[1] // 4, images.shape[2] // 4)
    levels = [functional.interpolate(m, size=grid, mode="bilinear") for m in maps.double()(images)]
    maps.float()
    rows = torch.linspace(-1, 1, grid[0]).double()[:, None].expand(grid)
    columns = torch.linspace(-1, 1, grid[1]).double()[None].expand(grid)
    places = torch.stack((rows, columns)).expand(len(images), 2, *grid)
    phi = functional.conv2d(
        torch.cat((*levels, places), dim=1), descriptor.weight.double()[:, :, None, None], descriptor.bias.double()
    )
    queries = phi.permute(0, 2, 3, 1).flatten(0, 2)
    return (queries[:, None] - bank.double()[None]).square().sum(dim=2)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (*shape, 3), generator=torch.Generator().manual_seed(seed)).byte()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("channels", "width", "centres", "in_parts", "at_hand"),
    [
        ((6, 10, 20), 36, 70, False, 2048),
        ((6, 10, 450), 466, 331, True, 2048),  # several blocks, the last one not full
        ((6, 10, 450), 466, 331, True, 100),
        ((6, 10, 450), 490, 33, True, 2048),  # more channels than the pyramid has
        ((20, 10, 5), 9, 500, False, 2048),  # fewer than the finest level has
    ],
    ids=["whole descriptors", "in parts", "range by range", "wider than the pyramid", "narrow"],
)
def test_that_it_finds_what_all_distances_in_double_precision_hold(
    channels: tuple[int, ...],
    width: int,
    centres: int,
    in_parts: bool,
    at_hand: int,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_graph, "_AT_HAND", at_hand)
    maps, descriptor, bank = case(channels, width, centres)
    search = folded(descriptor, bank)
    assert search.in_parts is in_parts
    compiled = CompiledSearch(converted(maps, pictures(1, 32, 48)), search, STRIDES, count)
    for shape in SHAPES:
        images = pictures(*shape, seed=3)
        distances, rows = (found.flatten(0, 2) for found in compiled(images))
        everything = slowly(maps, descriptor, bank, images)
        torch.testing.assert_close(distances.double(), everything.sort(dim=1).values[:, :count], rtol=2e-5, atol=1e-7)
        torch.testing.assert_close(everything.gather(1, rows), distances.double(), rtol=2e-5, atol=1e-7)
        assert all(len(set(found)) == count for found in rows.tolist())
        assert bool((distances[:, 1:] >= distances[:, :-1]).all())


@pytest.mark.parametrize(("centres", "at_hand"), [(2, 2048), (40, 2048), (300, 2048), (300, 100)])
@pytest.mark.parametrize(
    ("channels", "width", "directions"),
    [
        ((6, 10, 20), 36, 7),
        ((6, 10, 20), 36, 36),
        ((6, 10, 450), 490, 7),  # in parts
        ((6, 10, 450), 466, 466),
        ((20, 10, 5), 9, 7),
    ],
)
def test_that_of_the_three_nearest_centres_the_one_whose_ellipsoid_is_nearest_is_found(
    channels: tuple[int, ...],
    width: int,
    directions: int,
    centres: int,
    at_hand: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_graph, "_AT_HAND", at_hand)
    maps, descriptor, bank = case(channels, width, centres)
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(width, directions, generator=generator)).Q.T.contiguous()
    axes = (
        (torch.linalg.qr(torch.randn(centres, directions, 3, generator=generator)).Q * torch.tensor([1.0, 0.8, 0.2]))
        .transpose(1, 2)
        .contiguous()
    )
    images = pictures(1, 64, 32, seed=3)
    search = CompiledSearch(
        converted(maps, images), folded(descriptor, bank, ellipsoids(bank, axes, basis)), STRIDES, 1
    )
    distances, rows = (found.flatten() for found in search(images))
    apart = descriptor(maps(images)).permute(0, 2, 3, 1).flatten(0, 2).double()[:, None] - bank.double()  # (n, M, D')
    plain = apart.square().sum(dim=2)
    counted = plain - torch.einsum("mad,nmd->nma", (axes @ basis).double(), apart).square().sum(dim=2)
    near = plain.topk(min(3, centres), dim=1, largest=False).indices
    expected, best = counted.gather(1, near).min(dim=1)
    torch.testing.assert_close(distances.double(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(rows, near.gather(1, best[:, None])[:, 0])
    assert not torch.equal(rows, near[:, 0])


@pytest.mark.parametrize(
    ("channels", "width", "in_parts"), [((6, 10, 20), 36, False), ((6, 10, 450), 466, True)], ids=["whole", "in parts"]
)
def test_that_a_patch_on_a_centre_is_at_distance_zero(channels: tuple[int, ...], width: int, in_parts: bool) -> None:
    """No cancellation of large norms: what lies on a centre far from the origin lies there to the last digits.

    In parts to those of the spread of all centres, which is what cancels there.
    """
    maps, descriptor, _ = case(channels, width, 331)
    descriptor.bias.fill_(50.0)
    image = pictures(1, 64, 64, seed=9)
    bank = descriptor(maps(image)).permute(0, 2, 3, 1).flatten(0, 2)
    distances, rows = CompiledSearch(converted(maps, image), folded(descriptor, bank), STRIDES, 1)(image)
    spread = float(bank.double().var(dim=0).sum())
    assert float(distances.max()) < (1e-5 * spread if in_parts else 1e-7)
    assert rows.flatten().tolist() == list(range(len(bank)))


def test_that_an_image_finds_alone_what_it_finds_among_others_and_in_any_thread() -> None:
    maps, descriptor, bank = case((6, 10, 450), 466, 331)
    search = CompiledSearch(converted(maps, pictures(1, 32, 32)), folded(descriptor, bank), STRIDES, 1)
    images = pictures(4, 64, 32, seed=5)
    together = [part.clone() for part in search(images)[0].chunk(4)]
    wrong: list[int] = []

    def repeat(index: int) -> None:
        for _ in range(10):
            found = search(images[index : index + 1])[0]
            if not torch.allclose(found, together[index], rtol=1e-5):
                wrong.append(index)

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("count", [1, 3])
def test_that_strips_by_threads_hold_bit_for_bit_what_one_loop_finds(
    threads: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    maps, descriptor, bank = case((6, 10, 20), 36, 331)
    axes, basis = torch.randn(331, 3, 7, generator=torch.Generator().manual_seed(2)) / 5, torch.eye(36)[:7]
    search = folded(descriptor, bank, ellipsoids(bank, axes, basis))
    compiled = CompiledSearch(converted(maps, pictures(1, 32, 48)), search, STRIDES, count)
    for shape in SHAPES:
        images = pictures(*shape, seed=3)
        by_strips = [found.clone() for found in compiled(images)]
        with compiled.several_at_once(1):
            at_once = compiled(images)
        assert all(torch.equal(one, other) for one, other in zip(by_strips, at_once, strict=True))


def test_that_only_what_is_in_use_is_held_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, descriptor, bank = case((6, 10, 20), 36, 331)
    search = CompiledSearch(converted(maps, pictures(1, 32, 32)), folded(descriptor, bank), STRIDES, 1)
    strips = search._by_strips
    assert strips is not None
    image = pictures(1, 32, 32)

    def held() -> list[bool]:
        return [model._compiled is not None for model in (search._one_loop, strips._common, strips._loop)]

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    search(image)
    assert held() == [False, True, True]
    with search.several_at_once(2):
        search(image)
        assert held() == [True, False, False]
    search(image)
    assert held() == [False, True, True]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    search(image)
    assert held() == [True, False, False]


@pytest.mark.parametrize(("images", "count", "expected"), [(1, 2, 2), (1, 3, 3), (3, 8, 6), (1, 8, 6), (1, 100, 6)])
def test_that_strips_cover_all_rows_of_the_grid_once(images: int, count: int, expected: int) -> None:
    grids = ((12, 8), (6, 4), (3, 2))
    found = search_graph.strips(images, grids, 2, count)
    assert len(found) == expected
    rows = [int(row) for strip in found for row in strip[0]]
    assert rows[: 12 * images] == list(range(12 * images))
    assert set(rows[12 * images :]) <= {12 * images - 1}
    shapes = {tuple(table.shape for table in strip) for strip in found}
    assert len(shapes) == 1
    assert len(found[0][0]) % 2 == 0


@pytest.mark.parametrize("centres", [1, 32, 2048, 2049, 3136, 12544, 50000])
def test_that_ranges_of_centres_are_whole_blocks_and_none_is_large_or_small(centres: int) -> None:
    ends = [0, *search_graph.ranges(centres), centres]
    sizes = [end - start for start, end in pairwise(ends)]
    assert all(size % 32 == 0 for size in sizes[:-1])
    assert max(sizes) <= 2048
    assert min(sizes) > max(sizes) // 2


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much of a file is in memory")
def test_that_what_is_packed_is_not_kept_in_memory_beside() -> None:
    maps, descriptor, bank = case((6, 10, 450), 466, 3000)
    search = folded(descriptor, bank)
    assert search.in_parts
    before = in_memory()
    compiled = CompiledSearch(converted(maps, pictures(1, 32, 32)), search, STRIDES, 1)
    for side in (32, 48):  # compiled anew for another size
        compiled(pictures(1, side, side))
        assert in_memory() - before < 1000
