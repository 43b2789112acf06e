"""Images that come one by one, scored batch by batch; results in order, as soon as they are there."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.cuda.ensemble import EnsembleScorer, Started
from core.ensemble import Canvases, Places
from core.errors import ImageError
from core.scoring import Scored

Item = TypeVar("Item")


@dataclass(slots=True)
class _Batch(Generic[Item]):
    """Images of one size that are scored together, and between them those that cannot be read.

    Attributes:
        places: Of all images; none as long as there is no image.
        items: All, in order.
        errors: Of those that cannot be read, by their place in `items`.
        canvases: Of the others.
        started: Once they are.
    """

    places: Places = ()
    items: list[Item] = field(default_factory=list)
    errors: dict[int, ImageError] = field(default_factory=dict)
    canvases: list[Canvases] = field(default_factory=list)
    started: Started | None = None

    def add(self, item: Item, places: Places, canvases: Canvases) -> None:
        self.places = places
        self.items.append(item)
        self.canvases.append(canvases)

    def start(self, scorer: EnsembleScorer) -> None:
        if self.canvases:
            self.started = scorer.start(self.canvases, self.places)
        self.canvases = []

    def results(self) -> Iterator[tuple[Item, tuple[Places, Scored] | ImageError]]:
        found = iter(()) if self.started is None else self.started.results()
        for index, item in enumerate(self.items):
            if index in self.errors:
                yield item, self.errors[index]
            else:
                yield item, (self.places, next(found))


def in_batches(
    prepared: Iterable[tuple[Item, Future[tuple[Places, Canvases]]]], scorer: EnsembleScorer
) -> Iterator[tuple[Item, tuple[Places, Scored] | ImageError]]:
    """Score images; while the device computes one batch, the next one is gathered.

    The first batch is one image, each further one twice as large, up to what the scorer takes at best: the first result
    is there soon, and which images share a batch does not depend on how fast they come.

    Args:
        prepared: Items with their finished futures.
        scorer: On its device.

    Yields:
        Each item in order, with its places and result, or with the error for an image that cannot be used.
    """
    at_work: _Batch[Item] = _Batch()
    for batch in _gathered(prepared, scorer):
        batch.start(scorer)
        yield from at_work.results()
        at_work = batch
    yield from at_work.results()


def _gathered(
    prepared: Iterable[tuple[Item, Future[tuple[Places, Canvases]]]], scorer: EnsembleScorer
) -> Iterator[_Batch[Item]]:
    """Batches of images of one size each."""
    batch: _Batch[Item] = _Batch()
    wanted = 1
    for item, future in prepared:
        try:
            places, canvases = future.result()
        except ImageError as error:
            batch.errors[len(batch.items)] = error
            batch.items.append(item)
            continue
        if batch.canvases and batch.places != places:
            yield batch
            batch = _Batch()
        batch.add(item, places, canvases)
        if len(batch.canvases) >= min(wanted, scorer.batch(places)):
            yield batch
            batch, wanted = _Batch(), 2 * wanted
    if batch.items:
        yield batch
