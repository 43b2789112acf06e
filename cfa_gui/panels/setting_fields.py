"""Every setting of a training as data: what it is called, what it does, within which bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.config import Bank, Calibrating, Config, FeatureScale, Resizing, Score

BACKBONES = (
    ("lite0", "Lite0 (built in)"),
    ("resnet18", "ResNet18"),
    ("wide_resnet50_2", "Wide ResNet50-2"),
    ("vgg19_bn", "VGG19-BN"),
    ("efficientnet_b5", "EfficientNet-B5"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting picked from a list."""

    name: str
    label: str
    tip: str
    options: tuple[tuple[Any, str], ...]
    read: Callable[[Config], Any]


@dataclass(frozen=True, slots=True)
class Number:
    """A setting that is a number; whole where `decimals` is 0."""

    name: str
    label: str
    tip: str
    low: float
    high: float
    read: Callable[[Config], float]
    decimals: int = 0
    step: float = 1
    suffix: str = ""
    prefix: str = ""
    factor: float = 1


Field = Choice | Number

EXPERT: tuple[Field, ...] = (
    Choice(
        "backbone",
        "Network",
        "The pretrained network whose features are compared (backbone). Only the built-in one needs no download.",
        BACKBONES,
        lambda c: c.backbone,
    ),
    Choice(
        "resizing",
        "Image fit",
        "How a picture becomes the network's input (preprocessing).",
        (
            (Resizing.WHOLE, "Whole picture"),
            (Resizing.SQUARE, "To a square (R)"),
            (Resizing.CROP, "Centre only (R+C)"),
        ),
        lambda c: c.preprocessing.resizing,
    ),
    Number(
        "image_size",
        "Image size",
        "Larger finds smaller defects and is slower.",
        32,
        2048,
        lambda c: c.preprocessing.image_size,
        step=32,
        suffix=" px",
    ),
    Choice(
        "second_scale",
        "Second scale",
        "Every picture is also looked at larger, and the two maps are averaged (an ensemble of two scales, CFA++): "
        "finds more, and takes about three times as long. Not with “Centre only”.",
        ((0.0, "None"), (1.5, "1.5 times as large"), (2.0, "Twice as large")),
        lambda c: c.preprocessing.second_scale,
    ),
    Choice(
        "bank",
        "Memory of good",
        "How the look of good parts is remembered (memory bank). “Anywhere” needs no alignment; “by place” wants parts "
        "that always lie the same way.",
        (
            (Bank.GLOBAL, "Anywhere (global)"),
            (Bank.MEAN, "By place (mean)"),
            (Bank.EMA, "Moving (ema)"),
        ),
        lambda c: c.method.bank,
    ),
    Number(
        "bank_ratio",
        "Memory kept",
        "Less is faster and remembers less (γ_c: the memory bank holds 1 in γ_c of the patches).",
        1,
        64,
        lambda c: c.method.bank_ratio,
        prefix="1 in ",
    ),
    Number(
        "descriptor_ratio",
        "Features kept",
        "Less is faster and sees less (γ_d: the descriptor keeps 1 in γ_d of the channels).",
        1,
        64,
        lambda c: c.method.descriptor_ratio,
        prefix="1 in ",
    ),
    Number(
        "epochs",
        "Rounds",
        "How often every image is learned from (epochs). More is not always better.",
        0,
        1000,
        lambda c: c.training.epochs,
    ),
    Number(
        "batch_size",
        "Images per step",
        "How many images are learned from at once (batch size). Fewer need less memory.",
        1,
        256,
        lambda c: c.training.batch_size,
    ),
    Number(
        "holdout",
        "Held out",
        "Share of the good images held out at a time, to set the threshold from (hold-out for calibration).",
        0,
        50,
        lambda c: c.training.holdout,
        step=5,
        suffix=" % at a time",
        factor=100,
    ),
    Choice(
        "calibration",
        "How held out",
        "In turns: the model learns from all good images, and each is scored by one that was made without it "
        "(cross-conformal). Once: those held out are not learned from at all (split conformal), which trains faster.",
        ((Calibrating.CROSS, "In turns"), (Calibrating.SPLIT, "Once")),
        lambda c: c.training.calibration,
    ),
    Number(
        "smoothing",
        "Smoothing",
        "Blur of the map, against speckles (σ of the Gaussian). As published: 4. Try 2 for defects of a few pixels.",
        0,
        64,
        lambda c: c.method.smoothing,
        decimals=1,
        step=0.5,
        suffix=" px",
    ),
    Number(
        "neighbours",
        "Neighbours",
        "How many remembered patches a patch is compared with (K).",
        1,
        32,
        lambda c: c.method.neighbours,
    ),
    Choice(
        "score",
        "Score",
        "How distances become a score: by how much a patch is further from what is remembered than good patches are, "
        "or the distance itself (equation 4 of the paper), or with its certainty (equation 5).",
        (
            (Score.TANGENT, "Beyond good patches"),
            (Score.EXCESS, "Beyond good patches, not squared"),
            (Score.NEAREST, "Nearest distance"),
            (Score.CERTAINTY, "With certainty"),
        ),
        lambda c: c.method.score,
    ),
    Number(
        "centre_axes",
        "Natural variation",
        "Along how many directions good patches may vary more than along others, without being taken for worse (axes "
        "of each centre). 0: all directions count alike. More needs a larger model file.",
        0,
        64,
        lambda c: c.method.centre_axes,
        suffix=" axes",
    ),
    Choice(
        "feature_scale",
        "Feature scale",
        "How strong the features are before they are compared. “By what they tell” and “Reference” suit every network.",
        (
            (FeatureScale.EXPLAINED, "By what they tell"),
            (FeatureScale.REFERENCE, "Reference"),
            (FeatureScale.PUBLISHED, "As published"),
        ),
        lambda c: c.method.feature_scale,
    ),
    Number("seed", "Random seed", "The same seed gives the same model again.", 0, 2**31 - 1, lambda c: c.training.seed),
)
"""For those who know the method."""


ON_THE_LINE: tuple[Number, ...] = (
    Number(
        "light_variation",
        "Light",
        "By how much the light on the line may become darker or brighter: every picture is also learned like that "
        "(light variation).",
        0,
        50,
        lambda c: c.training.light_variation,
        step=5,
        suffix=" %",
        prefix="± ",
        factor=100,
    ),
    Number(
        "blur_variation",
        "Blur",
        "How far pictures may be out of focus on the line, as a share of their width: every picture is also learned "
        "blurred so (blur variation).",
        0,
        2,
        lambda c: c.training.blur_variation,
        decimals=1,
        step=0.1,
        suffix=" %",
        prefix="≤ ",
        factor=100,
    ),
    Number(
        "position_variation",
        "Place",
        "How far parts may lie beside their place on the line, as a share of the picture's width: every picture is "
        "also learned moved (position variation).",
        0,
        25,
        lambda c: c.training.position_variation,
        suffix=" %",
        prefix="± ",
        factor=100,
    ),
    Number(
        "angle_variation",
        "Angle",
        "By how much parts may be turned on the line, either way: every picture is also learned turned (angle "
        "variation).",
        0,
        180,
        lambda c: c.training.angle_variation,
        suffix="°",
        prefix="± ",
    ),
)
"""What may vary from part to part."""
