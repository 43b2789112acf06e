"""What an export can be and what it gives, as plain data. Imports no torch."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.counting import counted

TOLERANCE = 1e-3
"""Largest relative difference of a score from the original's with which a model is given out."""
TIE_TOLERANCE = 1e-2
"""That of an image with a tie: runtimes choose differently where a patch is as near to two centres."""
TIE_SHARE = 0.01
"""Largest share of a map that ties alter; a mistake in the model alters it everywhere."""


class Format(StrEnum):
    """What a model can be exported to."""

    ONNX = "onnx"
    """For ONNX Runtime: Python, C++, C#, Java, JavaScript."""
    OPENVINO = "openvino"
    """For OpenVINO: Python and C++, on Intel's and other processors."""
    TORCHSCRIPT = "torchscript"
    """For PyTorch: Python and C++."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted.

    Attributes:
        format: Of the model.
        folder: Where to: new, empty, or with an export of the same format, which is replaced.
    """

    format: Format
    folder: Path


@dataclass(frozen=True, slots=True)
class Difference:
    """One image, scored by both.

    Attributes:
        name: Of the image.
        original: Score by the original.
        exported: Score by the exported model.
        relative: Their difference, as a share of the original's.
        map_share: Share of the map's pixels that differ by more than `TOLERANCE` of the score.
    """

    name: str
    original: float
    exported: float
    relative: float
    map_share: float

    @property
    def tied(self) -> bool:
        """Whether a tie explains why the scores differ."""
        return TOLERANCE < self.relative <= TIE_TOLERANCE and self.map_share <= TIE_SHARE


@dataclass(frozen=True, slots=True)
class Flip:
    """One image on which the verdicts differ; both verdicts in words."""

    name: str
    original: str
    exported: str


@dataclass(frozen=True, slots=True)
class Parity:
    """The exported model beside the original on the same images.

    Attributes:
        images: The user's images that were compared.
        drawn: Images of many sizes, drawn from a seed, that were compared.
        skipped: The user's images that could not be read, and why.
        largest: The image, but for those in `ties`, whose scores differ most, as a share of the original's.
        ties: The images whose scores differ by a tie.
        largest_map_difference: Of any pixel, in units of the score.
        flips: Where the verdicts differ.
        other_shapes: Images whose maps differ in size.
        milliseconds: Median time of the exported model for one image, on this machine.
        original_milliseconds: That of the original.
    """

    images: int
    drawn: int
    skipped: tuple[str, ...]
    largest: Difference
    ties: tuple[Difference, ...]
    largest_map_difference: float
    flips: tuple[Flip, ...]
    other_shapes: tuple[str, ...]
    milliseconds: float
    original_milliseconds: float

    @property
    def holds(self) -> bool:
        """Whether the exported model may stand for the original."""
        return self.largest.relative <= TOLERANCE and not self.flips and not self.other_shapes

    def sentence(self) -> str:
        """The figures in words."""
        checked = (self.images, "image"), (self.drawn, "drawn image")
        what = " and ".join(counted(number, noun) for number, noun in checked if number)
        largest, flips = self.largest, counted(len(self.flips), "verdict differs", "verdicts differ")
        text = (
            f"On {what}: largest relative score difference {largest.relative:.1e} (allowed {TOLERANCE:g}), on "
            f"{largest.name} ({largest.original:.6g}, exported {largest.exported:.6g}); {flips}"
        )
        if self.flips:
            first = self.flips[0]
            text += f", first on {first.name} ({first.original}, exported {first.exported})"
        if self.other_shapes:
            text += f"; {len(self.other_shapes)} maps of another size, first of {self.other_shapes[0]}"
        return " ".join(filter(None, (f"{text}.", self.tie_sentence())))

    def tie_sentence(self) -> str:
        """The ties in words; empty where there is none."""
        if not self.ties:
            return ""
        most, count = max(self.ties, key=lambda one: one.relative), len(self.ties)
        up_to = "up to " if count != 1 else ""
        return (
            f"On {counted(count, 'image')} a patch is as near to one centre as to another, and the score differs by "
            f"{up_to}{most.relative:.1e} (allowed {TIE_TOLERANCE:g}): {most.name}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return asdict(self) | {"tolerance": TOLERANCE, "holds": self.holds}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where it is.
        files: Names in it.
        parity: The check.
    """

    folder: Path
    files: tuple[str, ...]
    parity: Parity
