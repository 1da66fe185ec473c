import base64
import hashlib
import hmac
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from kizashi.errors import ConfigurationError
from serving.notify.channels import Channel, NotDelivered, read_channels
from serving.notify.message import message
from tests.serving.notify.conftest import Receiver, payload, until
from tests.system import program

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or so").decode()
MESSAGE = message(payload(), "en")
STOP = message(payload(), "en", stops=True)

Read = Callable[..., list[Channel]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """The channels of a configuration of these lines."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    opened: list[Channel] = []

    def reader(*lines: str) -> list[Channel]:
        file = tmp_path / "notify.cfg"
        file.write_text("\n".join(lines) + "\n")
        opened.extend(read_channels(file))
        return opened

    yield reader
    for channel in opened:
        channel.close()


def test_a_webhook_is_signed_as_standard_webhooks_says(read: Read, receiver: Receiver) -> None:
    (hook,) = read(
        f"line_stop,quality=signed://127.0.0.1:{receiver.port}/in?secret_env=HOOK_SECRET"
    )
    assert hook.machine and hook.tags == {"line_stop", "quality"}
    hook.send(MESSAGE)
    ((headers, body),) = receiver.heard
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.digest(b"a secret of 24 bytes or so", signed, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert headers["idempotency-key"] == headers["webhook-id"] == MESSAGE.key
    assert json.loads(body) == MESSAGE.document


def test_a_receiver_that_does_not_answer_2xx_has_not_got_it(read: Read, receiver: Receiver) -> None:
    (hook,) = read(f"signed://127.0.0.1:{receiver.port}/?secret_env=HOOK_SECRET")
    receiver.status = 503
    with pytest.raises(NotDelivered, match="503"):
        hook.send(MESSAGE)


def test_a_receiver_that_is_not_there_is_an_error_without_secrets(read: Read) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (hook,) = read(f"signed://127.0.0.1:{port}/?secret_env=HOOK_SECRET")
    with pytest.raises(NotDelivered) as error:
        hook.send(MESSAGE)
    assert SECRET not in str(error.value) + hook.name + hook.id


def test_a_webhook_without_a_secret_is_refused(read: Read) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        read("signed://127.0.0.1/?secret_env=NO_SUCH_VARIABLE")


class Mailbox:
    """What a real SMTP server has taken."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = Mailbox()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, port
    controller.stop()


def test_mail_reaches_a_real_server(read: Read, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    (mail,) = read(
        f"maintenance=mailto://127.0.0.1:{port}?from=kizashi@plant.example&to=a@plant.example"
    )
    assert not mail.machine
    mail.send(message(payload(), "ja"))
    (got,) = box.mails
    assert "press-01：異常アラームが発生しました" in str(got["Subject"])
    text = got.get_body().get_content()
    assert "vibration" in text and "step-1" in text


def test_mail_that_no_server_takes_is_not_delivered(read: Read) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (mail,) = read(f"mailto://127.0.0.1:{port}?from=k@plant.example&to=a@plant.example")
    with pytest.raises(NotDelivered):
        mail.send(MESSAGE)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a real MQTT broker."""
    mosquitto = program("mosquitto", "/usr/sbin/mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    process = subprocess.Popen([mosquitto, "-c", config], stderr=subprocess.DEVNULL)
    try:
        until(lambda: _listens(port))
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def gateway(broker: int) -> Iterator[list[tuple[str, Any, bool]]]:
    """What the gateway of a line hears from the broker: topic, payload, retained."""
    heard: list[tuple[str, Any, bool]] = []
    subscribed: list[bool] = []

    def on_message(_client: Client, _data: Any, got: MQTTMessage) -> None:
        heard.append((got.topic, got.payload.decode(), got.retain))

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.connect("127.0.0.1", broker)
    client.subscribe("plant/#", qos=1)
    client.loop_start()
    until(lambda: subscribed)
    yield heard
    client.disconnect()
    client.loop_stop()


def test_the_gateway_of_a_line_hears_alarms_and_stops(
    read: Read, broker: int, gateway: list[tuple[str, Any, bool]]
) -> None:
    (line,) = read(f"line_stop=gateway://127.0.0.1:{broker}/plant")
    assert line.machine
    line.send(MESSAGE)
    line.send(STOP)
    until(lambda: len(gateway) == 3)
    assert gateway[0] == ("plant/status", "online", False)
    topic, text, retained = gateway[1]
    assert (topic, retained) == ("plant/press-01/alarm", False)
    assert json.loads(text) == MESSAGE.document
    topic, text, retained = gateway[2]
    assert (topic, retained) == ("plant/press-01/stop", False)
    assert json.loads(text)["command"] == "stop"
    assert json.loads(text)["expires"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime())


def test_a_gateway_learns_that_the_service_is_gone(
    read: Read, broker: int, gateway: list[tuple[str, Any, bool]]
) -> None:
    (line,) = read(f"gateway://127.0.0.1:{broker}/plant")
    line.send(MESSAGE)
    line.close()
    until(lambda: gateway and gateway[-1][:2] == ("plant/status", "offline"))


def test_a_source_cannot_write_into_another_topic(
    read: Read, broker: int, gateway: list[tuple[str, Any, bool]]
) -> None:
    (line,) = read(f"gateway://127.0.0.1:{broker}/plant")
    line.send(message(payload(source="a/b+#"), "en"))
    until(lambda: len(gateway) == 2)
    assert gateway[1][0] == "plant/a%2Fb%2B%23/alarm"


def test_a_broker_that_is_gone_has_not_got_it(read: Read, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (line,) = read(f"gateway://127.0.0.1:{port}")
    with pytest.raises(NotDelivered):
        line.send(MESSAGE)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["nosuch://user:password@127.0.0.1"], "nosuch://…"),
        ([""], "notify.cfg"),
        (["json://127.0.0.1/a", "maintenance=json://127.0.0.1/a"], "twice"),
    ],
)
def test_what_apprise_cannot_read_is_an_error_and_not_silence(
    read: Read, lines: list[str], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        read(*lines)
    assert "password" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file is"):
        read_channels(tmp_path / "none.yml")


def test_a_channel_keeps_its_id_and_another_has_another(read: Read) -> None:
    first, second = read("json://127.0.0.1/a", "json://127.0.0.1/b")
    again = read_channels_again(read, "maintenance=json://127.0.0.1/a")
    assert first.id == again.id != second.id


def read_channels_again(read: Read, line: str) -> Channel:
    return read(line)[-1]
