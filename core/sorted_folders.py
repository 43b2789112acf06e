"""Folders that somebody sorted parts into: good ones in `OK`, the others in `NG`, `scratch`, ...; told by their names.

What is known to be defective must never be learned from, and its label need not be given a second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GOOD_NAMES = frozenset({"good", "ok", "o.k.", "io", "i.o.", "pass", "passed", "gut", "non-defective", "defect-free"})
"""In lower case, as the others here; names in use on lines and in public data sets."""
DEFECT_NAMES = (
    frozenset({"ng", "nok", "not ok", "not_ok", "not-ok", "notok", "no good", "no_good", "no-good", "nogood"})
    | frozenset({"not_good", "not-good", "nio", "n.i.o.", "bad", "defect", "defects", "defective", "faulty", "scrap"})
    | frozenset({"fail", "failed", "reject", "rejects", "rejected", "abnormal", "anomaly", "anomalies", "anomalous"})
    | frozenset({"schlecht", "ausschuss"})
)
UNSURE_NAMES = frozenset(
    {"flagged", "uncertain", "unreadable", "unlabelled", "unlabeled", "unknown", "unsure", "unsorted"}
)
"""These say nothing of the parts: what a program flagged is no defect until somebody says so."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """How the folders in a folder divide what lies there.

    Attributes:
        good: Folders of good parts; empty where none bears such a name: then all that is not in `defects` is good.
        defects: Folders of defects; where a folder is called good, those are all the others but the unsure ones.
    """

    good: tuple[Path, ...]
    defects: tuple[Path, ...]


def sorting_of(folders: Mapping[str, Path]) -> Sorting | None:
    """The sorting that the names tell, or None where they tell none.

    Args:
        folders: Name in lower case → path, of all folders in one folder.
    """
    good = tuple(path for name, path in folders.items() if name in GOOD_NAMES)
    if not good:
        defects = tuple(path for name, path in folders.items() if name in DEFECT_NAMES)
        return Sorting((), defects) if defects else None
    if len(good) == len(folders):
        return None
    return Sorting(good, tuple(path for name, path in folders.items() if name not in GOOD_NAMES | UNSURE_NAMES))
