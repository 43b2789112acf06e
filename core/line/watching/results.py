"""What is known of one inspected image, as it goes to other machines. Imports no torch."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any

COLUMNS = (
    "id",
    "inspected",
    "path",
    "verdict",
    "score",
    "threshold",
    "regions",
    "message",
    "sha256",
    "overlay",
    "sorted",
    "identity",
    "milliseconds",
)
"""Of tables; in JSON `regions` is a list, here its length."""


class Outcome(StrEnum):
    """A verdict, or that there is none."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    DEFECT = "defect"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Region:
    """A flagged region, in pixels of the source image.

    Attributes:
        top: Row of its bounding box.
        left: Column of its bounding box.
        height: Of its bounding box.
        width: Of its bounding box.
        area: Pixels.
        peak: Its highest score.
    """

    top: int
    left: int
    height: int
    width: int
    area: int
    peak: float


@dataclass(frozen=True, slots=True)
class Result:
    """One inspection of one image on the line.

    Attributes:
        path: The image's name: its path from the watched folder on, with forward slashes.
        sha256: Of the file's content, hexadecimal.
        verdict: See `Outcome`.
        score: Anomaly score; None where the image is unreadable.
        threshold: Of the model, at that time.
        message: Why it is unreadable, for a person; else empty.
        regions: Flagged regions, highest peak first; of very many the first.
        inspected: When, UTC, ISO 8601.
        milliseconds: To decode and inspect it; reading the file and waiting for it take no part.
        identity: The model's, see `core.model_file.identity`.
        overlay: The file with the heat map over the image; empty where none is written.
        sorted: Where the image is moved or copied to; empty where it stays.
        number: Counts the results of a ledger, from 1; 0 before it is in one.
        ledger: The ledger's own name.
    """

    path: str
    sha256: str
    verdict: Outcome
    score: float | None
    threshold: float
    message: str
    regions: tuple[Region, ...]
    inspected: str
    milliseconds: float
    identity: str
    overlay: str = ""
    sorted: str = ""
    number: int = 0
    ledger: str = ""

    @property
    def id(self) -> str:
        """What tells this result from all others, everywhere and for ever."""
        return f"{self.ledger}-{self.number}"

    @property
    def stem(self) -> str:
        """The image's name without its suffix."""
        path = PurePath(self.path)
        return path.as_posix().removesuffix(path.suffix)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return values | {
            "verdict": self.verdict.value,
            "regions": [dataclasses.asdict(region) for region in self.regions],
        }

    def to_row(self) -> dict[str, object]:
        """One row of a table: texts, numbers and None."""
        return self.to_json() | {"regions": len(self.regions)}

    def to_bytes(self) -> bytes:
        """`to_json` in UTF-8; what UTF-8 cannot hold (a file's name that is no text) is written as escapes."""
        text = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")


def regions_to_text(regions: tuple[Region, ...]) -> str:
    """As one short text, for a ledger."""
    return json.dumps([dataclasses.astuple(region) for region in regions])


def regions_from_text(text: str) -> tuple[Region, ...]:
    """The inverse of `regions_to_text`."""
    return tuple(Region(*values) for values in json.loads(text))
