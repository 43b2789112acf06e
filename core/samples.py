"""What a data set is made of. Import from `core.dataset`, which has the rest too."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Label(StrEnum):
    """What is known of a picture."""

    GOOD = "good"
    DEFECT = "defect"


class Layout(StrEnum):
    """How a data set's folders are arranged; what each means is told in `core.dataset`."""

    FOLDER = "folder"
    MVTEC = "mvtec"
    SORTED = "sorted"


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and what is known of it.

    Attributes:
        path: The file.
        name: Its path relative to the folder that was opened, with forward slashes.
        label: Good, defect, or None where nobody has said.
        kind: "good", the kind of defect ("crack"), or "" where unknown.
        mask: The ground-truth mask, if there is one.
    """

    path: Path
    name: str
    label: Label | None
    kind: str
    mask: Path | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The samples of a folder.

    Attributes:
        root: The folder that was opened.
        layout: See `Layout`.
        good: To train on; at least one.
        test: To measure on; empty for a plain folder.
    """

    root: Path
    layout: Layout
    good: tuple[Sample, ...]
    test: tuple[Sample, ...]
