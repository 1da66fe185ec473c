"""Good requests, altered: some of their bytes, or some of their values."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.faults.asking import Asker, Sent, examples
from tests.serving.faults.requests_that_work import as_json, bodies, jsons, of_windows

ODD: list[Any] = [
    *(None, True, False, 0, -0.0, 1, -1, 2**31, -(2**63), 2**64, 10**400, -(10**5000)),
    *(1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *("", " ", "\0", "\ud800", "\udfff\ud800", "é" * 300, "x" * 5000, "null", "NaN", "1e400"),
    *("\r\nX-Evil: 1", "../../etc/passwd", "<script>", "'; DROP TABLE verdicts; --", "%s%n{0}"),
    *("2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59"),
    *([], [[]], [[[1]]], {}, {"": {}}, {"vibration": 1}, [None] * 3, [1, 2], [1] * 4, [{}, 1]),
]
PIECES = [
    *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\n", b"\r\n", b'"'),
    *(b"{", b"}", b"[", b"]", b",", b":", b"\\u0000", b"\\ud800", b"NaN", b"-Infinity", b"1e400"),
    *(b"-", b"0" * 50, b"9" * 5000, b"null", b"true", b"[" * 2000, b'{"a":' * 2000, b"%", b"&="),
]
NAMES = ["row", "detail", "batch", "infer", "split", "records", "inputs", "detect"]
ACTS = ["acknowledge", "shelve", "unshelve", "out of service", "in service"]
NOTES = ["label", "note", "threshold"]
BODIES = ["csv", "ndjson", "arrow", "parquet", "binary", "invocations csv", "invocations parquet"]


def good(asker: Asker, name: str) -> tuple[str, Any]:
    served = asker.app.state.detectors.current
    return jsons(served.name, served.bundle.hash)[name]


def altered(body: bytes) -> st.SearchStrategy[bytes]:
    """The body with some of its bytes flipped, cut off, doubled, or replaced by others."""
    at = st.integers(0, len(body))
    cut = at.map(lambda end: body[:end])
    flipped = st.tuples(at, st.integers(1, 255)).map(lambda pair: _flip(body, *pair))
    span = st.tuples(at, at).map(sorted)
    doubled = span.map(lambda ends: body[: ends[1]] + body[ends[0] :])
    without = span.map(lambda ends: body[: ends[0]] + body[ends[1] :])
    put = st.tuples(at, st.sampled_from(PIECES), st.integers(0, 8)).map(
        lambda made: body[: made[0]] + made[1] + body[made[0] + made[2] :]
    )
    return st.one_of(flipped, put, cut, doubled, without)


def _flip(body: bytes, at: int, by: int) -> bytes:
    changed = bytearray(body)
    if at < len(body):
        changed[at] ^= by
    return bytes(changed)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value, the whole included."""
    keys = (
        list(content)
        if isinstance(content, dict)
        else list(range(len(content)))
        if isinstance(content, list)
        else []
    )
    return [path, *(one for key in keys for one in places(content[key], (*path, key)))]


def with_other(content: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = copy.deepcopy(content)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other
    return changed


def spoiled(content: Any) -> st.SearchStrategy[Any]:
    """The content with other values at some of its places, with names lost or added."""
    some = st.sampled_from(places(content))
    other = st.one_of(st.sampled_from(ODD), st.floats(), st.text(max_size=20), some.map(repr))
    once = st.tuples(some, other).map(lambda made: with_other(content, *made))
    added = st.tuples(st.text(max_size=5), other).map(
        lambda pair: {**content, pair[0]: pair[1]} if isinstance(content, dict) else pair
    )
    lost = st.sampled_from(list(content)).map(
        lambda name: {key: value for key, value in content.items() if key != name}
    )
    return st.one_of(once, once, once, added, lost)


@pytest.mark.parametrize("name", [*NAMES, *ACTS, *NOTES])
def test_json_with_other_values_is_answered_as_promised(asker: Asker, name: str) -> None:
    path, content = good(asker, name)

    @examples(120 if name in NAMES else 40)
    @given(body=spoiled(content))
    def try_it(body: Any) -> None:
        asker.check(as_json(path, body), "with other values")

    try_it()


@pytest.mark.parametrize("name", [*NAMES, *ACTS, *NOTES])
def test_json_with_each_odd_value_at_each_place_is_answered_as_promised(
    asker: Asker, name: str
) -> None:
    path, content = good(asker, name)
    for place in places(content):
        for other in ODD:
            asker.check(as_json(path, with_other(content, place, other)), "with an odd value")


@pytest.mark.parametrize("name", [*NAMES, "shelve", "note"])
def test_json_with_other_bytes_is_answered_as_promised(asker: Asker, name: str) -> None:
    path, content = good(asker, name)

    @examples(100 if name in NAMES else 40)
    @given(body=altered(json.dumps(content).encode()), pieces=st.integers(1, 5))
    def try_it(body: bytes, pieces: int) -> None:
        asker.check(replace(as_json(path, body), pieces=pieces), "with other bytes")

    try_it()


@pytest.mark.parametrize("name", [*BODIES, "sign in"])
def test_other_formats_with_other_bytes_are_answered_as_promised(asker: Asker, name: str) -> None:
    sent: Sent = bodies(asker.app.state.detectors.current.name)[name]

    @examples(100)
    @given(body=altered(sent.body), pieces=st.integers(1, 5))
    def try_it(body: bytes, pieces: int) -> None:
        asker.check(replace(sent, body=body, pieces=pieces), "in other formats")

    try_it()


@pytest.mark.parametrize("name", ["row", "detail", "batch", "infer", "split", "detect"])
def test_a_model_of_windows_that_fills_in_answers_as_promised(windowed: Asker, name: str) -> None:
    path, content = of_windows(windowed.app.state.detectors.current.name)[name]
    assert windowed.ask(as_json(path, content)).status == 200
    for place in places(content):
        for other in ODD:
            windowed.check(as_json(path, with_other(content, place, other)), "with an odd value")

    @examples(60)
    @given(body=altered(json.dumps(content).encode()))
    def try_it(body: bytes) -> None:
        windowed.check(as_json(path, body), "with other bytes")

    try_it()


@pytest.mark.parametrize("name", [*NAMES, *ACTS, *NOTES])
def test_what_is_altered_was_good(asker: Asker, name: str) -> None:
    # An action that the alarm's state does not allow is read, and answered with a conflict.
    got = asker.ask(as_json(*good(asker, name)))
    assert got.status in ((200, 409) if name in ACTS else (200,)), got


@pytest.mark.parametrize("name", [*BODIES, "sign in"])
def test_what_is_altered_of_other_formats_was_good(asker: Asker, name: str) -> None:
    got = asker.ask(bodies(asker.app.state.detectors.current.name)[name])
    assert got.status == (303 if name == "sign in" else 200), got
