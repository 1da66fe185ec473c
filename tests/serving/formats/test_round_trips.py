"""Every format says the same of the same rows, in every combination, however its bytes are cut."""

import json
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kizashi.errors import InvalidRow, KizashiError
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract
from serving.errors import RequestError
from serving.formats import FORMATS as READERS
from serving.formats import read
from tests.bundles import press_line_bundle, press_line_rows
from tests.filling import filling_bundle
from tests.serving.conftest import MakeClient
from tests.serving.formats.bodies import (
    CSV,
    FORMATS,
    JSON,
    NAMES,
    NDJSON,
    WRITE,
    Row,
    read_answer,
)

readings = st.floats(allow_nan=False, allow_infinity=False, width=64)
optional = st.one_of(readings, st.none())
rows_of = st.lists(st.tuples(optional, optional, optional), max_size=40)
few = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> DataContract:
    """A contract that lets any value be missing from a window of many."""
    bundle = press_line_bundle(tmp_path_factory.mktemp("lenient") / "bundle")
    return DataContract(bundle.detector.contract.sensors, 1000, "impute", 0.99)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return filling_bundle(tmp_path_factory.mktemp("windowed") / "bundle", window_length=4)


def test_every_combination_gives_the_same_verdicts(
    windowed: Bundle, make_client: MakeClient
) -> None:
    rows: list[list[float | None]] = press_line_rows(60, seed=7).tolist()
    rows[8][1] = rows[30][0] = rows[30][2] = None
    rows[20] = [1.0, 2.0, 3.0]
    client = make_client(windowed.folder)
    expected = None
    for sent in FORMATS:
        for wanted in FORMATS:
            answer = client.post(
                "/anomaly/batch",
                content=WRITE[sent](rows),
                headers={"Content-Type": sent, "Accept": wanted},
            )
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].split(";")[0] == wanted
            assert int(answer.headers["content-length"]) == len(answer.content)
            verdicts = read_answer(wanted, answer.content)
            expected = expected or verdicts
            assert verdicts == expected
    assert expected is not None
    assert expected[0][:3] == [None] * 3
    assert set(expected[1][3:]) == {"normal", "anomaly"}


@pytest.mark.parametrize("sent", FORMATS)
@given(rows=rows_of)
@few
def test_rows_come_through_every_format_unchanged(
    lenient: DataContract, sent: str, rows: Sequence[Row]
) -> None:
    expected = np.array([[np.nan if v is None else v for v in row] for row in rows])
    rows_NF = read(sent.encode(), WRITE[sent](rows), lenient)
    np.testing.assert_array_equal(rows_NF, expected.reshape(-1, 3))


