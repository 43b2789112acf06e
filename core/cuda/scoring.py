"""Scores and maps of a batch of images on a device, from uint8 pixels to finished maps without a wait in between.

Calibration and inspection take this same path. It is float32 throughout, but for the ranking of the centres, which
`core.cuda.search` makes good. On a CPU it gives the same; only graphs, pinned memory and copies beside the computation
need a CUDA device.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config import Method
from core.cuda.descriptors import FoldedDescriptor
from core.cuda.maps import MapMaker
from core.cuda.network import PooledMaps
from core.cuda.recording import Recording
from core.cuda.search import HalfSearch
from core.device import current
from core.geometry import Geometry
from core.model import CfaModel, centres_needed
from core.neighbours import CANDIDATES, Ellipsoids, nearest_ellipsoid
from core.scoring import Scored, patch_scores

_BATCH_PIXELS = 64 * 256 * 256
"""Of the network's input, at once."""
_DESCRIBED = 1 << 26
"""Numbers in the descriptors that are held at once."""
_WAITING = 128
_SIZES = 8
"""Sizes of images that are kept ready."""


class Pending:
    """Results that are on their way from the device."""

    def __init__(self, maps: Tensor, scores: Tensor) -> None:
        """Start the copy to the host; the memory it lands in is new."""
        pinned = maps.is_cuda
        self._host = [torch.empty(x.shape, dtype=x.dtype, pin_memory=pinned) for x in (maps, scores)]
        for host, values in zip(self._host, (maps, scores), strict=True):
            host.copy_(values, non_blocking=True)
        self._done = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call]
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(maps.device))

    def results(self) -> list[Scored]:
        """Wait for them."""
        if self._done is not None:
            self._done.synchronize()
        maps, scores = self._host
        return [Scored(values.copy(), score) for values, score in zip(maps.numpy(), scores.tolist(), strict=True)]


class _Size:
    """What is kept for images of one size."""

    def __init__(self, maker: MapMaker) -> None:
        self.maker = maker
        self.seen = 0
        self.recording: Recording | None = None


