"""Small line charts as SVG, by hand: a plotting library would be the largest dependency of the project."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 40, 52
_FONT = 'font-family="sans-serif" font-size="12" fill="#1c2024"'
_COLOURS = ("#2563eb", "#ce2c31", "#18794e", "#ad5700", "#6d28d9", "#0e7490", "#5f6773", "#b83280")
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Attributes:
        label: With its unit.
        ticks: Where figures stand; the first and the last are the ends of the axis.
        logarithmic: For ticks above 0.
    """

    label: str
    ticks: Sequence[float]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """0 at the first tick, 1 at the last; what lies beyond stays at the end."""
        low, high = self._scaled(self.ticks[0]), self._scaled(self.ticks[-1])
        return min(max((self._scaled(value) - low) / (high - low), 0.0), 1.0)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def line_chart(path: Path, title: str, x: Axis, y: Axis, series: Mapping[str, Sequence[Point]]) -> None:
    """Write a chart: one line with points for each series, its name at the right.

    Args:
        path: An .svg file.
        title: Above the chart.
        x: Horizontal axis.
        y: Vertical axis.
        series: Points by name, in order.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" font-weight="600">{html.escape(title)}</text>',
    ]
    parts += [_grid(x, y)]
    for number, (name, points) in enumerate(series.items()):
        parts.append(_line(x, y, name, points, number))
    parts.append("</svg>\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts), encoding="utf-8")


def _grid(x: Axis, y: Axis) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    marks = []
    for tick in x.ticks:
        at = _across(x, tick)
        marks.append(f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom}" stroke="#eceff3"/>')
        marks.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>')
    for tick in y.ticks:
        at = _up(y, tick)
        marks.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#d5dae1"/>')
        marks.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (_TOP + bottom) / 2
    marks.append(
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">{html.escape(x.label)}</text>'
    )
    marks.append(
        f'<text x="16" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 16 {middle:.0f})">'
        f"{html.escape(y.label)}</text>"
    )
    return "\n".join(marks)


def _line(x: Axis, y: Axis, name: str, points: Sequence[Point], number: int) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if number >= len(_COLOURS) else ""
    places = [(_across(x, a), _up(y, b)) for a, b in points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" fill="{colour}"/>' for a, b in places)
    at = _TOP + 14 + 18 * number
    legend = _WIDTH - _RIGHT + 14
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>{dots}'
        f'<path d="M{legend} {at - 4}h18" stroke="{colour}" stroke-width="2.4"{dashes}/>'
        f'<text x="{legend + 24}" y="{at}">{html.escape(name)}</text>'
    )


def _across(x: Axis, value: float) -> float:
    return _LEFT + x.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _up(y: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - y.share(value) * (_HEIGHT - _TOP - _BOTTOM)
