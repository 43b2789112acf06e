"""A whole inspection on a cluster: list, leave out what is done, inspect, write as it comes."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.images import shown
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
        address: `local`, `auto` or HOST:PORT.
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
        missed: Why some could not be inspected; they have no row, and the next run tries them again.
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
    with Parts(folder, model.identity, model.threshold.value, model.threshold.lower) as parts:
        cancel.check()
        places = find_places(sources)
        left = [place for place in places if place.path not in parts.done]
        before = len(places) - len(left)
        if not left:
            return Outcome(parts.counts, before, 0, (), 0, 0.0)
        with connected(cluster.address, cpus=(cluster.workers or 1) * cluster.threads) as ray:
            pool = size_pool(ray.nodes(), workers=cluster.workers, threads=cluster.threads, gpus=cluster.gpus)
            began = time.monotonic()
            batches = scores(ray, left, model.content, pool, cancel)
            missed = _kept(batches, left, parts, model.threshold, report)
            parts.flush()
            seconds = time.monotonic() - began
        return Outcome(parts.counts, before, len(left) - len(missed), missed, pool.workers, seconds)


def _kept(
    batches: Iterable[Sequence[Scored]], places: Sequence[Place], parts: Parts, line: Threshold, report: Report
) -> tuple[str, ...]:
    """Write what comes; returns why some images have no row."""
    missed: list[str] = []
    waiting = dict.fromkeys(place.path for place in places)
    for batch in batches:
        new = [found for found in batch if found.path in waiting]
        for found in new:
            del waiting[found.path]
        missed += [found.missed for found in new if found.missed is not None]
        parts.add([_row(found, line, parts.model) for found in new if found.missed is None])
        report(Progress(Phase.INSPECTING, len(places) - len(waiting), len(places)))
    lost = "was not inspected: again and again the process that had it, or an image beside it, was lost."
    return (*missed, *(f"{shown(path)} {lost}" for path in waiting))


def _row(found: Scored, line: Threshold, model: str) -> Row:
    verdict = "error" if found.score is None else judge(found.score, line).value
    return Row(found.path, found.score, verdict, line.value, line.lower, model, found.error)
