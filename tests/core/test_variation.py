from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core import member_training
from core.config import Preprocessing, Resizing, Training
from core.images import read_image
from core.inspection import Inspector
from core.opencv import cv2
from core.placement import Placement, apply, place
from core.progress import Phase, Progress
from core.samples import Sample
from core.training import train
from core.variation import how_many, variants
from tests.core.parts import TINY, picture

Picture = NDArray[np.uint8]
SQUARE_64 = Preprocessing(resizing=Resizing.SQUARE, image_size=64)


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def laid(size: tuple[int, int], preprocessing: Preprocessing = SQUARE_64) -> Placement:
    return place(size, preprocessing, 16)


def grain(height: int = 64, width: int = 64) -> Picture:
    """No two places of it look alike."""
    return drawn().integers(0, 256, (height, width, 3), dtype=np.uint8)


def how_far(moved: Picture, image: Picture) -> tuple[int, int]:
    """Across and down, found by trying; the edge is repeated."""
    edged = np.pad(image, ((20, 20), (20, 20), (0, 0)), mode="edge")
    for down, across in product(range(-20, 21), repeat=2):
        if np.array_equal(edged[20 - down : 84 - down, 20 - across : 84 - across], moved):
            return across, down
    raise AssertionError("not the picture, moved")


def test_that_where_nothing_varies_the_picture_is_learned_as_it_is() -> None:
    image = picture(0)
    (alone,) = variants(image, laid(image.shape[:2]), Training(), drawn())
    np.testing.assert_array_equal(alone, apply(image, laid(image.shape[:2])))


def test_that_varying_light_adds_a_darker_and_a_brighter_picture() -> None:
    image = np.full((64, 64, 3), (10, 100, 250), np.uint8)
    found = [
        canvas[0, 0].tolist() for canvas in variants(image, laid((64, 64)), Training(light_variation=0.1), drawn())
    ]
    assert found == [[10, 100, 250], [9, 90, 225], [11, 110, 255]]


def test_that_a_varying_place_adds_a_picture_moved_into_each_quarter_by_whole_pixels_and_its_edge_goes_on() -> None:
    image = grain()
    as_it_is, *moved = variants(image, laid((64, 64)), Training(position_variation=0.2), drawn())
    np.testing.assert_array_equal(as_it_is, image)
    shifts = [how_far(canvas, image) for canvas in moved]
    assert all(abs(length) <= 0.2 * 64 for shift in shifts for length in shift)
    quarters = ((1, 1), (-1, -1), (1, -1), (-1, 1))
    assert all(np.all(np.multiply(shift, quarter) >= 0) for shift, quarter in zip(shifts, quarters, strict=True))
    assert len(set(shifts)) == 4


def test_that_the_border_left_out_by_a_crop_comes_in_when_the_picture_is_moved() -> None:
    crop = Preprocessing(resizing=Resizing.CROP, image_size=96, crop_size=64)
    image = grain(96, 96)
    windows = [(top, left) for top in range(33) for left in range(33)]
    for canvas in variants(image, laid((96, 96), crop), Training(position_variation=0.15), drawn())[1:]:
        fits = [at for at in windows if np.array_equal(image[at[0] : at[0] + 64, at[1] : at[1] + 64], canvas)]
        assert len(fits) == 1
        assert fits != [(16, 16)]


