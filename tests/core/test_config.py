import json
import math
from typing import Any

import pytest

from core.config import (
    Bank,
    Calibrating,
    Config,
    DescriptorStart,
    FeatureScale,
    Method,
    Preprocessing,
    Region,
    Resizing,
    Score,
    StrideFit,
    Training,
)
from core.errors import ConfigError
from core.presets import PRESETS, preset

TRIANGLE = Region(((0.0, 0.0), (1.0, 0.0), (0.5, 0.75)))
ODD = Config(
    preset="custom",
    backbone="resnet18",
    preprocessing=Preprocessing(Resizing.CROP, 128, 96, (TRIANGLE, Region(TRIANGLE.points, ignored=True))),
    method=Method(Bank.EMA, 2, 4, 5, 0, 0.3, 0.0, 0.5, 1.0, FeatureScale.PUBLISHED, Score.CERTAINTY, 0.0),
    training=Training(7, 2, 0.01, 0.02, 0.0, 0.5, 2**31 - 1),
)


@pytest.mark.parametrize("config", [*PRESETS.values(), ODD], ids=[*PRESETS, "odd"])
def test_that_settings_survive_the_way_through_json(config: Config) -> None:
    again = Config.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert hash(again) == hash(config)
    assert repr(again) == repr(config)


def test_that_a_model_from_before_the_setting_says_that_its_descriptor_began_as_published() -> None:
    data = Config().to_json()
    del data["method"]["descriptor_start"]
    assert Config.from_json(data).method.descriptor_start is DescriptorStart.PUBLISHED


def test_that_a_model_from_before_the_setting_was_calibrated_by_images_it_did_not_learn_from() -> None:
    data = Config().to_json()
    assert data["training"].pop("calibration") == "cross"
    assert Config.from_json(data).training.calibration is Calibrating.SPLIT


def test_that_a_whole_picture_of_a_model_from_before_the_setting_is_padded() -> None:
    for name, fit in (("standard", StrideFit.PADDED), ("paper", StrideFit.ROUNDED)):
        data = preset(name).to_json()
        del data["preprocessing"]["stride_fit"]
        assert Config.from_json(data).preprocessing.stride_fit is fit


def test_that_paper_is_the_published_configuration() -> None:
    paper = preset("paper")
    assert paper.preprocessing == Preprocessing(Resizing.CROP, image_size=256, crop_size=224)
    assert paper.method == Method(
        bank=Bank.MEAN,
        bank_ratio=1,
        descriptor_ratio=1,
        neighbours=3,
        hard_negatives=3,
        initial_radius=1e-5,
        alpha=0.1,
        nu=1e-3,
        feature_scale=FeatureScale.PUBLISHED,
        score=Score.CERTAINTY,
        smoothing=4.0,
        descriptor_start=DescriptorStart.PUBLISHED,
        centre_axes=0,
    )
    assert paper.training == Training(epochs=30, batch_size=4, learning_rate=1e-3, weight_decay=5e-4, holdout=0.0)


def test_that_every_preset_knows_its_name_and_the_standard_one_is_the_default() -> None:
    assert all(config.preset == name for name, config in PRESETS.items())
    assert preset("standard") == Config()