@st.composite
def cut(draw: st.DrawFn, body: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


def pieces(sent: str, blocks: Sequence[bytes], contract: DataContract) -> list[list[float]] | str:
    """All rows, or what is wrong."""
    try:
        reader = READERS[sent.encode()].reader(contract, "utf-8")
        found = [piece for block in blocks for piece in reader.feed(block)] + list(reader.finish())
        reader.close()
    except KizashiError as error:
        return f"{type(error).__name__}"
    return [row for piece in found for row in piece.tolist()]


@pytest.mark.parametrize("sent", FORMATS)
@given(data=st.data())
@few
def test_where_a_body_is_cut_changes_nothing(
    lenient: DataContract, sent: str, data: st.DataObject
) -> None:
    body = WRITE[sent](data.draw(rows_of))
    blocks = data.draw(cut(body))
    assert repr(pieces(sent, blocks, lenient)) == repr(pieces(sent, [body], lenient))


CSV_TEXTS = st.text(alphabet="0123456789.,;\t\"\n\r '-eE_xn", max_size=60)
SEPARATORS = st.sampled_from([",", ";", "\t"])
CSV_CELLS = st.sampled_from(
    [
        *("1", "2.5", '"3"', '"a ""b"""', '"x, y"', '"two\nlines"', "", " 4 ", "1_0", "nan", "1 2"),
        *(
            ".5",
            "1e5",
            "-0.0",
            "１",
            "null",
            "true",
            "0x1",
            '5" pipe',
            "1e400",
            "[1",
            "2]",
            '""',
            "1 2",
        ),
    ]
)


@given(
    table=st.lists(st.lists(CSV_CELLS, min_size=4, max_size=4), max_size=8),
    separator=SEPARATORS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    tail=CSV_TEXTS | st.just(""),
    data=st.data(),
)
@settings(max_examples=200, deadline=None)
def test_any_csv_is_read_alike_however_it_is_cut(
    lenient: DataContract,
    table: list[list[str]],
    separator: str,
    end: str,
    tail: str,
    data: st.DataObject,
) -> None:
    lines = [separator.join(row) for row in [["note", *NAMES], *table]]
    body = (end.join(lines) + end + tail).encode()
    blocks = data.draw(cut(body))
    assert repr(pieces(CSV, blocks, lenient)) == repr(pieces(CSV, [body], lenient))


@given(
    table=st.lists(st.tuples(CSV_CELLS, CSV_CELLS, CSV_CELLS, CSV_CELLS), min_size=1, max_size=5),
    separator=SEPARATORS,
)
@settings(max_examples=300, deadline=None)
def test_the_fast_way_through_csv_reads_what_the_careful_way_reads(
    lenient: DataContract, table: list[tuple[str, ...]], separator: str
) -> None:
    body = "\n".join(separator.join(row) for row in [("note", *NAMES), *table])
    # A quoted cell with a quote in it is beyond the fast way, and says nothing about numbers.
    careful = body + "\n" + separator.join(('"a ""b"""', "1", "2", "3"))
    fast, slow = (pieces(CSV, [text.encode()], lenient) for text in (body, careful))
    assert repr(fast) == repr(slow if isinstance(slow, str) else slow[:-1])


LINES = st.sampled_from(
    [
        *("[1,2,3]", "[1, 2.5, -3e4]", "[1,null,3]", " [1,2,3] ", "", '{"values":[1,2,3]}'),
        *('{"vibration":1,"current":2,"sound":3}', '{"sound": 1, "current": null, "vibration": 3}'),
        '{"values": {"sound":1,"current":2,"vibration":3}, "source":"a"}',
        *("[1,2]", "[1,[2],3]", "[1,2,3]]", "[[1,2,3]", "{", "1,2,3", "[1,,3]", "[]", "[1,2,NaN]"),
        *('[1,2,"3"]', "[1,2,true]", "[01,2,3]", '{"vibration":1,"vibration":1,"sound":3}'),
        *('{"vibration":1,"current":2,"sound":3,}', '{7"vibration":,"current":2,"sound":3}'),
        *('{"vibration":,"current":2,"sound":3}7', '{"values":[1,2,3],"timestamp":"yesterday"}'),
        *('{"values":[1,2,3]}}', '{"values":{[1,2,3]}', '{"vibration":[1],"current":2,"sound":3}'),
    ]
)


@given(lines=st.lists(LINES, max_size=5), data=st.data())
@settings(max_examples=300, deadline=None)
def test_lines_are_read_alike_alone_and_together(
    lenient: DataContract, lines: list[str], data: st.DataObject
) -> None:
    body = "\n".join(lines).encode()
    together = pieces(NDJSON, [body], lenient)
    one_by_one: list[list[float]] = []
    for line in lines:
        alone = pieces(NDJSON, [b"  " + line.encode() + b"  "], lenient)
        if isinstance(alone, str):
            assert isinstance(together, str)
            return
        one_by_one += alone
    assert repr(together) == repr(one_by_one)
    assert repr(pieces(NDJSON, data.draw(cut(body)), lenient)) == repr(together)


@given(rows=st.lists(LINES, max_size=4), glue=st.sampled_from([",", ", ", ",\n", " ,"]))
@settings(max_examples=300, deadline=None)
def test_rows_of_json_are_read_as_python_reads_them(
    lenient: DataContract, rows: list[str], glue: str
) -> None:
    body = '{"instances": [' + glue.join(rows) + "]}"
    found = pieces(JSON, [body.encode()], lenient)
    try:
        expected = lenient.rows(json.loads(body)["instances"])
    except (ValueError, InvalidRow):
        assert isinstance(found, str)
        return
    if '"vibration":1,"vibration":1' not in body:
        assert repr(found) == repr(expected.tolist())


@pytest.mark.parametrize("sent", FORMATS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_body_is_the_clients_fault(
    lenient: DataContract, sent: str, data: st.DataObject
) -> None:
    body = bytearray(WRITE[sent]([(1.0, 2.0, 3.0), (1.5, None, 2.5)] * 9))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with suppress(InvalidRow, RequestError):
        read(sent.encode(), bytes(body), lenient)


@pytest.mark.parametrize("sent", FORMATS)
@given(body=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_noise_is_the_clients_fault(lenient: DataContract, sent: str, body: bytes) -> None:
    with suppress(InvalidRow, RequestError):
        assert len(read(sent.encode(), body, lenient)) == 0
