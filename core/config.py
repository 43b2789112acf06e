"""Every setting of a model as frozen, validated data.

A `Config` travels inside the model file: what trained a model can always be read back from it.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self, get_type_hints

from core.errors import ConfigError


class Resizing(StrEnum):
    """How an image becomes the network's input."""

    WHOLE = "whole"
    """The whole image, aspect all but kept, its area about image_size squared; how it meets the coarsest stride says
    `StrideFit`."""
    SQUARE = "R"
    """The paper's R: squashed to image_size x image_size."""
    CROP = "R+C"
    """The paper's R+C: short side to image_size, then the central crop_size x crop_size; the border is left out."""


class StrideFit(StrEnum):
    """How a whole image becomes a multiple of the coarsest stride."""

    ROUNDED = "rounded"
    """Each side goes to the nearest multiple, so that the aspect may change by half a stride; nothing is padded."""
    PADDED = "padded"
    """The aspect is kept to the pixel; the edge is repeated at the right and bottom, and masked out of bank, loss and
    score. Models from before there was a choice."""


class Bank(StrEnum):
    """How the memory bank is modelled."""

    MEAN = "mean"
    EMA = "ema"
    GLOBAL = "global"


class Score(StrEnum):
    """How the distances of one patch become its anomaly score."""

    CERTAINTY = "certainty"
    """Equation 5: nearest distance times its softmin weight among the K nearest."""
    NEAREST = "nearest"
    """Equation 4: the nearest distance alone."""
    EXCESS = "excess"
    """Ours: how far the patch lies outside the hypersphere of its nearest centre, whose radius is the mean distance of
    the good patches nearest to it."""
    TANGENT = "tangent"
    """Ours: the length of the tangent from the patch to that hypersphere, which is the root of how much its squared
    distance exceeds the squared radius. Further out it comes near the distance itself. Where centres have axes, half of
    the mean squared distance of the good patches is the squared radius."""


class FeatureScale(StrEnum):
    """How the backbone's features are scaled before the descriptor."""

    REFERENCE = "reference"
    """One factor for all images, so that the untrained mean nearest squared distance is about 0.5; the finest level
    weighs 0.7 of the others."""
    EXPLAINED = "explained"
    """The same, but the finest level weighs by how well other good images foretell it, never less than 0.5."""
    PUBLISHED = "published"
    """As the authors: unscaled, but for EfficientNet-B5, whose maps are divided by their channel counts."""


class Calibrating(StrEnum):
    """How good images are held out, to set the first threshold from."""

    CROSS = "cross"
    """In turns, each time from a network that is made for it; the model learns from all of them (cross-conformal)."""
    SPLIT = "split"
    """Once, and kept out of the model (split conformal): its promise is exact, and training takes least time."""


class DescriptorStart(StrEnum):
    """The descriptor before training."""

    ORTHOGONAL = "orthogonal"
    """Orthonormal rows, which keep distances between patches as they are (gamma_d = 1) or nearly so."""
    ALIGNED = "aligned"
    """The same, and the coordinates count by how much they tell of what a patch looks like: fully where parts lie
    alike, a third of that in a texture."""
    PUBLISHED = "published"
    """As the authors: independent normal weights of He's variance."""


def _require(ok: bool, sentence: str) -> None:
    if not ok:
        raise ConfigError(sentence)


