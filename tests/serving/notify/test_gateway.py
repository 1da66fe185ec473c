"""What the gateway of a line hears, from a real MQTT broker that also restarts and hangs."""

import json
import time
from collections.abc import Iterator

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from serving.notify.channels import Channel, NotDelivered
from serving.notify.message import message
from tests.serving.notify.conftest import (
    NOW,
    Broker,
    LineListener,
    Read,
    payload,
    until,
)

MESSAGE = message(payload(), "en")
STOP = message(payload(), "en", stops=True)


def status_of(port: int) -> str | None:
    """What who asks only now is told, as it is retained."""
    late = LineListener(port)
    try:
        late.hear_all()
        return late.statuses()[0] if late.statuses() else None
    finally:
        late.close()


@pytest.fixture
def sender(read: Read, broker: Broker) -> Channel:
    return read(f"line_stop=gateway://127.0.0.1:{broker.port}/plant")[0]


def test_it_hears_alarms_and_stops_that_nobody_keeps_for_later(
    sender: Channel, line: LineListener
) -> None:
    assert sender.machine
    sender.open()
    sender.send(MESSAGE)
    sender.send(STOP)
    until(lambda: len(line.heard) == 3)
    assert [one.topic for one in line.heard] == [
        "plant/status",
        "plant/press-01/alarm",
        "plant/press-01/stop",
    ]
    assert not any(one.retained for one in line.heard)
    assert json.loads(line.heard[1].text) == MESSAGE.document
    assert json.loads(line.heard[2].text)["command"] == "stop"


def test_a_stop_is_not_to_be_obeyed_a_minute_after_the_alarm_began_however_late_it_comes(
    sender: Channel, line: LineListener
) -> None:
    began = message(payload(at=NOW), "en", stops=True)
    sender.send(began)
    until(lambda: line.documents("stop"))
    (stop,) = line.documents("stop")
    assert stop["at"] == "2027-01-15T08:00:00.000Z"
    assert stop["expires"] == "2027-01-15T08:01:00.000Z"
    sender.send(MESSAGE)
    until(lambda: line.documents("alarm"))
    assert line.documents("alarm")[0]["expires"] is None


def test_it_is_online_before_there_is_anything_to_say_and_offline_after(
    sender: Channel, broker: Broker, line: LineListener
) -> None:
    sender.open()
    until(lambda: line.statuses() == ["online"])
    sender.open()
    assert status_of(broker.port) == "online"
    sender.close()
    until(lambda: status_of(broker.port) == "offline")
    until(lambda: line.statuses() == ["online", "offline"])
    for times in range(1, 5):
        sender.open()
        until(lambda said=["online", "offline"] * times + ["online"]: line.statuses() == said)
        sender.close()
        until(lambda: line.statuses()[-1] == "offline")
    # The broker, which got word of it, does not say so once more.
    line.hear_all()
    assert line.statuses() == ["online", "offline"] * 5


def test_a_message_from_the_command_line_says_nothing_of_who_is_online(
    sender: Channel, broker: Broker, line: LineListener
) -> None:
    sender.send(MESSAGE)
    sender.close()
    until(lambda: line.documents("alarm"))
    assert status_of(broker.port) is None


def test_after_a_restart_of_the_broker_it_is_online_again_without_a_message(
    sender: Channel, broker: Broker, line: LineListener
) -> None:
    sender.open()
    until(lambda: line.statuses() == ["online"])
    broker.stop()
    broker.start()
    until(lambda: line.subscribed == 2)
    until(lambda: line.statuses() == ["online", "online"])
    sender.send(MESSAGE)
    until(lambda: line.documents("alarm"))


def test_a_broker_that_comes_later_is_told_when_it_is_there(
    sender: Channel, broker: Broker
) -> None:
    broker.stop()
    sender.open()
    with pytest.raises(NotDelivered, match="the broker cannot be reached"):
        sender.send(MESSAGE)
    broker.start()
    until(lambda: status_of(broker.port) == "online")


@pytest.fixture
def former(broker: Broker) -> Iterator[Client]:
    """Who was online before, and will be declared dead."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.will_set("plant/status", "offline", qos=1, retain=True)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    yield client
    client.loop_stop()


def test_the_will_of_a_former_holder_does_not_stay_while_another_is_online(
    sender: Channel, broker: Broker, line: LineListener, former: Client
) -> None:
    sender.open()
    until(lambda: line.statuses() == ["online"])
    former.loop_stop()
    socket = former.socket()
    assert socket is not None
    socket.close()
    until(lambda: "offline" in line.statuses() and line.statuses()[-1] == "online")
    assert status_of(broker.port) == "online"


def test_a_former_holder_that_closes_late_does_not_stay_heard_either(
    read: Read, sender: Channel, broker: Broker, line: LineListener
) -> None:
    sender.open()
    until(lambda: line.statuses() == ["online"])
    other = read(f"line_stop=gateway://127.0.0.1:{broker.port}/plant")[-1]
    other.open()
    until(lambda: len(line.statuses()) == 2)
    sender.close()
    until(lambda: "offline" in line.statuses() and line.statuses()[-1] == "online")
    assert status_of(broker.port) == "online"


def test_what_a_broker_that_hangs_did_not_confirm_is_not_sent_by_itself_when_it_goes_on(
    sender: Channel, broker: Broker, line: LineListener
) -> None:
    sender.open()
    until(lambda: line.statuses() == ["online"])
    broker.hang()
    for _ in range(2):  # with the connection that there was, and with a new one
        with pytest.raises(NotDelivered):
            sender.send(STOP)
        sender.open()
    broker.go_on()
    until(lambda: line.statuses()[-1] == "online" and len(line.statuses()) > 1)
    until(lambda: status_of(broker.port) == "online")
    time.sleep(1)
    assert len(line.documents("stop")) <= 1  # the one that was on the wire


def test_a_source_cannot_write_into_another_topic(sender: Channel, line: LineListener) -> None:
    sender.send(message(payload(source="a/b+#"), "en"))
    until(lambda: line.heard)
    assert line.heard[0].topic == "plant/a%2Fb%2B%23/alarm"


def test_a_broker_that_is_gone_has_not_got_it(read: Read, closed_port: int) -> None:
    (gone,) = read(f"gateway://127.0.0.1:{closed_port}")
    with pytest.raises(NotDelivered, match="cannot be reached"):
        gone.send(MESSAGE)
