import errno
import io
import tempfile

import pytest
import torch
from torch import Tensor

from core.errors import OutputError
from core.feature_cache import FeatureCache

CPU = torch.device("cpu")
SHAPES = ((3, 8, 4), (5, 4, 2))
BYTES = 4 * (3 * 8 * 4 + 5 * 4 * 2)


def pyramid(seed: int, scale: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, c, h * scale, w, generator=generator) for c, h, w in SHAPES]


def filled(budget: int, count: int = 5) -> FeatureCache:
    cache = FeatureCache(CPU, budget)
    for seed in range(count):
        cache.append(pyramid(seed))
    return cache


@pytest.mark.parametrize(("budget", "spilled"), [(0, 5), (BYTES - 1, 5), (2 * BYTES, 3), (5 * BYTES, 0), (10**9, 0)])
def test_that_what_the_budget_does_not_hold_goes_to_the_file_and_comes_back_bit_for_bit(
    budget: int, spilled: int
) -> None:
    with filled(budget) as cache:
        assert cache.spilled == spilled
        assert len(cache) == 5
        for order in ([0, 1, 2, 3, 4], [4, 1, 3], [2, 2]):
            levels = cache.batch(order)
            expected = [torch.cat(maps) for maps in zip(*[pyramid(seed) for seed in order], strict=True)]
            assert all(torch.equal(a, b) for a, b in zip(levels, expected, strict=True))


def test_that_images_of_other_sizes_keep_their_own_shape() -> None:
    with FeatureCache(CPU, BYTES) as cache:
        for seed, scale in enumerate((1, 3, 2)):
            cache.append(pyramid(seed, scale))
        assert [cache.shape(index) for index in range(3)] == [(8, 4), (24, 4), (16, 4)]
        for seed, scale in enumerate((1, 3, 2)):
            assert all(torch.equal(a, b) for a, b in zip(cache.batch([seed]), pyramid(seed, scale), strict=True))


def test_that_a_smaller_image_may_still_fit_where_a_larger_one_did_not() -> None:
    with FeatureCache(CPU, BYTES) as cache:
        cache.append(pyramid(0, 3))
        cache.append(pyramid(1))
        assert cache.spilled == 1
        assert torch.equal(cache.batch([1])[0], pyramid(1)[0])


def test_that_the_cache_keeps_a_copy() -> None:
    with FeatureCache(CPU) as cache:
        mine = pyramid(0)
        cache.append(mine)
        mine[0].zero_()
        assert torch.equal(cache.batch([0])[0], pyramid(0)[0])


def test_that_changing_a_batch_changes_nothing_in_the_file() -> None:
    with filled(0, 2) as cache:
        cache.batch([0])[0].zero_()
        assert torch.equal(cache.batch([0])[0], pyramid(0)[0])


def test_that_maps_that_lie_scattered_in_memory_come_back_in_order() -> None:
    with FeatureCache(CPU, 0) as cache:
        scattered = [level.transpose(2, 3) for level in pyramid(0)]
        cache.append(scattered)
        assert all(torch.equal(a, b) for a, b in zip(cache.batch([0]), scattered, strict=True))


@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_that_the_file_gives_back_the_memory_layout_by_which_kernels_round(form: torch.memory_format) -> None:
    maps = [level.contiguous(memory_format=form) for level in pyramid(0)]
    layouts = []
    for budget in (0, 10**9):
        with FeatureCache(CPU, budget) as cache:
            cache.append(maps)
            assert all(torch.equal(a, b) for a, b in zip(cache.batch([0]), maps, strict=True))
            layouts.append([level.stride() for level in cache.batch([0, 0])])
    assert layouts[0] == layouts[1]


def test_that_leaving_the_cache_closes_its_file_whatever_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[io.BytesIO] = []

    def open_one(prefix: str) -> io.BytesIO:
        files.append(io.BytesIO())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", open_one)
    with filled(10**9) as cache:
        assert files == []
    with pytest.raises(ZeroDivisionError), filled(0) as cache:
        assert len(cache) == 5
        raise ZeroDivisionError
    assert len(files) == 1
    assert files[0].closed


def test_that_a_full_temporary_folder_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda prefix: FullDisk())
    with FeatureCache(CPU, 0) as cache, pytest.raises(OutputError, match=r"No space left on device.*Free some space"):
        cache.append(pyramid(0))


def test_that_where_there_is_no_temporary_folder_at_all_that_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere(*_args: object, **_options: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with FeatureCache(CPU, 0) as cache, pytest.raises(OutputError, match="No usable temporary directory"):
        cache.append(pyramid(0))
