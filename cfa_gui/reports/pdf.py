"""A report as PDF: the content of the HTML, set for A4 paper."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cfa_gui.reports.figures import HISTOGRAM_SIZE, SCALE_SIZE
from cfa_gui.reports.pages import (
    BODY,
    CENTRE,
    INNER,
    MARGIN,
    MUTED,
    RIGHT,
    SMALL,
    STRONG,
    WIDTH,
    Block,
    Pen,
    Type,
    height_of,
    paint,
    width_of,
)
from cfa_gui.reports.report import GROUP_WORDS, HELD_OUT, READING, SCORING, Exhibit, Fact, Gallery, Report, Spot, Tile
from cfa_gui.theme import LIGHT, MARKS
from core.progress import CancelToken, Phase, Progress
from core.progress import Report as Tell
from core.version import VERSION

_TITLE = Type(20, bold=True)
_SECTION = Type(12.5, bold=True)
_NUMBER = Type(18, bold=True)
_CELL = Type(14, bold=True)
_NAMES = 105.0
_FACTS = 150.0
"""Width of what stands beside two pictures."""
_GAP = 10.0
_BOX = 168.0
"""Longest side of a picture, a little less than half of what the facts leave."""


def pdf_report(report: Report, tell: Tell, cancel: CancelToken) -> bytes:
    """The file's content.

    Args:
        report: What it says.
        tell: Told before each page.
        cancel: Checked before each page.

    Raises:
        CancelledByUser: The token was set.
    """

    def turned(done: int, total: int) -> None:
        cancel.check()
        tell(Progress(Phase.SAVING, done, total, "pages"))

    return paint(list(_blocks(report)), f"{report.title} – {report.model}", f"cfa-gui {VERSION}", turned)


def _blocks(report: Report) -> Iterable[Block]:
    yield _header(report)
    yield _tiles(report.tiles)
    yield _heading("Threshold")
    yield _paragraph(SCORING, stays=True)
    yield _threshold(report)
    yield _heading("Scores")
    yield _histogram(report)
    if report.matrix is not None:
        yield _heading("Compared with the labels")
        yield _paragraph(report.label_words, stays=True)
        yield _labelled(report)
    for number, gallery in enumerate(report.galleries):
        yield from _gallery(gallery, report.heat_scale if number == 0 else "")
    if report.failures:
        yield _heading("Images that could not be read")
        yield from map(_fact, report.failures)
        if report.more_failures:
            yield _paragraph(f"And {report.more_failures:,} more; the table of scores (CSV) lists all.", MUTED)
    yield _heading("Model and settings")
    yield from map(_fact, report.settings)
    for place, fact in enumerate(report.versions):
        yield _paragraph(f"{fact.name}: {fact.words}", SMALL, gap=0.0 if place else 14.0)


def _header(report: Report) -> Block:
    name = f"Model: {report.model}"
    room = INNER - 170
    height = 28 + height_of(name, room, MUTED) + 8

    def draw(pen: Pen, y: float) -> None:
        pen.words(MARGIN, y, INNER, report.title, _TITLE)
        pen.words(MARGIN, y + 28, room, name, MUTED)
        pen.words(WIDTH - MARGIN - 170, y + 28, 170, report.date, MUTED, RIGHT)
        pen.line(MARGIN, y + height, WIDTH - MARGIN, y + height, colour=LIGHT.text, width=1.2)

    return Block(height, draw)


def _heading(words: str) -> Block:
    def draw(pen: Pen, y: float) -> None:
        pen.words(MARGIN, y, INNER, words, _SECTION)

    return Block(20, draw, gap=20, stays_with_next=True)


def _paragraph(words: str, style: Type = BODY, *, gap: float = 0.0, stays: bool = False) -> Block:
    def draw(pen: Pen, y: float) -> None:
        pen.words(MARGIN, y, INNER, words, style)

    return Block(height_of(words, INNER, style) + 4, draw, gap, stays)


def _tiles(tiles: Sequence[Tile]) -> Block:
    width = (INNER - (len(tiles) - 1) * 8) / len(tiles)
    style = Type(9)
    height = 40 + max(height_of(_tile_words(tile), width - 18, style) for tile in tiles)

    def draw(pen: Pen, y: float) -> None:
        for place, tile in enumerate(tiles):
            x = MARGIN + place * (width + 8)
            pen.box(x, y, width, height, edge=LIGHT.border)
            pen.words(x + 10, y + 6, width - 20, f"{tile.number:,}", _NUMBER)
            pen.words(x + 10, y + 11, width - 20, tile.share, MUTED, RIGHT)
            pen.words(x + 10, y + 32, width - 18, _tile_words(tile), replace(style, colour=_colour(tile.mark)))

    return Block(height, draw, gap=14)


def _tile_words(tile: Tile) -> str:
    mark = MARKS.get(tile.mark)
    return f"{mark.sign} {tile.words}" if mark else tile.words


def _threshold(report: Report) -> Block:
    words = report.threshold
    left = 30 + width_of(words.value, _NUMBER)
    room = INNER - left - 12
    first = height_of(words.sentence, room)
    second = height_of(words.caution, room, MUTED) + 3 if words.caution else 0.0
    height = max(first + second, 24.0) + 18

    def draw(pen: Pen, y: float) -> None:
        pen.box(MARGIN, y, INNER, height, fill=LIGHT.window)
        pen.box(MARGIN, y, 3, height, fill=LIGHT.text)
        pen.words(MARGIN + 14, y + height / 2 - 12, left, words.value, _NUMBER)
        top = y + (height - first - second) / 2
        pen.words(MARGIN + left, top, room, words.sentence)
        pen.words(MARGIN + left, top + first + 3, room, words.caution, MUTED)

    return Block(height, draw, gap=4)


def _histogram(report: Report) -> Block:
    height = INNER * HISTOGRAM_SIZE[1] / HISTOGRAM_SIZE[0]

    def draw(pen: Pen, y: float) -> None:
        pen.drawing(MARGIN, y, INNER, height, report.histogram)
        x = MARGIN
        for key, count in report.histogram_groups:
            words = f"{GROUP_WORDS[key]} ({count:,})"
            _swatch(pen, x, y + height + 6, key)
            pen.words(x + 17, y + height + 5, 200, words, MUTED)
            x += 17 + width_of(words, MUTED) + 18
        if report.threshold.lower:
            for dash in (0.0, 6.0):
                pen.line(x + 2, y + height + 5 + dash, x + 2, y + height + 9 + dash, colour=LIGHT.uncertain, width=1.4)
            pen.words(x + 9, y + height + 5, 200, f"uncertain above {report.threshold.lower}", MUTED)

    return Block(height + 18, draw)


def _swatch(pen: Pen, x: float, y: float, key: str) -> None:
    if key == HELD_OUT:
        pen.box(x, y, 12, 9, edge=LIGHT.text)
        return
    fill = "#e3e7ed" if key == "unlabelled" else _colour(key)
    pen.box(x, y, 12, 9, fill=fill, edge=_colour(key))
    if key == "defect":
        for start in (3, 7, 11):
            pen.line(x + start, y, x + max(0, start - 9), y + min(9, start), colour="#ffffff", width=0.9)


def _labelled(report: Report) -> Block:
    row = 20.0
    height = max(len(report.rates) * row, 96.0)

    def draw(pen: Pen, y: float) -> None:
        _matrix(pen, y, report)
        left = MARGIN + 216
        for place, rate in enumerate(report.rates):
            top = y + place * row
            name = width_of(rate.name)
            pen.words(left, top + 4, 200, rate.name)
            pen.words(left + name + 4, top + 5.5, 150, f"({rate.term})", SMALL)
            pen.words(left + 130, top + 4, 44, rate.value, STRONG, RIGHT)
            pen.words(left + 184, top + 5, INNER - 216 - 184, rate.of_what, MUTED)
            pen.line(left, top + row, WIDTH - MARGIN, top + row)

    return Block(height, draw, gap=4)


def _matrix(pen: Pen, y: float, report: Report) -> None:
    counts = report.matrix
    if counts is None:
        return
    side, cell, tall = 48.0, 72.0, 39.0
    for place, words in enumerate(("passed", "flagged")):
        x = MARGIN + side + place * cell
        pen.box(x, y, cell, 18, fill=LIGHT.window, edge=LIGHT.border)
        pen.words(x, y + 4, cell, words, MUTED, CENTRE)
    good = (counts.true_good, "rightly passed", ""), (counts.false_alarm, "false alarms", "uncertain")
    cells = (
        (report.good_words, *good),
        ("labelled defect", (counts.missed, "missed", "defect"), (counts.true_defect, "rightly flagged", "")),
    )
    for place, (name, *pair) in enumerate(cells):
        top = y + 18 + place * tall
        pen.box(MARGIN, top, side, tall, fill=LIGHT.window, edge=LIGHT.border)
        pen.words(MARGIN + 2, top + 9, side - 4, name, MUTED, CENTRE)
        for column, (count, words, mark) in enumerate(pair):
            x = MARGIN + side + column * cell
            wrong = bool(mark and count)
            colour = _colour(mark) if wrong else LIGHT.text
            pen.box(x, top, cell, tall, edge=LIGHT.border)
            pen.words(x, top + 4, cell, f"{count:,}", Type(_CELL.size, bold=True, colour=colour), CENTRE)
            below = Type(8, bold=wrong, colour=colour if wrong else LIGHT.muted)
            pen.words(x, top + 23, cell, words, below, CENTRE)


def _gallery(gallery: Gallery, scale: str) -> Iterable[Block]:
    yield _heading(gallery.title)
    yield _paragraph(gallery.words, stays=True)
    if scale:
        width = float(SCALE_SIZE[0]) * 0.62
        room = INNER - width - 24
        height = max(height_of(READING, room, MUTED), 24.0) + 4

        def draw(pen: Pen, y: float) -> None:
            pen.words(MARGIN, y, room, READING, MUTED)
            pen.drawing(WIDTH - MARGIN - width, y + 2, width, width * SCALE_SIZE[1] / SCALE_SIZE[0], scale)

        yield Block(height, draw, gap=2, stays_with_next=True)
    for number, exhibit in enumerate(gallery.exhibits, start=1):
        yield _exhibit(number, exhibit)


def _exhibit(number: int, exhibit: Exhibit) -> Block:
    wide, tall = _fitted(exhibit.aspect, 2 * _BOX + _GAP if exhibit.wide else _BOX)
    across, down = (0.0, tall + _GAP) if exhibit.wide else (_BOX + _GAP, 0.0)
    shown = tall + down if exhibit.plain else 0.0
    rank = width_of(f"{number}", MUTED) + 6
    name = height_of(exhibit.name, INNER - rank, STRONG)
    left = MARGIN + 2 * (_BOX + _GAP)
    words = _beside(exhibit)
    height = 6 + name + 6 + max(shown, 4 * 13 + sum(height_of(text, _FACTS, SMALL) + 2 for text in words))

    def draw(pen: Pen, y: float) -> None:
        pen.line(MARGIN, y, WIDTH - MARGIN, y)
        pen.words(MARGIN, y + 7, rank, f"{number}", MUTED)
        pen.words(MARGIN + rank, y + 6, INNER - rank, exhibit.name, STRONG)
        top = y + 6 + name + 6
        for place, jpeg in enumerate((exhibit.plain, exhibit.heat)):
            if jpeg is not None:
                pen.picture(MARGIN + place * across, top + place * down, wide, tall, jpeg)
        if exhibit.heat is not None:
            for spot in exhibit.spots:
                _spot(pen, MARGIN + across, top + down, (wide, tall), spot)
        _exhibit_facts(pen, left, top, exhibit, words)

    return Block(height, draw, gap=10)


def _fitted(aspect: float, side: float) -> tuple[float, float]:
    """Width and height of a picture in a square."""
    return (side, side / aspect) if aspect >= 1 else (side * aspect, side)


def _beside(exhibit: Exhibit) -> list[str]:
    words = [f"{spot.number}. {spot.words}" for spot in exhibit.spots]
    if words:
        words.insert(0, "Flagged regions")
    if exhibit.more_spots:
        words.append(f"and {exhibit.more_spots} more")
    if exhibit.remark:
        words.append(exhibit.remark)
    return words


def _exhibit_facts(pen: Pen, x: float, y: float, exhibit: Exhibit, words: Sequence[str]) -> None:
    verdict, label = MARKS[exhibit.verdict], MARKS[exhibit.label]
    rows = (
        ("Score", exhibit.score, STRONG),
        ("Verdict", f"{verdict.sign} {verdict.word}", Type(bold=True, colour=_colour(verdict.key))),
        ("Label", f"{label.sign} {label.word}", Type(bold=label.key != "unlabelled", colour=_colour(label.key))),
        ("Picture", exhibit.pixels, BODY),
    )
    for name, value, style in rows:
        pen.words(x, y, 44, name, Type(colour=LIGHT.muted))
        pen.words(x + 44, y, _FACTS - 44, value, style)
        y += 13
    for text in words:
        y += pen.words(x, y + 3, _FACTS, text, SMALL) + 2


def _spot(pen: Pen, x: float, y: float, size: tuple[float, float], spot: Spot) -> None:
    wide, tall = size
    left, top = x + spot.left * wide, y + spot.top * tall
    width, height = spot.width * wide, spot.height * tall
    pen.box(left - 0.6, top - 0.6, width + 1.2, height + 1.2, edge="#101010")
    pen.box(left, top, width, height, edge="#ffffff")
    tag = width_of(f"{spot.number}", Type(7, bold=True)) + 5
    above = top - 9.5 if spot.top * tall > 9.5 else top + height
    pen.box(left - 0.9, above, tag, 9.5, fill="#101010")
    pen.words(left - 0.9, above + 0.4, tag, f"{spot.number}", Type(7, bold=True, colour="#ffffff"), CENTRE)


def _fact(fact: Fact) -> Block:
    name = height_of(fact.name, _NAMES - 8, Type(colour=LIGHT.muted))
    height = max(name, height_of(fact.words, INNER - _NAMES)) + 8

    def draw(pen: Pen, y: float) -> None:
        pen.words(MARGIN, y + 4, _NAMES - 8, fact.name, Type(colour=LIGHT.muted))
        pen.words(MARGIN + _NAMES, y + 4, INNER - _NAMES, fact.words)
        pen.line(MARGIN, y + height, WIDTH - MARGIN, y + height)

    return Block(height, draw)


def _colour(key: str) -> str:
    """Of a verdict or label; plain text where there is none."""
    tokens = {"good": LIGHT.good, "defect": LIGHT.defect, "uncertain": LIGHT.uncertain}
    return tokens.get(key, LIGHT.muted)
