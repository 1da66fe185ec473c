"""POST /anomaly as it is sent, and what is answered."""

import json
import socket
from typing import Any

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.services import Listening, answer_of

ROW = {"values": NORMAL_ROW}
CONTENT = b'{"values": [1.2, 0.9, 1.1]}'
BODIES: dict[str, str | bytes] = {
    "normal": json.dumps(ROW),
    "whole numbers": '{"values": [1, 1, 1]}',
    "anomalous": json.dumps({"values": ANOMALOUS_ROW}),
    "beyond the instrument": '{"values": [1e6, 0.9, 1.1]}',
    "beyond a float": '{"values": [1e400, 0.9, 1.1]}',
    "beyond a square": '{"values": [1e200, 0.9, 1.1]}',
    "a huge whole number": '{"values": [%s, 0.9, 1.1]}' % ("9" * 400),
    "minus zero": '{"values": [-0.0, 0.9, 1.1]}',
    "missing": '{"values": [null, 0.9, 1.1]}',
    "a text": '{"values": ["1.2", 0.9, 1.1]}',
    "true": '{"values": [true, 0.9, 1.1]}',
    "by name": '{"values": {"vibration": 1.2, "current": 0.9, "sound": 1.1}}',
    "a window of one": '{"values": [[1.2, 0.9, 1.1]]}',
    "too few": '{"values": [1.2, 0.9]}',
    "none": '{"values": []}',
    "no values": "{}",
    "a source": json.dumps(ROW | {"source": "press-01"}),
    "a source that is empty": json.dumps(ROW | {"source": ""}),
    "a source of control characters": json.dumps(ROW | {"source": "a\nb"}),
    "a time": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00+09:00"}),
    "a time without its zone": json.dumps(ROW | {"timestamp": "2026-01-31T08:00:00"}),
    "an unknown name": json.dumps(ROW | {"sauce": "press-01"}),
    "a name twice": '{"values": [1.2, 0.9, 1.1], "source": "a", "source": "b"}',
    "a name twice, escaped": '{"values": [1.2, 0.9, 1.1], "v\\u0061lues": [9, 9, 9]}',
    "not JSON": '{"values": [1.2, 0.9, 1.1',
    "bad UTF-8": b'{"values": [1.2, 0.9, 1.1], "source": "\xff"}',
    "nothing": "",
    "deep": "[" * 100_000,
}


def request(body: str | bytes = BODIES["normal"], query: str = "", **head: str) -> bytes:
    """A POST /anomaly as it is sent."""
    content = body.encode() if isinstance(body, str) else body
    named = {"Host": "localhost", "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in head.items()}
    named |= {"Content-Length": str(len(content))}
    lines = [f"POST /anomaly{query} HTTP/1.1", *(f"{name}: {named[name]}" for name in named)]
    return "\r\n".join([*lines, "", ""]).encode() + content


def asked(service: Listening, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of what is answered on a connection of its own."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent)
        status, headers, body = answer_of(connection)
    return status, {name.lower(): value for name, value in headers.items()}, json.loads(body)


def told(service: Listening, sent: bytes) -> object:
    """The answer without an id that the service made."""
    status, headers, document = asked(service, sent)
    request_id = headers.pop("x-request-id")
    if request_id.encode() in sent:
        return status, headers, document
    if document.pop("request_id", None) is not None:
        headers.pop("content-length")
    return status, headers, document
