"""Bad requests that somebody thought of, each with the answer that it gets."""

import json
from typing import Any

import pytest

from tests.bundles import NORMAL_ROW
from tests.serving.faults.asking import Asker, Headers, Sent
from tests.serving.faults.requests_that_work import (
    ARROW,
    CSV,
    DETECT,
    FORM,
    JSON,
    NDJSON,
    OCTETS,
    PARQUET,
    as_json,
    bodies,
    jsons,
    tensor,
)
from tests.serving.faults.written import HOW, MODEL, ask

DEEP = 100_000
ACTED_ON = ("/api/alarms/shelve", "/api/annotations", "/api/occurrences/1/label")


def row(*cells: str) -> bytes:
    return b'{"values":[%s]}' % ",".join(cells).encode()


# ---- values


@pytest.mark.parametrize(
    "cell", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400, "1" + "0" * 100_000]
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anomaly", '{"values":[1.2,%s,1.1]}'),
        ("/anomaly?detail=full", '{"values":{"vibration":1.2,"current":%s,"sound":1.1}}'),
        ("/anomaly/batch", '{"instances":[[1.2,0.9,1.1],[1.2,%s,1.1]]}'),
        (MODEL, '{"inputs":[{"name":"values","shape":[1,3],"datatype":"FP64","data":[1,%s,1]}]}'),
        ("/invocations", '{"inputs":[[1.2,%s,1.1]]}'),
        ("/invocations", '{"dataframe_records":[{"vibration":1,"current":%s,"sound":1}]}'),
    ],
)
def test_what_is_no_finite_number_is_refused_by_the_name_of_its_sensor(
    asker: Asker, path: str, body: str, cell: str
) -> None:
    got = ask(asker, path, (body % cell).encode())
    assert got.status in (400, 413, 422)
    assert b"current" in got.body or got.status == 413


@pytest.mark.parametrize("value", [20.5, -0.1, 1e6, -1e9, 1e100, 1e300, 1.7e308, -1.7e308])
def test_values_beyond_the_instruments_limits_are_scored_and_flagged(
    asker: Asker, value: float
) -> None:
    got = ask(asker, "/anomaly?detail=full", row("1.2", "0.9", str(value)))
    assert got.status == 200
    answer = got.json()
    assert answer["status"] == "anomaly"
    assert [(one["kind"], one["sensor"]) for one in answer["data_quality"]] == [
        ("out_of_range", "sound")
    ]
    brief = ask(asker, "/anomaly", row("1.2", "0.9", str(value))).json()
    batch = ask(asker, "/anomaly/batch", b'{"instances":[[1.2,0.9,%s]]}' % str(value).encode())
    assert batch.json()["scores"] == pytest.approx([answer["score"]], rel=1e-6)
    assert brief["score"] == pytest.approx(answer["score"], rel=1e-6)


@pytest.mark.parametrize("zero", ["-0", "-0.0", "0", "0e99", "-0e-99", "5e-324", "-5e-324"])
def test_nothing_is_nothing_whatever_its_sign(asker: Asker, zero: str) -> None:
    scores = {
        ask(asker, "/anomaly", row("1.2", "0.9", cell)).json()["score"] for cell in (zero, "0")
    }
    assert len(scores) == 1


def test_what_history_keeps_of_such_values_can_be_read(asker: Asker) -> None:
    for value in ("1.7e308", "-1.7e308", "1e300", "-0"):
        body = b'{"values":[1,%s,1],"source":"wild"}' % value.encode()
        for _ in range(4):
            assert ask(asker, "/anomaly", body).status == 200
    assert asker.app.state.history.writer.wait_until_written(60)
    for path in (
        *("/api/sources", "/api/alarms", "/api/occurrences", "/api/audit"),
        *("/api/series?source=wild&resolution=" + one for one in ("raw", "minute", "hour", "day")),
        *("/api/threshold/preview?value=" + one for one in ("5e-324", "1", "1e100")),
        *("/api/export?source=wild&format=" + one for one in ("csv", "parquet")),
    ):
        got = asker.check(Sent("GET", path), HOW)
        assert got.status == 200, path
        if got.media_type == "application/json":
            json.loads(got.body, parse_constant=pytest.fail)


