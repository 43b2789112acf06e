"""All members of a model on a device: batches go to each, and what they find is put together as it arrives."""

from collections.abc import Iterator, Sequence

import torch

from core.cuda.scoring import BatchScorer, Pending
from core.ensemble import Canvases, Places, combined
from core.scoring import Scored
from core.trained_model import TrainedModel


class Started:
    """Results that are on their way from the device."""

    def __init__(self, pending: Sequence[Sequence[Pending]], places: Places, units: Sequence[float]) -> None:
        self._pending, self._places, self._units = pending, places, units

    def results(self) -> Iterator[Scored]:
        """Wait for them, in order."""
        found = [(result for part in parts for result in part.results()) for parts in self._pending]
        for one in zip(*found, strict=True):
            yield combined(one, self._places, self._units)


class EnsembleScorer:
    """A trained model on a device; may be called from any thread.

    Attributes:
        members: One for each network.
    """

    def __init__(self, trained: TrainedModel, device: torch.device) -> None:
        """Copy to the device what scoring needs; the model stays where it is.

        Raises:
            torch.OutOfMemoryError: The device is too small.
        """
        self.members = [BatchScorer(network, trained.config.method, device) for network in trained.networks]
        self._sides = [config.preprocessing.image_size for config in trained.config.members]
        self._units = trained.units

    def batch(self, places: Places) -> int:
        """How many images of that size are best scored at once."""
        return min(scorer.batch(place_of) for scorer, place_of in zip(self.members, places, strict=True))

    @property
    def waiting(self) -> int:
        """How many prepared images should wait for their batch: two batches' worth."""
        return min(scorer.waiting(side) for scorer, side in zip(self.members, self._sides, strict=True))

    def score(self, canvases: Sequence[Canvases], places: Places) -> list[Scored]:
        """Score images of one size.

        Args:
            canvases: Of each image.
            places: Of all of them.

        Raises:
            torch.OutOfMemoryError: Not even one image fits into the device's memory.
        """
        return list(self.start(canvases, places).results())

    def start(self, canvases: Sequence[Canvases], places: Places) -> Started:
        """As `score`, without waiting for the results."""
        of_members = zip(*canvases, strict=True)
        pending = [
            scorer.start(own, place_of) for scorer, own, place_of in zip(self.members, of_members, places, strict=True)
        ]
        return Started(pending, places, self._units)
