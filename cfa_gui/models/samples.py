"""The good parts to train from: what was opened, what was taken out again, and what there is to say about it."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.dataset import Dataset, Finding, Label, Layout, Sample, find_samples, open_dataset
from core.errors import DatasetError
from core.sorted_folders import DEFECT_NAMES


@dataclass(frozen=True)  # no slots: `good` and `test` are asked for dozens of times, and kept
class SampleSet:
    """A data set with the user's changes to it.

    Attributes:
        dataset: What was opened.
        findings: What the check said about it.
        sizes: (height, width) in pixels and the number of good images of that size, most frequent first.
        removed: Good images taken out by the user.
        added: Good images taken in from the review.
        opened: The files and folders that `dataset` was read from.
        checking: The check is still at work; findings and sizes are not known yet.
    """

    dataset: Dataset
    findings: tuple[Finding, ...] = ()
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    removed: frozenset[Path] = frozenset()
    added: tuple[Sample, ...] = ()
    opened: tuple[Path, ...] = ()
    checking: bool = False

    @cached_property
    def good(self) -> tuple[Sample, ...]:
        """The images to train from."""
        return tuple(s for s in (*self.dataset.good, *self.added) if s.path not in self.removed)

    @cached_property
    def test(self) -> tuple[Sample, ...]:
        """The images to inspect after training; those that were taken into the good ones are left out."""
        taken = {sample.path for sample in self.added}
        return tuple(sample for sample in self.dataset.test if sample.path not in taken)

    def checked(
        self, findings: tuple[Finding, ...] = (), sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    ) -> "SampleSet":
        """A copy with what the check said; its images are the same, and not gathered again."""
        made = dataclasses.replace(self, findings=findings, sizes=sizes, checking=False)
        vars(made).update(good=self.good, test=self.test)
        return made

    def without(self, paths: Iterable[Path]) -> "SampleSet":
        """A copy with some good images taken out."""
        return dataclasses.replace(self, removed=self.removed | frozenset(paths))

    def with_all(self) -> "SampleSet":
        """A copy with every removed image taken in again."""
        return dataclasses.replace(self, removed=frozenset())

    def with_good(self, samples: Iterable[Sample]) -> "SampleSet":
        """A copy with more good images, each once."""
        known = {sample.path for sample in self.good}
        fresh = tuple(sample for sample in samples if sample.path not in known)
        back = frozenset(sample.path for sample in fresh)
        listed = {s.path for s in (*self.dataset.good, *self.added)}
        more = tuple(sample for sample in fresh if sample.path not in listed)
        return dataclasses.replace(self, added=self.added + more, removed=self.removed - back)

    def to_json(self) -> dict[str, list[str]]:
        """What brings it back, as `reopened` reads it."""
        return {
            "opened": [os.fspath(path) for path in self.opened],
            "removed": sorted(os.fspath(path) for path in self.removed),
            "added": [os.fspath(sample.path) for sample in self.added],
        }


def reopened(kept: Mapping[str, Sequence[str]]) -> SampleSet:
    """The good parts as they were left; images that were added and are gone are left out.

    Raises:
        DatasetError: What was opened is not there any more, or holds no image.
    """
    opened = tuple(map(Path, kept["opened"]))
    dataset = read_dataset(opened)
    added = [Path(path) for path in kept["added"] if Path(path).is_file()]
    return SampleSet(
        dataset,
        removed=frozenset(map(Path, kept["removed"])),
        added=find_samples(added) if added else (),
        checking=True,
        opened=opened,
    )


def read_dataset(paths: Sequence[Path]) -> Dataset:
    """What the files and folders hold, as one data set; a folder called `NG` beside another is not learned from.

    Raises:
        DatasetError: No image is found.
    """
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if not path.is_dir()]
    missing = [path for path in files if not path.exists()]
    if missing:
        raise DatasetError(f"{missing[0]} is not there any more. Choose another folder.")
    defects = [path for path in folders if path.name.casefold() in DEFECT_NAMES]
    learned = [path for path in folders if path not in defects]
    if not learned:  # chosen as good parts, whatever they are called
        defects, learned = [], folders
    found = merge([open_dataset(path) for path in learned], find_samples(files) if files else ())
    test = [
        dataclasses.replace(sample, label=Label.DEFECT, kind=path.name)
        for path in defects
        for sample in find_samples([path])
    ]
    if not test:
        return found
    return dataclasses.replace(found, layout=Layout.SORTED, test=(*found.test, *test))


def count_sizes(sizes: Iterable[tuple[int, int]]) -> tuple[tuple[tuple[int, int], int], ...]:
    """Sizes with their numbers, most frequent first."""
    return tuple(Counter(sizes).most_common())


def merge(datasets: Sequence[Dataset], files: Sequence[Sample] = ()) -> Dataset:
    """One data set of several folders and single files.

    Args:
        datasets: What the folders hold.
        files: Single images, taken as good.

    Returns:
        The only data set itself, or a new one that holds the images of all.
    """
    if len(datasets) == 1 and not files:
        return datasets[0]
    good = tuple(s for d in datasets for s in d.good) + tuple(files)
    test = tuple(s for d in datasets for s in d.test)
    folders = [d.root for d in datasets] + [s.path.parent for s in files]
    root = Path(os.path.commonpath(folders)) if len({f.anchor for f in folders}) == 1 else folders[0]
    layouts = {d.layout for d in datasets}
    layout = layouts.pop() if len(layouts) == 1 and not files else Layout.FOLDER
    unique_good = tuple({s.path: s for s in good}.values())
    return Dataset(root=root, layout=layout, good=unique_good, test=tuple({s.path: s for s in test}.values()))
