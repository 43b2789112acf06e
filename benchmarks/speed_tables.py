"""The figures of `speed.py` as tables in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
_STAGES = ("backbone", "compiled", "phi", "search", "post", "whole", "published")
_CASE = ("backbone", "ratio", "size")


def tables(found: Mapping[str, Rows]) -> str:
    """One section for each part that was measured."""
    sections = [_SECTIONS[part](rows) for part, rows in found.items() if rows and part in _SECTIONS]
    machine = next((rows[0]["machine"] for rows in found.values() if rows), "")
    return "\n\n".join((f"Written by `python benchmarks/speed.py`. {machine}.", *sections)) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("–" if cell is None else str(cell) for cell in line) + " |" for line in lines)


def _inspection(rows: Rows) -> str:
    stages = [stage for stage in _STAGES if any(stage in row["ms"] for row in rows)]
    head = [*_CASE, *stages, "whole / backbone", "published / whole", "images/s (batch)"]
    lines = []
    for row in rows:
        batch, rate = max(row["images/s"].items(), key=lambda item: item[1])
        cells = [f"{row['ms'][s]} ± {row['spread_ms'][s]}" if s in row["ms"] else None for s in stages]
        ratios = [row.get("whole / backbone"), row.get("published / whole")]
        lines.append([*(row[name] for name in _CASE), *cells, *ratios, f"{rate} ({batch})"])
    text = "## One image, ms: median and standard deviation\n\n" + _table(head, lines)
    others = sorted({key for row in rows for key in row if key.startswith("anomalib")})
    if others:
        beside = [
            [*(row[n] for n in _CASE), *(row.get(o) for o in others)] for row in rows if any(o in row for o in others)
        ]
        text += "\n\n## Times as long as ours\n\n" + _table([*_CASE, *others], beside)
    return text


def _files(rows: Rows) -> str:
    ways, rest = list(rows[0]["ms"]), ("at once", "times as fast")
    lines = [
        [
            *(row[name] for name in _CASE),
            *(f"{row['ms'][way]} ± {row['spread_ms'][way]}" for way in ways),
            *(row[name] for name in rest),
        ]
        for row in rows
    ]
    title = "## Files, ms an image, decoding included: median and standard deviation\n\n"
    return title + _table([*_CASE, *ways, *rest], lines)


def _training(rows: Rows) -> str:
    names = [name for name in rows[0] if name not in {*_CASE, "machine"}]
    return "## Training, seconds for 200 images, extrapolated\n\n" + _plain(rows, [*_CASE, *names])


def _memory(rows: Rows) -> str:
    names = [name for name in rows[0] if name not in {*_CASE, "machine"}]
    return "## Memory at batch 1, MB\n\n" + _plain(rows, [*_CASE, *names])


def _runtimes(rows: Rows) -> str:
    head = ["backbone", *rows[0]["ms"]]
    lines = [[r["backbone"], *(f"{ms} ({r['error'][n]:.0e})" for n, ms in r["ms"].items())] for r in rows]
    return "## The backbone alone at 224, ms (largest error as a share of the range)\n\n" + _table(head, lines)


def _starts(rows: Rows) -> str:
    names = [name for name in rows[0] if name != "machine"]
    return "## Start, s from the start of the process\n\n" + _plain(rows, names)


def _growth(rows: Rows) -> str:
    kinds = [kind for kind in rows[0] if kind != "machine"]
    lines = [[kind, ", ".join(f"{number}: {ms}" for number, ms in rows[0][kind])] for kind in kinds]
    return "## Growth of an inspection, ms\n\n" + _table(["what grows", "ms at each number"], lines)


def _decoding(rows: Rows) -> str:
    return "## Decoding a megapixel, ms\n\n" + _plain(rows, [name for name in rows[0] if name != "machine"])


def _plain(rows: Rows, names: Sequence[str]) -> str:
    return _table(names, [[row.get(name) for name in names] for row in rows])


_SECTIONS: dict[str, Callable[[Rows], str]] = {
    "inspection": _inspection,
    "files": _files,
    "training": _training,
    "memory": _memory,
    "runtimes": _runtimes,
    "starts": _starts,
    "growth": _growth,
    "decoding": _decoding,
}
