"""MQTT for the gateway of a line: `gateway://USER:PASSWORD@HOST:1883/PREFIX`.

| topic | what | retained |
|---|---|---|
| PREFIX/SOURCE/alarm | the document of each step of an alarm | no |
| PREFIX/SOURCE/stop | a line stop: the document with `command: stop` and `expires` | no |
| PREFIX/status | `online`; the broker says `offline` when this service is gone | yes |

QoS 1. No message is retained that asks for something: a gateway that starts later must not act on
it. Whoever listens decides what silence means; docs/notifications.md says how to fail safe.
"""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from apprise import NotifyBase
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from serving.notify.message import STOP_LASTS_SECONDS, Message

SECONDS = 10.0
KEEPALIVE_SECONDS = 15


class LineGateway(NotifyBase):  # type: ignore[misc]
    """One connection, kept open: `gateway` in the clear, `gateways` over TLS."""

    service_name = "line gateway"
    protocol = "gateway"
    secure_protocol = "gateways"
    setup_url = "docs/notifications.md"
    templates = ("{schema}://{host}", "{schema}://{host}:{port}")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = (kwargs.get("fullpath") or "").strip("/") or "kizashi"
        self._client: Client | None = None
        self._lock = threading.Lock()

    def deliver(self, message: Message) -> None:
        """Publish and wait until the broker has it; raises OSError when it has not."""
        source = quote(str(message.document["source"]), safe=" ()[].,:;=@!$&'*-_~")
        source = source.replace("#", "%23").replace("+", "%2B").replace("/", "%2F")
        document, topic = dict(message.document), f"{self.prefix}/{source}/alarm"
        if message.stops:
            topic = f"{self.prefix}/{source}/stop"
            expires = datetime.now(UTC) + timedelta(seconds=STOP_LASTS_SECONDS)
            document["expires"] = expires.isoformat(timespec="milliseconds")
        client = self._connected()
        info = client.publish(topic, json.dumps(document, ensure_ascii=False), qos=1)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise OSError(f"the broker cannot be reached ({info.rc.name})")
        info.wait_for_publish(SECONDS)
        if not info.is_published():
            self.close()  # or it would be sent once more when the broker is back
            raise TimeoutError(f"the broker did not confirm within {SECONDS:g} s")

    def open(self) -> None:
        """Connect, so that the broker can say when this service is gone."""
        self._connected()

    def close(self) -> None:
        """Say goodbye, and forget what the broker did not confirm."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            if client.is_connected():
                client.publish(f"{self.prefix}/status", "offline", qos=1, retain=True)
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> Client:
        with self._lock:
            client = self._client
            if client is not None and client.is_connected():
                return client
            if client is not None:
                client.loop_stop()
                self._client = None
            client = Client(CallbackAPIVersion.VERSION2)
            if self.user:
                client.username_pw_set(self.user, self.password)
            if self.secure:
                client.tls_set()
            status, up = f"{self.prefix}/status", threading.Event()
            refused: list[str] = []

            def connected(_client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
                if code.is_failure:
                    refused.append(str(code))
                up.set()

            client.on_connect = connected
            client.will_set(status, "offline", qos=1, retain=True)
            client.connect_timeout = SECONDS
            port = self.port or (8883 if self.secure else 1883)
            client.connect(self.host, port, KEEPALIVE_SECONDS)
            client.loop_start()
            if not up.wait(SECONDS) or refused:
                client.loop_stop()
                told = "".join(refused) or "no answer"
                raise OSError(f"the broker refuses the connection: {told}")
            client.publish(status, "online", qos=1, retain=True)
            self._client = client
            return client

    def send(self, body: str, title: str = "", **_others: Any) -> bool:
        """What Apprise's own test would call: only documents are sent here."""
        return False

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:
        """The address, without a password."""
        schema = self.secure_protocol if self.secure else self.protocol
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port is None else f":{self.port}"
        return f"{schema}://{user}{self.host}{port}/{self.prefix}"

    @property
    def url_identifier(self) -> tuple[str, ...]:
        return (self.url(),)
