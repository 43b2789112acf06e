"""What every request passes: the check of who asks, a time for each, headers of safety, the log and the counters."""

import logging
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.images import shown
from core.line.service.metrics import Metrics
from core.line.service.problems import problem_response
from core.line.service.token import is_loopback

_LOG = logging.getLogger("cfa.access")
_LONGEST_PATH = 200
_SAFE = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
OUTCOME = "cfa.outcome"
"""Where a request leaves, in its scope, what the log says of it."""


@dataclass(slots=True)
class _Answer:
    status: int = 0
    length: int = 0


class Gate:
    """An ASGI application before the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, this_machine_only: bool) -> None:
        """Stand before an application.

        Args:
            app: The application.
            metrics: Told of every request.
            this_machine_only: There is no token; only addresses of this machine are answered to, so that no page in
                the user's browser can reach the service by a name of its own, and no other site's page can ask at all.
        """
        self.app, self._metrics, self._this_machine_only = app, metrics, this_machine_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        answer = _Answer()

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_SAFE]
            else:
                answer.length += len(message.get("body", b""))
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, receive, send_on)
            else:
                await problem_response(403, refusal)(scope, receive, send_on)
        finally:
            self._note(scope, answer, time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> str | None:
        if not self._this_machine_only:
            return None
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"localhost").decode("latin-1")
        if not is_loopback(_without_port(host)):
            return (
                "Without a token the service answers to localhost only. Start it with one to reach it by other names."
            )
        followed_a_link = scope["method"] == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and not followed_a_link:
            return "Without a token the service takes no requests from pages of other sites."
        return None

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.request(route, answer.status, seconds)
        client = (scope.get("client") or ("-",))[0]
        path = shown(scope["path"])[:_LONGEST_PATH]
        outcome = scope.get(OUTCOME, "")
        _LOG.info(
            "%s %s %s %d, %d bytes, %.1f ms. %s",
            client,
            shown(scope["method"])[:20],
            path,
            answer.status,
            answer.length,
            1000 * seconds,
            outcome,
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
