"""Results to a web hook on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import RefusedError, TargetError
from core.line.watching.targets.webhook import TOKEN, WebhookTarget
from tests.core.line.watched import result_of

RESULTS = [result_of(f"{n}.png", number=n, ledger="0a1b") for n in (1, 2, 3)]


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses given, then 204; keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], dict[str, object]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/parts?key=secret"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((dict(self.headers) | {"path": self.path}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(receiver: Receiver) -> Iterator[WebhookTarget]:
    made = WebhookTarget(receiver.url)
    yield made
    made.close()


def test_that_each_result_is_posted_with_its_id_and_the_token(
    receiver: Receiver, target: WebhookTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "from the environment")
    assert list(target.deliver(RESULTS)) == RESULTS
    assert [body["id"] for _, body in receiver.got] == ["0a1b-1", "0a1b-2", "0a1b-3"]
    headers, body = receiver.got[0]
    assert headers["Idempotency-Key"] == "0a1b-1"
    assert headers["Authorization"] == "Bearer from the environment"
    assert headers["Content-Type"] == "application/json"
    assert headers["path"] == "/parts?key=secret"
    assert body == RESULTS[0].to_json()


def test_that_without_a_token_none_is_sent(
    receiver: Receiver, target: WebhookTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    list(target.deliver(RESULTS[:1]))
    assert "Authorization" not in receiver.got[0][0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, TargetError) for status in (500, 503, 429, 401, 404, 301)),
        *((status, RefusedError) for status in (400, 413, 422)),
    ],
)
def test_that_what_came_before_a_failure_is_delivered_and_the_answer_is_told(
    receiver: Receiver, target: WebhookTarget, status: int, error: type[TargetError]
) -> None:
    receiver.statuses = [204, status]
    got = []
    with pytest.raises(TargetError) as told:
        for result in target.deliver(RESULTS):
            got.append(result)  # noqa: PERF402
    assert type(told.value) is error
    assert got == RESULTS[:1]
    assert f"{status}" in str(told.value)
    assert "secret" not in str(told.value)
    assert len(receiver.got) == 2


def test_that_nobody_there_is_told_without_the_secret() -> None:
    server = Receiver()
    url = server.url
    server.server_close()
    target = WebhookTarget(url)
    with pytest.raises(TargetError, match="nobody answers there") as told:
        list(target.deliver(RESULTS))
    target.close()
    assert "secret" not in str(told.value)


def test_that_a_secret_that_is_no_header_is_no_traceback(
    target: WebhookTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "two\r\nlines")
    with pytest.raises(TargetError) as told:
        list(target.deliver(RESULTS))
    assert "two" not in str(told.value)
