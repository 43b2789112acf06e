"""What a report says, as plain data: the HTML and the PDF show the same. Needs no screen."""

from dataclasses import dataclass
from datetime import datetime

from core.metrics import Confusion

SCORING = (
    "Every image gets a score: the higher, the stranger. A part is flagged as a defect when its score is above the "
    "threshold."
)
READING = (
    "Left: the picture. Right: the same under its heat map, coloured where the model finds it strange and outlined "
    "where it is above the threshold. A colour means the same in all pictures."
)
HELD_OUT = "held_out"
GROUP_WORDS = {
    "good": "labelled good",
    "defect": "labelled defect",
    "unlabelled": "not labelled",
    HELD_OUT: "good, held out from training",
}
_WIDE = 2.2
"""Pictures that are wider than high by this much are shown one above the other, otherwise side by side."""
_MONTHS = (  # in any locale
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def moment_words(moment: datetime) -> str:
    """A date and a time with its zone, in English."""
    day = f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    return f"{day}, {moment:%H:%M} {moment.tzname() or ''}".strip()


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what is to be said of it."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that matters.

    Attributes:
        number: How many.
        words: Of what.
        share: Of all that were inspected, in words; empty where that says nothing.
        mark: Key of theme.MARKS, or "".
    """

    number: int
    words: str
    share: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in words.

    Attributes:
        name: In plain words.
        term: Of the field.
        value: "97.5 %", or "–" where it does not exist.
        of_what: From which counts.
    """

    name: str
    term: str
    value: str
    of_what: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A flagged region.

    Attributes:
        number: From 1, highest score first.
        left: Of its box, share of the picture's width.
        top: Share of the height.
        width: Share of the width.
        height: Share of the height.
        words: Size, place and highest score.
    """

    number: int
    left: float
    top: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """One image.

    Attributes:
        name: Of the image, as it was found.
        score: In words.
        verdict: Key of theme.MARKS.
        label: Key of theme.MARKS.
        pixels: Size of the picture in words.
        aspect: Width over height.
        plain: JPEG of the picture; None where it cannot be read any more.
        heat: JPEG of the picture under its heat map; None where there is none.
        spots: The first few flagged regions.
        more_spots: How many more there are.
        remark: What is missing, and why; empty where nothing is.
    """

    name: str
    score: str
    verdict: str
    label: str
    pixels: str
    aspect: float
    plain: bytes | None
    heat: bytes | None
    spots: tuple[Spot, ...]
    more_spots: int
    remark: str

    @property
    def wide(self) -> bool:
        """Whether the two pictures stand one above the other."""
        return self.aspect > _WIDE


@dataclass(frozen=True, slots=True)
class Gallery:
    """Some images under one heading."""

    title: str
    words: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class ThresholdWords:
    """The threshold and how it came about.

    Attributes:
        value: In words.
        lower: Of the second line, above which a score is uncertain; empty where there is none.
        sentence: How it was chosen.
        caution: What that does not promise; empty where there is nothing to add.
    """

    value: str
    lower: str
    sentence: str
    caution: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        title: Of the document.
        model: Name of the model.
        made: When.
        tiles: The counts.
        threshold: See there.
        histogram: SVG, without anything that comes from outside.
        histogram_groups: Keys of GROUP_WORDS of what is in it, with their counts.
        matrix: None where no inspected image is labelled.
        good_words: What its good parts are called.
        label_words: Where labels come from.
        rates: Empty where there is no matrix.
        galleries: The images worth a look.
        heat_scale: SVG.
        failures: Images that could not be inspected: name and reason.
        more_failures: How many more there are.
        settings: Of the model.
        versions: Of the program, its libraries, and the device.
    """

    title: str
    model: str
    made: datetime
    tiles: tuple[Tile, ...]
    threshold: ThresholdWords
    histogram: str
    histogram_groups: tuple[tuple[str, int], ...]
    matrix: Confusion | None
    good_words: str
    label_words: str
    rates: tuple[Rate, ...]
    galleries: tuple[Gallery, ...]
    heat_scale: str
    failures: tuple[Fact, ...]
    more_failures: int
    settings: tuple[Fact, ...]
    versions: tuple[Fact, ...]

    @property
    def date(self) -> str:
        """When it was made, in words."""
        return moment_words(self.made)