# ---- JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\0",
        b"null",
        b"[]",
        b"{}",
        b"0",
        b'"values"',
        b'{"values":',
        b'{"values":[1,2,3]}}',
        b'{"values":[1,2,3]} {"values":[1,2,3]}',
        b"{'values':[1,2,3]}",
        b'{"values":[1,2,3],}',
        b'{"values":[1,2,3,]}',
        b'{"values":[01,2,3]}',
        b'{"values":[+1,2,3]}',
        b'{"values":[.5,2,3]}',
        b'{"values":[0x1,2,3]}',
        b'{"values":[1_000,2,3]}',
        b'{"values":[1,2,3]/**/}',
        b'{"values":["1",2,3]}',
        b'{"values":[true,2,3]}',
        b'{"values":[[1],2,3]}',
        b'{"values":[{},2,3]}',
        b'{"values":[]}',
        b'{"values":[[]]}',
        b'{"values":{}}',
        b'{"values":[1,2]}',
        b'{"values":[1,2,3,4]}',
        b'{"values":[null,null,null]}',
        b'{"values":{"vibration":1,"current":2}}',
        b'{"values":{"vibration":1,"current":2,"sound":3,"x":4}}',
        b'{"values":{"vibration":1,"current":2,"sound":3,"sound":3}}',
        b'{"values":[1,2,3],"values":[1,2,3]}',
        b'{"values":[1,2,3],"v\\u0061lues":[1,2,3]}',
        b'{"values":[1,2,3],"extra":1}',
        b'{"values":[1,2,3],"source":5}',
        b'{"values":[1,2,3],"source":""}',
        b'{"values":[1,2,3],"source":"a\\r\\nb"}',
        b'{"values":[1,2,3],"source":"\\ud800"}',
        b'{"values":[1,2,3],"source":"\\u0000"}',
        b'{"values":[1,2,3],"source":"%s"}' % (b"x" * 201),
        b'{"values":[1,2,3],"timestamp":"yesterday"}',
        b'{"values":[1,2,3],"timestamp":"2026-01-01T00:00:00"}',
        b'{"values":[1,2,3],"timestamp":"10000-01-01T00:00:00Z"}',
        b'{"values":[1,2,3],"timestamp":1767225600}',
        b'\xff\xfe{"values":[1,2,3]}',
        b'{"values":[1,2,3],"source":"\xff"}',
        b'{"values":[1,2,3],"source":"\xc0\xaf"}',
        b'{"values":[1,2,3],"source":"\xed\xa0\x80"}',
        b'{"values":[1,2,3],"source":"\xf5\x80\x80\x80"}',
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"values":' * 10_000,
        b'{"values":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"values":[1,2,' + b"[" * 500 + b"]" * 500 + b"]}",
    ],
)
def test_what_is_not_one_row_as_json_is_refused(asker: Asker, body: bytes) -> None:
    for path in ("/anomaly", "/anomaly/batch", MODEL, "/invocations", DETECT, *ACTED_ON):
        got = ask(asker, path, body)
        assert got.status in (400, 422) or (got.status == 413 and len(body) > 65_536)


def test_every_cut_of_a_good_request_is_refused(asker: Asker) -> None:
    served = asker.app.state.detectors.current
    for path, content in jsons(served.name, served.bundle.hash).values():
        whole = json.dumps(content).encode()
        for end in range(0, len(whole), 1 if len(whole) < 120 else 5):
            assert ask(asker, path, whole[:end]).status in (400, 422)


