"""The work behind `cfa serve`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.cli import output as out
from core.errors import ServiceError
from core.line.service.limits import BATCH, MEBIBYTE, Limits
from core.line.service.token import read_token, require_token
from core.progress import CancelToken


@dataclass(frozen=True, slots=True)
class Bounds:
    """What was typed of `core.line.service.limits.Limits`.

    Attributes:
        megabytes: Of one request, in units of 2**20 bytes.
        megapixels: Of one image, in millions.
        queue: Images that may wait.
    """

    megabytes: int
    megapixels: int
    queue: int

    def limits(self) -> Limits:
        """As the service takes them; all requests together may hold 256 MiB, or four of the largest."""
        body = self.megabytes * MEBIBYTE
        return Limits(
            body_bytes=body,
            held_bytes=max(256 * MEBIBYTE, 4 * body),
            pixels=self.megapixels * 1_000_000,
            queue=self.queue,
        )


def serve(
    models: Sequence[str],
    host: str,
    port: int,
    token_file: Path | None,
    bounds: Bounds,
    *,
    device: str,
    cancel: CancelToken,
) -> None:
    """`cfa serve`."""
    token = read_token(token_file, os.environ)
    require_token(host, token)
    try:
        import fastapi  # noqa: F401  for its presence
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ServiceError(
            f'`cfa serve` needs {error.name}. Install it with `pip install "cfa-gui[serve]"`.'
        ) from error
    from core.device import choose_device
    from core.line.service.application import Service
    from core.line.service.models import Shelf, named_paths
    from core.line.service.server import address_of, log_to_stderr, open_socket, run

    paths = named_paths(models)
    log_to_stderr()
    listener = open_socket(host, port)
    out.line(f"Listening at {address_of(listener)}")
    cancel.check()
    limits = bounds.limits()
    if choose_device(device).type == "cuda":
        limits = replace(limits, workers=2 * BATCH)  # half of them decode and draw while the others are inspected
    service = Service(Shelf(paths, device), limits, token)
    run(service, listener, lambda: out.line(f"Ready: {', '.join(paths)}"), cancel)
