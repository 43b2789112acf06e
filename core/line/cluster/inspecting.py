"""A whole inspection on a cluster: list, leave out what is done, inspect, write as it comes."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ClusterError
from core.line.cluster.connection import connected, require_ray
from core.line.cluster.parts import Parts, Row
from core.line.cluster.places import Place, find_places
from core.line.cluster.pool import Scored, scores, size_pool
from core.progress import CancelToken, Phase, Progress, Report
from core.threshold import Threshold, judge


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where to inspect, and by how many.

    Attributes:
        address: `local`, `auto`, HOST:PORT or ray://HOST:PORT.
        workers: Inspectors; None: as many as there is room for.
        threads: CPUs of each.
        gpus: Share of a graphics card of each; None: a whole one where there are some.
    """

    address: str
    workers: int | None = None
    threads: int = 1
    gpus: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """What to inspect with.

    Attributes:
        content: A model file.
        identity: Of its weights and settings.
        threshold: For the verdicts.
    """

    content: bytes
    identity: str
    threshold: Threshold


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        counts: Verdict → rows in the folder, those of earlier runs too.
        before: Images that had a row already.
        inspected: Images that got one now.
        missed: Why some could not be fetched; they have no row, and the next run tries them again.
        workers: Inspectors; 0 where there was nothing to do.
        seconds: From the first image handed out to the last row written, with the loading of the models.
    """

    counts: Counter[str]
    before: int
    inspected: int
    missed: tuple[str, ...]
    workers: int
    seconds: float


def inspect_on_cluster(
    model: Model, sources: Sequence[str], folder: Path, cluster: Cluster, *, report: Report, cancel: CancelToken
) -> Outcome:
    """Inspect folders and stores; the results are in the folder, those of what is cut off too.

    Args:
        model: What to inspect with.
        sources: Files, folders and addresses.
        folder: Where the results go, or are already.
        cluster: Where to inspect.
        report: Told after each batch.
        cancel: Looked at several times a second.

    Raises:
        CancelledByUser: The token was set; what came before is written.
        CfaError: See `find_places`, `Parts` and `scores`.
    """
    require_ray()
    with Parts(folder, model.identity, model.threshold.value) as parts:
        cancel.check()
        places = find_places(sources)
        left = [place for place in places if place.path not in parts.done]
        before, missed, workers, began = len(places) - len(left), list[str](), 0, time.monotonic()
        if left:
            with connected(cluster.address) as ray:
                pool = size_pool(
                    ray.cluster_resources(), workers=cluster.workers, threads=cluster.threads, gpus=cluster.gpus
                )
                began, workers = time.monotonic(), pool.workers
                done = 0
                for batch in scores(ray, left, model.content, pool, cancel):
                    missed += [found.missed for found in batch if found.missed is not None]
                    parts.add([_row(found, model) for found in batch if found.missed is None])
                    done += len(batch)
                    report(Progress(Phase.INSPECTING, done, len(left)))
                _require_all(left, done)
                parts.flush()
        seconds = time.monotonic() - began
        return Outcome(parts.counts, before, len(left) - len(missed), tuple(missed), workers, seconds)


def _row(found: Scored, model: Model) -> Row:
    line = model.threshold
    verdict = "error" if found.score is None else judge(found.score, line).value
    return Row(found.path, found.score, verdict, line.value, model.identity, found.error)


def _require_all(left: Sequence[Place], done: int) -> None:
    if done != len(left):
        raise ClusterError(f"Of {len(left):,} images {done:,} came back. The same command again inspects the rest.")
