"""Where a picture lies on the network's input, there and back."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from core.config import Preprocessing, Region, Resizing, StrideFit
from core.errors import ImageError
from core.placement import Filter, Placement, apply, inspected_pixels, place, valid_cells

ROUNDED = Preprocessing()
WHOLE = Preprocessing(stride_fit=StrideFit.PADDED)
SQUARE = Preprocessing(resizing=Resizing.SQUARE)
CROP = Preprocessing(resizing=Resizing.CROP)
ALL = [ROUNDED, WHOLE, SQUARE, CROP]
SIZES = [(600, 900), (900, 600), (450, 450), (97, 113), (1200, 431)]

sides = st.integers(1, 5000)
protocols = st.sampled_from([ROUNDED, WHOLE, SQUARE, Preprocessing(image_size=333), Preprocessing(image_size=32)])


def noise(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def rectangle(left: float, top: float, right: float, bottom: float, *, ignored: bool = False) -> Region:
    return Region(((left, top), (right, top), (right, bottom), (left, bottom)), ignored)


@given(height=sides, width=sides, preprocessing=protocols, stride=st.sampled_from([16, 32]))
def test_that_every_placement_fits_its_canvas(
    height: int, width: int, preprocessing: Preprocessing, stride: int
) -> None:
    placement = place((height, width), preprocessing, stride)
    top, left, crop_height, crop_width = placement.crop
    assert (top, left) == (0, 0)
    assert (crop_height, crop_width) == placement.resized
    for canvas, crop in zip(placement.canvas, placement.resized, strict=True):
        assert crop >= 1
        assert canvas % stride == 0
        assert 0 <= canvas - crop < stride


@given(height=sides, width=sides, stride=st.sampled_from([16, 32]))
def test_that_a_rounded_whole_picture_fills_its_canvas_with_all_but_its_aspect(
    height: int, width: int, stride: int
) -> None:
    rounded, exact = place((height, width), ROUNDED, stride), place((height, width), WHOLE, stride)
    assert rounded.canvas == rounded.resized == rounded.crop[2:]
    assert valid_cells(rounded, 4, ()).all()
    for multiple, length in zip(rounded.resized, exact.resized, strict=True):
        assert multiple == stride if length < stride else abs(multiple - length) <= stride / 2


@given(height=sides, width=sides)
def test_that_a_padded_whole_picture_keeps_its_aspect_and_the_area(height: int, width: int) -> None:
    resized = place((height, width), WHOLE, 16).resized
    if max(height, width) < 16 * min(height, width):
        scale = 256 / math.sqrt(height * width)
        assert resized == (max(1, round(height * scale)), max(1, round(width * scale)))
    else:
        assert max(resized) == 4 * 256


@pytest.mark.parametrize(("source", "resized"), [
    ((450, 450), (256, 256)),
    ((600, 900), (208, 320)),
    ((601, 900), (208, 320)),
    ((1, 4000), (16, 1024)),
])  # fmt: skip
def test_that_each_side_goes_to_the_nearest_multiple_of_the_stride(
    source: tuple[int, int], resized: tuple[int, int]
) -> None:
    assert place(source, ROUNDED, 16) == Placement(source, resized, (0, 0, *resized), resized, Filter.BILINEAR)


@pytest.mark.parametrize(("source", "resized", "canvas"), [
    ((1, 1), (256, 256), (256, 256)),
    ((1, 4000), (1, 1024), (16, 1024)),
    ((600, 900), (209, 314), (224, 320)),
])  # fmt: skip
def test_that_a_padded_whole_picture_goes_where_expected(
    source: tuple[int, int], resized: tuple[int, int], canvas: tuple[int, int]
) -> None:
    placement = place(source, WHOLE, 16)
    assert placement == Placement(source, resized, (0, 0, *resized), canvas, Filter.BILINEAR)
    assert apply(noise(source), placement).shape == (*canvas, 3)


@pytest.mark.parametrize("source", [*SIZES, (256, 256), (255, 1000), (333, 257)])
@pytest.mark.parametrize("crop_size", [224, 255])
def test_that_the_papers_crop_is_torchvisions(source: tuple[int, int], crop_size: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    image = noise(source)
    lanczos, picture = transforms.InterpolationMode.LANCZOS, Image.fromarray(image)
    width, height = transforms.Resize(256, lanczos)(picture).size
    narrow = transforms.Resize((source[0], width), lanczos)  # which axis goes first would depend on Pillow's version
    steps = [narrow, transforms.Resize((height, width), lanczos), transforms.CenterCrop(crop_size)]
    expected = np.asarray(transforms.Compose(steps)(picture))
    placement = place(source, Preprocessing(resizing=Resizing.CROP, crop_size=crop_size), 1)
    assert placement.resized == (height, width)
    np.testing.assert_array_equal(apply(image, placement), expected)
    mask = image[..., 0] > 200
    steps = [transforms.Resize(256, transforms.InterpolationMode.NEAREST), transforms.CenterCrop(crop_size)]
    expected = np.asarray(transforms.Compose(steps)(Image.fromarray(mask.astype(np.uint8)))) > 0
    np.testing.assert_array_equal(placement.mask_to_crop(mask), expected)


def test_that_the_paper_uses_lanczos_and_the_product_bilinear() -> None:
    image = noise((450, 300))
    squashed = Image.fromarray(image).resize((256, 450), Image.Resampling.LANCZOS)
    squashed = squashed.resize((256, 256), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(apply(image, place((450, 300), SQUARE, 16)), np.asarray(squashed))
    placement = place((450, 300), WHOLE, 1)
    narrow = Image.fromarray(image).resize((placement.resized[1], 450), Image.Resampling.BILINEAR)
    whole = narrow.resize(placement.resized[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(apply(image, placement), np.asarray(whole))


def test_that_an_absurdly_long_picture_is_refused_by_the_crop_alone() -> None:
    with pytest.raises(ImageError, match="5000 × 10 pixels is too elongated"):
        place((10, 5000), CROP, 16)
    assert place((10, 5000), WHOLE, 16).resized == (2, 1024)
    assert place((10, 5000), SQUARE, 16).resized == (256, 256)


@pytest.mark.parametrize("preprocessing", ALL)
def test_that_padding_repeats_the_edge(preprocessing: Preprocessing) -> None:
    placement = place((450, 700), preprocessing, 96)
    _, _, height, width = placement.crop
    canvas = apply(noise((450, 700)), placement)
    assert canvas.shape == (*placement.canvas, 3)
    assert canvas.shape[0] % 96 == canvas.shape[1] % 96 == 0
    assert (canvas[height:, :width] == canvas[height - 1, :width]).all()
    assert (canvas[:, width:] == canvas[:, width - 1 : width]).all()


@pytest.mark.parametrize("preprocessing", ALL)
@pytest.mark.parametrize("source", SIZES)
def test_that_a_bright_dot_lands_where_the_coordinates_say(
    preprocessing: Preprocessing, source: tuple[int, int]
) -> None:
    placement = place(source, preprocessing, 32)
    rows, columns = np.mgrid[: source[0], : source[1]] + 0.5
    for share_y, share_x in ((0.5, 0.5), (0.41, 0.59), (0.6, 0.37)):
        y, x = source[0] * share_y, source[1] * share_x
        blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (min(source) / 40) ** 2))
        image = np.repeat((blob * 255).round().astype(np.uint8)[..., None], 3, axis=2)
        canvas = apply(image, placement)[..., 0].astype(float)
        canvas_rows, canvas_columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]] + 0.5
        found = (canvas_rows * canvas).sum() / canvas.sum(), (canvas_columns * canvas).sum() / canvas.sum()
        expected = placement.source_to_canvas(y, x)
        assert np.abs(np.subtract(found, expected)).max() < 0.05  # pixels of the canvas
        back = placement.canvas_to_source(*found)
        scale = max(placement.source[0] / placement.resized[0], placement.source[1] / placement.resized[1])
        assert np.abs(np.subtract(back, (y, x))).max() < 0.1 * max(1, scale)


@given(height=sides, width=sides, y=st.floats(-10, 6000), x=st.floats(-10, 6000), preprocessing=protocols)
def test_that_the_two_ways_are_inverse(
    height: int, width: int, y: float, x: float, preprocessing: Preprocessing
) -> None:
    placement = place((height, width), preprocessing, 32)
    assert placement.source_to_canvas(*placement.canvas_to_source(y, x)) == pytest.approx((y, x), abs=1e-6)
    corner = placement.canvas_to_source(*placement.resized)
    assert corner == pytest.approx((height, width))


def test_that_the_crops_corner_is_the_origin_of_its_canvas() -> None:
    placement = place((512, 768), CROP, 32)
    assert placement.crop == (16, 80, 224, 224)
    assert placement.canvas_to_source(0, 0) == (32, 160)
    assert placement.source_to_canvas(32, 160) == (0, 0)


@pytest.mark.parametrize("preprocessing", ALL)
@pytest.mark.parametrize("source", SIZES)
def test_that_a_ramp_mapped_back_gives_the_source_coordinates(
    preprocessing: Preprocessing, source: tuple[int, int]
) -> None:
    placement = place(source, preprocessing, 32)
    _, _, height, width = placement.crop
    rows, columns = np.mgrid[:height, :width] + 0.5
    for axis, grid in enumerate((rows, columns)):
        points = [placement.canvas_to_source(y, x)[axis] for y, x in ((0, 0), (1, 1))]
        ramp = (points[0] + (points[1] - points[0]) * grid).astype(np.float32)
        mapped = placement.map_to_source(ramp)
        assert mapped.shape == source
        assert mapped.dtype == np.float32
        expected = np.mgrid[: source[0], : source[1]][axis] + 0.5
        edge = math.ceil(points[1] - points[0])
        known = np.isfinite(mapped)
        inner = (expected > ramp.min() + edge) & (expected < ramp.max() - edge) & known
        assert inner.any()
        assert np.abs(mapped - expected)[inner].max() < 0.01


def test_that_what_lies_outside_the_crop_is_not_a_number() -> None:
    placement = place((512, 768), CROP, 32)
    mapped = placement.map_to_source(np.ones((224, 224), np.float32))
    inspected = np.zeros((512, 768), np.bool_)
    inspected[32:480, 160:608] = True
    np.testing.assert_array_equal(np.isfinite(mapped), inspected)
    assert (mapped[inspected] == 1).all()
    assert np.isfinite(place((512, 768), WHOLE, 32).map_to_source(np.ones((209, 314), np.float32))).all()


def test_that_shapes_that_do_not_fit_are_refused() -> None:
    placement = place((100, 120), WHOLE, 16)
    with pytest.raises(ValueError, match="the image is"):
        apply(noise((120, 100)), placement)
    with pytest.raises(ValueError, match="the mask is"):
        placement.mask_to_crop(np.zeros((120, 100), np.bool_))
    with pytest.raises(ValueError, match="the map is"):
        placement.map_to_source(np.zeros((100, 120), np.float32))


def test_that_cells_of_padding_alone_do_not_count() -> None:
    placement = place((600, 900), WHOLE, 16)  # 209 × 314 on 224 × 320
    cells = valid_cells(placement, 4, ())
    assert cells.shape == (56, 80)
    assert cells[:53, :79].all()  # 52.25 and 78.5 cells: a part counts
    assert not cells[53:].any()
    assert not cells[:, 79:].any()


def test_that_a_region_of_interest_keeps_the_cells_whose_centre_it_holds() -> None:
    placement = place((512, 512), WHOLE, 16)  # 256 × 256
    cells = valid_cells(placement, 4, (rectangle(0.25, 0.5, 0.5, 1.0),))
    expected = np.zeros((64, 64), np.bool_)
    expected[32:, 16:32] = True
    np.testing.assert_array_equal(cells, expected)


def test_that_ignored_regions_are_taken_out_of_the_union_of_the_others() -> None:
    placement = place((512, 512), WHOLE, 16)
    regions = (
        rectangle(0, 0, 0.25, 1),
        rectangle(0.75, 0, 1, 1),
        rectangle(0, 0, 1, 0.5, ignored=True),
        rectangle(0, 0.9375, 1, 1, ignored=True),
    )
    expected = np.zeros((64, 64), np.bool_)
    expected[32:60, :16] = expected[32:60, 48:] = True
    np.testing.assert_array_equal(valid_cells(placement, 4, regions), expected)
    assert not valid_cells(placement, 4, (rectangle(0, 0, 1, 1, ignored=True),)).any()


def test_that_a_whole_picture_region_loses_no_cell_at_the_padded_edge() -> None:
    placement = place((600, 900), WHOLE, 32)
    everything = (rectangle(0, 0, 1, 1),)
    for cell in (4, 8, 16, 32):
        np.testing.assert_array_equal(valid_cells(placement, cell, everything), valid_cells(placement, cell, ()))
    assert inspected_pixels(placement, everything).all()


def test_that_regions_are_shares_of_the_source_and_not_of_the_crop() -> None:
    placement = place((512, 768), CROP, 32)  # columns 160 to 608 of 768 are inspected
    inspected = inspected_pixels(placement, (rectangle(0.5, 0, 1, 1),))
    assert inspected.shape == (224, 224)
    assert not inspected[:, :112].any()
    assert inspected[:, 112:].all()


@given(
    corners=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=7),
    ignored=st.booleans(),
)
def test_that_inspected_pixels_follow_the_even_odd_rule(corners: list[tuple[float, float]], ignored: bool) -> None:
    placement = place((40, 60), Preprocessing(image_size=32), 16)
    inspected = inspected_pixels(placement, (Region(tuple(corners), ignored),))
    for row in range(0, inspected.shape[0], 5):
        for column in range(0, inspected.shape[1], 5):
            x, y = (column + 0.5) / placement.resized[1], (row + 0.5) / placement.resized[0]
            inside = False
            for (x_a, y_a), (x_b, y_b) in zip(corners, corners[1:] + corners[:1], strict=True):
                if (y_a <= y) != (y_b <= y) and x < x_a + (y - y_a) * (x_b - x_a) / (y_b - y_a):
                    inside = not inside
            assert inspected[row, column] == (inside != ignored)


def test_that_a_long_outline_on_a_large_map_is_quick() -> None:
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = Region(tuple((0.5 + 0.4 * math.cos(a), 0.5 + 0.4 * math.sin(a)) for a in angles))
    placement = place((1000, 1000), Preprocessing(image_size=1024), 32)
    start = time.perf_counter()
    share = inspected_pixels(placement, (circle,)).mean()
    assert time.perf_counter() - start < 2
    assert share == pytest.approx(np.pi * 0.16, abs=1e-3)


def test_that_a_tall_picture_is_resized_along_its_rows_first_whatever_pillow_prefers() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 100, 3), dtype=np.uint8)
    where = place((400, 100), Preprocessing(image_size=64), 16)
    narrow = Image.fromarray(image).resize((where.resized[1], 400), Image.Resampling.BILINEAR)
    expected = np.array(narrow.resize((where.resized[1], where.resized[0]), Image.Resampling.BILINEAR))
    height, width = where.resized
    assert np.array_equal(apply(image, where)[:height, :width], expected)
