"""Images that come one by one, scored batch by batch; results in order, as soon as they are there."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.cuda.scoring import BatchScorer, Pending, Scored
from core.errors import ImageError
from core.geometry import Geometry

Item = TypeVar("Item")
Pixels = NDArray[np.uint8]


@dataclass(slots=True)
class _Batch(Generic[Item]):
    """Images of one size that are scored together, and between them those that cannot be read.

    Attributes:
        place_of: Of all images; None as long as there is none.
        items: All, in order.
        errors: Of those that cannot be read, by their place in `items`.
        canvases: Of the others.
        pending: Once started.
    """

    place_of: Geometry | None = None
    items: list[Item] = field(default_factory=list)
    errors: dict[int, ImageError] = field(default_factory=dict)
    canvases: list[Pixels] = field(default_factory=list)
    pending: Sequence[Pending] = ()

    def add(self, item: Item, place_of: Geometry, canvas: Pixels) -> None:
        self.place_of = place_of
        self.items.append(item)
        self.canvases.append(canvas)

    def start(self, scorer: BatchScorer) -> None:
        if self.place_of is not None:
            self.pending = scorer.start(self.canvases, self.place_of)
        self.canvases = []

    def results(self) -> Iterator[tuple[Item, tuple[Geometry, Scored] | ImageError]]:
        found = (result for pending in self.pending for result in pending.results())
        for index, item in enumerate(self.items):
            if index in self.errors:
                yield item, self.errors[index]
            elif self.place_of is not None:
                yield item, (self.place_of, next(found))


def in_batches(
    prepared: Iterable[tuple[Item, Future[tuple[Geometry, Pixels]]]], scorer: BatchScorer
) -> Iterator[tuple[Item, tuple[Geometry, Scored] | ImageError]]:
    """Score images; while the device computes one batch, the next one is gathered.

    The first batch is one image, each further one twice as large, up to what the scorer takes at best: the first result
    is there soon, and which images share a batch does not depend on how fast they come.

    Args:
        prepared: Items with their finished futures.
        scorer: On its device.

    Yields:
        Each item in order, with its geometry and result, or with the error for an image that cannot be used.
    """
    at_work: _Batch[Item] = _Batch()
    for batch in _gathered(prepared, scorer):
        batch.start(scorer)
        yield from at_work.results()
        at_work = batch
    yield from at_work.results()


def _gathered(
    prepared: Iterable[tuple[Item, Future[tuple[Geometry, Pixels]]]], scorer: BatchScorer
) -> Iterator[_Batch[Item]]:
    """Batches of images of one size each."""
    batch: _Batch[Item] = _Batch()
    wanted = 1
    for item, future in prepared:
        try:
            place_of, canvas = future.result()
        except ImageError as error:
            batch.errors[len(batch.items)] = error
            batch.items.append(item)
            continue
        if batch.place_of is not None and batch.place_of is not place_of:
            yield batch
            batch = _Batch()
        batch.add(item, place_of, canvas)
        if len(batch.canvases) >= min(wanted, scorer.batch(place_of)):
            yield batch
            batch, wanted = _Batch(), 2 * wanted
    if batch.items:
        yield batch
