"""One image as a report shows it: small, plain and under its heat map, with the flagged regions numbered."""

import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cfa_gui.models.exports import MapOf
from cfa_gui.models.flagged import ListedRegion, listed_regions
from cfa_gui.models.results import ImageResult
from cfa_gui.reports.report import Exhibit, Spot
from core.errors import ImageError
from core.images import read_thumbnail, shown
from core.overlay import overlay
from core.placement import Placement

SIDE = 640
"""Longest side of a picture in a report, pixels."""
MOST_SPOTS = 5
_QUALITY = 88


def number_words(value: float) -> str:
    """A score, with digits enough to tell it from its neighbours."""
    usual = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if usual else f"{value:.4g}"


def exhibit(image: ImageResult, threshold: float, map_of: MapOf) -> Exhibit:
    """Read the picture, draw its heat map, list its flagged regions.

    Args:
        image: With a score.
        threshold: The contour, and the middle of the colours.
        map_of: Gives the anomaly maps.
    """
    values, placement = map_of(image.place), image.placement
    remark = ""
    plain: NDArray[np.uint8] | None = None
    try:
        plain = read_thumbnail(image.sample.path, SIDE)
    except ImageError as error:
        remark = f"The picture cannot be shown: {error}"
    heat: NDArray[np.uint8] | None = None
    regions: tuple[ListedRegion, ...] = ()
    if values is None or placement is None:
        remark = remark or "Its heat map is no longer held: inspect the image again."
    else:
        regions = listed_regions(values, placement, threshold)
        if plain is not None:
            small = replace(placement, source=(plain.shape[0], plain.shape[1]))
            heat = overlay(plain, small.map_to_source(values), threshold)
    height, width = placement.source if placement is not None else (1, 1)
    return Exhibit(
        name=shown(image.sample.name),
        score=number_words(image.score or 0.0),
        verdict=image.verdict.value if image.verdict else "unlabelled",
        label=image.label.value if image.label else "unlabelled",
        pixels=f"{width:,} × {height:,} pixels" if placement else "",
        aspect=width / height,
        plain=None if plain is None else _jpeg(plain),
        heat=None if heat is None else _jpeg(heat),
        spots=_spots(regions, placement) if placement is not None else (),
        more_spots=max(0, len(regions) - MOST_SPOTS),
        remark=shown(remark),
    )


def _spots(regions: tuple[ListedRegion, ...], placement: Placement) -> tuple[Spot, ...]:
    height, width = placement.source
    spots = []
    for number, region in enumerate(regions[:MOST_SPOTS], start=1):
        y, x, tall, wide = region.box
        words = f"{wide:.0f} × {tall:.0f} px at ({x:.0f}, {y:.0f}), area {region.area:,.0f} px, highest score "
        words += number_words(region.peak)
        spots.append(Spot(number, x / width, y / height, wide / width, tall / height, words))
    return tuple(spots)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
