"""The look: tokens for dark and light, the palette, the only style sheet, icons, marks and colour maps."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QRectF, Signal
from PySide6.QtGui import QColor, QIcon, QPainter
from PySide6.QtWidgets import QApplication

COLOUR_MAPS = ("inferno", "magma", "viridis", "plasma", "cividis", "turbo")
GRID = 8
MARGIN = 12
GAP = 8
CONTROL_HEIGHT = 30


class Scheme(StrEnum):
    """What the user asked for."""

    SYSTEM = "system"
    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The colours of one scheme, as "#rrggbb"."""

    dark: bool
    window: str
    panel: str
    raised: str
    border: str
    text: str
    muted: str
    accent: str
    on_accent: str
    good: str
    uncertain: str
    defect: str
    canvas: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How a verdict or label is shown: never by colour alone.

    Attributes:
        key: "good", "uncertain", "defect" or "unlabelled".
        sign: One character, for text.
        word: For reading aloud and tooltips.
    """

    key: str
    sign: str
    word: str


MARKS = {
    mark.key: mark
    for mark in (
        Mark("defect", "✕", "Defect"),
        Mark("good", "✓", "Good"),
        Mark("uncertain", "?", "Uncertain"),
        Mark("unlabelled", "○", "Not labelled"),
    )
}

DARK = Tokens(
    dark=True,
    window="#1b1e23",
    panel="#23272e",
    raised="#2b3038",
    border="#3a404a",
    text="#e6e9ee",
    muted="#9aa4b2",
    accent="#4c8dff",
    on_accent="#0b1526",
    good="#2fb380",
    uncertain="#f5a524",
    defect="#ff6369",
    canvas="#14161a",
)
LIGHT = Tokens(
    dark=False,
    window="#f4f5f7",
    panel="#ffffff",
    raised="#eceff3",
    border="#d5dae1",
    text="#1c2024",
    muted="#5f6773",
    accent="#2563eb",
    on_accent="#ffffff",
    good="#18794e",
    uncertain="#ad5700",
    defect="#ce2c31",
    canvas="#e4e7ec",
)


class Notifier(QObject):
    """Tells painted widgets that the tokens have changed."""

    changed = Signal()


def notifier() -> Notifier:
    """The one notifier of this process."""
    return Notifier()


def current() -> Tokens:
    """The tokens in force now; dark before `apply` has been called."""
    return DARK


def apply(app: QApplication, scheme: Scheme | str = Scheme.SYSTEM) -> None:
    """Dress the application: Fusion, palette, style sheet; follows the desktop while `scheme` is "system"."""


def colour(key: str) -> QColor:
    """The colour of a token or mark ("text", "accent", "defect", "unlabelled", ...) in the scheme in force."""
    return QColor()


def icon(name: str, token: str = "text") -> QIcon:
    """An icon of the Material Design set ("folder-open-outline"), in a token's colour, muted while disabled."""
    return QIcon()


def mark_icon(key: str) -> QIcon:
    """The mark of a verdict or label as an icon."""
    return QIcon()


def paint_mark(painter: QPainter, box: QRectF, key: str) -> None:
    """Draw the mark of a verdict or label into a square, in its colour; independent of fonts."""


def colour_map(name: str) -> NDArray[np.uint8]:
    """A lookup table, (256, 3) RGB uint8, read-only. Raises KeyError for a name outside COLOUR_MAPS."""
    return np.zeros((256, 3), np.uint8)
