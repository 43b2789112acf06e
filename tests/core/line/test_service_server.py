"""The service on a socket: connections that hang, break off or talk nonsense, and the process that serves."""

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from core.errors import CfaError, ServiceError
from core.line.service.application import Service
from core.line.service.limits import Limits
from core.line.service.models import Shelf
from core.line.service.server import open_socket, run
from core.progress import CancelToken
from tests.core.cli_runs import model_in
from tests.core.line.service_runs import GOOD, HeldShelf, running, shelf_in

ROOT = Path(__file__).parents[3]
HEAD = b"POST /inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
Address = tuple[str, int]


class Loaded(Shelf):
    """A shelf whose models are loaded already."""

    def __init__(self, of: Shelf) -> None:
        super().__init__({name: Path(name) for name in of.names}, "cpu")
        self._served.update(of._served)

    def load(self, name: str) -> object:  # type: ignore[override]
        return self._served[name]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Loaded(shelf_in(tmp_path_factory.mktemp("models"), "part"))


@pytest.fixture
def hasty(shelf: Shelf) -> Iterator[tuple[Service, Address]]:
    """A service that waits for nobody."""
    service = Service(shelf, Limits(idle_seconds=0.5, body_seconds=0.5))
    with running(service) as address:
        yield service, address


def post(address: Address, body: bytes = GOOD) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request("POST", "/inspect", body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    connection.settimeout(30)
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [b"", b"POST /inspect HTT", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"])
def test_that_a_connection_without_a_whole_head_is_closed(hasty: tuple[Service, Address], sent: bytes) -> None:
    _, address = hasty
    with socket.create_connection(address) as connection:
        connection.sendall(sent)
        assert all_of(connection) == b""
    assert post(address)[0] == 200


def test_that_a_body_that_stops_coming_is_given_up(hasty: tuple[Service, Address]) -> None:
    service, address = hasty
    with socket.create_connection(address) as connection:
        connection.sendall(HEAD % 1000 + b"abc")
        answer = all_of(connection)
    assert b" 408 " in answer
    assert b"within 0.5 seconds" in answer
    assert service.held.bytes == 0
    assert post(address)[0] == 200


@pytest.mark.parametrize("way", ["half-closed", "closed", "reset"])
def test_that_a_connection_that_breaks_off_leaves_nothing_behind(hasty: tuple[Service, Address], way: str) -> None:
    service, address = hasty
    for _ in range(20):
        with socket.create_connection(address) as connection:
            connection.sendall(HEAD % 100_000 + bytes(1000))
            if way == "half-closed":
                connection.shutdown(socket.SHUT_WR)
                all_of(connection)
            elif way == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: service.held.bytes == 0)
    assert (service.queue.waiting, service.queue.working) == (0, 0)
    assert post(address)[0] == 200


def test_that_who_goes_away_while_waiting_frees_the_place(shelf: Shelf) -> None:
    held = HeldShelf(shelf)
    held.load = lambda name: held._served[name]  # type: ignore[method-assign]
    service = Service(held, Limits(workers=1, queue=1))
    with running(service) as address, socket.create_connection(address) as first:
        first.sendall(HEAD % len(GOOD) + GOOD)
        assert held.held.begun.acquire(timeout=30)
        with socket.create_connection(address) as second:
            second.sendall(HEAD % len(GOOD) + GOOD)
            until(lambda: service.queue.waiting == 1)
        until(lambda: service.queue.waiting == 0)
        assert service.held.bytes == len(GOOD)
        held.held.let_go.set()
        until(lambda: service.held.bytes == 0)
        assert post(address)[0] == 200


def test_that_what_is_no_http_gets_a_problem(hasty: tuple[Service, Address]) -> None:
    _, address = hasty
    with socket.create_connection(address) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_that_more_connections_than_there_may_be_are_closed_at_once(shelf: Shelf) -> None:
    with running(Service(shelf, Limits(connections=5))) as address:
        kept = [socket.create_connection(address) for _ in range(6)]
        try:
            assert all_of(kept[-1]) == b""
        finally:
            for connection in kept:
                connection.close()
        until(lambda: _answers(address))


def _answers(address: Address) -> bool:
    try:
        return post(address)[0] == 200
    except (ConnectionError, http.client.HTTPException):
        return False


def test_that_one_connection_takes_many_requests_and_survives_a_refusal(shelf: Shelf) -> None:
    with running(Service(shelf, Limits(body_bytes=100_000))) as address:
        connection = http.client.HTTPConnection(*address, timeout=30)
        statuses = []
        for body in (GOOD, b"x" * 200_000, GOOD, b"x", GOOD):
            connection.request("POST", "/inspect", body)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
    assert statuses == [200, 413, 200, 422, 200]


def test_that_a_model_that_cannot_be_loaded_ends_the_service_with_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.cfa").write_bytes(b"broken")
    service = Service(Shelf({"broken": tmp_path / "broken.cfa"}, "cpu"))
    with pytest.raises(CfaError, match=r"broken\.cfa"):
        run(service, open_socket("127.0.0.1", 0), lambda: None, CancelToken())


def test_that_an_address_that_is_taken_is_told() -> None:
    with open_socket("127.0.0.1", 0) as taken, pytest.raises(ServiceError, match="cannot listen at 127"):
        open_socket("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ServiceError, match=r"cannot listen at no\.such\.host\.invalid"):
        open_socket("no.such.host.invalid", 0)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_that_the_process_prints_its_address_reloads_at_sighup_and_stops_at_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "core.cli", "serve", str(model_in(tmp_path)), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            listening = process.stdout.readline()
            assert listening.startswith("Listening at http://127.0.0.1:")
            address = ("127.0.0.1", int(listening.rsplit(":", 1)[1]))
            assert process.stdout.readline() == "Ready: part\n"
            assert post(address)[1]["verdict"] == "good"
            process.send_signal(signal.SIGHUP)
            lines = iter(process.stderr.readline, "")
            assert any("The model part was read again." in line for line in lines)
            assert post(address)[0] == 200
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err
    assert "POST /inspect 200" in err
