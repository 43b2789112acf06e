"""Numbers with their nouns."""

import pytest

from core.counting import counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 images"), (1, "1 image"), (1200, "1,200 images")])
def test_that_numbers_and_nouns_agree(number: int, said: str) -> None:
    assert counted(number, "image") == said


def test_that_a_noun_may_have_a_plural_or_a_verb_of_its_own() -> None:
    assert [counted(number, "image is", "images are") for number in (1, 2)] == ["1 image is", "2 images are"]
