"""Results to a web hook: one POST with JSON for each.

At least once: a result whose answer was lost comes again, with the same `Idempotency-Key`, by which the receiver can
tell. The secret comes from the environment and is never shown.
"""

import os
import time
from collections.abc import Iterator, Sequence

import urllib3
from urllib3.util import Timeout, parse_url

from core.errors import ConfigError, RefusedError, TargetError
from core.images import shown
from core.line.watching.results import Result
from core.version import VERSION

TOKEN = "CFA_WEBHOOK_TOKEN"  # noqa: S105  the name of the variable
_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
_STRETCH_SECONDS = 1.0
"""After so long, what was delivered is noted, so that a kill does not send very much twice."""
_NOT_ITS_FAULT = frozenset({401, 403, 404, 405, 407, 408, 421, 423, 425, 429})
"""Answers of 400 to 499 that say nothing against the result itself: a wrong token or path, a busy receiver."""


class WebhookTarget:
    """POSTs to one URL, one after the other, over a connection that is kept open."""

    def __init__(self, url: str) -> None:
        try:
            parsed = parse_url(url)
        except urllib3.exceptions.LocationParseError as error:
            raise ConfigError(f"{shown(url)} is no address of a web hook.") from error
        if parsed.auth is not None:
            raise ConfigError(f"Leave name and password out of the web hook's address; set {TOKEN} instead.")
        if not parsed.host:
            raise ConfigError(f"{shown(url)} names no computer. Write http://COMPUTER:PORT/PATH.")
        self._url = url
        self.address = f"{parsed.scheme}://{parsed.netloc}{parsed.path or '/'}"
        self._pool = urllib3.PoolManager(
            retries=False, timeout=Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS), maxsize=1
        )

    def prepare(self) -> None:
        """See `Target`."""

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """See `Target`."""
        until = time.monotonic() + _STRETCH_SECONDS
        for result in results:
            self._post(result)
            yield result
            if time.monotonic() > until:
                return

    def close(self) -> None:
        """See `Target`."""
        self._pool.clear()

    def _post(self, result: Result) -> None:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": result.id,
            "User-Agent": f"cfa-gui/{VERSION}",
        }
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = self._pool.request("POST", self._url, body=result.to_bytes(), headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TargetError(f"{self.address} cannot be reached ({_reason(error)}).") from error
        if 200 <= answer.status < 300:
            return
        sentence = f"{self.address} answers {answer.status} {answer.reason or ''}".strip() + "."
        if 400 <= answer.status < 500 and answer.status not in _NOT_ITS_FAULT:
            raise RefusedError(sentence)
        raise TargetError(sentence)


def _reason(error: BaseException) -> str:
    """What went wrong in few words; never the address, which may hold a secret."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "its name is not known in this network"
        case urllib3.exceptions.NewConnectionError():
            return "nobody answers there"
        case urllib3.exceptions.TimeoutError():
            return "no answer in time"
        case urllib3.exceptions.SSLError():
            return "its certificate is not trusted"
    return type(error).__name__
