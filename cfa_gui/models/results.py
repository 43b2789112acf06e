"""What is known of the images under review at one moment: taken on the GUI thread, written on another."""

from dataclasses import dataclass

from cfa_gui.models.review import Group, Known, Review
from core.dataset import Label, Sample
from core.placement import Placement
from core.threshold import Threshold, Verdict, judge

COLUMNS = ("path", "score", "threshold", "verdict", "label", "message")
_LABEL_OF = {Group.GOOD: Label.GOOD, Group.DEFECT: Label.DEFECT, Group.UNLABELLED: None}
_WAITING = "Not inspected yet."


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image.

    Attributes:
        place: Its position in the review, by which its anomaly map is kept.
        sample: The image.
        score: Anomaly score; None where it was not inspected.
        verdict: At the threshold; None where it was not inspected.
        label: What a person, or its folder, says of it.
        learned: The model has learned from it: its score proves nothing.
        placement: Where its map lies; None where it was not inspected.
        failed: It could not be inspected.
        message: Why there is no score; empty where there is one.
    """

    place: int
    sample: Sample
    score: float | None
    verdict: Verdict | None
    label: Label | None
    learned: bool
    placement: Placement | None
    failed: bool
    message: str


@dataclass(frozen=True, slots=True)
class Results:
    """All images, in the order of the review, and the threshold they are judged by.

    Attributes:
        images: The images.
        threshold: The threshold.
        known: Scores to measure it by, see `Review.known`.
    """

    images: tuple[ImageResult, ...]
    threshold: Threshold
    known: Known

    @classmethod
    def of(cls, review: Review, threshold: Threshold) -> "Results":
        """A copy that later changes of the review leave alone."""
        scores = [float(score) if scored else None for score, scored in zip(review.scores, review.scored, strict=True)]
        images = tuple(_image(review, place, score, threshold) for place, score in enumerate(scores))
        return cls(images, threshold, review.known())

    @property
    def scored(self) -> tuple[ImageResult, ...]:
        """Images with a score."""
        return tuple(image for image in self.images if image.score is not None)

    @property
    def flagged(self) -> tuple[ImageResult, ...]:
        """Images whose score is above the threshold."""
        return tuple(image for image in self.images if image.verdict is Verdict.DEFECT)

    @property
    def failures(self) -> tuple[ImageResult, ...]:
        """Images that could not be inspected."""
        return tuple(image for image in self.images if image.failed)

    def rows(self) -> list[dict[str, object]]:
        """The table of COLUMNS, with the words of `cfa inspect --csv`: a verdict of an image that failed is "error"."""
        return [
            {
                "path": image.sample.name,
                "score": image.score,
                "threshold": self.threshold.value,
                "verdict": "error" if image.failed else image.verdict and image.verdict.value,
                "label": image.label and image.label.value,
                "message": image.message,
            }
            for image in self.images
        ]


def _image(review: Review, place: int, score: float | None, threshold: Threshold) -> ImageResult:
    failed, scored = bool(review.failed[place]), score is not None
    return ImageResult(
        place=place,
        sample=review.samples[place],
        score=score,
        verdict=None if score is None else judge(score, threshold),
        label=_LABEL_OF[Group(int(review.groups[place]))],
        learned=bool(review.learned[place]),
        placement=review.placements.get(place) if scored else None,
        failed=failed,
        message=review.messages.get(place, "") if failed else "" if scored else _WAITING,
    )
