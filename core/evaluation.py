"""Measure a trained model on labelled images. Nothing here changes the model."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import metrics
from core.dataset import Label, Sample
from core.errors import DatasetError, ImageError
from core.images import read_mask
from core.inspection import Failure, Inspection, Inspector
from core.placement import inspected_pixels
from core.progress import CancelToken, Report, silent
from core.trained_model import Skipped


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
        masks: Defects whose ground-truth mask was used (count).
        failed: Images that could not be read (count).
        skipped: Those images, and masks that could not be used, by name and with the reason.
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
    skipped: tuple[Skipped, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return dataclasses.asdict(self)


def evaluate(
    inspector: Inspector, samples: Sequence[Sample], *, report: Report = silent, cancel: CancelToken | None = None
) -> Evaluation:
    """Inspect labelled images and compare.

    Pixel figures are taken at the resolution of the network's input, as in the paper. A defect without a mask that can
    be used takes part in the image figures only; pixels that the model's regions leave out take part in nothing.

    Args:
        inspector: The model.
        samples: Images; those without a label are passed over.
        report: Told of progress.
        cancel: Checked before each image.

    Raises:
        DatasetError: No image carries a label, or none that does can be read.
        CancelledByUser: The token was set.
    """
    labelled = [sample for sample in samples if sample.label is not None]
    if not labelled:
        raise DatasetError(
            "No image here is labelled. Use a data set in MVTec AD layout: test/good and test/<kind of defect>."
        )
    tally = _Tally()
    for result in inspector.inspect_many(labelled, report=report, cancel=cancel):
        if isinstance(result, Failure):
            tally.failed += 1
            tally.skipped.append(Skipped(result.sample.name, result.message))
        else:
            tally.add(result, inspector)
    if not tally.scores:
        reason = tally.skipped[0].message
        raise DatasetError(f"None of the {len(labelled)} labelled images can be read. The first: {reason}")
    return tally.figures(inspector)


@dataclass(slots=True, eq=False)
class _Tally:
    """What is gathered image by image."""

    pixels: metrics.PixelMetrics = field(default_factory=metrics.PixelMetrics)
    scores: list[float] = field(default_factory=list)
    defect: list[bool] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    masks: int = 0
    failed: int = 0

    def add(self, result: Inspection, inspector: Inspector) -> None:
        is_defect = result.sample.label is Label.DEFECT
        self.scores.append(result.score)
        self.defect.append(is_defect)
        mask = self._mask(result) if is_defect else np.zeros(result.anomaly_map.shape, dtype=np.bool_)
        if mask is None:
            return
        inspected = inspected_pixels(result.placement, inspector.trained.config.preprocessing.regions)
        if is_defect and not (mask & inspected).any():
            return
        self.pixels.add(np.where(inspected, result.anomaly_map, np.float32(np.nan)), mask)
        self.masks += is_defect

    def _mask(self, result: Inspection) -> NDArray[np.bool_] | None:
        """The ground truth on the map's pixels; None where there is none that can be used."""
        sample = result.sample
        if sample.mask is None:
            return None
        try:
            mask = read_mask(sample.mask)
        except ImageError as error:
            self.skipped.append(Skipped(f"the mask of {sample.name}", str(error)))
            return None
        if mask.shape != result.placement.source:
            (height, width), (own_height, own_width) = result.placement.source, mask.shape
            reason = f"It is {own_width} × {own_height} pixels, the image is {width} × {height}. Draw it on the image."
            self.skipped.append(Skipped(f"the mask of {sample.name}", reason))
            return None
        return result.placement.mask_to_crop(mask)

    def figures(self, inspector: Inspector) -> Evaluation:
        scores, defect = np.asarray(self.scores, dtype=np.float64), np.asarray(self.defect, dtype=np.bool_)
        threshold = inspector.trained.threshold
        at = None if threshold is None else metrics.confusion(scores, defect, threshold.value)
        both = bool(defect.any()) and not bool(defect.all())
        return Evaluation(
            image_auroc=metrics.image_auroc(scores, defect) if both else None,
            average_precision=metrics.average_precision(scores, defect) if both else None,
            f1_max=metrics.f1_max(scores, defect)[0] if both else None,
            pixel_auroc=_defined(self.pixels.auroc),
            pixel_average_precision=_defined(self.pixels.average_precision),
            aupro=_defined(self.pixels.aupro),
            threshold=None if threshold is None else threshold.value,
            precision=at.precision if at else None,
            recall=at.recall if at else None,
            f1=at.f1 if at else None,
            false_alarm_rate=at.false_alarm_rate if at else None,
            miss_rate=at.miss_rate if at else None,
            good=int((~defect).sum()),
            defects=int(defect.sum()),
            masks=self.masks,
            failed=self.failed,
            skipped=tuple(self.skipped),
        )


def _defined(figure: Callable[[], float]) -> float | None:
    """The figure over pixels, or None where no pixel is defective, or none is good."""
    try:
        return figure()
    except DatasetError:
        return None
