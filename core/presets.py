"""Settings by name."""

from core.config import Bank, Config, DescriptorStart, FeatureScale, Method, Preprocessing, Resizing, Score, Training
from core.errors import ConfigError

PRESETS: dict[str, Config] = {
    "fast": Config(preset="fast", method=Method(bank_ratio=4)),
    "standard": Config(preset="standard"),
    "thorough": Config(preset="thorough", preprocessing=Preprocessing(second_scale=1.5)),
    "paper": Config(
        preset="paper",
        preprocessing=Preprocessing(resizing=Resizing.CROP),
        method=Method(
            bank=Bank.MEAN,
            bank_ratio=1,
            feature_scale=FeatureScale.PUBLISHED,
            descriptor_start=DescriptorStart.PUBLISHED,
            score=Score.CERTAINTY,
            centre_axes=0,
            smoothing=4.0,
            initial_radius=1e-5,
        ),
        training=Training(epochs=30, learning_rate=1e-3, holdout=0.0),
    ),
}
"""fast, standard and thorough are ours; paper is the published configuration, on the embedded backbone unless named."""


def preset(name: str) -> Config:
    """The preset of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; use one of {', '.join(PRESETS)}.")
    return PRESETS[name]
