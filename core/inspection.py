"""Inspect images with a trained model: load once, inspect many. The one scoring path of the whole program."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.ahead import AHEAD, DECODERS, ahead, finished
from core.at_once import images_at_once
from core.config import Config
from core.cuda.batches import in_batches
from core.cuda.ensemble import EnsembleScorer
from core.dataset import Sample
from core.device import choose_device, memory_told
from core.ensemble import Canvases, Places, combined
from core.errors import ImageError
from core.geometry import Geometry, geometry
from core.images import read_image
from core.left_alone import left_alone
from core.model import CfaModel, centres_needed
from core.placement import Placement, apply
from core.progress import CancelToken, Phase, Progress, Report, silent
from core.scoring import Scored, anomaly_map, image_score
from core.trained_model import TrainedModel

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """The result for one image.

    Attributes:
        sample: The image.
        score: Anomaly score, the maximum of the map over what was inspected; >= 0.
        anomaly_map: (crop height, crop width) float32 at the resolution of the network's input, of an ensemble's first
            member; 0 where a region was left out; read-only.
        placement: Where the image lay on that input.
    """

    sample: Sample
    score: float
    anomaly_map: NDArray[np.float32]
    placement: Placement

    def source_map(self) -> NDArray[np.float32]:
        """The map at the size of the source image, (H, W) float32; NaN outside a crop."""
        return self.placement.map_to_source(self.anomaly_map)


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be inspected.

    Attributes:
        sample: The image.
        message: Why, for the user.
    """

    sample: Sample
    message: str