def test_every_cut_of_other_formats_is_answered(asker: Asker) -> None:
    for sent in bodies(asker.app.state.detectors.current.name).values():
        for end in range(0, len(sent.body), max(1, len(sent.body) // 60)):
            asker.check(Sent("POST", sent.path, sent.body[:end], sent.headers), HOW)


# ---- sizes and encodings


@pytest.mark.parametrize("kind", [JSON, CSV, NDJSON, ARROW, PARQUET])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_read(
    asker: Asker, kind: bytes, announced: bool
) -> None:
    size = 100 * 1024 * 1024
    for path in ("/anomaly", "/anomaly/batch", MODEL, "/invocations", DETECT, "/api/alarms/shelve"):
        if path == "/anomaly" and kind != JSON:
            continue
        said: Headers = [(b"content-length", b"%d" % size)] if announced else []
        body = b"" if announced else b" " * 300_000
        got = asker.check(Sent("POST", path, body, [(b"content-type", kind), *said], 4), HOW)
        assert got.status == 413


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x"])
def test_a_compressed_body_is_refused_however_little_it_weighs(
    asker: Asker, encoding: bytes
) -> None:
    bomb = bytes.fromhex("1f8b0800000000000003") + b"\0" * 1000
    for path in ("/anomaly", "/anomaly/batch", MODEL, "/invocations", DETECT):
        got = ask(asker, path, bomb, JSON, (b"content-encoding", encoding))
        assert got.status == 415
        assert encoding.split(b",")[0] in got.body


@pytest.mark.parametrize(
    "kind",
    [
        *(b"", b"text/plain", b"multipart/form-data; boundary=x", b"application/xml", FORM, b"*/*"),
        *(b"application/json;charset=utf-16", b"application/json; charset=nonsense", b"\xff\xfe"),
        *(b"application/json" * 200, b"application/json;" + b";" * 5000, b"JSON", b"text/csv;x=1"),
        *(b"text/csv; charset=utf-7", b"text/csv; charset=rot13", b"text/csv; charset=../../etc"),
        *(
            b"text/csv; charset=zlib_codec",
            b"text/csv; charset=idna",
            b"text/csv; charset=undefined",
        ),
        *(b"application/pickle", b"application/x-npy", b"application/x-python-serialize"),
    ],
)
def test_odd_media_types_are_answered(asker: Asker, kind: bytes) -> None:
    served = asker.app.state.detectors.current
    for path, content in jsons(served.name, served.bundle.hash).values():
        ask(asker, path, json.dumps(content).encode(), kind)
    for sent in bodies(served.name).values():
        ask(asker, sent.path, sent.body, kind)


@pytest.mark.parametrize(
    "accept",
    [
        *(b"", b"*/*", b",", b";", b";q=", b"*/*;q=0", b"text/csv;q=NaN", b"text/csv;q=inf"),
        *(
            b"text/csv;q=-1",
            b"text/csv;q=1e400",
            b"a" * 5000,
            b"," * 5000,
            b"\xff",
            b"text/csv;q=1,",
        ),
        *(b"application/vnd.apache.parquet;q=0.1,application/json;q=0.01", b"application/*"),
    ],
)
def test_odd_wishes_for_an_answer_are_answered(asker: Asker, accept: bytes) -> None:
    body = b'{"instances":[[1.2,0.9,1.1]]}'
    ask(asker, "/anomaly/batch", body, JSON, (b"accept", accept))
    ask(asker, "/anomaly/batch", b"{", JSON, (b"accept", accept))


@pytest.mark.parametrize(
    "length", [b"-1", b"0", b"5", b"999999999999999999999", b"1e3", b" ", b"0x10", b"\xb2", b"1,2"]
)
def test_odd_lengths_of_a_binary_requests_json_are_answered(asker: Asker, length: bytes) -> None:
    sent = bodies(asker.app.state.detectors.current.name)["binary"]
    said = (b"inference-header-content-length", length)
    assert ask(asker, sent.path, sent.body, OCTETS, said).status in (400, 422)


@pytest.mark.parametrize(
    "one",
    [
        {"shape": [2**62, 3], "data": []},
        {"shape": [2**63, 2**63], "data": []},
        {"shape": [10**400], "data": []},
        {"shape": [-1, 3], "data": [1, 2, 3]},
        {"shape": [1.0, 3], "data": [1, 2, 3]},
        {"shape": [], "data": []},
        {"shape": [0, 3], "data": []},
        {"shape": [1] * 1000, "data": [1]},
        {"shape": [1, 3], "data": [[[[1, 2, 3]]]]},
        {"shape": [1, 3], "parameters": {"binary_data_size": 2**70}},
        {"shape": [1, 3], "parameters": {"binary_data_size": -24}},
        {"shape": [1, 3], "parameters": {"binary_data_size": True}},
        {"shape": [2**40, 3], "parameters": {"binary_data_size": 24}},
        {"datatype": "BYTES", "data": ["a", "b", "c"]},
        {"datatype": "FP8", "data": [1, 2, 3]},
        {"datatype": "O8", "data": [1, 2, 3]},
        {"name": "", "data": [1, 2, 3]},
        {"name": "\ud800", "data": [1, 2, 3]},
        {"parameters": {"shared_memory_region": "/dev/shm/x"}},
    ],
)
def test_odd_tensors_are_refused(asker: Asker, one: dict[str, Any]) -> None:
    for inputs in ([tensor(**one)], [tensor(**one)] * 2):
        got = asker.check(as_json(MODEL, {"inputs": inputs}), HOW)
        assert got.status == 400


# ---- headers


@pytest.mark.parametrize(
    "value",
    [
        *(b"a\r\nX-Evil: 1", b"a\nb", b"a\0b", b"", b" ", b"x" * 129, b"x" * 100_000, b"\xff\xfe"),
        *("é".encode(), b"<script>", b"${jndi:ldap://x}", b"%0d%0aX-Evil:1", b"a b", b"\x7f", b'"'),
    ],
)
def test_no_header_of_a_request_comes_back_unless_it_is_sane(asker: Asker, value: bytes) -> None:
    body = json.dumps({"values": NORMAL_ROW}).encode()
    names = (b"x-request-id", b"last-event-id", b"cookie", b"host", b"origin", b"referer")
    for name in (*names, b"x-forwarded-for", b"accept-language", b"user-agent", b"range"):
        got = ask(asker, "/anomaly", body, JSON, (name, value))
        assert not got.all("x-evil")
        assert value not in [sent for _, sent in got.headers] or not value.strip()
        for path in ("/", "/sign-in", "/model", "/health/ready"):
            asker.check(Sent("GET", path, headers=[(name, value)]), HOW)
