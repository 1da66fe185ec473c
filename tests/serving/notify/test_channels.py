import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from kizashi.errors import ConfigurationError
from serving.notify.channels import Channel, NotDelivered, read_channels
from serving.notify.message import message
from tests.serving.notify.conftest import SECRET, Mailbox, Read, Receiver, payload

MESSAGE = message(payload(), "en")


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


def test_a_receiver_that_is_not_there_is_an_error_without_secrets(
    read: Read, closed_port: int
) -> None:
    (hook,) = read(f"signed://127.0.0.1:{closed_port}/?secret_env=HOOK_SECRET")
    with pytest.raises(NotDelivered) as error:
        hook.send(MESSAGE)
    assert SECRET not in str(error.value) + hook.name + hook.id


def test_a_webhook_without_a_secret_is_refused(read: Read) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        read("signed://127.0.0.1/?secret_env=NO_SUCH_VARIABLE")


def test_mail_reaches_a_real_server(read: Read, mailbox: Mailbox) -> None:
    (mail,) = read(
        f"maintenance=mailto://127.0.0.1:{mailbox.port}?from=kizashi@plant.example&to=a@plant.example"
    )
    assert not mail.machine
    mail.send(message(payload(), "ja"))
    (got,) = mailbox.mails
    assert "press-01：異常アラームが発生しました" in str(got["Subject"])
    text = got.get_body().get_content()
    assert "vibration" in text and "step-1" in text


def test_mail_that_no_server_takes_is_not_delivered(read: Read, closed_port: int) -> None:
    (mail,) = read(f"mailto://127.0.0.1:{closed_port}?from=k@plant.example&to=a@plant.example")
    with pytest.raises(NotDelivered):
        mail.send(MESSAGE)


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


def test_two_people_are_told_through_one_account(read: Read) -> None:
    account = "mailto://kizashi:password@mail.plant.example?to="
    lines = f"maintenance={account}a@plant.example", f"quality={account}b@plant.example"
    first, second = read(*lines)
    assert first.id != second.id and first.name != second.name
    again = read(*lines)[2:]
    assert [one.id for one in again] == [first.id, second.id]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file is"):
        read_channels(tmp_path / "none.yml")


def test_a_channel_keeps_its_id_and_another_has_another(read: Read) -> None:
    first, second = read("json://127.0.0.1/a", "json://127.0.0.1/b")
    again = read_channels_again(read, "maintenance=json://127.0.0.1/a")
    assert first.id == again.id != second.id


def read_channels_again(read: Read, line: str) -> Channel:
    return read(line)[-1]
