"""A pool of inspectors on a cluster, by Ray Data. One batch: some places in, their scores out."""

import contextlib
import logging
import os
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import CfaError, ClusterError, ImageError
from core.line.cluster.parts import arrow_and_parquet
from core.line.cluster.places import Place, read
from core.progress import CancelToken
from core.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspection import Inspector

MOST_IN_BATCH = 256
"""Images that an inspector is given at once."""
_BATCHES_EACH = 8
"""So many batches an inspector at least, where there are images enough: then all end at about the same time."""
_LOOK_SECONDS = 0.2


class Scored(NamedTuple):
    """What an inspector says of one image: one of the three is given.

    Attributes:
        path: The image, as `Place.path`.
        score: Its anomaly score.
        error: It is no image, or a damaged one: for good.
        missed: It could not be fetched: another time it may.
    """

    path: str
    score: float | None
    error: str | None
    missed: str | None


@dataclass(frozen=True, slots=True)
class Pool:
    """How many inspectors, and what each has.

    Attributes:
        workers: Inspectors; those that find no room yet wait for it.
        threads: CPUs of each.
        gpus: Share of a graphics card of each; 0: none.
    """

    workers: int
    threads: int
    gpus: float


def size_pool(resources: dict[str, float], *, workers: int | None, threads: int, gpus: float | None) -> Pool:
    """The pool that fills a cluster, or the one asked for.

    Args:
        resources: As Ray names them: CPU, GPU.
        workers: None: as many as there is room for.
        threads: CPUs for each inspector.
        gpus: For each; None: a whole one where the cluster has some.

    Raises:
        ClusterError: There is no room for a single one.
    """
    cards = resources.get("GPU", 0.0)
    share = (1.0 if cards else 0.0) if gpus is None else gpus
    room = int(resources.get("CPU", 0.0) // threads)
    if share:
        room = min(room, int(cards / share))
    if room < 1 and workers is None:
        raise ClusterError(
            f"The cluster has no room for an inspector of {threads} CPU and {share:g} GPU: it has "
            f"{resources.get('CPU', 0):g} CPU and {cards:g} GPU. Ask for less, or name --workers and let it grow."
        )
    return Pool(room if workers is None else workers, threads, share)


def batch_size(images: int, workers: int) -> int:
    """Images in a batch: few where there are few, so that every inspector has some."""
    return max(1, min(MOST_IN_BATCH, images // (workers * _BATCHES_EACH)))


class Inspecting:
    """One inspector of the pool. It lives in a process of its own, on whatever machine."""

    def __init__(self, model: Any, version: str, pool: Pool) -> None:
        """Keep what is needed; the model is loaded with the first batch.

        Args:
            model: Reference to the bytes of a model file.
            version: Of the program that asks.
            pool: How many CPUs and GPUs it has.
        """
        self._model, self._version, self._pool = model, version, pool
        self._inspector: Inspector | None = None

    def __call__(self, batch: Any) -> Any:
        """Inspect the images at some places: a pyarrow table of source, key, path to one of `Scored`."""
        arrow, _ = arrow_and_parquet()
        inspector = self._inspector = self._inspector or self._loaded()
        places = [
            Place(row["source"], os.fsdecode(row["key"]), row["path"])
            for row in batch.select(["source", "key", "path"]).to_pylist()
        ]
        return arrow.Table.from_pylist([found._asdict() for found in inspect_places(inspector, places)], _schema(arrow))

    def _loaded(self) -> "Inspector":
        if self._version != VERSION:
            raise ClusterError(
                f"A machine of the cluster has cfa-gui {VERSION}, this one {self._version}. Install the same on all."
            )
        import ray  # type: ignore[import-not-found, unused-ignore]  # an optional extra
        import torch

        from core.inspection import Inspector
        from core.model_file import load_model

        torch.set_num_threads(self._pool.threads)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.cfa"
            path.write_bytes(ray.get(self._model))
            return Inspector(load_model(path), device="cuda" if self._pool.gpus else "cpu")


def inspect_places(inspector: "Inspector", places: Sequence[Place]) -> Iterator[Scored]:
    """Inspect the images at some places, in order; the next ones are fetched and decoded meanwhile."""
    from core.ahead import ahead

    with closing(ahead(_decoded, places)) as pictures:
        for place, picture in pictures:
            try:
                yield Scored(place.path, inspector.inspect(picture.result()).score, None, None)
            except ImageError as error:
                yield Scored(place.path, None, str(error), None)
            except OSError as error:
                reason = " ".join(str(error.strerror or error).split())[:160]
                yield Scored(place.path, None, None, f"{place.path} cannot be fetched ({reason}).")


def _decoded(place: Place) -> "NDArray[np.uint8]":
    from core.images import decode_image

    return decode_image(read(place.source, place.key), place.path)


def scores(ray: Any, places: Sequence[Place], model: bytes, pool: Pool, cancel: CancelToken) -> Iterator[list[Scored]]:
    """Inspect images by a pool, a batch at a time, in whatever order they are done.

    Ray Data makes up for inspectors and machines that are lost: their batches are done again by others.

    Args:
        ray: The package, connected.
        places: The images.
        model: A model file.
        pool: How many inspectors.
        cancel: Looked at several times a second.

    Raises:
        CancelledByUser: The token was set.
        CfaError: An inspector cannot do its work, or the cluster is lost.
    """
    found: queue.Queue[list[Scored] | BaseException | None] = queue.Queue(maxsize=64)
    thread = threading.Thread(target=_work, args=(ray, places, model, pool, found), daemon=True)
    thread.start()
    while True:
        cancel.check()
        with contextlib.suppress(queue.Empty):
            item = found.get(timeout=_LOOK_SECONDS)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise _told(item) from item
            yield item


def _work(ray: Any, places: Sequence[Place], model: bytes, pool: Pool, found: "queue.Queue[Any]") -> None:
    """On a thread of its own, as Ray Data waits without looking up."""
    try:
        for batch in _dataset(ray, places, model, pool).iter_batches(batch_size=None, batch_format="pyarrow"):
            found.put([Scored(**row) for row in batch.to_pylist()])
        found.put(None)
    except BaseException as error:  # noqa: BLE001  for the thread that waits
        found.put(error)


def _dataset(ray: Any, places: Sequence[Place], model: bytes, pool: Pool) -> Any:
    import ray.data  # type: ignore[import-not-found, unused-ignore]

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it sets its own when it is imported
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.raise_original_map_exception = True
    arrow, _ = arrow_and_parquet()
    size = batch_size(len(places), pool.workers)
    tables = [_table(arrow, places[start : start + size]) for start in range(0, len(places), size)]
    return ray.data.from_arrow(tables).map_batches(
        Inspecting,
        fn_constructor_args=(ray.put(model), VERSION, pool),
        batch_size=size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=pool.workers),
        num_cpus=pool.threads,
        num_gpus=pool.gpus or None,
    )


def _table(arrow: Any, places: Sequence[Place]) -> Any:
    columns = {
        "source": [place.source for place in places],
        "key": [os.fsencode(place.key) for place in places],  # a file's name may be no text
        "path": [place.path for place in places],
    }
    return arrow.table(columns, arrow.schema({"source": arrow.string(), "key": arrow.binary(), "path": arrow.string()}))


def _schema(arrow: Any) -> Any:
    text = arrow.string()
    return arrow.schema({"path": text, "score": arrow.float64(), "error": text, "missed": text})


def _told(error: BaseException) -> Exception:
    """What the user can mend as it was raised on the other machine; else the cluster's own complaint in one line."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, CfaError):
            return type(seen)(str(seen))
        seen = getattr(seen, "cause", None) or seen.__cause__
    if not type(error).__module__.startswith("ray."):
        return error if isinstance(error, Exception) else RuntimeError(repr(error))  # a bug, with its traceback
    lines = [text.strip() for text in str(error).splitlines() if text.strip()]
    reason = (lines[-1] if lines else type(error).__name__)[:200]
    return ClusterError(f"The cluster gave up: {reason}. The same command again goes on with what is left.")
