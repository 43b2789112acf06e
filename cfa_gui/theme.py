"""The look: tokens for dark and light, the palette, the only style sheet, icons, marks and colour maps."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QWidget

import resources
from cfa_gui.icons import DrawnIcon, glyph_painting

COLOUR_MAPS = ("inferno", "magma", "viridis", "plasma", "cividis", "turbo")
GRID = 8
MARGIN = 12
GAP = 8
CONTROL_HEIGHT = 30
BODY, SECTION, CAPTION = 13, 15, 11
"""Sizes of type, in logical pixels."""


class Scheme(StrEnum):
    """What the user asked for."""

    SYSTEM = "system"
    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The colours of one scheme, as "#rrggbb".

    Attributes:
        dark: Whether this is the dark scheme.
        window: Behind everything.
        panel: What controls lie on.
        raised: Buttons, menus.
        border: Thin lines.
        text: Body text.
        muted: Captions, units.
        accent: What can be done next.
        on_accent: Text on the accent.
        good: Verdict and label.
        uncertain: Verdict.
        defect: Verdict and label.
        canvas: Behind the picture.
        field: Inside fields that are typed into.
        faint: Text of what cannot be used now.
        strong: Lines under the pointer.
        hover: Surfaces under the pointer.
        selected: The row that is chosen.
    """

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
    field: str
    faint: str
    strong: str
    hover: str
    selected: str


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
    field="#1b1e23",
    faint="#69727f",
    strong="#5a6370",
    hover="#323843",
    selected="#2c4066",
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
    canvas="#d9dde3",
    field="#ffffff",
    faint="#9aa1ac",
    strong="#a9b1bd",
    hover="#e3e7ed",
    selected="#d6e4ff",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """How a verdict or label is shown: never by colour alone.

    Attributes:
        key: "good", "uncertain", "defect" or "unlabelled".
        sign: One character, for text.
        word: For reading aloud and tooltips.
        token: The token of its colour.
    """

    key: str
    sign: str
    word: str
    token: str


MARKS = {
    mark.key: mark
    for mark in (
        Mark("defect", "✕", "Defect", "defect"),
        Mark("good", "✓", "Good", "good"),
        Mark("uncertain", "?", "Uncertain", "uncertain"),
        Mark("unlabelled", "○", "Not labelled", "muted"),
    )
}


class Notifier(QObject):
    """Tells painted widgets that the tokens have changed."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.scheme = Scheme.SYSTEM
        self.tokens = DARK

    @Slot()
    def on_desktop_changed(self) -> None:
        """The desktop went dark or light."""
        app = QApplication.instance()
        if self.scheme is Scheme.SYSTEM and isinstance(app, QApplication):
            _dress(app, _desktop_tokens(app))


@cache
def notifier() -> Notifier:
    """The one notifier of this process."""
    return Notifier()


def current() -> Tokens:
    """The tokens in force now; dark before `apply` has been called."""
    return notifier().tokens


def apply(app: QApplication, scheme: Scheme | str = Scheme.SYSTEM) -> None:
    """Dress the application: Fusion, palette, style sheet; follows the desktop while `scheme` is "system".

    Raises:
        ValueError: A scheme that is none of Scheme.
    """
    scheme = Scheme(scheme)
    hints = app.styleHints()
    first = not app.property("dressed")
    if first:
        app.setProperty("dressed", True)  # noqa: FBT003  Qt's own way
        app.setStyle("Fusion")
        hints.colorSchemeChanged.connect(notifier().on_desktop_changed)
    notifier().scheme = scheme
    wanted = {Scheme.DARK: Qt.ColorScheme.Dark, Scheme.LIGHT: Qt.ColorScheme.Light}
    hints.setColorScheme(wanted.get(scheme, Qt.ColorScheme.Unknown))  # title bars and native dialogs
    fixed = {Scheme.DARK: DARK, Scheme.LIGHT: LIGHT}
    _dress(app, fixed.get(scheme) or _desktop_tokens(app))


def _desktop_tokens(app: QApplication) -> Tokens:
    """What the desktop asks for; dark where it does not say."""
    return LIGHT if app.styleHints().colorScheme() is Qt.ColorScheme.Light else DARK


def _dress(app: QApplication, tokens: Tokens) -> None:
    notifier().tokens = tokens
    font = app.font()
    font.setPixelSize(BODY)
    app.setFont(font)
    app.setPalette(_palette(tokens))
    app.setStyleSheet(_style_sheet(tokens))
    notifier().changed.emit()


def _palette(tokens: Tokens) -> QPalette:
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette()
    colours = {
        role.Window: tokens.window,
        role.WindowText: tokens.text,
        role.Base: tokens.field,
        role.AlternateBase: tokens.panel,
        role.Text: tokens.text,
        role.Button: tokens.raised,
        role.ButtonText: tokens.text,
        role.ToolTipBase: tokens.raised,
        role.ToolTipText: tokens.text,
        role.PlaceholderText: tokens.muted,
        role.Highlight: tokens.accent,
        role.HighlightedText: tokens.on_accent,
        role.Link: tokens.accent,
        role.LinkVisited: tokens.accent,
        role.Accent: tokens.accent,
        role.Mid: tokens.border,
        role.Dark: tokens.border,
        role.Light: tokens.raised,
    }
    for which, value in colours.items():
        palette.setColor(which, QColor(value))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, which, QColor(tokens.faint))
    return palette


def _style_sheet(tokens: Tokens) -> str:
    accent = QColor(tokens.accent)
    more = {
        "scheme": "dark" if tokens.dark else "light",
        "icons": (resource_folder() / "icons").as_posix(),
        "accent_hover": accent.lighter(110).name(),
        "accent_pressed": accent.darker(115).name(),
        "pressed": mixed(tokens.raised, tokens.accent, 0.25).name(),
        "handle": tokens.text if tokens.dark else "#ffffff",
        "scroll": tokens.border if tokens.dark else "#c4cad3",
    }
    template = Template((resource_folder() / "style.qss").read_text("utf-8"))
    return template.substitute(asdict(tokens) | more)


def resource_folder() -> Path:
    """Where the data files lie, in a checkout and in an installed wheel."""
    return Path(resources.__file__).parent


def colour(key: str, alpha: float = 1.0) -> QColor:
    """The colour of a token or mark ("text", "accent", "defect", "unlabelled", ...) in the scheme in force.

    Args:
        key: A field of Tokens, or a key of MARKS.
        alpha: Opacity, 0..1.
    """
    token = MARKS[key].token if key in MARKS else key
    made = QColor(getattr(current(), token))
    made.setAlphaF(alpha)
    return made


def mixed(first: str | QColor, second: str | QColor, share: float) -> QColor:
    """The colour that lies `share` (0..1) of the way from the first to the second."""
    one, two = QColor(first), QColor(second)
    parts = [
        round(a + (b - a) * share)
        for a, b in zip((one.red(), one.green(), one.blue()), (two.red(), two.green(), two.blue()), strict=True)
    ]
    return QColor(*parts)


def indent(box: QAbstractSpinBox) -> None:
    """Keep the text of a number field off its border; a style sheet's padding does not reach it."""
    box.lineEdit().setTextMargins(6, 0, 0, 0)