class Inspector:
    """A trained model on a device. A score never depends on what else is inspected.

    On a CPU each image is scored alone, and several files at the same time; on a graphics card many in a batch, whose
    size may change the last digits (see docs/adr/0016-cuda.md).
    """

    def __init__(self, trained: TrainedModel, *, device: str = "auto", cancel: CancelToken | None = None) -> None:
        """Move the model to the device.

        Args:
            trained: The model.
            device: auto, cpu, cuda or cuda:N.
            cancel: Heard while the model is being compiled for a CPU.

        Raises:
            DeviceError: The device is absent or its memory too small.
            CancelledByUser: The token was set.
        """
        self.trained = trained
        self._device = choose_device(device)
        self._members: tuple[tuple[Config, CfaModel], ...] = tuple(
            zip(trained.config.members, trained.networks, strict=True)
        )
        self._scorer: EnsembleScorer | None = None
        method = trained.config.method
        with memory_told():
            for network in trained.networks:
                network.eval()
            if self._device.type == "cuda":  # the networks stay where they are
                self._scorer = EnsembleScorer(trained, self._device)
            else:
                for network in trained.networks:
                    network.to(self._device)
                    compile_it = partial(network.compile_all, centres_needed(method.score, method.neighbours))
                    left_alone(compile_it, cancel or CancelToken())

    def inspect(self, image: NDArray[np.uint8], sample: Sample | None = None) -> Inspection:
        """Inspect one image.

        Args:
            image: (H, W, 3) uint8 RGB.
            sample: What to name the result after.

        Raises:
            DeviceError: Too little memory.
            ImageError: The array is not an image.
        """
        return self._score(self._prepared(image), sample)

    @property
    def in_batches(self) -> bool:
        """Whether many images at once are faster than one by one."""
        return self._scorer is not None

    def inspect_together(self, images: Sequence[NDArray[np.uint8]]) -> list[Inspection]:
        """As `inspect` for each, at once where that is faster.

        Args:
            images: (H, W, 3) uint8 RGB each; all wait for the last one.

        Raises:
            DeviceError: Too little memory.
            ImageError: An array is not an image.
        """
        prepared = [self._prepared(image) for image in images]
        if self._scorer is None:
            return [self._score(one, None) for one in prepared]
        found: dict[int, Inspection] = {}
        with memory_told():
            for places in dict.fromkeys(places for places, _ in prepared):
                same = [index for index, one in enumerate(prepared) if one[0] == places]
                scored = self._scorer.score([prepared[index][1] for index in same], places)
                found |= {index: _inspection(one, places, None) for index, one in zip(same, scored, strict=True)}
        return [found[index] for index in range(len(prepared))]

    def _prepared(self, image: NDArray[np.uint8]) -> tuple[Places, Canvases]:
        """Where the image lies on the input of each member, and these inputs."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ImageError(f"An image is (H, W, 3) uint8 RGB; this array is {image.shape} {image.dtype}.")
        source = image.shape[0], image.shape[1]
        places = tuple(geometry(source, config, network.stride, network.cell) for config, network in self._members)
        return places, tuple(apply(image, place_of.placement) for place_of in places)

    def _score(self, prepared: tuple[Places, Canvases], sample: Sample | None) -> Inspection:
        places, canvases = prepared
        if self._scorer is not None:
            with memory_told():
                (scored,) = self._scorer.score([canvases], places)
            return _inspection(scored, places, sample)
        with memory_told(), torch.inference_mode():
            found = [self._seen(*look) for look in zip(self.trained.networks, canvases, places, strict=True)]
        return _inspection(combined(found, places, self.trained.units), places, sample)

    def _seen(self, network: CfaModel, pixels: NDArray[np.uint8], place_of: Geometry) -> Scored:
        """What a member finds."""
        method = self.trained.config.method
        canvas = torch.from_numpy(pixels)[None].to(self._device)  # (1, H, W, 3)
        grid = network(canvas, method.score, method.neighbours)[0]  # (h, w)
        values = anomaly_map(grid.cpu().numpy(), place_of.valid, place_of.inspected, network.cell, method.smoothing)
        return Scored(values, image_score(values, place_of.inspected))

    def inspect_many(
        self, samples: Sequence[Sample], *, report: Report = silent, cancel: CancelToken | None = None
    ) -> Iterator[Inspection | Failure]:
        """Inspect files, each result as soon as it is there; a file that cannot be read gives a `Failure`.

        Several are decoded and scored at the same time, further files than the one whose result is in use.

        Args:
            samples: The files.
            report: Told after each image.
            cancel: Checked before each image.

        Raises:
            CancelledByUser: The token was set.
            DeviceError: Too little memory.
        """
        with closing(self._results(samples)) as results:
            for done in range(len(samples)):
                if cancel is not None:
                    cancel.check()
                result = next(results)
                report(Progress(Phase.INSPECTING, done + 1, len(samples)))
                yield result

    def inspect_images(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Inspection]:
        """As `inspect` for one image after the other, several at the same time.

        Args:
            images: (H, W, 3) uint8 RGB each; looked at no further ahead than a batch or two.

        Raises:
            DeviceError: Too little memory.
            ImageError: An array is not an image.
        """
        name = Sample(Path("image"), "image", None, "", None)
        if self._scorer is None:
            with closing(self._alone(lambda image: (name, self._prepared(image)), images, sys.maxsize)) as found:
                for _, result in found:
                    yield result.result()
            return
        prepared = ((name, finished(self._prepared, image)) for image in images)
        with memory_told():
            for _, outcome in in_batches(prepared, self._scorer):
                if isinstance(outcome, ImageError):
                    raise outcome
                yield _inspection(outcome[1], outcome[0], name)

    def _alone(
        self, opened: Callable[[Item], tuple[Sample, tuple[Places, Canvases]]], items: Iterable[Item], count: int
    ) -> Generator[tuple[Item, Future[Inspection]], None, None]:
        """Up to `count` items, each scored by itself on a CPU, several at the same time; as `core.ahead` gives them."""
        with self._several_at_once(count) as at_once:
            turn = Semaphore(at_once)

            def inspected(item: Item) -> Inspection:
                sample, prepared = opened(item)
                with turn:
                    return self._score(prepared, sample)

            with closing(ahead(inspected, items, workers=at_once + 1, waiting=at_once + AHEAD)) as found:
                yield from found

    @contextmanager
    def _several_at_once(self, count: int) -> Iterator[int]:
        """Meanwhile images are scored by several threads at once; gives how many, for that many images, on a CPU."""
        wanted = images_at_once(self.trained.config, count)
        with ExitStack() as stack:
            yield min([stack.enter_context(network.several_at_once(wanted)) for network in self.trained.networks])

    def _results(self, samples: Sequence[Sample]) -> Generator[Inspection | Failure, None, None]:
        """The results for files, one by one or batch by batch."""

        def decode(sample: Sample) -> tuple[Places, Canvases]:
            return self._prepared(read_image(sample.path))

        if self._scorer is None:
            with closing(self._alone(lambda sample: (sample, decode(sample)), samples, len(samples))) as found:
                for sample, result in found:
                    try:
                        yield result.result()
                    except ImageError as error:
                        yield Failure(sample, str(error))
            return
        scorer = self._scorer
        with memory_told(), closing(ahead(decode, samples, workers=DECODERS, waiting=scorer.waiting)) as prepared:
            for sample, outcome in in_batches(prepared, scorer):
                if isinstance(outcome, ImageError):
                    yield Failure(sample, str(outcome))
                else:
                    yield _inspection(outcome[1], outcome[0], sample)


def _inspection(scored: Scored, places: Places, sample: Sample | None) -> Inspection:
    scored.anomaly_map.flags.writeable = False
    name = sample or Sample(Path("image"), "image", None, "", None)
    return Inspection(name, scored.score, scored.anomaly_map, places[0].placement)
