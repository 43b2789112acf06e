"""From the bytes of an image to the answer. Runs on a worker thread."""

import io
import math
import time
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.images import decode_image, image_size
from core.inspection import Inspection
from core.line.service.models import ServedModel
from core.line.service.problems import Problem
from core.line.service.schemas import InspectionResult, Milliseconds, Region
from core.overlay import overlay
from core.placement import Placement
from core.regions import FlaggedRegion, flagged_regions
from core.threshold import judge

_MOST_REGIONS = 200
_NAME = "The image"


class Form(StrEnum):
    """What the client wants back; the values are media types."""

    JSON = "application/json"
    PNG = "image/png"
    TIFF = "image/tiff"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one inspection.

    Attributes:
        result: Without the time in the queue.
        picture: A PNG or TIFF file, where one was wanted.
    """

    result: InspectionResult
    picture: bytes | None


def answer(model: ServedModel, data: bytes, form: Form, most_pixels: int) -> Answer:
    """Decode, inspect, and draw what is wanted.

    Raises:
        Problem: The image has too many pixels.
        ImageError: It is none.
        DatasetError: The model's regions leave nothing of an image of this size.
        OutOfMemoryError: Too little memory.
    """
    began = time.perf_counter()
    height, width = image_size(data, _NAME)
    if height * width > most_pixels:
        sentence = f"The image has {width} × {height} pixels, more than {most_pixels:,}. Send a smaller version."
        raise Problem(413, sentence)
    image = decode_image(data, _NAME)
    decoded = time.perf_counter()
    inspection = model.inspect(image)
    inspected = time.perf_counter()
    line = model.threshold
    picture = _picture(inspection, image, line.value, form)
    times = Milliseconds(
        waiting=0.0,
        decoding=_milliseconds(decoded - began),
        inspecting=_milliseconds(inspected - decoded),
        total=_milliseconds(time.perf_counter() - began),
    )
    result = InspectionResult(
        model=model.name,
        identity=model.identity,
        score=inspection.score,
        threshold=line.value,
        lower=line.lower,
        verdict=judge(inspection.score, line).value,
        width=image.shape[1],
        height=image.shape[0],
        regions=_regions(inspection, line.value),
        milliseconds=times,
    )
    return Answer(result, picture)


def _picture(inspection: Inspection, image: NDArray[np.uint8], threshold: float, form: Form) -> bytes | None:
    """The heat map over the image as PNG, or the map of every pixel of it as float32 TIFF (NaN: not inspected)."""
    if form is Form.JSON:
        return None
    source_map = inspection.source_map()
    written = io.BytesIO()
    if form is Form.TIFF:
        Image.fromarray(source_map).save(written, format="TIFF")
    else:
        Image.fromarray(overlay(image, source_map, threshold)).save(written, format="PNG", compress_level=1)
    return written.getvalue()


def _regions(inspection: Inspection, threshold: float) -> list[Region]:
    """Found on the map as it was scored, so that they agree with the verdict; then told in pixels of the image."""
    found = flagged_regions(inspection.anomaly_map, threshold)[:_MOST_REGIONS]
    return [_region(region, inspection.placement) for region in found]


def _region(region: FlaggedRegion, placement: Placement) -> Region:
    top, left, height, width = region.bounding_box
    source_height, source_width = placement.source
    y0, x0 = placement.canvas_to_source(top, left)
    y1, x1 = placement.canvas_to_source(top + height, left + width)
    first_row, first_column = _within(y0, source_height), _within(x0, source_width)
    past_row, past_column = min(math.ceil(y1), source_height), min(math.ceil(x1), source_width)
    peak_y, peak_x = placement.canvas_to_source(region.peak_at[0] + 0.5, region.peak_at[1] + 0.5)
    return Region(
        top=first_row,
        left=first_column,
        height=max(past_row - first_row, 1),
        width=max(past_column - first_column, 1),
        area=max(round(region.area * (y1 - y0) * (x1 - x0) / (height * width)), 1),
        peak=region.peak,
        peak_row=_within(peak_y, source_height),
        peak_column=_within(peak_x, source_width),
        mean=region.mean,
    )


def _within(position: float, length: int) -> int:
    return min(max(math.floor(position), 0), length - 1)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