def _hold_to_types(settings: object) -> None:
    """Refuse a setting of another type than it is declared with.

    The text of a choice becomes the choice ("mean" is Bank.MEAN), and a whole number may stand for a float.
    """
    for name, declared in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if declared is int:
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole, f"The setting {name} is {value!r}; use a whole number.")
        elif declared is float:
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            _require(number, f"The setting {name} is {value!r}; use a finite number.")
            object.__setattr__(settings, name, float(value))
        elif isinstance(declared, type) and issubclass(declared, StrEnum):
            _require(value in set(declared), f"The setting {name} is {value!r}; use {', '.join(declared)}.")
            object.__setattr__(settings, name, declared(value))


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon drawn on the image, in shares of its width and height (x, y in 0..1).

    Attributes:
        points: At least three corners, (x, y) each.
        ignored: False: inspect only inside (region of interest). True: do not inspect inside.
    """

    points: tuple[tuple[float, float], ...]
    ignored: bool = False

    def __post_init__(self) -> None:
        _require(len(self.points) >= 3, f"A region needs at least 3 corners; this one has {len(self.points)}.")
        inside = all(math.isfinite(v) and 0.0 <= v <= 1.0 for point in self.points for v in point)
        _require(inside, "The corners of a region are shares of the image's width and height, between 0 and 1.")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From a picture to the network's input.

    Attributes:
        resizing: See `Resizing`.
        image_size: Pixels: square root of the input's area (whole), side (R), short side before the crop (R+C).
        crop_size: Pixels, R+C only.
        regions: Regions of interest and ignored regions; empty: the whole picture counts.
        stride_fit: See `StrideFit`; whole only.
        second_scale: An ensemble of two scales (CFA++, section 4.2): the second member sees the picture so many times
            as large, above 1 and up to 4, with about as many centres. 0: one member alone. Not with R+C.
    """

    resizing: Resizing = Resizing.WHOLE
    image_size: int = 256
    crop_size: int = 224
    regions: tuple[Region, ...] = ()
    stride_fit: StrideFit = StrideFit.ROUNDED
    second_scale: float = 0.0

    def __post_init__(self) -> None:
        _hold_to_types(self)
        _require(32 <= self.image_size <= 2048, f"The image size is {self.image_size}; use 32 to 2048 pixels.")
        _require(32 <= self.crop_size <= 2048, f"The crop size is {self.crop_size}; use 32 to 2048 pixels.")
        if self.resizing is Resizing.CROP:
            _require(
                self.crop_size <= self.image_size,
                f"The crop ({self.crop_size}) is larger than the resized image ({self.image_size}); make it smaller.",
            )
        if self.second_scale:
            second = f"The second scale is {self.second_scale:g}"
            _require(1.0 < self.second_scale <= 4.0, f"{second}; use above 1 and up to 4, or 0 for none.")
            _require(self.resizing is not Resizing.CROP, f"{second}, but R+C sees one size alone; use 0.")
            _require(
                self.second_size <= 2048,
                f"{second}, which makes {self.second_size} pixels of {self.image_size}; use less, or 0 for none.",
            )

    @property
    def second_size(self) -> int:
        """As image_size, of the second member; 0 where there is none."""
        return round(self.image_size * self.second_scale)


@dataclass(frozen=True, slots=True)
class Method:
    """CFA itself; symbols as in the paper.

    Attributes:
        bank: How the memory bank C is modelled.
        bank_ratio: gamma_c, the bank holds T / gamma_c centres.
        descriptor_ratio: gamma_d, the descriptor has D / gamma_d channels.
        neighbours: K, nearest centres that attract and that the score looks at.
        hard_negatives: J, the next nearest centres, that repel.
        initial_radius: r before training. At the reference scale 0.65 lies just inside the untrained nearest distance,
            so that both terms of the loss act from the start; the published 1e-5 needs about 650 steps to get there.
        alpha: Balance between L_att and L_rep (equation 2).
        nu: Both terms are divided by it.
        ema_beta: beta of Algorithm 1; the paper does not give it.
        feature_scale: See `FeatureScale`.
        descriptor_start: See `DescriptorStart`.
        score: See `Score`.
        centre_axes: How many directions of each centre, those along which its good patches vary most, count less in
            the distance: spheres become ellipsoids. 0: spheres. The score `certainty` is always that of spheres.
        smoothing: Sigma of the Gaussian on the anomaly map, in pixels of the network's input.
    """

    bank: Bank = Bank.GLOBAL
    bank_ratio: int = 2
    descriptor_ratio: int = 1
    neighbours: int = 3
    hard_negatives: int = 3
    initial_radius: float = 0.65
    alpha: float = 0.1
    nu: float = 1e-3
    ema_beta: float = 0.1
    feature_scale: FeatureScale = FeatureScale.EXPLAINED
    score: Score = Score.TANGENT
    smoothing: float = 4.0
    descriptor_start: DescriptorStart = DescriptorStart.ALIGNED
    centre_axes: int = 12

    def __post_init__(self) -> None:
        _hold_to_types(self)
        _require(1 <= self.bank_ratio <= 64, f"The bank ratio is {self.bank_ratio}; use 1 to 64.")
        _require(1 <= self.descriptor_ratio <= 64, f"The descriptor ratio is {self.descriptor_ratio}; use 1 to 64.")
        _require(1 <= self.neighbours <= 32, f"The number of neighbours is {self.neighbours}; use 1 to 32.")
        _require(0 <= self.hard_negatives <= 32, f"The number of hard negatives is {self.hard_negatives}; use 0 to 32.")
        _require(self.initial_radius > 0, f"The initial radius is {self.initial_radius}; it must be above 0.")
        _require(self.alpha >= 0, f"Alpha is {self.alpha}; it must not be negative.")
        _require(self.nu > 0, f"Nu is {self.nu}; it must be above 0.")
        _require(0 < self.ema_beta <= 1, f"The EMA share is {self.ema_beta}; use above 0 and up to 1.")
        _require(0 <= self.centre_axes <= 64, f"The number of centre axes is {self.centre_axes}; use 0 to 64.")
        _require(0 <= self.smoothing <= 64, f"The smoothing is {self.smoothing} pixels; use 0 to 64.")


