"""Where the images lie: folders of this machine's file system, and object stores by address (`s3://`, `gs://` ...).

Stores are read by pyarrow, which brings its own clients and takes the credentials that the environment holds.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from natsort import natsorted, ns

from core.dataset import find_samples
from core.errors import ClusterError, DatasetError
from core.images import IMAGE_SUFFIXES, shown

_MISFITS = (OSError, ValueError, NotImplementedError)
"""What pyarrow raises of an address, a store or its rights; its own errors are among them."""
_MOST_OF_REASON = 160


class Place(NamedTuple):
    """Where one image lies.

    Attributes:
        source: The address that it was found under; "" for a file.
        key: Its path within the store, or the file's absolute path.
        path: What names it in results: the path, or the address without anything secret; valid UTF-8.
    """

    source: str
    key: str
    path: str


def is_address(source: str) -> bool:
    """Whether it names a store and not a path."""
    return "://" in source


def find_places(sources: Sequence[str]) -> list[Place]:
    """Every image of some files, folders and addresses, each once.

    As in `core.dataset.find_samples`, what is hidden is passed over, and of a data set in MVTec AD layout the test
    images are taken.

    Raises:
        ClusterError: pyarrow is not installed.
        DatasetError: One is missing or may not be read, or holds no image; two images would have one name.
    """
    local = [_local(source) for source in sources if not is_address(source) or _is_file_address(source)]
    found = [_of_file(sample.path) for sample in find_samples(local)] if local else []
    for source in sources:
        if is_address(source) and not _is_file_address(source):
            found += list_store(source)
    named: dict[str, Place] = {}
    for place in found:
        other = named.setdefault(place.path, place)
        if (other.key, _asked_of(other.source)) != (place.key, _asked_of(place.source)):
            raise DatasetError(f"Two images would both be {shown(place.path)} in the results. Inspect them apart.")
    return list(named.values())


def list_store(source: str) -> list[Place]:
    """The images below an address, in natural order.

    Raises:
        ClusterError: pyarrow is not installed.
        DatasetError: It cannot be listed, or holds no image.
    """
    try:
        keys = natsorted(_keys(source), alg=ns.IGNORECASE)
    except _MISFITS as error:
        reason = shown(" ".join(_told(error, source).split()))[:_MOST_OF_REASON]
        raise DatasetError(
            f"{without_secrets(source)} cannot be listed ({reason}). Check address, credentials and network."
        ) from error
    if not keys:
        raise DatasetError(f"There are no images at {without_secrets(source)} or below it. Check the address.")
    return [Place(source, key, _encodable(_address_of(source, key))) for key in keys]


def read(source: str, key: str) -> bytes:
    """The bytes of the image at a place.

    Raises:
        OSError: It is not there, may not be read, or the network fails.
    """
    if not source:
        return Path(key).read_bytes()
    store, _ = _store(source)
    with store.open_input_stream(key) as stream:
        return bytes(stream.read())


def without_secrets(source: str) -> str:
    """An address for people: without user, password and what is asked of it (`?endpoint_override=...`)."""
    parts = urlsplit(source)
    host = parts.netloc.rpartition("@")[2]
    return shown(f"{parts.scheme}://{host}{parts.path}")


def below(root: str, keys: Iterable[str]) -> Iterator[str]:
    """Of all keys below a root those of images to inspect: nothing hidden, of an MVTec AD layout only `test`."""
    kept = []
    for key in keys:
        inside = PurePosixPath(key[len(root) :].strip("/"))
        if inside.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in inside.parts):
            kept.append((inside.parts[0].casefold() if len(inside.parts) > 1 else "", key))
    tops = {top for top, _ in kept}
    is_mvtec = "test" in tops and bool(tops & {"train", "ground_truth"})
    return (key for top, key in kept if not is_mvtec or top == "test")


def _keys(source: str) -> Iterator[str]:
    store, root = _store(source)
    from pyarrow import fs  # type: ignore[import-untyped]

    kind = store.get_file_info(root).type
    if kind is fs.FileType.File:
        return iter([root])
    listed = store.get_file_info(fs.FileSelector(root, recursive=True))
    return below(root, [entry.path for entry in listed if entry.type is fs.FileType.File])


@lru_cache(maxsize=32)
def _store(source: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        from pyarrow import fs
    except ImportError as error:
        raise ClusterError(
            f'{without_secrets(source)} needs pyarrow. Install it with `pip install "cfa-gui[cluster]"`.'
        ) from error
    store, path = fs.FileSystem.from_uri(source)
    return store, str(path)


def _asked_of(source: str) -> str:
    """What tells stores of the same address apart: `endpoint_override=...`."""
    return urlsplit(source).query


def _told(error: Exception, source: str) -> str:
    """What the error says, without the address as it was given: a password may stand in it."""
    return str(error).replace(source, without_secrets(source))


def _is_file_address(source: str) -> bool:
    return source.startswith("file://")


def _local(source: str) -> Path:
    return Path(url2pathname(urlsplit(source).path)) if _is_file_address(source) else Path(source)


def _of_file(path: Path) -> Place:
    return Place("", str(path), _encodable(str(path)))


def _address_of(source: str, key: str) -> str:
    """`s3://bucket/a.png`: the bucket is the key's first part. `hdfs://host/a.png`: the key begins with a stroke."""
    parts = urlsplit(source)
    host = parts.netloc.rpartition("@")[2] if key.startswith("/") else ""
    return f"{parts.scheme}://{host}{key}"


def _encodable(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")
