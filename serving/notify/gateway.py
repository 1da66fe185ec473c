"""MQTT for the gateway of a line: `gateway://USER:PASSWORD@HOST:1883/PREFIX`.

| topic | what | retained |
|---|---|---|
| PREFIX/SOURCE/alarm | the document of each step of an alarm | no |
| PREFIX/SOURCE/stop | a line stop: the document with `command: stop` and `expires` | no |
| PREFIX/status | `online`; the broker says `offline` when this service is gone | yes |

QoS 1. No message is retained that asks for something: a gateway that starts later must not act on
it. Whoever listens decides what silence means; docs/notifications.md says how to fail safe.

Who sends is online for as long as it may send, whether or not there is anything to say. A holder
before it may be declared dead only now: who is online hears `offline` and says that it is not so.
"""

import json
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from apprise import NotifyBase
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from serving.notify.message import Message

SECONDS = 10.0
KEEPALIVE_SECONDS = 15
GOODBYE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 2
"""Between two attempts to reach a broker that is away."""
ONLINE, OFFLINE = "online", "offline"
AWAY = "the broker cannot be reached"


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
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Be online, now or as soon as the broker can be reached, until closed."""
        with self._lock:
            if self._connection is None:
                self._connection = Connection(self, announced=True)

    def deliver(self, message: Message) -> None:
        """Publish and wait until the broker has it; raises OSError when it has not."""
        source = quote(str(message.document["source"]), safe=" ()[].,:;=@!$&'*-_~")
        source = source.replace("#", "%23").replace("+", "%2B").replace("/", "%2F")
        topic = f"{self.prefix}/{source}/{'stop' if message.stops else 'alarm'}"
        with self._lock:
            if self._connection is None:  # nobody is online: a message from the command line
                self._connection = Connection(self, announced=False)
            connection = self._connection
        try:
            connection.publish(topic, json.dumps(message.document, ensure_ascii=False))
        except TimeoutError:
            self.close()  # or it would be sent once more when the broker is back
            raise

    def close(self) -> None:
        """Say goodbye, and forget what the broker did not confirm."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

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


class Connection:
    """One connection to a broker, made again whenever it breaks; where it is `announced`, the
    status says so."""

    def __init__(self, gateway: LineGateway, *, announced: bool) -> None:
        self._status = f"{gateway.prefix}/status"
        self._announced = announced
        self._tried = threading.Event()
        self._problem = ""
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        if gateway.user:
            client.username_pw_set(gateway.user, gateway.password)
        if gateway.secure:
            client.tls_set()
        if announced:
            client.will_set(self._status, OFFLINE, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_message = self._heard
        client.connect_timeout = SECONDS
        client.reconnect_delay_set(1, LONGEST_PAUSE_SECONDS)
        port = gateway.port or (8883 if gateway.secure else 1883)
        client.connect_async(gateway.host, port, KEEPALIVE_SECONDS)
        client.loop_start()

    def publish(self, topic: str, document: str) -> None:
        """Publish and wait until the broker has it; raises OSError, TimeoutError where the broker
        may have it or get it later."""
        if not self._tried.wait(SECONDS) or self._problem:
            raise OSError(self._problem or AWAY)
        info = self._client.publish(topic, document, qos=1)
        with suppress(RuntimeError):  # how paho says that the connection broke
            info.wait_for_publish(SECONDS)
            if info.is_published():
                return
        raise TimeoutError(f"the broker did not confirm within {SECONDS:g} s")

    def close(self) -> None:
        """Disconnect, and say so where it was announced.

        What the broker says must have been read by then: a socket that is closed before that is
        reset, and the broker, which takes that for a death, says `offline` once more.
        """
        self._client.on_message = None
        if self._announced and self._client.is_connected():
            self._client.unsubscribe(self._status)
            told = self._client.publish(self._status, OFFLINE, qos=1, retain=True)
            with suppress(RuntimeError, ValueError):
                told.wait_for_publish(GOODBYE_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if code.is_failure:
            self._problem = f"the broker refuses the connection: {code}"
            self._tried.set()
            return
        if self._announced:
            client.publish(self._status, ONLINE, qos=1, retain=True)
            client.subscribe(self._status, qos=1)
        self._problem = ""
        self._tried.set()

    def _failed(self, _client: Client, _data: Any) -> None:
        self._problem = AWAY
        self._tried.set()

    def _disconnected(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        _code: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._tried.clear()

    def _heard(self, client: Client, _data: Any, told: MQTTMessage) -> None:
        if told.topic == self._status and told.payload == OFFLINE.encode():
            client.publish(self._status, ONLINE, qos=1, retain=True)