@dataclass(frozen=True, slots=True)
class Training:
    """The optimisation of descriptor and radius.

    Attributes:
        epochs: Passes over the training images; the model is the one after the last.
        batch_size: Images per step.
        learning_rate: Of the descriptor, under AdamW (amsgrad, no schedule).
        radius_learning_rate: Of the radius.
        weight_decay: Of AdamW.
        holdout: Share of the good images that are held out together for calibration, 0..0.5.
        seed: Of every random choice.
        light_variation: By which share the light may vary, 0..0.5: above 0 every image is also learned darker and
            brighter by it, which takes three times the work. Held-out images are scored as they are, here and below.
        blur_variation: How far pictures may be out of focus, the sigma of a Gaussian as a share of the image's width,
            0..0.02: above 0 every image is also learned blurred by it, which takes twice the work.
        position_variation: By which share of the image's width parts may lie beside their place, across and down,
            0..0.25: above 0 every image is also learned moved into each quarter, which takes five times the work.
        angle_variation: By how many degrees parts may be turned either way, 0..180: the same images are turned, too.
        calibration: See `Calibrating`.
    """

    epochs: int = 1
    batch_size: int = 4
    learning_rate: float = 3e-5
    radius_learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    holdout: float = 0.2
    seed: int = 0
    light_variation: float = 0.0
    blur_variation: float = 0.0
    position_variation: float = 0.0
    angle_variation: float = 0.0
    calibration: Calibrating = Calibrating.CROSS

    def __post_init__(self) -> None:
        _hold_to_types(self)
        _require(0 <= self.epochs <= 1000, f"The number of epochs is {self.epochs}; use 0 to 1000.")
        _require(1 <= self.batch_size <= 256, f"The batch size is {self.batch_size}; use 1 to 256.")
        _require(self.learning_rate > 0, f"The learning rate is {self.learning_rate}; it must be above 0.")
        _require(
            self.radius_learning_rate > 0,
            f"The radius's learning rate is {self.radius_learning_rate}; it must be above 0.",
        )
        _require(self.weight_decay >= 0, f"The weight decay is {self.weight_decay}; it must not be negative.")
        _require(0 <= self.holdout <= 0.5, f"The hold-out share is {self.holdout}; use 0 to 0.5.")
        _require(0 <= self.light_variation <= 0.5, f"The light variation is {self.light_variation}; use 0 to 0.5.")
        _require(0 <= self.blur_variation <= 0.02, f"The blur variation is {self.blur_variation}; use 0 to 0.02.")
        position = f"The position variation is {self.position_variation}"
        _require(0 <= self.position_variation <= 0.25, f"{position}; use 0 to 0.25.")
        angle = f"The angle variation is {self.angle_variation}"
        _require(0 <= self.angle_variation <= 180, f"{angle}; use 0 to 180 degrees.")
        _require(0 <= self.seed < 2**31, f"The seed is {self.seed}; use 0 to 2147483647.")