def test_that_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'best'.*fast, standard, thorough, paper"):
        preset("best")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("image_size", (31, 2049, 100.5, True, "256")),
        ("crop_size", (31, 2049, 64.0)),
        ("bank_ratio", (0, 65, -1, 1.0)),
        ("descriptor_ratio", (0, 65)),
        ("neighbours", (0, 33)),
        ("hard_negatives", (-1, 33)),
        ("initial_radius", (0.0, -1.0, math.nan, math.inf)),
        ("alpha", (-0.1, math.nan, math.inf)),
        ("nu", (0.0, -1e-3, math.nan, math.inf)),
        ("ema_beta", (0.0, 1.1, math.nan)),
        ("smoothing", (-1.0, 65.0, math.nan)),
        ("epochs", (-1, 1001, 1.5, True)),
        ("batch_size", (0, 257, 4.0)),
        ("learning_rate", (0.0, -1.0, math.nan, math.inf, "fast")),
        ("radius_learning_rate", (0.0, -1.0, math.nan, math.inf)),
        ("weight_decay", (-1e-9, math.nan, math.inf)),
        ("holdout", (-0.1, 0.51, math.nan)),
        ("light_variation", (-0.1, 0.51, math.nan)),
        ("blur_variation", (-0.001, 0.021, math.nan)),
        ("position_variation", (-0.01, 0.26, math.nan)),
        ("angle_variation", (-1.0, 181.0, math.nan)),
        ("second_scale", (-1.5, 0.5, 1.0, 4.1, math.nan, 8.0, "large")),
        ("seed", (-1, 2**31, 0.0)),
        ("bank", ("median", 3)),
        ("score", ("furthest",)),
        ("resizing", ("C", 0)),
        ("feature_scale", ("huge",)),
        ("descriptor_start", ("zero",)),
    ],
)
def test_that_a_setting_out_of_range_or_of_the_wrong_type_is_refused_in_a_sentence(
    name: str, bad: tuple[object, ...]
) -> None:
    for value in bad:
        with pytest.raises(ConfigError) as caught:
            Config().with_changes(**{name: value})
        message = str(caught.value)
        assert message.endswith(".")
        assert "\n" not in message
        data = Config().to_json()
        group = next(g for g in ("preprocessing", "method", "training") if name in data[g])
        data[group][name] = value
        with pytest.raises(ConfigError):
            Config.from_json(data)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("image_size", (32, 2048)),
        ("bank_ratio", (1, 64)),
        ("hard_negatives", (0, 32)),
        ("alpha", (0.0,)),
        ("smoothing", (0.0, 64.0)),
        ("epochs", (0, 1000)),
        ("batch_size", (1, 256)),
        ("holdout", (0.0, 0.5)),
        ("light_variation", (0.0, 0.5)),
        ("blur_variation", (0.0, 0.02)),
        ("position_variation", (0.0, 0.25)),
        ("angle_variation", (0, 180.0)),
        ("second_scale", (0.0, 1.01, 4.0)),
        ("seed", (0, 2**31 - 1)),
        ("ema_beta", (1.0,)),
    ],
)
def test_that_a_setting_at_its_bound_is_taken(name: str, good: tuple[object, ...]) -> None:
    for value in good:
        assert Config().with_changes(**{name: value}) is not None


def test_that_the_text_of_a_choice_is_the_choice_and_a_whole_number_stands_for_a_float() -> None:
    """A plain "mean" that is not Bank.MEAN would silently train another bank."""
    config = Config().with_changes(bank="mean", resizing="R+C", score="certainty", feature_scale="published")
    assert config.method.bank is Bank.MEAN
    assert config.method.score is Score.CERTAINTY
    assert config.method.feature_scale is FeatureScale.PUBLISHED
    assert config.preprocessing.resizing is Resizing.CROP
    smoothing = Config().with_changes(smoothing=2).method.smoothing
    assert isinstance(smoothing, float)


def test_that_a_crop_larger_than_the_resized_image_is_refused_where_there_is_a_crop() -> None:
    with pytest.raises(ConfigError, match=r"crop \(224\) is larger than the resized image \(200\)"):
        Preprocessing(Resizing.CROP, image_size=200)
    assert Preprocessing(Resizing.WHOLE, image_size=200).crop_size == 224


def test_that_a_second_scale_is_refused_where_the_crop_or_its_size_leaves_no_room() -> None:
    with pytest.raises(ConfigError, match=r"R\+C sees one size alone"):
        Preprocessing(Resizing.CROP, second_scale=1.5)
    with pytest.raises(ConfigError, match="makes 3000 pixels of 1500"):
        Preprocessing(image_size=1500, second_scale=2.0)
    assert Preprocessing(image_size=1024, second_scale=2.0).second_size == 2048


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0.0, 0.0), (1.0, 1.0)),
        ((0.0, 0.0), (1.0, 0.0), (0.5, 1.01)),
        ((0.0, 0.0), (1.0, 0.0), (-0.01, 0.5)),
        ((0.0, 0.0), (1.0, 0.0), (math.nan, 0.5)),
    ],
)
def test_that_a_region_without_area_or_beyond_the_image_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigError):
        Region(points)


