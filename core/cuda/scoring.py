"""Scores and maps of a batch of images on a device, from uint8 pixels to finished maps without a wait in between.

Calibration and inspection take this same path. It is float32 throughout, but for the ranking of the centres, which
`core.cuda.search` makes good. On a CPU it gives the same; only graphs, pinned memory and copies beside the computation
need a CUDA device.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.cuda.descriptors import FoldedDescriptor
from core.cuda.maps import MapMaker
from core.cuda.network import PooledMaps
from core.cuda.search import HalfSearch
from core.model import centres_needed
from core.scoring import patch_scores

if TYPE_CHECKING:
    from core.inspection import Geometry
    from core.trained_model import TrainedModel

_BATCH_PIXELS = 64 * 256 * 256
"""Of the network's input, at once."""
_DESCRIBED = 1 << 26
"""Numbers in the descriptors that are held at once."""
_WAITING = 128
_SIZES = 8
"""Sizes of images that are kept ready."""


class Scored(NamedTuple):
    """The result for one image.

    Attributes:
        anomaly_map: (crop height, crop width) float32.
        score: Its maximum.
    """

    anomaly_map: NDArray[np.float32]
    score: float


class Pending:
    """Results that are on their way from the device."""

    def __init__(self, maps: Tensor, scores: Tensor) -> None:
        """Start the copy to the host; the memory it lands in is new."""
        pinned = maps.is_cuda
        self._host = [torch.empty(x.shape, dtype=x.dtype, pin_memory=pinned) for x in (maps, scores)]
        for host, values in zip(self._host, (maps, scores), strict=True):
            host.copy_(values, non_blocking=True)
        self._done = torch.cuda.Event() if pinned else None
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(maps.device))

    def results(self) -> list[Scored]:
        """Wait for them."""
        if self._done is not None:
            self._done.synchronize()
        maps, scores = self._host
        return [Scored(values.copy(), score) for values, score in zip(maps.numpy(), scores.tolist(), strict=True)]


