"""The service as a process: a socket, a server that lets no connection hang, signals."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.errors import CfaError, ServiceError
from core.line.service.application import Service, make_app
from core.line.service.limits import Limits
from core.line.service.problems import MEDIA_TYPE, problem_json
from core.progress import CancelToken

_LOG = logging.getLogger("cfa.service")
_BACKLOG = 128
_LONGEST_HEAD = 65_536
_LOOK_SECONDS = 1.0


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ServiceError: The address is not this machine's, or taken.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ServiceError(f"The service cannot listen at {host}, port {port}: {why}. Choose another.") from error


def address_of(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Guarded(H11Protocol):
    """uvicorn's connection, but it ends where no request comes, goes on or is taken for too long."""

    limits = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._state: tuple[object, bool] = (None, False)
        self._since = self.loop.time()
        self._next_look: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            transport.abort()
        else:
            self._look()

    def _look(self) -> None:
        """Once a second: end what has been in one state for too long, be it a client that takes no answer."""
        busy = self.cycle is not None and not self.cycle.response_complete
        now = self.loop.time()
        if self._state != (self.cycle, busy):
            self._state, self._since = (self.cycle, busy), now
        elif now - self._since > (self.limits.busy_seconds if busy else self.limits.idle_seconds):
            self.transport.abort()
            return
        self._next_look = self.loop.call_later(_LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's
        """In place of uvicorn's plain text."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = json.dumps(problem_json(400, "This is no HTTP request that can be read.")).encode()
        headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Server(uvicorn.Server):
    cancel = CancelToken()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are set elsewhere; uvicorn would raise them again at the end."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop."""
        return await super().on_tick(counter) or self.cancel.cancelled


def run(service: Service, listener: socket.socket, on_ready: Callable[[], None], cancel: CancelToken) -> None:
    """Serve until stopped: by the token, or on the main thread by SIGTERM or Ctrl-C. SIGHUP reads every model again.

    Args:
        service: With no model loaded yet.
        listener: From `open_socket`; closed at the end.
        on_ready: Called once, when every model is loaded.
        cancel: Stops it after the requests at work.

    Raises:
        CfaError: A model cannot be loaded.
    """
    protocol = type("_Limited", (_Guarded,), {"limits": service.limits})
    config = uvicorn.Config(
        make_app(service),
        http=protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(service.limits.idle_seconds),
        timeout_graceful_shutdown=round(service.limits.stop_seconds),
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    server = _Server(config)
    server.cancel = cancel
    with listener:
        asyncio.run(_serve(server, service, listener, on_ready))


async def _serve(server: _Server, service: Service, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    reloads: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def reload() -> None:
        task = loop.create_task(_reload_all(service))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with _signals(server, lambda: loop.call_soon_threadsafe(reload)):
        loading = asyncio.ensure_future(_load_all(server, service, on_ready))
        await server.serve([listener])
        service.queue.close()
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading


async def _load_all(server: _Server, service: Service, on_ready: Callable[[], None]) -> None:
    try:
        for name in service.shelf.names:
            await asyncio.to_thread(service.shelf.load, name)
    except BaseException:
        server.should_exit = True
        raise
    on_ready()


async def _reload_all(service: Service) -> None:
    for name in service.shelf.names:
        try:
            await asyncio.to_thread(service.shelf.load, name)
        except CfaError as error:
            service.metrics.reload(name, "failed")
            _LOG.error("The model %s loaded before stays. %s", name, error)
        else:
            service.metrics.reload(name, "ok")
            _LOG.info("The model %s was read again.", name)


@contextlib.contextmanager
def _signals(server: _Server, reload: Callable[[], object]) -> Iterator[None]:
    """Stop at the first signal after the requests at work, at a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.handle_exit(number, frame)

    handlers: dict[str, Any] = {"SIGINT": stop, "SIGTERM": stop, "SIGBREAK": stop, "SIGHUP": lambda *_: reload()}
    before = {}
    for name, handler in handlers.items():
        if hasattr(signal, name):
            number = getattr(signal, name)
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log_to_stderr() -> None:
    """What the service has to say while it runs: one line a request, and faults with their tracebacks."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (("cfa", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers[:] = [handler]
