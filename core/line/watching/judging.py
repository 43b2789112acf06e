"""One image's bytes become a result; the scores are the `Inspector`'s."""

import hashlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from PIL import Image

from core.errors import DatasetError, ImageError
from core.images import decode_image
from core.inspection import Inspection, Inspector
from core.line.watching.results import Outcome, Region, Result
from core.overlay import overlay
from core.regions import flagged_regions
from core.result_files import write_picture
from core.threshold import Threshold, judge

MOST_REGIONS = 20
"""Of an image with more, those with the highest peaks are named."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Inspects, compares with the threshold, writes the overlay.

    Attributes:
        inspector: The model.
        threshold: The line.
        identity: The model's, see `core.model_file.identity`.
        overlays: The folder for the pictures with the heat map over them; None: none are written.
    """

    inspector: Inspector
    threshold: Threshold
    identity: str
    overlays: Path | None = None

    def result(self, name: str, data: bytes) -> Result:
        """The result for one image, without a number; its overlay is on the disk.

        Args:
            name: The image's name, with forward slashes.
            data: Its file's content.

        Raises:
            DeviceError: Too little memory.
            OutputError: The overlay cannot be written.
        """
        started = time.perf_counter()
        digest = hashlib.sha256(data).hexdigest()
        inspected = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            pixels = decode_image(data, name)
            found = self.inspector.inspect(pixels)
        except (ImageError, DatasetError) as error:  # DatasetError: regions that leave nothing of a picture this size
            return self.unreadable(name, str(error), digest)
        verdict = Outcome(judge(found.score, self.threshold).value)
        regions = _regions(found, self.threshold.value)
        milliseconds = 1000 * (time.perf_counter() - started)
        written = ""
        if self.overlays is not None:
            place = self.overlays / f"{name.removesuffix(PurePath(name).suffix)}-{digest[:8]}.png"
            picture = overlay(pixels, found.source_map(), self.threshold.value)
            write_picture(place, Image.fromarray(picture))
            written = str(place)
        return Result(
            path=name,
            sha256=digest,
            verdict=verdict,
            score=found.score,
            threshold=self.threshold.value,
            message="",
            regions=regions,
            inspected=inspected,
            milliseconds=round(milliseconds, 2),
            identity=self.identity,
            overlay=written,
        )

    def unreadable(self, name: str, message: str, digest: str) -> Result:
        """The result for an image that cannot be read; the digest is empty where its file cannot even be opened."""
        return Result(
            path=name,
            sha256=digest,
            verdict=Outcome.UNREADABLE,
            score=None,
            threshold=self.threshold.value,
            message=message,
            regions=(),
            inspected=datetime.now(UTC).isoformat(timespec="milliseconds"),
            milliseconds=0.0,
            identity=self.identity,
        )


def _regions(found: Inspection, threshold: float) -> tuple[Region, ...]:
    """Found on the map as it was scored, so that they agree with the verdict; told in whole pixels of the image."""
    placement = found.placement
    regions = []
    for region in flagged_regions(found.anomaly_map, threshold)[:MOST_REGIONS]:
        top, left, height, width = region.bounding_box
        y0, x0 = placement.canvas_to_source(top, left)
        y1, x1 = placement.canvas_to_source(top + height, left + width)
        row, column = math.floor(y0), math.floor(x0)
        past_row, past_column = (
            min(math.ceil(end), side) for end, side in zip((y1, x1), placement.source, strict=True)
        )
        area = region.area * (y1 - y0) * (x1 - x0) / (height * width)
        regions.append(
            Region(row, column, max(past_row - row, 1), max(past_column - column, 1), max(round(area), 1), region.peak)
        )
    return tuple(regions)