class BatchScorer:
    """A trained model on a device; may be called from any thread."""

    def __init__(self, trained: "TrainedModel", device: torch.device) -> None:
        """Copy to the device what scoring needs; the model stays where it is.

        Raises:
            torch.OutOfMemoryError: The device is too small.
        """
        network, method = trained.network, trained.config.method
        self._device, self._method, self._cell = device, method, network.cell
        with torch.no_grad():
            folded = network.folded()
            self._pooled = PooledMaps(network.backbone, device)
            self._describe = FoldedDescriptor(folded, device)
            centres = torch.from_numpy(folded.centres).to(device)
            count = centres_needed(method.score, method.neighbours)
            self._search = HalfSearch(centres, count, centred=True)
            self._radii = network.centre_radii.to(device)
        self._width = folded.centres.shape[1]
        self._most = _BATCH_PIXELS
        self._ready: OrderedDict[Geometry, _Size] = OrderedDict()
        self._turn = threading.Lock()

    def batch(self, place_of: "Geometry") -> int:
        """How many images of that size are best scored at once."""
        height, width = place_of.placement.canvas
        return max(1, self._most // (height * width))

    def waiting(self, side: int) -> int:
        """How many prepared images of about side x side pixels should wait for their batch: two batches' worth."""
        return min(max(2 * _BATCH_PIXELS // side**2, 2), _WAITING)

    def score(self, canvases: Sequence[NDArray[np.uint8]], place_of: "Geometry") -> list[Scored]:
        """Score images of one size.

        Args:
            canvases: (H, W, 3) uint8 RGB each, the network's inputs.
            place_of: Of all of them.

        Raises:
            torch.OutOfMemoryError: Not even one image fits into the device's memory.
        """
        return [result for pending in self.start(canvases, place_of) for result in pending.results()]

    def start(self, canvases: Sequence[NDArray[np.uint8]], place_of: "Geometry") -> list[Pending]:
        """As `score`, without waiting for the results. What is too much for the device's memory is halved, for good."""
        current = torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()
        with self._turn, torch.inference_mode(), current:
            return self._started(canvases, place_of)

    def _started(self, canvases: Sequence[NDArray[np.uint8]], place_of: "Geometry") -> list[Pending]:
        found: list[Pending] = []
        begin = 0
        while begin < len(canvases):
            part = canvases[begin : begin + self.batch(place_of)]
            try:
                found.append(Pending(*self._scores(part, self._size(place_of))))
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self._halve(len(part), place_of)
                continue
            begin += len(part)
        return found

    def _halve(self, tried: int, place_of: "Geometry") -> None:
        height, width = place_of.placement.canvas
        self._most = max(1, tried // 2) * height * width
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _size(self, place_of: "Geometry") -> "_Size":
        """What is kept for images of that size; the size that was not asked for longest is forgotten."""
        size = self._ready.get(place_of)
        if size is None:
            maker = MapMaker(place_of.valid, place_of.inspected, self._cell, self._method.smoothing, self._device)
            size = self._ready[place_of] = _Size(maker)
        self._ready.move_to_end(place_of)
        if len(self._ready) > _SIZES:
            self._ready.popitem(last=False)
        return size

    def _scores(self, canvases: Sequence[NDArray[np.uint8]], size: "_Size") -> tuple[Tensor, Tensor]:
        cuda = self._device.type == "cuda"
        host = torch.empty((len(canvases), *canvases[0].shape), dtype=torch.uint8, pin_memory=cuda)
        np.stack(canvases, out=host.numpy())
        if len(canvases) == 1 and cuda:
            return self._one(host, size)
        return self._compute(host.to(self._device, non_blocking=True), size.maker)

    def _one(self, host: Tensor, size: "_Size") -> tuple[Tensor, Tensor]:
        """One image: the first of a size as it comes, as it may be the only one; then recorded and played back."""
        size.seen += 1
        if size.seen > 1 and size.recording is None:
            size.recording = Recording(lambda images: self._compute(images, size.maker), host.to(self._device))
        if size.recording is None:
            return self._compute(host.to(self._device, non_blocking=True), size.maker)
        return size.recording(host)

    def _compute(self, images: Tensor, maker: MapMaker) -> tuple[Tensor, Tensor]:
        """Maps and scores of (b, H, W, 3) images."""
        pooled = self._pooled(images)
        patches = pooled[0].shape[2] * pooled[0].shape[3]
        at_once = max(1, _DESCRIBED // (patches * self._width))
        parts = zip(*(level.split(at_once) for level in pooled), strict=True)
        maps = maker(torch.cat([self._grid(part) for part in parts]))
        return maps, maps.flatten(1).amax(dim=1)

    def _grid(self, pooled: Sequence[Tensor]) -> Tensor:
        """(b, h, w) scores of the patches."""
        phi = self._describe(pooled)
        distances, rows = self._search(phi.flatten(0, 2))
        return patch_scores(distances, self._method.score, self._radii[rows[:, 0]]).view(phi.shape[:3])


class Recording:
    """A computation on one image, recorded as a CUDA graph: launched as a whole instead of kernel by kernel."""

    def __init__(self, compute: Callable[[Tensor], tuple[Tensor, Tensor]], images: Tensor) -> None:
        """Record. Before that compute once: what is kept from call to call must not be made while recording."""
        self._images = images
        compute(images)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # other threads may use the device
            self._outputs = compute(images)

    def __call__(self, host: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs for an image on the host; the next call overwrites them, in order on the device."""
        self._images.copy_(host, non_blocking=True)
        self._graph.replay()
        return self._outputs


class _Size:
    """What is kept for images of one size."""

    def __init__(self, maker: MapMaker) -> None:
        self.maker = maker
        self.seen = 0
        self.recording: Recording | None = None
