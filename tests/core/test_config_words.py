"""The settings in plain words."""

import pytest

from core.config import Region
from core.config_words import in_words, origin
from core.presets import PRESETS, preset

CORNER = Region(((0.0, 0.0), (1.0, 0.0), (0.5, 0.75)))


@pytest.mark.parametrize("name", PRESETS)
def test_that_regions_seed_and_backbone_do_not_change_whose_settings_they_are(name: str) -> None:
    settings = preset(name)
    others = (settings.with_changes(regions=(CORNER,)), settings.with_changes(seed=7))
    assert {origin(other) for other in others} == {origin(settings)} == {"paper" if name == "paper" else "ours"}


def test_that_pictures_which_the_paper_does_not_learn_are_not_the_papers() -> None:
    assert origin(preset("paper").with_changes(light_variation=0.1)) == "custom"
    assert origin(preset("standard").with_changes(light_variation=0.1)) == "ours"


def test_that_what_may_vary_on_the_line_is_told_where_it_may() -> None:
    assert "vary" not in in_words(preset("standard"))
    told = in_words(preset("standard").with_changes(light_variation=0.1, position_variation=0.05, angle_variation=2.5))
    assert told.endswith("; light may vary by ± 10 %; place may vary by ± 5 % of the width; angle may vary by ± 2.5°")
    told = in_words(preset("standard").with_changes(blur_variation=0.005))
    assert told.endswith("; pictures may be blurred by up to 0.5 % of the width")
