"""The settings of a model in plain words, for the command line and for reports. Imports no torch."""

import dataclasses

from core.config import (
    Bank,
    Calibrating,
    Config,
    DescriptorStart,
    FeatureScale,
    Preprocessing,
    Resizing,
    Score,
    StrideFit,
)
from core.counting import counted
from core.presets import PRESETS
from core.threshold import percent


def origin(config: Config) -> str:
    """Whose settings these are: "paper" (whatever backbone, seed and regions), "ours" or "custom"."""
    if _settings(config) == _settings(PRESETS["paper"]):
        return "paper"
    return "ours" if config.preset in PRESETS and config.preset != "paper" else "custom"


def _settings(config: Config) -> Config:
    preprocessing = dataclasses.replace(config.preprocessing, regions=())
    training = dataclasses.replace(config.training, seed=0)
    return dataclasses.replace(config, preset="", backbone="", preprocessing=preprocessing, training=training)


def in_words(config: Config) -> str:
    """The settings in one line."""
    method, training = config.method, config.training
    held_out = "no image held out"
    if training.holdout:
        turns = " in turns" if training.calibration is Calibrating.CROSS else ""
        held_out = f"{percent(training.holdout)} of the good images held out{turns}"
    epochs = counted(training.epochs, "epoch")
    varied = f"; {on_the_line}" if (on_the_line := variation(config)) else ""
    return (
        f"{picture(config)}; memory bank: {bank(config)}; {scale(config)}; K = {method.neighbours}, "
        f"J = {method.hard_negatives}; scored by {score(config)}; {epochs} in batches of {training.batch_size}; "
        f"{held_out}{varied}"
    )


def variation(config: Config) -> str:
    """What may vary on the line; empty where nothing was said of it."""
    training, told = config.training, []
    if training.light_variation:
        told.append(f"light may vary by ± {percent(training.light_variation)}")
    if training.blur_variation:
        told.append(f"pictures may be blurred by up to {percent(training.blur_variation)} of the width")
    if training.position_variation:
        told.append(f"place may vary by ± {percent(training.position_variation)} of the width")
    if training.angle_variation:
        told.append(f"angle may vary by ± {training.angle_variation:g}°")
    return "; ".join(told)


def picture(config: Config) -> str:
    """What of an image the network sees."""
    pre = config.preprocessing
    seen = _seen(pre)
    return f"{seen}, and once more at {pre.second_size} × {pre.second_size} (CFA++)" if pre.second_size else seen


def _seen(pre: Preprocessing) -> str:
    match pre.resizing:
        case Resizing.WHOLE:
            padded = ", its edge padded" if pre.stride_fit is StrideFit.PADDED else ""
            return f"whole picture, area of {pre.image_size} × {pre.image_size} pixels{padded}"
        case Resizing.SQUARE:
            return f"whole picture squashed to {pre.image_size} × {pre.image_size} pixels (R)"
        case Resizing.CROP:
            return f"short side {pre.image_size} pixels, then the central {pre.crop_size} × {pre.crop_size} (R+C)"


def bank(config: Config) -> str:
    """How the memory bank is modelled, and its size."""
    ratio = config.method.bank_ratio
    what = {
        Bank.MEAN: "mean of each position over all images",
        Bank.EMA: "moving average of each position over the images",
        Bank.GLOBAL: "clusters over all positions of all images",
    }[config.method.bank]
    size = f"one centre per {'patch' if ratio == 1 else f'{ratio} patches'}"
    return f"{what}, {size}{', about as many for the second scale' if config.preprocessing.second_size else ''}"


def scale(config: Config) -> str:
    """How the features are scaled."""
    kind = config.method.feature_scale
    words = "features scaled as published" if kind is FeatureScale.PUBLISHED else "features brought to one scale"
    weighed = []
    if kind is FeatureScale.EXPLAINED:
        weighed.append("finest level")
    if config.method.descriptor_start is DescriptorStart.ALIGNED:
        weighed.append("coordinates")
    return f"{words}, {' and '.join(weighed)} weighted by how much they tell" if weighed else words


def score(config: Config) -> str:
    """What a patch is scored by."""
    method = config.method
    what = {
        Score.CERTAINTY: "nearest distance times certainty",
        Score.NEAREST: "nearest distance",
        Score.EXCESS: "distance beyond that of good patches",
        Score.TANGENT: "squared distance beyond that of good patches",
    }[method.score]
    shaped = method.centre_axes > 0 and method.score is not Score.CERTAINTY
    return f"{what}, less along {method.centre_axes} axes of each centre" if shaped else what
