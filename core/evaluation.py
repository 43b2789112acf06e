"""Measure a trained model on labelled images. Nothing here changes the model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import metrics
from core.dataset import Label, Sample
from core.errors import DatasetError
from core.images import read_mask
from core.inspection import Failure, Inspector
from core.progress import CancelToken, Report, silent


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures in 0..1 unless said otherwise; None where the images at hand do not define them.

    Attributes:
        image_auroc: Area under the ROC curve of the image scores.
        average_precision: Of the image scores.
        f1_max: Highest F1 over all thresholds: an upper bound, chosen on the images that it is measured on.
        pixel_auroc: Area under the ROC curve over all pixels of images with a mask or without a defect.
        pixel_average_precision: The same pixels.
        aupro: Area under the per-region overlap up to a false-positive rate of 0.3, divided by 0.3.
        threshold: The model's own, in units of the score; what follows is measured at it.
        precision: Share of true defects among the flagged.
        recall: Share of the defects that are flagged.
        f1: Harmonic mean of the two.
        false_alarm_rate: Share of the good images that are flagged.
        miss_rate: Share of the defects that are not.
        good: Images labelled good (count).
        defects: Images labelled defect (count).
        masks: Defects with a ground-truth mask (count).
        failed: Images that could not be read (count).
    """

    image_auroc: float | None
    average_precision: float | None
    f1_max: float | None
    pixel_auroc: float | None
    pixel_average_precision: float | None
    aupro: float | None
    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    false_alarm_rate: float | None
    miss_rate: float | None
    good: int
    defects: int
    masks: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return dataclasses.asdict(self)


def evaluate(
    inspector: Inspector, samples: Sequence[Sample], *, report: Report = silent, cancel: CancelToken | None = None
) -> Evaluation:
    """Inspect labelled images and compare.

    Pixel figures are taken at the resolution of the network's input, as in the paper; an image with a defect but without
    a mask, or with an empty one, takes part in the image figures only.

    Raises:
        DatasetError: No image carries a label.
        ImageError: A mask cannot be read.
        CancelledByUser: The token was set.
    """
    labelled = [sample for sample in samples if sample.label is not None]
    if not labelled:
        raise DatasetError(
            "No image here is labelled. Use a data set in MVTec AD layout: test/good and test/<kind of defect>."
        )
    pixels = metrics.PixelMetrics()
    scores: list[float] = []
    defect: list[bool] = []
    masks = failed = 0
    for result in inspector.inspect_many(labelled, report=report, cancel=cancel):
        if isinstance(result, Failure):
            failed += 1
            continue
        sample = result.sample
        scores.append(result.score)
        defect.append(sample.label is Label.DEFECT)
        if sample.label is Label.GOOD:
            pixels.add(result.anomaly_map, np.zeros(result.anomaly_map.shape, dtype=np.bool_))
        elif sample.mask is not None:
            mask = result.placement.mask_to_crop(read_mask(sample.mask))
            if mask.any():
                pixels.add(result.anomaly_map, mask)
                masks += 1
    return _figures(inspector, np.asarray(scores), np.asarray(defect, dtype=np.bool_), pixels, masks, failed)


def _figures(
    inspector: Inspector,
    scores: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    defect: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    pixels: metrics.PixelMetrics,
    masks: int,
    failed: int,
) -> Evaluation:
    both = bool(defect.any()) and not bool(defect.all())
    threshold = inspector.trained.threshold
    at = None if threshold is None or not len(scores) else metrics.confusion(scores, defect, threshold.value)
    has_pixels = masks > 0
    return Evaluation(
        image_auroc=metrics.image_auroc(scores, defect) if both else None,
        average_precision=metrics.average_precision(scores, defect) if both else None,
        f1_max=metrics.f1_max(scores, defect)[0] if both else None,
        pixel_auroc=pixels.auroc() if has_pixels else None,
        pixel_average_precision=pixels.average_precision() if has_pixels else None,
        aupro=pixels.aupro() if has_pixels else None,
        threshold=None if threshold is None else threshold.value,
        precision=at.precision if at else None,
        recall=at.recall if at else None,
        f1=at.f1 if at else None,
        false_alarm_rate=at.false_alarm_rate if at else None,
        miss_rate=at.miss_rate if at else None,
        good=int((~defect).sum()),
        defects=int(defect.sum()),
        masks=masks,
        failed=failed,
    )
