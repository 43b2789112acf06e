"""Results to an MQTT broker on loopback. They want mosquitto (`apt-get install mosquitto`)."""

import json
import os
import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import TargetError
from core.line.watching.targets.mqtt import PASSWORD, USER, MqttTarget
from tests.core.line.watched import result_of

pytest.importorskip("paho.mqtt.client", reason="needs the extra mqtt")
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
RESULTS = [result_of(f"{n}.png", number=n, ledger="0a1b") for n in range(1, 301)]


class Broker:
    """A mosquitto that can be stopped and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._settings = folder / "mosquitto.conf"
        self.set("allow_anonymous true")

    def set(self, *lines: str) -> None:
        self._settings.write_text("\n".join((f"listener {self.port} 127.0.0.1", *lines)) + "\n")

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/line/1"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


class Reader:
    """Hears all below `line`."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client, MQTTMessage
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        subscribed: queue.Queue[object] = queue.Queue()

        def hear(_client: Client, _data: object, message: MQTTMessage) -> None:
            self.messages.put((message.topic, bytes(message.payload)))

        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = hear
        self._client.on_subscribe = lambda *heard: subscribed.put(heard)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("line/#", qos=1)
        subscribed.get(timeout=30)

    def next(self) -> tuple[str, bytes]:
        return self.messages.get(timeout=30)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@needs_broker
def test_that_each_result_is_one_message_and_the_status_tells_who_is_there(broker: Broker) -> None:
    reader, target = Reader(broker.port), MqttTarget(broker.url)
    assert list(target.deliver(RESULTS)) == RESULTS
    assert reader.next() == ("line/1/status", b"online")
    heard = [reader.next() for _ in RESULTS]
    assert {topic for topic, _ in heard} == {"line/1"}
    assert [json.loads(payload) for _, payload in heard] == [result.to_json() for result in RESULTS]
    target.close()
    assert reader.next() == ("line/1/status", b"offline")
    reader.close()


@needs_broker
def test_that_a_broker_that_went_away_gets_the_results_when_it_is_back(broker: Broker) -> None:
    target = MqttTarget(broker.url)
    list(target.deliver(RESULTS[:1]))
    broker.stop()
    with pytest.raises(TargetError):
        list(target.deliver(RESULTS[1:2]))
    broker.start()
    reader = Reader(broker.port)
    assert list(target.deliver(RESULTS[1:2])) == RESULTS[1:2]
    topics = [reader.next() for _ in range(2)]
    assert ("line/1", RESULTS[1].to_bytes()) in topics
    target.close()
    reader.close()


@needs_broker
def test_that_name_and_password_come_from_the_environment(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password_file = tmp_path / "passwords"
    made = subprocess.run(["mosquitto_passwd", "-b", "-c", str(password_file), "cfa", "secret"], check=False)
    assert made.returncode == 0
    password_file.chmod(0o644)
    tmp_path.chmod(0o755)
    broker.stop()
    broker.set("allow_anonymous false", f"password_file {password_file}", "user root")
    broker.start()
    target = MqttTarget(broker.url)
    monkeypatch.setenv(USER, "cfa")
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(TargetError, match="does not let this program in") as told:
        list(target.deliver(RESULTS[:1]))
    assert "wrong" not in str(told.value)
    monkeypatch.setenv(PASSWORD, "secret")
    assert list(target.deliver(RESULTS[:1])) == RESULTS[:1]
    target.close()


def test_that_nobody_there_is_told(tmp_path: Path) -> None:
    target = MqttTarget(Broker(tmp_path).url)
    target.prepare()
    with pytest.raises(TargetError, match="cannot be reached"):
        list(target.deliver(RESULTS[:1]))
    target.close()
