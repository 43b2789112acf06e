"""What the review store holds, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.samples import Sample
from core.threshold import Threshold

COLUMNS = (
    *("path", "name", "sha256", "bytes", "height", "width", "score", "threshold", "verdict", "label", "labelled_by"),
    *("labelled_at", "model", "threshold_by", "threshold_at", "message"),
)
"""Of an exported review."""
LOG_COLUMNS = ("at", "user", "what", "image", "value", "undo")
"""Of an exported log."""


@dataclass(frozen=True, slots=True)
class Project:
    """One review in the store.

    Attributes:
        id: In the store.
        name: For people.
        created: UTC, ISO 8601.
        changed: When it was last written to.
        images: How many it holds.
        labels: How many of them a person has labelled, or unlabelled.
        view: What was looked at last; whatever the window keeps there.
    """

    id: int
    name: str
    created: str
    changed: str
    images: int
    labels: int
    view: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of one image.

    Attributes:
        path: The image.
        score: Anomaly score; None where it could not be inspected.
        message: Why it could not be; None where it has a score.
        size: (height, width) in pixels, where known.
    """

    path: Path
    score: float | None
    message: str | None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The present state of a project.

    Attributes:
        samples: The images, in the order they came in; their labels are the latest.
        good_by_folder: Those that lie in a folder of good images, whatever a person said since.
        scores: The latest result of each image by the model in use.
        model_identity: Of the model that the latest score or threshold comes from; "" where there is none.
        model_path: Where that model was last seen; None where there is none.
        threshold: The latest one for that model.
    """

    samples: tuple[Sample, ...]
    good_by_folder: frozenset[Path] = frozenset()
    scores: Mapping[Path, Scored] = field(default_factory=dict)
    model_identity: str = ""
    model_path: Path | None = None
    threshold: Threshold | None = None
