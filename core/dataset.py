"""Folders → samples: which pictures are good, which are defects of what kind, and where their masks are.

Three layouts; the folders' names may be in any case. MVTec AD: `train/good`, `test/<kind>`,
`ground_truth/<kind>/<name>_mask.<suffix>` (or `<name>.<suffix>`). Sorted: `OK` beside `NG` or beside kinds of defects
(`core.sorted_folders`). Anything else is a plain folder: every image below it is good. What is passed over, and in
which order files come, is told in `core.folder_search`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.dataset_check import Finding, check, require_disjoint
from core.errors import DatasetError
from core.folder_search import image_files, is_file, is_folder, subfolders
from core.images import IMAGE_SUFFIXES, shown
from core.samples import Dataset, Label, Layout, Sample
from core.sorted_folders import GOOD_NAMES, Sorting, sorting_of

__all__ = [
    "Dataset",
    "Finding",
    "Label",
    "Layout",
    "Sample",
    "check",
    "find_samples",
    "good_samples",
    "open_dataset",
    "require_disjoint",
]

_UNSORTED = Sorting((), ())


def open_dataset(root: Path) -> Dataset:
    """The data set in a folder: in MVTec AD layout, sorted into good parts and defects, or every image below is good.

    Files are listed, not read. Of a folder `train` that holds `good`, only what is in `good` is taken.

    Raises:
        DatasetError: The folder is missing, a file, not readable or without images; it holds `test` or `ground_truth`
            but no `train/good`; it is the `test` folder of such a layout, or a defect's folder in it; it holds several
            data sets, or folders of defects and nothing else. The text says what to do.
    """
    if not is_folder(root):
        raise _missing(root, "folder")
    folders = subfolders(root)
    good_folder = _train_good(folders)
    if good_folder is not None:
        test = tuple(_test_samples(root, folders["test"])) if "test" in folders else ()
        return Dataset(root, Layout.MVTEC, _good_below(good_folder, root), test)
    _require_plain(root, folders)
    is_train = root.absolute().name.casefold() == "train" and "good" in folders
    sorting = None if is_train else sorting_of(folders)
    if sorting is not None:
        return _sorted_dataset(root, sorting)
    return Dataset(root, Layout.FOLDER, _good_below(folders["good"] if is_train else root, root), ())


def good_samples(root: Path) -> tuple[Sample, ...]:
    """The good samples of `open_dataset`; raises the same."""
    return open_dataset(root).good


def find_samples(paths: Sequence[Path]) -> tuple[Sample, ...]:
    """The pictures to inspect, in the order given, each once.

    A file is taken whatever its suffix; a folder is searched, but of a folder in MVTec AD layout only `test`. Pictures
    below the `test` folder of such a layout carry its label, kind and mask; those of a sorted folder what its folders'
    names say; others have none. Names are relative to the folder given, or to the closest folder above all where
    several paths are given. Paths are made absolute.

    Raises:
        DatasetError: A path is missing, or no picture is found.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  resolve() would follow links
    files = dict.fromkeys(file for path in absolute for file in _files_to_inspect(path))
    sortings = [(path, sorting) for path in absolute if (sorting := _sorting_to_inspect(path)) is not None]
    if not files:
        raise DatasetError("There are no pictures to inspect. Choose some, or a folder that holds some.")
    base = _common_folder(absolute)
    test_of = {folder: _layout_folder_above(folder, "test") for folder in {file.parent for file in files}}
    masks_of = {test: _masks_beside(test) for test in set(test_of.values()) if test is not None}
    found = []
    for file in files:
        name = file.relative_to(base).as_posix() if base is not None else file.as_posix()
        test = test_of[file.parent]
        if test is not None:
            found.append(_tested(file, name, test, masks_of[test]))
        else:
            sorting = next((sorting for path, sorting in sortings if file.is_relative_to(path)), _UNSORTED)
            found.append(_by_folder(file, name, sorting))
    return tuple(found)


def _sorted_dataset(root: Path, sorting: Sorting) -> Dataset:
    good, test = [], []
    for path in image_files(root):
        sample = _by_folder(path, path.relative_to(root).as_posix(), sorting)
        if sample.label is Label.GOOD or (sample.label is None and not sorting.good):
            good.append(replace(sample, label=Label.GOOD, kind="good"))
        else:
            test.append(sample)
    if not good:
        names = ", ".join(path.name for path in (sorting.good or sorting.defects)[:3])
        reason = "without an image" if sorting.good else "full of defects by its name"
        raise DatasetError(
            f"There is no image of a good part in {shown(root)}: {shown(names)} is {reason}. "
            "Put good ones there, or choose the folder of good images itself."
        )
    return Dataset(root, Layout.SORTED, tuple(good), tuple(test))


