"""The resize within the graph beside Pillow, and the graph's geometry beside the engine's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.config import Preprocessing, Resizing, StrideFit
from core.export.lengths import divide
from core.export.preparation import Preparation
from core.export.resizing import Axis, resize
from core.placement import Filter, Placement, place
from tests.core.parts import Picture

SIZES = [
    ((450, 450), (256, 256)),
    ((37, 500), (50, 512)),
    ((10, 8), (286, 229)),
    ((1, 5), (114, 573)),
    ((601, 40), (64, 40)),
]


def _resized(image: Picture, size: tuple[int, int], kind: Filter, precision: torch.dtype) -> Picture:
    axes = []
    for before, after in zip(image.shape[:2], size, strict=True):
        wanted = torch.arange(-(-after // 16) * 16).clamp(max=after - 1)
        axes.append(Axis(torch.tensor(before), torch.tensor(after), wanted, kind, 16, precision))
    return resize(torch.from_numpy(image), *axes)[: size[0], : size[1]].numpy().astype(np.uint8)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("kind", Filter)
def test_that_a_resized_picture_is_pillows_to_the_bit(
    before: tuple[int, int], after: tuple[int, int], kind: Filter
) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*before, 3), dtype=np.uint8)
    image[: before[0] // 2] = image[: before[0] // 2] // 250 * 255  # hard edges, where Lanczos overshoots
    narrow = Image.fromarray(image).resize((after[1], before[0]), kind.value)
    expected = np.array(narrow.resize(after[::-1], kind.value))

    assert np.array_equal(_resized(image, after, kind, torch.float64), expected)
    single = _resized(image, after, kind, torch.float32)
    if kind is Filter.BILINEAR:
        assert np.array_equal(single, expected)
    else:  # as good as the sine of float32
        assert np.abs(single.astype(int) - expected).max() <= 1
        assert np.mean(single != expected) < 1e-3


SIDES = st.integers(1, 6000)


@pytest.mark.parametrize("fit", StrideFit)
@pytest.mark.parametrize("resizing", Resizing)
@given(height=SIDES, width=SIDES, size=st.integers(32, 400))
def test_that_a_picture_lies_where_the_engine_puts_it(
    resizing: Resizing, fit: StrideFit, height: int, width: int, size: int
) -> None:
    preprocessing = Preprocessing(resizing, size, max(32, size * 7 // 8), stride_fit=fit)
    picture = torch.zeros(1, 1, 3, dtype=torch.uint8).expand(height, width, 3)
    found = Preparation(preprocessing, 16, torch.float64).place(picture)
    if max(height, width) > 60 * min(height, width) and resizing is Resizing.CROP:
        return  # refused, or nearly
    expected = place((height, width), preprocessing, 16)

    assert bool(found.possible)
    assert _sizes(found.resized) == expected.resized
    assert (*_sizes(found.start), *_sizes(found.crop)) == expected.crop


def _sizes(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])


def test_that_float32_places_nearly_every_size_as_float64_does() -> None:
    sides = range(31, 4031, 400)
    preprocessing = Preprocessing()
    for height in sides:
        for width in sides:
            picture = torch.zeros(1, 1, 3, dtype=torch.uint8).expand(height, width, 3)
            found = Preparation(preprocessing, 16, torch.float32).place(picture)
            expected: Placement = place((height, width), preprocessing, 16)
            assert _sizes(found.resized) == expected.resized


@given(dividend=st.integers(0, 2**31), divisor=st.integers(1, 2**20))
def test_that_a_whole_division_is_pythons(dividend: int, divisor: int) -> None:
    quotient, remainder = divide(torch.tensor(dividend), torch.tensor(divisor))
    assert (int(quotient), int(remainder)) == divmod(dividend, divisor)
