"""What a user should know of a data set before training on it. Import from `core.dataset`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.counting import counted
from core.duplicates import find_copies, find_near_duplicates
from core.errors import DatasetError, ImageError
from core.images import read_size, read_thumbnail, shown
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.samples import Dataset, Sample

MIN_GOOD_IMAGES = 10
"""Fewer good images than this are warned of."""

MAX_NEAR_DUPLICATE_SEARCH = 20_000
"""In larger data sets only exact copies are looked for: the thumbnails would take too much memory."""

THUMBNAIL_SIDE = 64
SERIAL_NUMBER_DIGITS = 5
"""A file name with as many digits names one part; shorter numbers are counters, which start again in every folder."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know of a data set.

    Attributes:
        what: In plain words, with what to do.
        samples: The pictures it is about.
        severity: "error": pictures are left out, or figures would be wrong. "warning": worth a look.
    """

    what: str
    samples: tuple[Sample, ...]
    severity: Literal["warning", "error"]


def check(dataset: Dataset, *, report: Report = silent, cancel: CancelToken | None = None) -> tuple[Finding, ...]:
    """Read every picture of a data set once and tell what is odd, errors first.

    Looked for: pictures that cannot be read; pictures that are both good and test (the same content, nearly the same,
    or the same file name with a serial number in it); fewer than 10 good images; good images of several sizes; exact
    copies and near-duplicates among the good images (see `core.duplicates`).

    Raises:
        CancelledByUser: The user cancelled.
    """
    cancel = cancel or CancelToken()
    samples = (*dataset.good, *dataset.test)
    reading = _read_all(samples, report, cancel)
    copies = find_copies([sample.path for sample in samples], cancel.check)
    for group in copies:
        for index in group[1:]:
            reading.thumbnails[index] = None  # an exact copy is not a near-duplicate as well
    enough_memory = len(samples) <= MAX_NEAR_DUPLICATE_SEARCH
    near = find_near_duplicates(reading.thumbnails, cancel.check) if enough_memory else ()
    findings = (
        _unreadable([samples[index] for index in reading.failures], list(reading.failures.values())),
        _both(shared_samples(dataset.good, dataset.test, copies)),
        _both_nearly(shared_samples(dataset.good, dataset.test, near)),
        _both_by_name(dataset.good, dataset.test),
        _few(dataset.good),
        _mixed_sizes(dataset.good, reading.sizes),
        _copies(_within(dataset.good, copies)),
        _near_duplicates(_within(dataset.good, near)),
    )
    return tuple(finding for finding in findings if finding is not None)


def require_disjoint(
    good: Sequence[Sample],
    test: Sequence[Sample],
    *,
    report: Report = silent,
    cancel: CancelToken | None = None,
) -> None:
    """Refuse a test on pictures that were trained on, told by content.

    Files that cannot be read are passed over: whoever reads them next says so.

    Raises:
        DatasetError: Some files are in both; the text names up to three and says how many.
        CancelledByUser: The user cancelled.
    """
    counter = _Counter(len(good) + len(test), report, cancel or CancelToken())
    shared = shared_samples(good, test, find_copies([sample.path for sample in (*good, *test)], counter.step))
    if shared:
        raise DatasetError(_sentence_on_shared(shared))


def shared_samples(
    good: Sequence[Sample], test: Sequence[Sample], groups: Iterable[tuple[int, ...]]
) -> tuple[tuple[Sample, Sample], ...]:
    """Pairs (good, test) from groups of ascending indices into good + test; one pair for each test sample."""
    first = {index: group[0] for group in reversed(list(groups)) for index in group}
    return tuple(
        (good[first[index]], sample)
        for index, sample in enumerate(test, start=len(good))
        if first.get(index, index) < len(good)
    )


class _Counter:
    """Progress and cancel as one call for each step."""

    def __init__(self, total: int, report: Report, cancel: CancelToken) -> None:
        self._done, self._total, self._report, self._cancel = 0, total, report, cancel

    def step(self) -> None:
        self._cancel.check()
        self._done += 1
        self._report(Progress(Phase.READING, self._done, self._total))


@dataclass(frozen=True, slots=True)
class _Reading:
    """By index of the sample: grey thumbnails (None: not readable), sizes (H, W), and what was wrong."""

    thumbnails: list[NDArray[np.uint8] | None] = field(default_factory=list)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


def _read_all(samples: Sequence[Sample], report: Report, cancel: CancelToken) -> _Reading:
    reading = _Reading()
    counter = _Counter(len(samples), report, cancel)
    for index, sample in enumerate(samples):
        counter.step()
        thumbnail = None
        try:
            colours = read_thumbnail(sample.path, THUMBNAIL_SIDE)
            reading.sizes[index] = read_size(sample.path)
        except ImageError as error:
            reading.failures[index] = str(error)
        else:
            thumbnail = np.asarray(Image.fromarray(colours).convert("L"))
        reading.thumbnails.append(thumbnail if len(samples) <= MAX_NEAR_DUPLICATE_SEARCH else None)
    return reading


def _unreadable(samples: Sequence[Sample], reasons: Sequence[str]) -> Finding | None:
    if not samples:
        return None
    what = f"{counted(len(samples), 'image')} cannot be read and will be left out. {_first(len(samples))}{reasons[0]}"
    return Finding(what, tuple(samples), "error")


def _both(shared: Sequence[tuple[Sample, Sample]]) -> Finding | None:
    return Finding(_sentence_on_shared(shared), tuple(test for _, test in shared), "error") if shared else None


def _both_nearly(shared: Sequence[tuple[Sample, Sample]]) -> Finding | None:
    if not shared:
        return None
    what = (
        f"{counted(len(shared), 'test image')} can hardly be told from a good image to train on ({_some(shared)}). If "
        "it is the same shot saved again, take it out: a test on it would flatter the model."
    )
    return Finding(what, tuple(test for _, test in shared), "warning")


def _both_by_name(good: Sequence[Sample], test: Sequence[Sample]) -> Finding | None:
    numbered = {sample.path.name: sample for sample in good if _has_serial_number(sample)}
    shared = [(numbered[sample.path.name], sample) for sample in test if sample.path.name in numbered]
    if not shared:
        return None
    what = (
        f"{counted(len(shared), 'file name')} with a serial number stands both among the good images and in the test "
        f"({_some(shared)}). If it is the same part, the test flatters the model."
    )
    return Finding(what, tuple(sample for _, sample in shared), "warning")


def _has_serial_number(sample: Sample) -> bool:
    return sum(character.isdigit() for character in sample.path.stem) >= SERIAL_NUMBER_DIGITS


def _few(good: Sequence[Sample]) -> Finding | None:
    if len(good) >= MIN_GOOD_IMAGES:
        return None
    what = (
        f"There is only {len(good)} good image" if len(good) == 1 else f"There are only {len(good)} good images"
    ) + f". Take at least {MIN_GOOD_IMAGES}, better 50 or more: what is not among them will look like a defect."
    return Finding(what, (), "warning")


def _mixed_sizes(good: Sequence[Sample], sizes: dict[int, tuple[int, int]]) -> Finding | None:
    counts = Counter(sizes[index] for index in range(len(good)) if index in sizes)
    if len(counts) < 2:
        return None
    (usual, times), *_ = counts.most_common(1)
    if 2 * times > counts.total():
        which = f"the most common is {usual[1]} × {usual[0]} pixels ({times} of {counts.total()})"
        odd = tuple(good[index] for index in range(len(good)) if sizes.get(index, usual) != usual)
    else:  # none of them is the odd one
        heights, widths = (sorted(lengths) for lengths in zip(*counts, strict=True))
        which = f"{widths[0]} to {widths[-1]} pixels wide and {heights[0]} to {heights[-1]} high"
        odd = ()
    what = (
        f"The good images have {len(counts)} different sizes; {which}. "
        "If parts are shown at different scales, train one model for each."
    )
    return Finding(what, odd, "warning")


def _copies(repeated: Sequence[Sample]) -> Finding | None:
    if not repeated:
        return None
    what = (
        f"{counted(len(repeated), 'good image is an exact copy', 'good images are exact copies')} of another "
        f"({_names(repeated)}). Remove the copies: they teach nothing, and make the threshold look safer than it is."
    )
    return Finding(what, tuple(repeated), "warning")


def _near_duplicates(pairs: Sequence[Sample]) -> Finding | None:
    if not pairs:
        return None
    what = (
        f"{counted(len(pairs), 'pair')} of good images can hardly be told apart ({_names(pairs)}). If they are the "
        "same shot saved again, remove one of each: they make the threshold look safer than it is."
    )
    return Finding(what, tuple(dict.fromkeys(pairs)), "warning")


def _within(good: Sequence[Sample], groups: Iterable[tuple[int, ...]]) -> list[Sample]:
    """All but the first good sample of each group of indices into good + test."""
    return [good[index] for group in groups for index in group[1:] if index < len(good)]


def _sentence_on_shared(shared: Sequence[tuple[Sample, Sample]]) -> str:
    return (
        f"{counted(len(shared), 'test image is', 'test images are')} also among the good images to train on "
        f"({_some(shared)}). A test on what was trained on flatters the model: remove them from one of the two."
    )


def _first(count: int) -> str:
    return "" if count == 1 else "The first: "


def _some(shared: Sequence[tuple[Sample, Sample]]) -> str:
    named = "; ".join(f"{shown(test.name)} is {shown(good.name)}" for good, test in shared[:3])
    return named + (f"; and {len(shared) - 3} more" if len(shared) > 3 else "")


def _names(samples: Sequence[Sample]) -> str:
    return ", ".join(shown(sample.name) for sample in samples[:3]) + (", ..." if len(samples) > 3 else "")
