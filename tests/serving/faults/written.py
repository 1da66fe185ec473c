"""How bad requests that somebody thought of are asked."""

from typing import Any

from tests.serving.faults.asking import Asker, Got, Sent
from tests.serving.faults.requests_that_work import (
    JSON,
)

HOW = "written by hand"
MODEL = "/v2/models/press-line/infer"


def ask(asker: Asker, path: str, body: bytes = b"", kind: bytes = JSON, *more: Any) -> Got:
    return asker.check(Sent("POST", path, body, [(b"content-type", kind), *more]), HOW)
