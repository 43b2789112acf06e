"""The drawings of a report as SVG: numbers and fixed words only, so that nothing needs escaping.

They are shown in the HTML as they are and drawn into the PDF by QtSvg, so they keep to what SVG Tiny 1.2 knows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cfa_gui.theme import LIGHT
from cfa_gui.widgets.axes import Span, padded, tick_texts, ticks
from cfa_gui.widgets.histogram_bars import DEFECT, GOOD, UNLABELLED, Bars
from core.opencv import cv2
from core.overlay import RANGE_IN_THRESHOLDS

HISTOGRAM_SIZE = (720, 240)
SCALE_SIZE = (240, 34)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 26, 44
_BARS = 48
_LEAST = 2.5
_HATCH = 6.0
_FILL = {GOOD: LIGHT.good, UNLABELLED: "#e3e7ed", DEFECT: LIGHT.defect}
_EDGE = {GOOD: LIGHT.good, UNLABELLED: LIGHT.muted, DEFECT: LIGHT.defect}


def histogram(
    scores: NDArray[np.float64],
    groups: NDArray[np.int8],
    threshold: float,
    lower: float | None,
    words: str,
    held_out: Sequence[float] = (),
) -> str:
    """How many images have which score, with the threshold.

    Args:
        scores: (n,), finite; n at least 1.
        groups: (n,) of `histogram_bars`: good is plain, defect hatched, unlabelled pale with an edge.
        threshold: A line with its value.
        lower: A second, dashed line.
        words: The threshold's value as the report says it.
        held_out: Scores of good images that were held out from training, an outline.
    """
    width, height = HISTOGRAM_SIZE
    lines = [threshold] if lower is None else [threshold, lower]
    beside = [*lines, *held_out]
    span = padded(float(min(scores.min(), *beside)), float(max(scores.max(), *beside)), 0.03)
    bars = Bars.of(scores, groups, span, _BARS, np.asarray(held_out, np.float64))
    parts = [*_axes(span, bars.top()), *_bars(bars, span), *_outline(bars, span)]
    if lower is not None:
        parts += _line(_x(span, lower), LIGHT.uncertain, dashed=True)
    parts += _line(_x(span, threshold), LIGHT.text)
    parts.append(_caption(_x(span, threshold), f"threshold {words}"))
    return _svg(width, height, parts)


def heat_scale() -> str:
    """The colours of the heat maps; the threshold is in their middle."""
    width, height = SCALE_SIZE
    stops = "".join(f'<stop offset="{share:.3f}" stop-color="{_colour_at(share)}"/>' for share in np.linspace(0, 1, 13))
    left, right = 1, width - 1
    at = (left + right) / 2
    parts = [
        f'<defs><linearGradient id="heat" x1="0" y1="0" x2="1" y2="0">{stops}</linearGradient></defs>',
        f'<rect x="{left}" y="1" width="{right - left}" height="12" fill="url(#heat)" stroke="{LIGHT.border}"/>',
        f'<line x1="{at}" y1="0" x2="{at}" y2="17" stroke="{LIGHT.text}" stroke-width="1.5"/>',
        _text(left, 29, f"1/{RANGE_IN_THRESHOLDS:g} ×", "start"),
        _text(at, 29, "threshold", "middle"),
        _text(right, 29, f"{RANGE_IN_THRESHOLDS:g} × and more", "end"),
    ]
    return _svg(width, height, parts)


def _colour_at(share: float) -> str:
    """The opaque colour at a share of the scale of `core.overlay`."""
    shade = np.array([[int(share * 255)]], np.uint8)
    blue, green, red = cv2.applyColorMap(shade, cv2.COLORMAP_INFERNO)[0, 0]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _x(span: Span, value: float) -> float:
    return _LEFT + span.share(value) * (HISTOGRAM_SIZE[0] - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (HISTOGRAM_SIZE[1] - _TOP - _BOTTOM)


def _axes(span: Span, top: float) -> Iterator[str]:
    right, base = HISTOGRAM_SIZE[0] - _RIGHT, _y(0)
    for value in ticks(Span(0, top), 4, whole=True):
        y = _y(value / top)
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{LIGHT.border}" stroke-width="0.7"/>'
        yield _text(_LEFT - 6, y + 4, f"{value:,.0f}", "end")
    places = ticks(span, 8)
    for value, words in zip(places, tick_texts(places), strict=True):
        x = _x(span, value)
        yield f'<line x1="{x:.1f}" y1="{base}" x2="{x:.1f}" y2="{base + 4}" stroke="{LIGHT.muted}" stroke-width="1"/>'
        yield _text(x, base + 17, words, "middle")
    yield f'<line x1="{_LEFT}" y1="{base}" x2="{right}" y2="{base}" stroke="{LIGHT.muted}" stroke-width="1"/>'
    yield _text((_LEFT + right) / 2, base + 37, "Anomaly score", "middle")
    yield _text(_LEFT - 38, 12, "Images", "start")


def _bars(bars: Bars, span: Span) -> Iterator[str]:
    top = bars.top()
    stacked = bars.stacked(_LEAST * top / (_y(0) - _y(1)))
    for group, (bottoms, tops) in stacked.items():
        for index in np.flatnonzero(tops > bottoms):
            left, right = _x(span, float(bars.edges[index])) + 0.6, _x(span, float(bars.edges[index + 1])) - 0.6
            high, low = _y(float(tops[index]) / top), _y(float(bottoms[index]) / top)
            yield (
                f'<rect x="{left:.2f}" y="{high:.2f}" width="{right - left:.2f}" height="{low - high:.2f}" '
                f'fill="{_FILL[group]}" stroke="{_EDGE[group]}" stroke-width="0.8"/>'
            )
            if group == DEFECT:
                yield from _hatch(left, high, right, low)


def _outline(bars: Bars, span: Span) -> Iterator[str]:
    top = bars.top()
    across, up, joined = bars.outline(_LEAST * top / (_y(0) - _y(1)))
    path = ""
    for index, (x, y) in enumerate(zip(across, up, strict=True)):
        before = joined[index - 1]  # the last point is joined to none
        if before or joined[index]:
            path += f"{'L' if before else 'M'}{_x(span, float(x)):.2f},{_y(float(y) / top):.2f}"
    if path:
        yield f'<path d="{path}" fill="none" stroke="{LIGHT.text}" stroke-width="1"/>'


def _hatch(left: float, top: float, right: float, bottom: float) -> Iterator[str]:
    """White lines that rise to the right, cut to a rectangle: on x + y = n times the spacing."""
    first = int((left + top) // _HATCH) + 1
    for total in np.arange(first, (right + bottom) / _HATCH) * _HATCH:
        x1, x2 = max(left, total - bottom), min(right, total - top)
        if x2 > x1:
            yield (
                f'<line x1="{x1:.2f}" y1="{total - x1:.2f}" x2="{x2:.2f}" y2="{total - x2:.2f}" '
                'stroke="#ffffff" stroke-width="1.1"/>'
            )


def _line(x: float, colour: str, *, dashed: bool = False) -> Iterator[str]:
    dashes = ' stroke-dasharray="5,4"' if dashed else ""
    yield (
        f'<line x1="{x:.2f}" y1="{_TOP - 6}" x2="{x:.2f}" y2="{_y(0)}" stroke="{colour}" stroke-width="1.8"{dashes}/>'
    )


def _caption(x: float, words: str) -> str:
    """The line's words above it, kept inside the drawing."""
    reach = 4.0 * len(words)
    middle = min(max(x, _LEFT + reach), HISTOGRAM_SIZE[0] - _RIGHT - reach)
    return _text(middle, _TOP - 11, words, "middle", colour=LIGHT.text, weight=600)


def _text(x: float, y: float, words: str, anchor: str, *, colour: str = LIGHT.muted, weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" font-weight="{weight}" '
        f'fill="{colour}">{words}</text>'
    )


def _svg(width: int, height: int, parts: list[str]) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
