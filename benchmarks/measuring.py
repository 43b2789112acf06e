"""The same figures for every method: from scores and maps of labelled images, by the engine's own metrics."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core import metrics
from core.errors import ThresholdError
from core.images import read_mask
from core.placement import Placement
from core.samples import Label, Sample
from core.trained_model import Calibration

FIGURES = ("image_auroc", "pixel_auroc", "aupro", "f1_max", "false_alarm_rate", "miss_rate")


@dataclass(slots=True, eq=False)
class Measurement:
    """What is gathered image by image; defects without a mask, or with a blank one, take part in image figures only."""

    pixels: metrics.PixelMetrics = field(default_factory=metrics.PixelMetrics)
    scores: list[float] = field(default_factory=list)
    defect: list[bool] = field(default_factory=list)

    def add(self, sample: Sample, score: float, anomaly_map: NDArray[np.float32], placement: Placement) -> None:
        """Take in one image and the map on its crop."""
        is_defect = sample.label is Label.DEFECT
        self.scores.append(score)
        self.defect.append(is_defect)
        mask = np.zeros(anomaly_map.shape, np.bool_)
        if is_defect:
            if sample.mask is None:
                return
            mask = placement.mask_to_crop(read_mask(sample.mask))
            if not mask.any():
                return
        self.pixels.add(anomaly_map, mask)

    def figures(self, held_out: Calibration) -> dict[str, float | None]:
        """Figures in 0..1; those at the threshold are None where no good image was held out."""
        scores, defect = np.asarray(self.scores), np.asarray(self.defect)
        try:
            threshold = held_out.first_threshold()
        except ThresholdError:
            threshold = None
        at = None if threshold is None else metrics.confusion(scores, defect, threshold.value)
        return {
            "image_auroc": metrics.image_auroc(scores, defect),
            "pixel_auroc": self.pixels.auroc(),
            "aupro": self.pixels.aupro(),
            "f1_max": metrics.f1_max(scores, defect)[0],
            "false_alarm_rate": at.false_alarm_rate if at else None,
            "miss_rate": at.miss_rate if at else None,
        }
