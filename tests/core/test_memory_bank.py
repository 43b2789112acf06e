from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from core import memory_bank
from core.errors import CancelledByUser, DatasetError
from core.memory_bank import (
    Described,
    assign_each_once,
    ema_bank,
    global_bank,
    k_means,
    mean_bank,
    mean_nearest_squared,
)
from tests.core import published

WIDTH = 4


def image(seed: int, shape: tuple[int, int] = (5, 6), valid: Tensor | None = None) -> Described:
    """Random descriptors; where not valid, garbage that must not be seen."""
    phi = torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed))
    if valid is None:
        return Described(phi, torch.ones(shape, dtype=torch.bool))
    return Described(torch.where(valid[..., None], phi, torch.tensor(1e6 + seed)), valid)


def holes(seed: int, shape: tuple[int, int] = (5, 6)) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.7


def to_published(images: list[Described]) -> list[Tensor]:
    """(1, D', h, w) each."""
    return [phi.permute(2, 0, 1)[None] for phi, _ in images]


def built(kind: str, images: list[Described], ratio: int = 2, seed: int = 0, minimum: int = 1) -> Tensor:
    if kind == "mean":
        return mean_bank(images, ratio, seed, minimum)
    if kind == "ema":
        return ema_bank(images, ratio, 0.3, seed, minimum)
    return global_bank(images, len(images), ratio, seed, minimum)


KINDS = pytest.mark.parametrize("kind", ["mean", "ema", "global"])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_that_the_mean_bank_equals_the_running_mean_at_each_position(count: int) -> None:
    images = [image(seed) for seed in range(count)]
    bank = mean_bank(images, ratio=1, seed=0, minimum=1)
    torch.testing.assert_close(bank, published.mean_bank(to_published(images)), rtol=1e-5, atol=1e-6)


def test_that_the_mean_bank_averages_each_position_over_the_images_that_have_it() -> None:
    shapes = [(5, 6), (3, 8), (6, 4), (5, 6)]
    images = [image(seed, shape, holes(seed, shape)) for seed, shape in enumerate(shapes)]
    bank = mean_bank(images, ratio=1, seed=0, minimum=1)
    expected = published.mean_bank_of_sizes(to_published(images), [valid for _, valid in images])
    torch.testing.assert_close(bank, expected, rtol=1e-5, atol=1e-6)


def test_that_building_the_mean_bank_leaves_the_images_as_they_were() -> None:
    images = [image(seed, shape) for seed, shape in enumerate([(3, 8), (5, 6)])]
    before = [phi.clone() for phi, _ in images]
    mean_bank(images, ratio=1, seed=0, minimum=1)
    assert all(torch.equal(phi, copy) for (phi, _), copy in zip(images, before, strict=True))


@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0])
def test_that_the_ema_bank_equals_algorithm_1_written_out(ratio: int, beta: float) -> None:
    images = [image(seed, valid=holes(seed)) for seed in range(6)]
    rows = [phi[valid] for phi, valid in images]
    bank = ema_bank(images, ratio, beta, seed=0, minimum=1)
    first = rows[0] if ratio == 1 else k_means(rows[0], len(rows[0]) // ratio, seed=0)
    expected = published.algorithm_1(first, rows[1:], beta)
    torch.testing.assert_close(bank, expected, rtol=1e-5, atol=1e-6)


def test_that_the_ema_bank_leaves_the_first_image_as_it_was() -> None:
    images = [image(seed) for seed in range(3)]
    before = images[0].phi.clone()
    ema_bank(images, 1, 0.5, seed=0, minimum=1)
    assert torch.equal(images[0].phi, before)


def test_that_every_centre_takes_its_nearest_free_patch_in_turn() -> None:
    """The first centre takes the patch that both are nearest to; the second must do with the next."""
    bank = torch.tensor([[0.0], [0.1], [9.0]])
    patches = torch.tensor([[5.0], [0.1], [0.9], [8.0]])
    assert assign_each_once(bank, patches).tolist() == [1, 2, 3]


def test_that_no_patch_is_taken_twice_and_centres_without_one_are_left_out() -> None:
    chosen = assign_each_once(torch.randn(9, WIDTH), torch.randn(5, WIDTH)).tolist()
    assert sorted(chosen) == [0, 1, 2, 3, 4]


def test_that_the_global_bank_finds_what_lies_anywhere() -> None:
    """Four kinds of patch at other places in every image: each has its centre, which a mean over places has not."""
    kinds = torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [0, 0, 9.0, 0], [0, 0, 0, 9.0]])
    generator = torch.Generator().manual_seed(0)
    images = []
    for _ in range(8):
        rows = kinds.repeat(4, 1)[torch.randperm(16, generator=generator)]
        noise = 0.01 * torch.randn(16, WIDTH, generator=generator)
        images.append(Described((rows + noise).view(4, 4, WIDTH), torch.ones(4, 4, dtype=torch.bool)))
    bank = built("global", images, ratio=4)
    order = bank.argmax(dim=1).sort().indices
    torch.testing.assert_close(bank[order], kinds, rtol=0, atol=0.02)
    misled = built("mean", images, ratio=4)
    assert float((misled[misled.argmax(dim=1).sort().indices] - kinds).abs().max()) > 1


