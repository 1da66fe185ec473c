"""Requests made from the OpenAPI document, as it has them and as it does not."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

from tests.serving.faults.asking import Asker, Sent, examples

WITHOUT_END = "/api/events"
"""A stream: its bad requests are asked in the tests of events."""


def sent(case: Case[Any]) -> Sent:
    """The request of a case, with whatever it has turned into bytes."""
    path = case.path
    for name, value in case.path_parameters.items():
        path = path.replace("{" + name + "}", str(value))
    query = urlencode(case.query or {}, doseq=True, errors="replace")
    headers = [(_header(name), _header(value)) for name, value in (case.headers or {}).items()]
    body = b"" if isinstance(case.body, NotSet) else _body(case.body)
    if body and case.media_type:
        headers.append((b"content-type", case.media_type.encode()))
    return Sent(case.method, f"{path}?{query}" if query else path, body, headers)


def _header(value: Any) -> bytes:
    # uvicorn's parser refuses these before the application hears of them.
    text = str(value).encode("utf-8", "replace").lower() if value is not None else b""
    return text.translate(None, b"\r\n\0")


def _body(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return json.dumps(value).encode()


def test_whatever_the_document_makes_is_answered_as_promised(
    asker: Asker, subtests: pytest.Subtests
) -> None:
    document = openapi.from_dict(asker.app.openapi())
    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path == WITHOUT_END:
            continue
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
                continue

            @examples(28 if operation.body else 8)
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_it(case: Case[Any]) -> None:
                asker.check(sent(case), "from the OpenAPI document")

            with subtests.test(operation.label, mode=mode.value), suppress(Unsatisfiable):
                try_it()  # unsatisfiable where every text is a good one


def _can_be_wrong(operation: Any) -> bool:
    return bool(operation.body or operation.query or operation.path_parameters)