def two_dots(height: int, width: int) -> Picture:
    """On a dark ground, a fifth of the width either side of the middle."""
    image = np.full((height, width, 3), 20, np.uint8)
    for side, channel in ((-1, 0), (1, 1)):
        cv2.circle(image, (width // 2 + side * width // 5, height // 2), width // 16, 20 + 200 * np.eye(3)[channel], -1)
    return image


def ends(canvas: Picture, where: Placement) -> NDArray[np.float64]:
    """Where the dots are, (2, 2): (down, across) in pixels of the source."""
    found = []
    for channel in (0, 1):
        weights = canvas[..., channel].astype(float) - 20
        rows, columns = (np.arange(length) + 0.5 for length in weights.shape)
        middle = (weights.sum(1) @ rows / weights.sum(), weights.sum(0) @ columns / weights.sum())
        found.append(where.canvas_to_source(*middle))
    return np.array(found)


@pytest.mark.parametrize("size", [(65, 65), (81, 161)])
def test_that_a_varying_angle_turns_the_part_and_does_not_warp_it(size: tuple[int, int]) -> None:
    """The network sees an oblong picture squashed: turning what it sees would not be turning the part."""
    image, where = two_dots(*size), laid(size)
    dots = [ends(canvas, where) for canvas in variants(image, where, Training(angle_variation=40.0), drawn())]
    as_it_is, *turned = (right - left for left, right in dots)
    for step in turned:
        assert np.hypot(*step) == pytest.approx(np.hypot(*as_it_is), rel=0.04)
    for both in dots:
        np.testing.assert_allclose(both.mean(axis=0), dots[0].mean(axis=0), atol=0.25)  # about the middle
    angles = [np.degrees(np.arctan2(*step)) - np.degrees(np.arctan2(*as_it_is)) for step in turned]
    assert sorted(int((angle + 40) // 20) for angle in angles) == [0, 1, 2, 3]


def spread(canvas: Picture, axis: int) -> float:
    """Of the light along an axis: the standard deviation of where it lies, pixels."""
    light = canvas[..., 0].astype(float).sum(axis=1 - axis)
    places = np.arange(light.size)
    middle = np.average(places, weights=light)
    return float(np.sqrt(np.average((places - middle) ** 2, weights=light)))


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (128, 64)])
def test_that_a_varying_focus_adds_a_picture_blurred_by_that_share_of_its_width(size: tuple[int, int]) -> None:
    """The network may see a picture squashed: it is squashed blur then."""
    image = np.zeros((*size, 3), np.uint8)
    image[size[0] // 2 - 4 : size[0] // 2 + 4, size[1] // 2 - 4 : size[1] // 2 + 4] = 250
    sharp, blurred = variants(image, laid(size), Training(blur_variation=0.02), drawn())
    np.testing.assert_array_equal(sharp, apply(image, laid(size)))
    for axis in (0, 1):
        sigma = np.sqrt(spread(blurred, axis) ** 2 - spread(sharp, axis) ** 2)
        assert sigma == pytest.approx(0.02 * size[1] * 64 / size[axis], rel=0.12)


def test_that_every_other_moved_picture_is_blurred() -> None:
    training = Training(blur_variation=0.02, position_variation=0.05)
    sharpness = [
        cv2.Laplacian(canvas, cv2.CV_64F).var() for canvas in variants(grain(), laid((64, 64)), training, drawn())
    ]
    assert [value > sharpness[0] / 2 for value in sharpness] == [True, False, True, False, True, False]


@pytest.mark.parametrize("light", [0.0, 0.1])
@pytest.mark.parametrize("blur", [0.0, 0.01])
@pytest.mark.parametrize("position", [0.0, 0.1])
@pytest.mark.parametrize("angle", [0.0, 5.0])
def test_that_it_is_known_beforehand_how_many_pictures_there_will_be(
    light: float, blur: float, position: float, angle: float
) -> None:
    training = Training(light_variation=light, blur_variation=blur, position_variation=position, angle_variation=angle)
    assert len(variants(grain(), laid((64, 64)), training, drawn())) == how_many(training)


def test_that_moved_pictures_come_in_every_light() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    training = Training(light_variation=0.1, position_variation=0.1)
    found = [int(canvas[32, 32, 0]) for canvas in variants(image, laid((64, 64)), training, drawn())]
    assert found[:3] == [100, 90, 110]
    assert set(found[3:]) == {90, 100, 110}


def test_that_the_same_draw_gives_the_same_pictures_and_another_others() -> None:
    training = Training(position_variation=0.1, angle_variation=5.0)
    one, again, other = (np.stack(variants(grain(), laid((64, 64)), training, drawn(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.usefixtures("shared_backbone")
@pytest.mark.parametrize(("changes", "change"), [
    ({"light_variation": 0.3}, lambda image: (image * 0.7).astype(np.uint8)),
    ({"blur_variation": 0.02}, lambda image: cv2.GaussianBlur(image, (0, 0), 0.02 * image.shape[1])),
    ({"position_variation": 0.2}, lambda image: np.roll(image, (5, 5), axis=(0, 1))),
])  # fmt: skip
def test_that_a_model_told_what_varies_takes_such_a_part_for_less_of_a_defect(
    changes: dict[str, float], change: Callable[[Picture], Picture], parts: Sequence[Sample]
) -> None:
    config = TINY.with_changes(epochs=0, bank="global", bank_ratio=2, score="tangent", descriptor_start="orthogonal")
    steady, varying = (train(parts, settings, device="cpu") for settings in (config, config.with_changes(**changes)))
    part = change(read_image(parts[0].path))
    scores = [Inspector(model, device="cpu").inspect(part).score for model in (steady, varying)]
    assert scores[1] < 0.8 * scores[0]
    assert varying.summary.images == steady.summary.images


@pytest.mark.usefixtures("shared_backbone")
def test_that_every_image_is_moved_its_own_way_and_the_same_way_again(
    parts: Sequence[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def told(*arguments: Any) -> list[Picture]:
        found = variants(*arguments)
        seen.append(arguments[-1].bytes(8))
        return found

    monkeypatch.setattr(member_training, "variants", told)
    config = TINY.with_changes(epochs=0, holdout=0.0, position_variation=0.1)
    for seed in (0, 0, 1):
        train(parts, config.with_changes(seed=seed), device="cpu")
    first, again, other = (seen[number * len(parts) : (number + 1) * len(parts)] for number in range(3))
    assert len(set(first)) == len(parts)
    assert first == again
    assert not set(first) & set(other)


@pytest.mark.usefixtures("shared_backbone")
@pytest.mark.parametrize(("changes", "unit", "each"), [({}, "images", 1), ({"blur_variation": 0.01}, "pictures", 2)])
def test_that_a_training_counts_images_as_long_as_each_is_learned_from_once(
    changes: dict[str, float], unit: str, each: int, parts: Sequence[Sample]
) -> None:
    told: list[Progress] = []
    train(parts, TINY.with_changes(epochs=0, holdout=0.0, bank="global", **changes), device="cpu", report=told.append)
    learned = [(progress.unit, progress.total) for progress in told if progress.phase is Phase.BANK]
    assert set(learned) == {(unit, each * len(parts))}
    read = [(progress.unit, progress.total) for progress in told if progress.phase is Phase.FEATURES]
    assert set(read) == {("images", len(parts))}