def test_that_changes_find_their_place_by_name() -> None:
    config = Config().with_changes(backbone="resnet18", image_size=64, bank_ratio=2, epochs=3)
    assert config.backbone == "resnet18"
    assert config.preprocessing.image_size == 64
    assert config.method.bank_ratio == 2
    assert config.training.epochs == 3
    assert config.method == Method(bank_ratio=2)


def test_that_none_leaves_a_setting_as_it_is() -> None:
    assert Config().with_changes(epochs=None, backbone=None, bank=None) == Config()


def test_that_a_changed_preset_is_a_custom_one_but_another_seed_or_no_change_is_not() -> None:
    fast = preset("fast")
    assert fast.with_changes(epochs=fast.training.epochs).preset == "fast"
    assert fast.with_changes(seed=5).preset == "fast"
    assert fast.with_changes(seed=5).training.seed == 5
    assert fast.with_changes(seed=5, epochs=9).preset == "custom"
    assert fast.with_changes(backbone="resnet18").preset == "custom"


def test_that_another_part_makes_no_preset_a_custom_one_and_comes_along_to_another_preset() -> None:
    region = Region(((0.1, 0.1), (0.9, 0.1), (0.5, 0.9)))
    told: dict[str, Any] = {"light_variation": 0.1, "position_variation": 0.05, "angle_variation": 3.0}
    told["blur_variation"] = 0.005
    part = preset("fast").with_changes(regions=(region,), **told)
    assert part.preset == "fast"
    assert preset("thorough").for_part_of(part) == preset("thorough").with_changes(regions=(region,), **told)
    assert preset("fast").for_part_of(part) == part
    assert part.for_part_of(preset("standard")) == preset("fast")


def test_that_a_change_to_or_from_the_global_bank_brings_the_training_that_suits_it() -> None:
    mean = Config().with_changes(bank=Bank.MEAN)
    assert mean.training.epochs > Config().training.epochs
    assert mean.training.learning_rate > Config().training.learning_rate
    assert mean.with_changes(bank=Bank.GLOBAL).training == Config().training
    assert mean.with_changes(bank=Bank.EMA).training == mean.training


def test_that_a_training_given_with_the_bank_is_kept() -> None:
    given = Config().with_changes(bank=Bank.MEAN, epochs=7, learning_rate=0.5)
    assert (given.training.epochs, given.training.learning_rate) == (7, 0.5)
    left = Config().with_changes(bank=Bank.MEAN, epochs=None)
    assert left == Config().with_changes(bank=Bank.MEAN)
    same = Config().with_changes(epochs=7).with_changes(bank=Bank.GLOBAL)
    assert same.training.epochs == 7


def test_that_an_unknown_setting_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="'epoch'"):
        Config().with_changes(epoch=3)


@pytest.mark.parametrize("part", ["preset", "backbone", "preprocessing", "method", "training"])
def test_that_settings_with_a_part_missing_or_unknown_are_refused(part: str) -> None:
    data = Config().to_json()
    del data[part]
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.from_json(data)
    if part not in {"preset", "backbone"}:
        data = Config().to_json()
        data[part]["speed"] = 1
        with pytest.raises(ConfigError, match="cannot be read"):
            Config.from_json(data)
        data[part] = None
        with pytest.raises(ConfigError, match="cannot be read"):
            Config.from_json(data)


@pytest.mark.parametrize("regions", [None, 3, [3], [{}], [{"points": 1, "ignored": False}], [{"points": [[0, 0]]}]])
def test_that_broken_regions_are_refused(regions: object) -> None:
    data = Config().to_json()
    data["preprocessing"]["regions"] = regions
    with pytest.raises(ConfigError):
        Config.from_json(data)
