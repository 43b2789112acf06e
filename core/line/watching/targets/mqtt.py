"""Results to an MQTT broker, one JSON message for each, with quality of service 1.

At least once: a message whose receipt was lost comes again, with the same `id` in it. Name and password come from the
environment and are never shown. `TOPIC/status` says `online` or, by the broker when this program vanishes, `offline`;
both are retained.
"""

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from core.errors import ConfigError, TargetError
from core.images import shown
from core.line.watching.results import Result

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo
    from paho.mqtt.reasoncodes import ReasonCode

USER, PASSWORD, CERTIFICATES = "CFA_MQTT_USER", "CFA_MQTT_PASSWORD", "CFA_MQTT_CA"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_SECONDS = 5.0
"""For the connection, and again for the receipts of a batch."""
_KEEP_ALIVE = 30
"""Seconds; the broker calls this program offline after one and a half times that."""
_IN_FLIGHT = 200
_QUALITY = 1


class MqttTarget:
    """Publishes to one topic."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{shown(url)} is no address of an MQTT broker ({error}).") from error
        self._topic = unquote(parts.path.lstrip("/"))
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                f"Leave name and password out of the broker's address; set {USER} and {PASSWORD} instead."
            )
        if not parts.hostname or not self._topic or parts.query or "#" in url or "+" in self._topic:
            raise ConfigError(
                f"{shown(url)} must name a broker and a topic, without + and #: mqtt://BROKER:1883/TOPIC."
            )
        self._host, self._port = parts.hostname, port or _PORTS[parts.scheme]
        self._encrypted = parts.scheme == "mqtts"
        self.address = f"{parts.scheme}://{self._host}:{self._port}/{self._topic}"
        self._status = f"{self._topic}/status"
        self._client: Client | None = None
        self._answered = threading.Event()
        self._refusal = ""

    def prepare(self) -> None:
        """See `Target`."""
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError as error:
            raise ConfigError('MQTT needs paho-mqtt. Install it with `pip install "cfa-gui[mqtt]"`.') from error

    def deliver(self, results: Sequence[Result]) -> Iterator[Result]:
        """See `Target`."""
        client = self._connected()
        sent = [(result, client.publish(self._topic, result.to_bytes(), qos=_QUALITY)) for result in results]
        deadline = time.monotonic() + _SECONDS
        for result, message in sent:
            with contextlib.suppress(ValueError, RuntimeError):  # not queued, or the connection is gone
                message.wait_for_publish(max(0.0, deadline - time.monotonic()))
            if not _is_received(message):
                self.close()
                raise TargetError(f"{self.address} does not confirm messages.")
            yield result

    def close(self) -> None:
        """See `Target`."""
        client, self._client = self._client, None
        if client is not None:
            if client.is_connected():
                client.publish(self._status, b"offline", qos=_QUALITY, retain=True)
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> "Client":
        if self._client is not None and self._client.is_connected():
            return self._client
        self.close()
        self._answered.clear()
        client = self._new_client()
        try:
            client.connect(self._host, self._port, keepalive=_KEEP_ALIVE)
        except (OSError, ValueError) as error:
            raise TargetError(f"{self.address} cannot be reached ({_reason(error)}).") from error
        client.loop_start()
        self._client = client
        if not self._answered.wait(_SECONDS):
            self.close()
            raise TargetError(f"{self.address} does not answer.")
        if self._refusal:
            self.close()
            raise TargetError(f"{self.address} does not let this program in ({self._refusal}).")
        return client

    def _new_client(self) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = _SECONDS
        client.on_connect = self._on_connect
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.will_set(self._status, b"offline", qos=_QUALITY, retain=True)
        if user := os.environ.get(USER):
            client.username_pw_set(user, os.environ.get(PASSWORD))
        if self._encrypted:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=os.environ.get(CERTIFICATES)))
            except OSError as error:
                raise TargetError(f"The certificates that {CERTIFICATES} names cannot be read.") from error
        return client

    def _on_connect(self, client: "Client", _data: object, _flags: object, reason: "ReasonCode", _more: object) -> None:
        """Called by paho on its own thread, also when it has found the broker again by itself."""
        self._refusal = str(reason) if reason.is_failure else ""
        if not reason.is_failure:
            client.publish(self._status, b"online", qos=_QUALITY, retain=True)
        self._answered.set()


def _is_received(message: "MQTTMessageInfo") -> bool:
    try:
        return bool(message.is_published())
    except (ValueError, RuntimeError):
        return False


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
