"""The drawing of the sample parts: a turned steel flange on a conveyor belt, seen from above by a camera.

Everything is drawn at twice the picture's size and reduced by area. Inside this file images are float32, 0..1, BGR
where they have colour; coordinates and lengths are pixels of the drawing unless said. `photograph` is the way in.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.opencv import cv2

Floats = NDArray[Any]  # float32; the stubs of numpy take float32 times float for float64
Mask = NDArray[np.bool_]

_WIDTH, _HEIGHT = 480, 400  # of the picture
_W, _H = 2 * _WIDTH, 2 * _HEIGHT  # of the drawing
_SLACK = 180  # by how much the belt is longer and wider than the picture
_BORE, _HUB, _RIM = 92.0, 172.0, 330.0  # radii of the part
_HOLES, _HOLE_CIRCLE, _HOLE, _SINK = 6, 250.0, 25.0, 36.0  # number, then radii
_EDGES = (  # radius, width, slope outward: the turned steps, chamfers and grooves
    (_RIM - 5, 6.0, 1.0),
    (_RIM - 26, 1.6, -0.4),
    (_RIM - 22, 1.6, 0.4),
    (_HUB, 5.0, 0.9),
    (_HUB - 12, 2.0, -0.35),
    (_BORE + 6, 6.0, -0.9),
)
_MARKINGS = (("CF-060", 0.25), ("PN16", 0.75))  # text, place as a share of the circle from the left, clockwise
_LAMP = math.radians(-128.0)  # azimuth: above, to the left (y points down)
_STEEL, _GLINT = np.array([0.93, 0.965, 0.97], np.float32), np.array([0.10, 0.05, 0.03], np.float32)
_RUBBER = np.array([1.06, 1.03, 0.88], np.float32)
_STAINS = np.array([[0.42, 0.60, 0.84], [0.52, 0.60, 0.64], [0.93, 0.80, 0.70]], np.float32)  # rust, oil, coolant


# --- what all pictures share -----------------------------------------------------------------------------------------


def _smooth(values: Floats, low: float | Floats, high: float | Floats) -> Floats:
    """0 below low, 1 above high, a cubic ramp between; low > high turns it round."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Smooth noise of about unit deviation; its features are about `cell` pixels wide."""
    coarse = rng.standard_normal([max(2, round(side / cell)) for side in shape], dtype=np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _blur(image: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _warp(image: Floats, matrix: NDArray[Any], border: int = cv2.BORDER_REPLICATE) -> Floats:
    size = image.shape[1::-1]
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.float32)


def _halve(image: Floats) -> Floats:
    """From the drawing's size to the picture's."""
    return np.asarray(cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.float32)


class Scene:
    """The belt and the ideal part: everything that does not change from picture to picture.

    Attributes:
        x, y, radius, angle: Coordinates about the part's axis, (800, 960); radians, y down.
        hole: Distance to the centre of the nearest bolt hole.
        opening: Distance to the nearest bore, keyway or hole; negative inside.
        alpha: 1 on metal, 0 where one looks past or through the part.
        shade: Brightness of the ideal part in diffuse light.
        gloss: How much of the lamp's reflection each point throws back.
        belt: A stretch of conveyor larger than a picture, at the picture's size.
    """

    def __init__(self, seed: int) -> None:
        y, x = np.mgrid[0:_H, 0:_W].astype(np.float32)
        self.x, self.y = x - (_W - 1) / 2, y - (_H - 1) / 2
        self.radius = np.hypot(self.x, self.y)
        self.angle = np.arctan2(self.y, self.x)
        spoke = 2 * math.pi / _HOLES
        nearest = np.round(self.angle / spoke) * spoke
        self._hole_x = self.x - _HOLE_CIRCLE * np.cos(nearest)
        self._hole_y = self.y - _HOLE_CIRCLE * np.sin(nearest)
        self.hole = np.hypot(self._hole_x, self._hole_y)
        keyway = np.maximum(np.abs(self.x) - 20.0, np.abs(self.y + _BORE) - 24.0)
        self.opening = np.minimum(np.minimum(self.radius - _BORE, self.hole - _HOLE), keyway)
        self.alpha = _smooth(np.minimum(_RIM - self.radius, self.opening), -0.7, 0.7)
        self.shade, self.gloss = self._shaded()
        self.belt = _belt(np.random.default_rng([seed, 99]))

    def _shaded(self) -> tuple[Floats, Floats]:
        facing = np.cos(self.angle - _LAMP)  # of a slope that falls outward, towards the lamp
        shade = np.full_like(self.radius, 0.42) + np.where(self.radius < _HUB - 6, np.float32(0.05), np.float32(0.0))
        gloss = np.ones_like(self.radius)
        for radius, width, slope in _EDGES:
            band = np.exp(-(((self.radius - radius) / width) ** 2))
            shade += band * (0.30 * slope * facing - 0.05)
            gloss *= 1.0 - 0.75 * band
        foot = np.exp(-np.maximum(self.radius - _HUB, 0.0) / 9.0) * (self.radius > _HUB)
        shade -= foot * (0.10 - 0.10 * facing)
        sink = _smooth(self.hole, _SINK + 1.5, _SINK - 1.5)
        away = (self._hole_x * math.cos(_LAMP) + self._hole_y * math.sin(_LAMP)) / np.maximum(self.hole, 1.0)
        shade -= sink * (0.08 + 0.28 * away)
        gloss *= 1.0 - 0.9 * sink
        depth = self._marking()
        lit = np.roll(depth, (2, 2), (0, 1)) * (1 - depth)
        return shade * (1 - 0.55 * depth) + 0.14 * lit, gloss * (1 - 0.6 * depth)

    def _marking(self) -> Floats:
        """Text engraved along the bolt circle: depth 0..1."""
        length, height = round(2 * math.pi * _HOLE_CIRCLE), 80
        strip = np.zeros((height, length), np.uint8)
        for text, turn in _MARKINGS:
            (width, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 4)
            origin = (round(turn * length - width / 2), (height + tall) // 2)
            cv2.putText(strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 4, cv2.LINE_AA)
        along = (self.angle / (2 * math.pi) + 0.5) * length
        across = height / 2 + _HOLE_CIRCLE - self.radius
        return np.asarray(cv2.remap(strip, along, across, cv2.INTER_LINEAR), np.float32) / 255


def _belt(rng: np.random.Generator) -> Floats:
    shape = (_HEIGHT + _SLACK, _WIDTH + _SLACK)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    tone = 0.135 + 0.010 * np.sin((x + y) * 1.1) * np.sin((x - y) * 1.1) + 0.007 * _noise(rng, shape, 1.5)
    tone += 0.010 * _noise(rng, shape, 70.0) + 0.006 * _noise(rng, shape, 12.0)
    wear = _noise(rng, (shape[0], 2), 30.0)[:, :1]  # streaks along the direction of travel
    dust = np.zeros((2 * shape[0], 2 * shape[1]), np.uint8)
    for _ in range(260):
        at = (int(rng.integers(dust.shape[1])), int(rng.integers(dust.shape[0])))
        cv2.circle(dust, at, int(rng.integers(1, 3)), int(rng.integers(20, 90)), -1, cv2.LINE_AA)
    specks = cv2.resize(dust, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(tone + 0.006 * wear + 0.25 * specks, np.float32)


# --- one picture -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """One part on its way through the drawing; a defect changes it in place and says where it is.

    Attributes:
        scene: The ideal part.
        alpha: As in the scene, but this part's own.
        light: Brightness in diffuse light, (800, 960).
        gloss: As in the scene, but this part's own.
        marks: The turning marks: what is added to the angle at which they throw the lamp back, in radians.
        stain: What the colour is multiplied by, (800, 960, 3) BGR; None: no stain.
    """

    scene: Scene
    alpha: Floats
    light: Floats
    gloss: Floats
    marks: Floats
    stain: Floats | None = None


def photograph(scene: Scene, kind: str, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """Draw one part and take its picture.

    Args:
        scene: What all pictures share.
        kind: One of `DEFECTS`; empty: a good part.
        rng: Decides everything that differs from picture to picture.

    Returns:
        The picture, (400, 480, 3) uint8 BGR, and where its defect is, (400, 480).
    """
    part = _turned(scene, rng)
    defect = DEFECTS[kind](part, rng) if kind else None
    middle = ((_W - 1) / 2, (_H - 1) / 2)
    placing = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(-1.0, 1.0), 1.0), np.float64)
    placing[:, 2] += rng.uniform(-8.0, 8.0, 2)
    alpha = _halve(_warp(part.alpha, placing))
    grey = _halve(_warp(_lit(part, rng), placing))
    metal = grey[..., None] * (_STEEL + grey[..., None] * _GLINT)
    if part.stain is not None:
        metal *= _halve(_warp(part.stain, placing))
    picture = _developed(_on_belt(scene, metal, alpha, rng), rng)
    if defect is None:
        return picture, np.zeros((_HEIGHT, _WIDTH), np.bool_)
    return picture, np.asarray(_halve(_warp(defect, placing)) > 0.5)


def _turned(scene: Scene, rng: np.random.Generator) -> _Part:
    """A good part: the ideal one with turning marks of its own."""
    rows = round(_RIM) + 8
    marks = 0.33 * _noise(rng, (rows, 256), 1.0) + 0.28 * _noise(rng, (rows, 256), 4.0)
    marks[:, -16:] += (marks[:, :1] - marks[:, -1:]) * np.linspace(0, 1, 16, dtype=np.float32)  # close the circle
    marks += 0.8 * rng.standard_normal((rows, 1), dtype=np.float32)
    along = (scene.angle / (2 * math.pi) + 0.5) * 255
    marks = np.asarray(cv2.remap(marks, along, scene.radius, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return _Part(scene, scene.alpha.copy(), scene.shade + 0.014 * marks, scene.gloss.copy(), 0.05 * marks)


def _lit(part: _Part, rng: np.random.Generator) -> Floats:
    """The part's brightness under the lamp: concentric marks throw it back in two opposite fans."""
    across = np.sin(part.scene.angle - rng.normal(_LAMP, 0.02) + part.marks) ** 2
    fans = 0.30 * np.exp(across / -(0.22**2)) + 0.20 * np.exp(across / -(0.6**2))
    return np.asarray(np.clip(part.light + part.gloss * fans * rng.uniform(0.92, 1.08), 0.0, 1.2), np.float32)


def _on_belt(scene: Scene, metal: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
    top, left = rng.integers(0, _SLACK, 2)
    away = np.array([[1, 0, -7 * math.cos(_LAMP)], [0, 1, -7 * math.sin(_LAMP)]])
    near = _blur(cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), 11.0 / 4)
    near = np.asarray(cv2.resize(near, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32)
    shadow = 1.0 - 0.45 * _blur(_warp(alpha, away), 3.5) - 0.30 * near
    belt = (scene.belt[top : top + _HEIGHT, left : left + _WIDTH] * shadow)[..., None] * _RUBBER
    return np.asarray(belt + (metal - belt) * alpha[..., None], np.float32)


def _developed(frame: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera makes of it: uneven light, exposure, lens, noise."""
    y, x = np.mgrid[-1 : 1 : _HEIGHT * 1j, -1 : 1 : _WIDTH * 1j].astype(np.float32)
    slope_x, slope_y = rng.normal(-0.05, 0.02, 2).astype(np.float32)
    field = (1.0 + slope_x * x + slope_y * y - 0.07 * (x * x + y * y)) * rng.normal(1.0, 0.015)
    seen = _blur(frame * field[..., None], 0.55)
    grain = rng.standard_normal(seen.shape, dtype=np.float32)
    seen += grain * (0.0045 + 0.006 * np.sqrt(np.maximum(seen, 0.0)))
    return np.asarray(np.clip(seen * 255.0 + 0.5, 0, 255), np.uint8)


# --- defects: each changes the part and returns where it is, 0..1, (800, 960) ----------------------------------------


def _spot(scene: Scene, rng: np.random.Generator, margin: float) -> tuple[Floats, Floats]:
    """Coordinates (x, y) about a point on the face, at least `margin` from every edge; all places equally likely."""
    free = np.flatnonzero((scene.opening > margin) & (scene.radius < _RIM - 28 - margin))
    at = free[rng.integers(len(free))]
    return scene.x - scene.x.flat[at], scene.y - scene.y.flat[at]


def _scratch(part: _Part, rng: np.random.Generator) -> Floats:
    """One to three fine curved grooves side by side, deepest in the middle: a dark bed and a lit edge."""
    x, y = _spot(part.scene, rng, 20.0)
    centre = np.array([-x[0, 0], -y[0, 0]])
    course, length, curve = rng.uniform(0, 2 * math.pi), rng.uniform(100.0, 270.0), rng.normal(0.0, 0.08)
    strength = rng.uniform(0.6, 1.0)
    groove = np.zeros((_H, _W), np.uint8)
    for _ in range(rng.integers(1, 4)):
        width = int(rng.integers(2, 4))
        along = length * rng.uniform(0.4, 1.0) * np.array([math.cos(course), math.sin(course)])
        bend = (curve + rng.normal(0.0, 0.015)) * along[::-1] * (-1, 1)
        start = centre + rng.normal(0.0, 6.0, 2) + rng.normal(0.0, 0.12) * along
        t = np.linspace(-1.0, 1.0, 25)
        points = start + along * t[:, None] / 2 - bend * t[:, None] ** 2
        for (x0, y0), (x1, y1), depth in zip(points, points[1:], 1 - (t[:-1] + 0.04) ** 2, strict=False):
            ends = (round(x0 * 16), round(y0 * 16)), (round(x1 * 16), round(y1 * 16))  # in sixteenths of a pixel
            cv2.line(groove, ends[0], ends[1], 255 * strength * math.sqrt(max(depth, 0.0)), width, cv2.LINE_AA, shift=4)
    bed = _blur(groove.astype(np.float32) / 255, 0.6) * part.alpha
    lit = np.roll(bed, (2, 2), (0, 1)) * part.alpha
    part.light += 0.55 * lit - 0.42 * bed
    part.gloss *= 1 - 0.7 * bed
    seen = (np.maximum(bed, lit) > 0.12).astype(np.float32)
    return np.asarray(cv2.dilate(seen, np.ones((3, 3), np.uint8)) * part.alpha, np.float32)


def _dent(part: _Part, rng: np.random.Generator) -> Floats:
    """A smooth hollow with a faint raised rim: dark towards the lamp, bright away from it."""
    x, y = _spot(part.scene, rng, 16.0)
    turn, long = rng.uniform(0, math.pi), rng.uniform(11.0, 24.0)
    short = long * rng.uniform(0.6, 1.0)
    u = (x * math.cos(turn) + y * math.sin(turn)) / long
    v = (y * math.cos(turn) - x * math.sin(turn)) / short
    away = np.hypot(u, v)
    hollow = np.exp(away**2 / -1.4) * part.alpha
    rim = np.exp(-(((away - 1.9) / 0.4) ** 2)) * part.alpha
    towards = (x * math.cos(_LAMP) + y * math.sin(_LAMP)) / long
    depth = rng.uniform(0.16, 0.38)
    part.light -= depth * (towards * (1.6 * hollow - 0.14 * rim) + 0.2 * hollow)
    part.gloss *= 1 - 0.5 * hollow
    part.marks += 1.2 * depth * hollow * u
    return np.asarray((away < 1.9) * part.alpha, np.float32)


def _chip(part: _Part, rng: np.random.Generator) -> Floats:
    """A piece broken off the rim: the belt shows, and a rough sloping fracture towards the face."""
    scene = part.scene
    width, depth = rng.uniform(18.0, 52.0), rng.uniform(9.0, 22.0)
    off = np.sin((scene.angle - rng.uniform(0, 2 * math.pi)) / 2) * 2 * _RIM  # along the rim, from the middle
    coarse, fine = (np.interp(off, np.arange(-60, 60, step), rng.standard_normal(120 // step)) for step in (15, 5))
    bite = depth * np.sqrt(np.clip(1 - (off / width) ** 2, 0, 1)) * (1 + 0.16 * coarse + 0.05 * fine)
    edge = _RIM - bite
    fracture = _smooth(scene.radius, edge - 0.75 * bite - 3, edge - 0.65 * bite) * (bite > 1)
    rough = _noise(rng, (_H, _W), 3.0)
    facing = np.cos(scene.angle - _LAMP)
    part.light += fracture * (0.10 * facing - 0.06 + 0.05 * rough)
    part.gloss *= 1 - 0.9 * fracture
    part.alpha = np.minimum(part.alpha, _smooth(edge - scene.radius, -0.8, 0.8))
    return np.asarray((fracture > 0.3) & (scene.radius < _RIM), np.float32)


def _stain(part: _Part, rng: np.random.Generator) -> Floats:
    """A dried blotch of rust, oil or coolant, darker towards its border."""
    x, y = _spot(part.scene, rng, 0.0)
    size, strength = rng.uniform(32.0, 74.0), rng.uniform(0.35, 0.9)
    ragged = 0.16 * _noise(rng, (_H, _W), 26.0) + 0.07 * _noise(rng, (_H, _W), 7.0)
    inside = 1.0 - np.hypot(x, y) / size + ragged
    film = _smooth(inside, 0.25, 0.45) * (0.7 + 0.12 * _noise(rng, (_H, _W), 12.0))
    border = _smooth(inside, 0.25, 0.33) * _smooth(inside, 0.52, 0.36)
    cover = np.clip(strength * (film + 0.35 * border), 0, 1)
    tint = _STAINS[rng.integers(len(_STAINS))]
    part.stain = np.asarray(1 - cover[..., None] * (1 - tint), np.float32)
    part.gloss *= 1 - 0.35 * cover
    return np.asarray((inside > 0.34) * part.alpha, np.float32)


DEFECTS: dict[str, Callable[[_Part, np.random.Generator], Floats]] = {
    "scratch": _scratch,
    "dent": _dent,
    "chip": _chip,
    "stain": _stain,
}
"""The kinds of defect, by the name of their folder."""