class BatchScorer:
    """A trained network on a device; may be called from any thread."""

    def __init__(self, network: CfaModel, method: Method, device: torch.device) -> None:
        """Copy to the device what scoring needs; the network stays where it is.

        Raises:
            torch.OutOfMemoryError: The device is too small.
        """
        self._device, self._method, self._cell = device, method, network.cell
        folded = network.folded()
        count = centres_needed(method.score, method.neighbours)
        self._shaped = count == 1 and folded.axes.shape[1] > 0
        with current(device), torch.no_grad():
            self._pooled = PooledMaps(network.backbone, device)
            self._describe = FoldedDescriptor(folded, device)
            shapes = (folded.centres, folded.axes, folded.basis, folded.feet)
            self._shapes = Ellipsoids(*(torch.from_numpy(part).to(device) for part in shapes))
            looked_at = min(CANDIDATES, len(folded.centres)) if self._shaped else count
            self._search = HalfSearch(self._shapes.centres, looked_at, centred=True)
            self._radii = network.centre_radii.to(device)
        self._width = folded.centres.shape[1]
        self._most = _BATCH_PIXELS
        self._records = device.type == "cuda"
        self._ready: OrderedDict[Geometry, _Size] = OrderedDict()
        self._turn = threading.Lock()

    def batch(self, place_of: Geometry) -> int:
        """How many images of that size are best scored at once."""
        height, width = place_of.placement.canvas
        return max(1, self._most // (height * width))

    def waiting(self, side: int) -> int:
        """How many prepared images of about side x side pixels should wait for their batch: two batches' worth."""
        return min(max(2 * _BATCH_PIXELS // side**2, 2), _WAITING)

    def score(self, canvases: Sequence[NDArray[np.uint8]], place_of: Geometry) -> list[Scored]:
        """Score images of one size.

        Args:
            canvases: (H, W, 3) uint8 RGB each, the network's inputs.
            place_of: Of all of them.

        Raises:
            torch.OutOfMemoryError: Not even one image fits into the device's memory.
        """
        return [result for pending in self.start(canvases, place_of) for result in pending.results()]

    def start(self, canvases: Sequence[NDArray[np.uint8]], place_of: Geometry) -> list[Pending]:
        """As `score`, without waiting for the results. What is too much for the device's memory is halved, for good."""
        found: list[Pending] = []
        begin = 0
        with self._turn, torch.inference_mode(), current(self._device):
            while begin < len(canvases):
                part = canvases[begin : begin + self.batch(place_of)]
                pending = self._tried(part, place_of)
                if pending is None:  # only here is the memory of the failed try free again
                    self._make_do(len(part), place_of)
                else:
                    found.append(pending)
                    begin += len(part)
        return found

    def _tried(self, canvases: Sequence[NDArray[np.uint8]], place_of: Geometry) -> Pending | None:
        """None: there was too little memory, but it may be enough for less."""
        try:
            return Pending(*self._scores(canvases, self._size(place_of)))
        except torch.OutOfMemoryError:
            if len(canvases) == 1 and not self._recordings():
                raise
        return None

    def _make_do(self, tried: int, place_of: Geometry) -> None:
        """Give up all recordings, or where there are none half the batch; for good."""
        recordings = self._recordings()
        for size in recordings:
            size.recording = None
        if recordings:
            self._records = False
        else:
            height, width = place_of.placement.canvas
            self._most = tried // 2 * height * width
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _recordings(self) -> list[_Size]:
        return [size for size in self._ready.values() if size.recording is not None]

    def _size(self, place_of: Geometry) -> _Size:
        """What is kept for images of that size; the size that was not asked for longest is forgotten."""
        size = self._ready.get(place_of)
        if size is None:
            maker = MapMaker(place_of.valid, place_of.inspected, self._cell, self._method.smoothing, self._device)
            size = self._ready[place_of] = _Size(maker)
        self._ready.move_to_end(place_of)
        if len(self._ready) > _SIZES:
            self._ready.popitem(last=False)
        return size

    def _scores(self, canvases: Sequence[NDArray[np.uint8]], size: _Size) -> tuple[Tensor, Tensor]:
        """Maps and scores on the device."""
        host = torch.empty(
            (len(canvases), *canvases[0].shape), dtype=torch.uint8, pin_memory=self._device.type == "cuda"
        )
        np.stack(canvases, out=host.numpy())
        if len(canvases) == 1:
            size.seen += 1
            self._record(host, size)
            if size.recording is not None:
                maps, scores = size.recording([host])
                return maps, scores
        return self._compute(host.to(self._device, non_blocking=True), size.maker)

    def _record(self, host: Tensor, size: _Size) -> None:
        """Record the scoring of one image, at the second of its size: the first may be the only one."""
        if not self._records or size.seen < 2 or size.recording is not None:
            return
        maker = size.maker
        try:
            size.recording = Recording(lambda images: self._compute(images[0], maker), [host.to(self._device)])
        except torch.OutOfMemoryError:
            self._records = False

    def _compute(self, images: Tensor, maker: MapMaker) -> tuple[Tensor, Tensor]:
        """Maps and scores of (b, H, W, 3) images."""
        pooled = self._pooled(images)
        patches = pooled[0].shape[2] * pooled[0].shape[3]
        at_once = max(1, _DESCRIBED // (patches * self._width))
        parts = zip(*(torch.split(level, at_once) for level in pooled), strict=True)
        maps = maker(torch.cat([self._grid(part) for part in parts]))
        return maps, maps.flatten(1).amax(dim=1)

    def _grid(self, pooled: Sequence[Tensor]) -> Tensor:
        """(b, h, w) scores of the patches."""
        phi = self._describe(pooled)
        queries = phi.flatten(0, 2)
        distances, rows = self._search(queries)
        if self._shaped:
            distances, rows = nearest_ellipsoid(queries, self._shapes, rows)
        return patch_scores(distances, self._method.score, self._radii[rows[:, 0]]).view(phi.shape[:3])