def set_role(widget: QWidget, role: str) -> None:
    """Give a widget its part in the style sheet.

    Args:
        widget: A label, button or frame.
        role: Labels: "title", "section", "caption", "muted", "number". Buttons: "primary", "link". Frames: "panel",
            "card", "line".
    """
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def figures(font: QFont, pixels: int = BODY, *, bold: bool = False) -> QFont:
    """The font with figures of one width, so that numbers stand under each other and do not dance."""
    made = QFont(font)
    made.setPixelSize(pixels)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def icon(name: str, ink: str = "text") -> QIcon:
    """An icon of the Material Design set, in a token's colour, faint while disabled; follows the scheme by itself.

    Args:
        name: As the set names it, without prefix: "folder-open-outline".
        ink: Its colour: a field of Tokens, or a key of MARKS.

    Raises:
        KeyError: The set has no icon of this name.
    """

    def colour_of(mode: QIcon.Mode) -> QColor:
        return colour("faint" if mode is QIcon.Mode.Disabled else ink)

    return QIcon(DrawnIcon(glyph_painting(name), colour_of))


def mark_icon(key: str) -> QIcon:
    """The mark of a verdict or label as an icon."""

    def paint(painter: QPainter, square: QRectF, _: QColor) -> None:
        paint_mark(painter, square, key)

    return QIcon(DrawnIcon(paint, lambda _mode: colour(key)))


def paint_mark(painter: QPainter, box: QRectF, key: str) -> None:
    """Draw the mark of a verdict or label into a square, in its colour; independent of fonts."""
    side = min(box.width(), box.height())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.center())
    painter.scale(side / 16, side / 16)
    pen = QPen(colour(key), 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if key == "defect":
        painter.drawLine(QPointF(-4.5, -4.5), QPointF(4.5, 4.5))
        painter.drawLine(QPointF(-4.5, 4.5), QPointF(4.5, -4.5))
    elif key == "good":
        painter.drawPolyline(QPolygonF([QPointF(-5.5, 0.5), QPointF(-1.8, 4.2), QPointF(5.5, -4)]))
    elif key == "uncertain":
        painter.drawArc(QRectF(-3.4, -6, 6.8, 6.8), 200 * 16, -250 * 16)
        painter.drawPolyline(QPolygonF([QPointF(1.4, 0.0), QPointF(0, 1.2), QPointF(0, 2.6)]))
        painter.drawPoint(QPointF(0, 6))
    else:
        painter.drawEllipse(QPointF(0, 0), 4.6, 4.6)
    painter.restore()


def colour_map(name: str) -> NDArray[np.uint8]:
    """A lookup table, (256, 3) RGB uint8, read-only.

    Raises:
        KeyError: A name outside COLOUR_MAPS.
    """
    if name not in COLOUR_MAPS:
        raise KeyError(name)
    table: NDArray[np.uint8] = _colour_tables()[COLOUR_MAPS.index(name)]
    return table


@cache
def _colour_tables() -> NDArray[np.uint8]:
    """All tables, (6, 256, 3): Matplotlib's (CC0) and, last, Google's turbo (Apache-2.0)."""
    tables: NDArray[np.uint8] = np.load(resource_folder() / "colour_maps.npy")
    tables.setflags(write=False)
    return tables
