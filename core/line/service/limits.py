"""What one client, and all of them together, may ask of the service."""

from dataclasses import dataclass

MEBIBYTE = 2**20
BATCH = 8
"""Images that a graphics card inspects at once, and so the workers that it needs; a CPU takes one at a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds; the memory of the service follows from them.

    Attributes:
        body_bytes: Of one request, enforced while it is read.
        held_bytes: Of all requests together, read or being read.
        pixels: Of one image, seen in its header before it is decoded.
        queue: Requests that wait for a worker; more are turned away.
        workers: Images that are decoded, inspected and drawn at once.
        connections: Open at once; more are closed at once.
        body_seconds: For a request to arrive whole.
        work_seconds: From then until its result; whatever takes longer is turned away.
        send_seconds: For the client to take the answer.
        idle_seconds: For the head of a request to arrive, counted from the connection or the last answer.
        stop_seconds: For the requests at work when the service is stopped.
    """

    body_bytes: int = 32 * MEBIBYTE
    held_bytes: int = 256 * MEBIBYTE
    pixels: int = 50_000_000
    queue: int = 32
    workers: int = 3
    connections: int = 256
    body_seconds: float = 30.0
    work_seconds: float = 30.0
    send_seconds: float = 30.0
    idle_seconds: float = 30.0
    stop_seconds: float = 10.0

    @property
    def busy_seconds(self) -> float:
        """The longest that a request may take in all."""
        return self.body_seconds + self.work_seconds + self.send_seconds