_OF_THE_LINE = ("light_variation", "blur_variation", "position_variation", "angle_variation")
_BEFORE_CHOICE = {"descriptor_start": DescriptorStart.PUBLISHED, "centre_axes": 0}
_TRAINING_BEFORE_CHOICE = {"calibration": Calibrating.SPLIT}
"""Of models from before there was a choice."""
_TRAINING_OF_GLOBAL: dict[str, object] = {"epochs": 1, "learning_rate": 3e-5}
_TRAINING_OF_POSITIONAL: dict[str, object] = {"epochs": 20, "learning_rate": 1e-3}


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one model.

    Attributes:
        preset: The name it started from; "custom" once a setting differs from it.
        backbone: A name of `core.backbone.BACKBONES`, or of any timm model with strides 4, 8 and 16.
    """

    preset: str = "standard"
    backbone: str = "lite0"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    method: Method = field(default_factory=Method)
    training: Training = field(default_factory=Training)

    @property
    def members(self) -> tuple[Self, ...]:
        """The settings of each member of an ensemble, as if it were alone; one where there is no second scale.

        The second member sees more patches, and its bank has about as many centres as the first one's.
        """
        pre, method = self.preprocessing, self.method
        first = dataclasses.replace(self, preprocessing=dataclasses.replace(pre, second_scale=0.0))
        if not pre.second_size:
            return (first,)
        look = dataclasses.replace(pre, image_size=pre.second_size, second_scale=0.0)
        ratio = min(64, round(method.bank_ratio * pre.second_scale**2))
        return first, dataclasses.replace(
            self, preprocessing=look, method=dataclasses.replace(method, bank_ratio=ratio)
        )

    def with_changes(self, **changes: object) -> Self:
        """A copy with single settings replaced by name, wherever they stand (`epochs=3`, `bank_ratio=2`).

        None means "leave it". A change between `global` and the other banks brings the number of epochs and the
        learning rate along, unless they are given: `mean` and `ema` only become good by long training, `global` loses
        by it. A change to R+C takes the second scale away. The preset's name becomes "custom" if anything changes but
        the seed and what `for_part_of` takes.

        Raises:
            ConfigError: A value is outside its range.
            TypeError: There is no setting of that name.
        """
        bank = changes.get("bank")
        if bank is not None and (bank == Bank.GLOBAL) != (self.method.bank == Bank.GLOBAL):
            fitting = _TRAINING_OF_GLOBAL if bank == Bank.GLOBAL else _TRAINING_OF_POSITIONAL
            changes = fitting | {name: value for name, value in changes.items() if value is not None}
        if changes.get("resizing") == Resizing.CROP:
            changes = {"second_scale": 0.0} | {name: value for name, value in changes.items() if value is not None}
        parts: dict[str, dict[str, Any]] = {"": {}, "preprocessing": {}, "method": {}, "training": {}}
        for name, value in changes.items():
            if value is not None:
                parts[self._part_of(name)][name] = value
        own = parts.pop("")
        groups = {group: dataclasses.replace(getattr(self, group), **part) for group, part in parts.items()}
        changed: Self = dataclasses.replace(self, **own, **groups)
        return changed if changed._of_method() == self._of_method() else dataclasses.replace(changed, preset="custom")

    def for_part_of(self, other: "Config") -> Self:
        """The same settings for the part of others: its regions, and what may vary on its line."""
        told = {name: getattr(other.training, name) for name in _OF_THE_LINE}
        preprocessing = dataclasses.replace(self.preprocessing, regions=other.preprocessing.regions)
        training = dataclasses.replace(self.training, **told)
        return dataclasses.replace(self, preprocessing=preprocessing, training=training)

    def _of_method(self) -> Self:
        """Without what says nothing of the method: another seed or another part make no preset a custom one."""
        plain = self.for_part_of(Config())
        return dataclasses.replace(plain, training=dataclasses.replace(plain.training, seed=0))

    def _part_of(self, name: str) -> str:
        if name == "backbone":
            return ""
        for group in ("preprocessing", "method", "training"):
            if name in {f.name for f in dataclasses.fields(getattr(self, group))}:
                return group
        raise TypeError(f"there is no setting named {name!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ConfigError: A setting is unknown, of the wrong type or out of range.
        """
        try:
            pre = dict(data["preprocessing"])
            if pre["resizing"] == Resizing.WHOLE:
                pre.setdefault("stride_fit", StrideFit.PADDED)  # before there was a choice
            pre["regions"] = tuple(
                Region(tuple((float(x), float(y)) for x, y in r["points"]), bool(r["ignored"])) for r in pre["regions"]
            )
            return cls(
                preset=str(data["preset"]),
                backbone=str(data["backbone"]),
                preprocessing=Preprocessing(**pre),
                method=Method(**(_BEFORE_CHOICE | data["method"])),
                training=Training(**(_TRAINING_BEFORE_CHOICE | data["training"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"The settings cannot be read: {error}.") from error