def _by_folder(path: Path, name: str, sorting: Sorting) -> Sample:
    """A sample with the label that the folder's name gives it, where it gives one."""
    if any(path.is_relative_to(folder) for folder in sorting.good):
        return Sample(path, name, Label.GOOD, "good", None)
    folder = next((folder for folder in sorting.defects if path.is_relative_to(folder)), None)
    return Sample(path, name, None, "", None) if folder is None else Sample(path, name, Label.DEFECT, folder.name, None)


def _missing(path: Path, what: str) -> DatasetError:
    if is_file(path):
        return DatasetError(f"{shown(path)} is a file. Choose the folder it is in.")
    return DatasetError(f"There is no {what} {shown(path)}. Check the path; a drive may have to be connected.")


def _require_plain(root: Path, folders: Mapping[str, Path]) -> None:
    """Refuse folders of which not every image can be good."""
    telling = [name for name in ("test", "ground_truth") if name in folders]
    if telling:
        raise DatasetError(
            f"{shown(root)} holds {' and '.join(telling)} like a data set in MVTec AD layout, but no train/good. "
            "Put the good images there, or choose the folder of good images itself."
        )
    here = root.absolute()
    test = _layout_folder_above(here, "test") or _layout_folder_above(here, "ground_truth")
    if test is not None and here.relative_to(test).as_posix().casefold().split("/")[0] != "good":
        raise DatasetError(
            f"{shown(root)} belongs to the test of a data set in MVTec AD layout, where the defects are. Choose "
            f"{shown(test.parent)}, or a folder of good images."
        )
    sets = [path for path in folders.values() if _train_good(subfolders(path)) is not None]
    if sets:
        some = ", ".join(shown(path.name) for path in sets[:3]) + (", ..." if len(sets) > 3 else "")
        raise DatasetError(f"{shown(root)} is not one data set but holds {len(sets)} ({some}). Choose one of them.")


def _train_good(folders: Mapping[str, Path]) -> Path | None:
    return subfolders(folders["train"]).get("good") if "train" in folders else None


def _layout_folder_above(folder: Path, name: str) -> Path | None:
    """The folder of that name in an MVTec AD layout that an absolute path is, or lies in."""
    for candidate in (folder, *folder.parents):
        if candidate.name.casefold() == name and len({"train", "test", "ground_truth"} & _beside(candidate)) > 1:
            return candidate
    return None


def _beside(folder: Path) -> set[str]:
    try:
        return set(subfolders(folder.parent))
    except DatasetError:  # a folder may be readable where the one above it is not
        return set()


def _good_below(folder: Path, root: Path) -> tuple[Sample, ...]:
    found = tuple(
        Sample(path, path.relative_to(root).as_posix(), Label.GOOD, "good", None) for path in image_files(folder)
    )
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise DatasetError(
            f"There are no images in {shown(folder)} or below it. Choose a folder of pictures (known kinds: {kinds})."
        )
    return found


def _test_samples(root: Path, test: Path) -> Iterator[Sample]:
    masks = _masks_beside(test)
    for path in image_files(test):
        yield _tested(path, path.relative_to(root).as_posix(), test, masks)


def _tested(path: Path, name: str, test: Path, masks: Mapping[str, Path]) -> Sample:
    """A sample below a folder `test`, whose subfolder is the kind of defect."""
    inside = path.relative_to(test)
    if len(inside.parts) == 1:
        return Sample(path, name, None, "", None)
    kind = inside.parts[0]
    if kind.casefold() == "good":
        return Sample(path, name, Label.GOOD, "good", None)
    key = inside.as_posix().removesuffix(inside.suffix)
    return Sample(path, name, Label.DEFECT, kind, masks.get(f"{key}_mask", masks.get(key)))


def _masks_beside(test: Path) -> dict[str, Path]:
    """Path relative to `ground_truth` and without suffix → mask."""
    folder = subfolders(test.parent).get("ground_truth")
    if folder is None:
        return {}
    return {path.relative_to(folder).as_posix().removesuffix(path.suffix): path for path in image_files(folder)}


def _sorting_to_inspect(path: Path) -> Sorting | None:
    """How a folder is sorted, unless it is a data set in MVTec AD layout or a part of one."""
    if not is_folder(path):
        return None
    folders = subfolders(path)
    if {"train", "test", "ground_truth"} & folders.keys():
        return None
    good = tuple(folder for name, folder in folders.items() if name in GOOD_NAMES)
    return sorting_of(folders) or (Sorting(good, ()) if good else None)


def _files_to_inspect(path: Path) -> Iterable[Path]:
    if is_folder(path):
        folders = subfolders(path)
        is_mvtec = "test" in folders and ("train" in folders or "ground_truth" in folders)
        return image_files(folders["test"] if is_mvtec else path)
    if not is_file(path):
        raise _missing(path, "file or folder")
    return [path]


def _common_folder(paths: Sequence[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath([path if is_folder(path) else path.parent for path in paths]))
    except ValueError:  # on different drives
        return None
