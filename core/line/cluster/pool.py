"""A pool of inspectors on a cluster, by Ray Data. One batch: some places in, their scores out."""

import logging
import os
import queue
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import CfaError, ClusterError, ImageError
from core.images import shown
from core.line.cluster.connection import RemoteBugError, require_same_version, resources_of, told
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
_RETRIES = 2
"""So often a batch is done again where its process or machine was lost."""
_MOST_LOST = 20
"""Batches given up after that. One image that kills its process must not stop all others; a fault of all must."""
_LOOK_SECONDS = 0.2


class Scored(NamedTuple):
    """What an inspector says of one image: one of score, error and missed is given; or why it says nothing.

    Attributes:
        path: The image, as `Place.path`.
        score: Its anomaly score.
        error: It is no image, or a damaged one: for good.
        missed: It could not be fetched: another time it may.
        stop: Why the inspector cannot work at all, for the user.
        bug: A traceback: it failed as it never should.
    """

    path: str
    score: float | None = None
    error: str | None = None
    missed: str | None = None
    stop: str | None = None
    bug: str | None = None


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


def size_pool(nodes: Sequence[Mapping[str, Any]], *, workers: int | None, threads: int, gpus: float | None) -> Pool:
    """The pool that fills a cluster, or the one asked for.

    Args:
        nodes: The machines, as Ray lists them. An inspector has room on one or on none, not on two halves.
        workers: None: as many as there is room for.
        threads: CPUs for each inspector.
        gpus: For each; None: a whole one where the cluster has some.

    Raises:
        ClusterError: There is no room for a single one.
    """
    machines = [(held.get("CPU", 0.0), held.get("GPU", 0.0)) for held in resources_of(nodes)]
    share = (1.0 if any(cards for _, cards in machines) else 0.0) if gpus is None else gpus
    room = sum(_room(cpus, cards, threads, share) for cpus, cards in machines)
    if room < 1 and workers is None:
        have = ", ".join(f"{cpus:g} CPU and {cards:g} GPU" for cpus, cards in machines[:8]) or "no machine"
        raise ClusterError(
            f"No machine of the cluster has room for an inspector of {threads} CPU and {share:g} GPU: it has {have}. "
            "Ask for less, or name --workers and let the cluster grow."
        )
    return Pool(room if workers is None else workers, threads, share)


def _room(cpus: float, cards: float, threads: int, share: float) -> int:
    by_cpus = int(cpus // threads)
    return by_cpus if not share else min(by_cpus, int(cards / share + 1e-9))


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
        places = [
            Place(row["source"], os.fsdecode(row["key"]), row["path"])
            for row in batch.select(["source", "key", "path"]).to_pylist()
        ]
        return arrow.Table.from_pylist([found._asdict() for found in self._scored(places)], _schema(arrow))

    def _scored(self, places: Sequence[Place]) -> list[Scored]:
        """An error is told as a result is: Ray would do the batch again, or take it for a machine that was lost."""
        try:
            self._inspector = self._inspector or self._loaded()
            return list(inspect_places(self._inspector, places))
        except CfaError as error:
            return [Scored("", stop=str(error))]
        except Exception:  # noqa: BLE001  for whoever waits, on the other machine
            return [Scored("", bug=traceback.format_exc())]

    def _loaded(self) -> "Inspector":
        require_same_version(self._version)
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
                yield Scored(place.path, score=inspector.inspect(picture.result()).score)
            except ImageError as error:
                yield Scored(place.path, error=str(error))
            except OSError as error:
                reason = " ".join(str(error.strerror or error).split())[:160]
                yield Scored(place.path, missed=f"{shown(place.path)} cannot be fetched ({shown(reason)}).")


def _decoded(place: Place) -> "NDArray[np.uint8]":
    from core.images import decode_image

    return decode_image(read(place.source, place.key), place.path)


def scores(ray: Any, places: Sequence[Place], model: bytes, pool: Pool, cancel: CancelToken) -> Iterator[list[Scored]]:
    """Inspect images by a pool, a batch at a time, in whatever order they are done.

    Ray Data makes up for inspectors and machines that are lost: their batches are done again by others. A batch that is
    lost again and again is left out: one of its images may be what kills the process.

    Args:
        ray: The package, connected.
        places: The images.
        model: A model file.
        pool: How many inspectors.
        cancel: Looked at several times a second.

    Raises:
        CancelledByUser: The token was set.
        ClusterError: An inspector cannot do its work, or the cluster is lost.
        RemoteBugError: A bug; the traceback on the other machine is its text.
    """
    found: queue.Queue[list[Scored] | BaseException | None] = queue.Queue()  # of a few numbers each
    threading.Thread(target=_work, args=(ray, places, model, pool, found), daemon=True).start()
    while (item := _next(found, cancel)) is not None:
        if isinstance(item, BaseException):
            raise told(item) from item
        for scored in item:
            if scored.stop is not None:
                raise ClusterError(scored.stop)
            if scored.bug is not None:
                raise RemoteBugError(scored.bug)
        yield item


def _next(found: "queue.Queue[list[Scored] | BaseException | None]", cancel: CancelToken) -> Any:
    while True:
        cancel.check()
        try:
            return found.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue


def _work(ray: Any, places: Sequence[Place], model: bytes, pool: Pool, found: "queue.Queue[Any]") -> None:
    """On a thread of its own, as Ray Data waits without looking up."""
    try:
        for batch in _dataset(ray, places, model, pool).iter_batches(batch_size=None, batch_format="pyarrow"):
            found.put([Scored(**row) for row in batch.to_pylist()])
        found.put(None)
    except BaseException as error:  # noqa: BLE001  for the thread that waits
        found.put(error)


def _dataset(ray: Any, places: Sequence[Place], model: bytes, pool: Pool) -> Any:
    from ray import data  # type: ignore[import-not-found, unused-ignore]

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it sets its own when it is imported
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = _MOST_LOST
    arrow, _ = arrow_and_parquet()
    size = batch_size(len(places), pool.workers)
    tables = [_table(arrow, places[start : start + size]) for start in range(0, len(places), size)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.64 will have another way to bound retries; until then there is this one
        return data.from_arrow(tables).map_batches(
            Inspecting,
            fn_constructor_args=(ray.put(model), VERSION, pool),
            batch_size=size,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=pool.workers),
            num_cpus=pool.threads,
            num_gpus=pool.gpus or None,
            ray_remote_args_fn=_bounded,
        )


def _bounded() -> dict[str, Any]:
    """Arguments of `ray.remote` for each inspector: by itself Ray Data does a batch again for ever."""
    return {"max_task_retries": _RETRIES}


def _table(arrow: Any, places: Sequence[Place]) -> Any:
    columns = {
        "source": [place.source for place in places],
        "key": [os.fsencode(place.key) for place in places],  # a file's name may be no text
        "path": [place.path for place in places],
    }
    return arrow.table(columns, arrow.schema({"source": arrow.string(), "key": arrow.binary(), "path": arrow.string()}))


def _schema(arrow: Any) -> Any:
    text = arrow.string()
    kinds = dict.fromkeys(Scored._fields, text) | {"score": arrow.float64()}
    return arrow.schema(kinds)