@KINDS
def test_that_what_masked_patches_hold_changes_nothing(kind: str) -> None:
    masks = [holes(seed) for seed in range(5)]
    clean = [image(seed, valid=mask) for seed, mask in enumerate(masks)]
    dirty = [Described(torch.where(m[..., None], phi, torch.tensor(-3e8)), m) for phi, m in clean]
    assert torch.equal(built(kind, clean), built(kind, dirty))
    assert float(built(kind, clean).abs().max()) < 10


@KINDS
def test_that_the_same_seed_gives_the_same_bank(kind: str) -> None:
    images = [image(seed) for seed in range(5)]
    assert torch.equal(built(kind, images, seed=3), built(kind, images, seed=3))


def test_that_another_seed_gives_another_global_bank() -> None:
    images = [image(seed) for seed in range(5)]
    assert not torch.equal(built("global", images, seed=3), built("global", images, seed=4))


@KINDS
@pytest.mark.parametrize(("ratio", "minimum", "expected"), [(1, 1, 30), (4, 1, 7), (4, 9, 9), (64, 6, 6)])
def test_that_the_bank_holds_t_over_ratio_centres_but_never_fewer_than_the_loss_needs(
    kind: str, ratio: int, minimum: int, expected: int
) -> None:
    images = [image(seed) for seed in range(4)]
    bank = built(kind, images, ratio, minimum=minimum)
    assert bank.shape == (expected, WIDTH)
    assert bank.dtype == torch.float32


def test_that_of_mixed_sizes_the_median_decides_the_size_of_the_global_bank() -> None:
    images = [image(0, (2, 2)), image(1, (4, 5)), image(2, (9, 9))]
    assert len(built("global", images, ratio=2)) == 10


@KINDS
def test_that_without_images_there_is_no_bank(kind: str) -> None:
    with pytest.raises(DatasetError, match="no image"):
        built(kind, [])


def test_that_the_global_bank_samples_every_image_within_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 patches from 4 images: each gives 25 of its 30, drawn by the seed."""
    monkeypatch.setattr(memory_bank, "GLOBAL_SAMPLE", 100)
    seen: list[Tensor] = []

    def spy(points: Tensor, count: int, seed: int, check: object) -> Tensor:
        seen.append(points)
        return points[:count]

    monkeypatch.setattr(memory_bank, "k_means", spy)
    images = [image(seed) for seed in range(4)]
    for seed in (0, 0, 1):
        built("global", images, seed=seed)
    assert len(seen[0]) == 100
    for index, (phi, _) in enumerate(images):
        drawn = seen[0][25 * index : 25 * index + 25]
        rows = phi.view(-1, WIDTH)
        assert len(torch.unique(drawn, dim=0)) == 25
        assert bool((drawn[:, None] == rows[None]).all(dim=2).any(dim=1).all())
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def blobs() -> tuple[Tensor, Tensor]:
    """3,000 points about five far centres."""
    generator = torch.Generator().manual_seed(0)
    centres = 20 * torch.eye(5)
    points = centres.repeat(600, 1) + 0.1 * torch.randn(3000, 5, generator=generator)
    return points[torch.randperm(3000, generator=generator)], centres


@pytest.mark.parametrize("few", [10, 10_000_000], ids=["mini-batches", "to convergence"])
def test_that_k_means_finds_the_centres_and_is_seeded(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_bank, "_EXACT_LIMIT", few)
    monkeypatch.setattr(memory_bank, "_KMEANS_BATCH", 500)
    points, centres = blobs()
    found = k_means(points, 40, seed=1)
    assert found.shape == (40, 5)
    assert mean_nearest_squared(centres, found) < 0.05
    assert mean_nearest_squared(points, found) < mean_nearest_squared(points, points[:40])
    assert torch.equal(found, k_means(points, 40, seed=1))
    assert not torch.equal(found, k_means(points, 40, seed=2))


def test_that_mini_batch_k_means_can_be_cancelled_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_bank, "_EXACT_LIMIT", 10)
    monkeypatch.setattr(memory_bank, "_KMEANS_BATCH", 500)
    calls: Iterator[int] = iter(range(100))

    def report(done: int, total: int) -> None:
        assert total == 4 * -(-len(blobs()[0]) // 500)
        if next(calls) == 3:
            raise CancelledByUser

    with pytest.raises(CancelledByUser):
        k_means(blobs()[0], 5, seed=0, report=report)
    assert next(calls) == 4


def test_that_k_means_makes_no_more_centres_than_there_are_points() -> None:
    points = torch.randn(3, WIDTH)
    found = k_means(points, 8, seed=0)
    torch.testing.assert_close(found[found[:, 0].sort().indices], points[points[:, 0].sort().indices])


def test_that_the_mean_nearest_distance_is_that_of_the_whole_matrix() -> None:
    patches, bank = torch.randn(30, WIDTH), torch.randn(20, WIDTH)
    expected = torch.cdist(patches.double(), bank.double()).square().min(dim=1).values.mean()
    assert mean_nearest_squared(patches, bank) == pytest.approx(float(expected), rel=1e-5)
