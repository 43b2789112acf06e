"""The service with a real, small model, and what its tests send to it."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.inspection import Inspection, Inspector
from core.line.service.application import Service
from core.line.service.limits import Limits
from core.line.service.models import ServedModel, Shelf
from core.line.service.server import open_socket, run
from core.progress import CancelToken
from core.trained_model import TrainedModel
from tests.core.cli_runs import model_in, picture

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG file."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()


GOOD, DEFECT = png(picture(1001)), png(picture(2001, defect=True))


def shelf_in(folder: Path, *names: str, loaded: bool = True) -> Shelf:
    """A shelf with copies of the small model."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    shelf = Shelf({name: model_in(folder / name) for name in names}, "cpu")
    for name in names if loaded else ():
        shelf.load(name)
    return shelf


class Held(Inspector):
    """An inspector that waits until it is let go."""

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__(trained, device="cpu")
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()

    def inspect_together(self, images: Sequence[NDArray[np.uint8]]) -> list[Inspection]:
        """Tell that it has begun, wait, inspect."""
        self.begun.release()
        assert self.let_go.wait(30)
        return super().inspect_together(images)


class HeldShelf(Shelf):
    """One model, `part`, that inspects when it is let go."""

    def __init__(self, of: Shelf) -> None:
        super().__init__({"part": Path("part.cfa")}, "cpu")
        model = of.get(of.names[0])
        assert model is not None
        self.held = Held(model.inspector.trained)
        self._served["part"] = ServedModel("part", self.held, model.threshold, model.identity)


@contextmanager
def running(service: Service) -> Iterator[tuple[str, int]]:
    """The service on a socket of its own, from a thread; its address. The models are loaded."""
    ready, cancel = threading.Event(), CancelToken()
    listener = open_socket("127.0.0.1", 0)
    address = listener.getsockname()
    thread = threading.Thread(target=run, args=(service, listener, ready.set, cancel))
    thread.start()
    try:
        assert ready.wait(60)
        yield address
    finally:
        cancel.cancel()
        thread.join(30)
        assert not thread.is_alive()


SMALL = Limits(body_bytes=100_000, held_bytes=300_000, pixels=10_000, queue=2, workers=1)
