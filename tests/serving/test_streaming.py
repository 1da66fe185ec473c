"""Long batches: read in pieces, answered as a whole, and no burden to anybody else."""

import asyncio
import gzip
import io
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.formats.rows import BLOCK_BYTES, LONGEST_ROW
from serving.http.spool import MEMORY_BYTES
from serving.settings import Settings
from tests.bundles import NORMAL_ROW, press_line_bundle, press_line_rows
from tests.linux import open_files
from tests.serving.formats.bodies import (
    ARROW,
    CSV,
    FORMATS,
    JSON,
    NAMES,
    NDJSON,
    PARQUET,
    WRITE,
    as_arrow,
    as_parquet,
    as_table,
    read_answer,
)

HEADER = "vibration,current,sound\n"


def app_of(folder: Path, cache: Path, **settings: Any) -> FastAPI:
    return create_app(
        Settings.model_validate({"model_uri": str(folder), "cache": cache, **settings})
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("streaming")
    return app_of(press_line_bundle(folder / "bundle").folder, folder / "cache")


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def post(client: TestClient, kind: str, body: Any, accept: str = JSON) -> Any:
    headers = {"Content-Type": kind, "Accept": accept}
    return client.post("/anomaly/batch", content=body, headers=headers)


@pytest.mark.parametrize("kind", [CSV, ARROW, PARQUET])
def test_windows_reach_across_the_pieces_of_a_long_batch(tmp_path: Path, kind: str) -> None:
    bundle = press_line_bundle(tmp_path / "windowed", window_length=5)
    rows_NF = press_line_rows(35_000, seed=3)
    client = TestClient(app_of(bundle.folder, tmp_path / "cache"))
    answer = post(client, kind, WRITE[kind](rows_NF.tolist()), ARROW)
    scores, statuses = read_answer(ARROW, answer.content)
    windows_BTF = bundle.detector.windows(rows_NF)
    score_B = bundle.detector.score(windows_BTF)
    assert [*scores[:4], *statuses[:4]] == [None] * 8
    assert scores[4:] == score_B.tolist()
    assert np.array_equal(
        np.array(statuses[4:]) == "anomaly", bundle.detector.decide(windows_BTF, score_B)
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bad_row_in_the_middle_of_a_long_batch_is_named(client: TestClient, kind: str) -> None:
    rows: list[list[float | None]] = [list(NORMAL_ROW) for _ in range(30_000)]
    rows[25_678] = [1.2, None, 1.1]  # this model lets no value be missing
    answer = post(client, kind, WRITE[kind](rows))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["row"], error["sensor"]) == (25_678, "current")
    assert error["detail"].startswith("row 25678: sensor 'current' is ")


def test_other_requests_are_answered_while_a_long_batch_is_scored(app: FastAPI) -> None:
    body = (HEADER + "1.2,0.9,1.1\n" * 100_000).encode()
    order: list[str] = []

    async def request(method: str, path: str, content: bytes, name: str) -> None:
        headers = [(b"content-type", b"text/csv")]
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": headers}
        scope |= {"query_string": b"", "root_path": "", "state": {}, "scheme": "http"}
        blocks = [content[at : at + 65536] for at in range(0, len(content), 65536)] or [b""]

        async def receive() -> dict[str, Any]:
            if not blocks:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": blocks.pop(0), "more_body": bool(blocks)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                order.append(f"{name} {message['status']}")

        await app(scope, receive, send)

    async def both() -> None:
        batch = asyncio.create_task(request("POST", "/anomaly/batch", body, "batch"))
        while not batch.done():
            await request("GET", "/health/live", b"", "health")
            await asyncio.sleep(0.001)  # else nothing else would run
        await batch

    asyncio.run(both())
    assert order.index("batch 200") > 10
    assert set(order) == {"batch 200", "health 200"}


def test_a_client_that_hangs_up_leaves_nothing_behind(app: FastAPI) -> None:
    before = spools()
    messages: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": as_arrow([NORMAL_ROW] * 100_000), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/anomaly/batch"}
    scope |= {"headers": [(b"content-type", ARROW.encode())], "root_path": "", "state": {}}
    scope |= {"query_string": b""}

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    asyncio.run(app(scope, receive, send))
    assert spools() == before


def spools() -> int:
    """How many files without a name this process holds."""
    return sum("(deleted)" in one for one in open_files())


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond what spools keep in memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    ("kind", "accept"), [(ARROW, JSON), (PARQUET, JSON), *((CSV, one) for one in FORMATS)]
)
def test_a_full_disk_is_said_and_survived(client: TestClient, kind: str, accept: str) -> None:
    rows = press_line_rows(150_000).tolist()
    before = spools()
    answer = post(client, kind, WRITE[kind](rows), accept)
    assert answer.status_code == 507
    assert "disk for what does not fit into memory is full" in answer.json()["detail"]
    assert spools() == before
    assert post(client, kind, WRITE[kind](rows[:10]), accept).status_code == 200


@pytest.mark.parametrize("kind", [CSV, NDJSON, ARROW, PARQUET])
def test_a_body_beyond_the_limit_for_streams_is_refused(
    press_line: Bundle, tmp_path: Path, kind: str
) -> None:
    limited = app_of(press_line.folder, tmp_path / "cache", max_stream_bytes=50_000)
    body = WRITE[kind](press_line_rows(10_000).tolist())
    for sent in (body, iter([body[:40_000], body[40_000:]])):  # with its length, and without
        answer = post(TestClient(limited), kind, sent)
        assert answer.status_code == 413
        assert answer.json()["detail"] == "the body is larger than the 50000 bytes that are read"


def test_a_small_file_of_very_many_rows_is_refused(press_line: Bundle, tmp_path: Path) -> None:
    limited = app_of(press_line.folder, tmp_path / "cache", max_stream_bytes=200_000)
    table = pa.table({name: np.zeros(2_000_000) for name in NAMES})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    assert len(sink.getvalue()) < 100_000
    answer = post(TestClient(limited), PARQUET, sink.getvalue())
    assert answer.status_code == 413
    assert answer.json()["detail"] == "more than 100000 values came in one batch"


def test_a_row_without_an_end_is_refused(client: TestClient) -> None:
    endless = "1" * (LONGEST_ROW + 2 * BLOCK_BYTES)
    for kind, body in ((CSV, HEADER + endless), (CSV, HEADER + '"' + endless), (NDJSON, endless)):
        answer = post(client, kind, body)
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("row 0 is longer than the 1048576 characters")


def arrow_of(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table)
    return sink.getvalue()


def table_with(**columns: Any) -> pa.Table:
    return pa.table({name: pa.array([1.0, 2.0]) for name in NAMES} | columns)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_compressed_stream_is_refused_like_a_compressed_body(
    client: TestClient, compression: str
) -> None:
    body = arrow_of(table_with(note=pa.array(["a", "b"] * 1)), compression=compression)
    answer = post(client, ARROW, body)
    assert answer.status_code == 415
    assert "uncompressed" in answer.json()["detail"]
    headers = {"Content-Type": NDJSON, "Content-Encoding": "gzip"}
    zipped = gzip.compress(b"[1,2,3]")
    assert client.post("/anomaly/batch", content=zipped, headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([1, 2], pa.int8()), None),
        (pa.array([1.5, 2.5], pa.float32()), None),
        (pa.array([1.5, 2.5], pa.float16()), None),
        (pa.array([2**63, 1], pa.uint64()), None),
        (pa.array([1, 2]).cast(pa.decimal128(22, 2)), None),
        (pa.array(["1", "2"]), "sensor 'sound' has the type string; a number in Pa is needed"),
        (pa.array([True, False]), "sensor 'sound' has the type bool; a number in Pa is needed"),
        (pa.array([1.0, np.nan]), "row 1: sensor 'sound' is NaN; a number in Pa is needed"),
        (pa.array([1.0, np.inf]), "row 1: sensor 'sound' is Infinity; a number in Pa is needed"),
        (pa.array([None, 1.0]), "row 0: sensor 'sound' is null; a number in Pa is needed"),
        (pa.nulls(2), "row 0: sensor 'sound' is null; a number in Pa is needed"),
        (pa.array([[1.0], [2.0]]), "sensor 'sound' has the type list<item: double>"),
    ],
)
@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_columns_of_numbers_are_read_whatever_their_width(
    client: TestClient, kind: str, column: pa.Array, said: str | None
) -> None:
    table, sink = table_with(sound=column), io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink)
    answer = post(client, kind, arrow_of(table) if kind == ARROW else sink.getvalue())
    assert answer.status_code == (200 if said is None else 422)
    assert said is None or (said in answer.json()["detail"].replace("element", "item"))


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_a_sensor_without_a_column_is_named(client: TestClient, kind: str) -> None:
    table, sink = as_table([NORMAL_ROW]).drop_columns("current"), io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink)
    answer = post(client, kind, arrow_of(table) if kind == ARROW else sink.getvalue())
    assert answer.status_code == 422
    assert answer.json()["detail"] == "sensor 'current' has no column; one is needed"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("[1,2,3]\n[1,2]\n", 422, "row 1: 2 values came; 3 values"),
        ("[1,2,3]\n\n[1,2,true]\n", 422, "row 1: sensor 'sound' is true"),
        ("[1,2,3]\n{\n", 400, "row 1: the body is not JSON"),
        ("[1,2,3]\n[1,2,\xff]\n", 400, "row 1: the body is not utf-8"),
        ("[1,2,3]\n" + "[" * 100_000, 400, "row 1: the body is nested too deeply"),
        ('{"vibration":1,"current":2}\n', 422, "row 0: sensor 'sound' is missing"),
        ('{"vibration":1,"vibration":1,"current":2,"sound":3}', 422, "row 0: 'vibration' occurs"),
        ('{"values":[1,2,3],"values":[1,2,3]}', 422, "row 0: 'values' occurs twice"),
        ('{"values":[1,2,3],"timestamp":"noon"}', 422, "row 0: timestamp is 'noon'; RFC 3339"),
        ('{"values":[1,2,3],"sauce":"x"}', 422, "row 0: 'sauce' is unknown; values, source"),
        ("5\n", 422, "row 0: values is 5; a list of 3 values"),
    ],
)
def test_bad_lines_are_named(client: TestClient, body: str, status: int, said: str) -> None:
    answer = post(client, NDJSON, body.encode("latin-1"))
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_lines_may_be_all_that_one_row_may_be(client: TestClient) -> None:
    lines = [
        *("[1.2,0.9,1.1]", '{"sound":1.1,"current":0.9,"vibration":1.2}', ""),
        '{"values":[1.2,0.9,1.1],"source":"press-01","timestamp":"2026-01-31T08:00:00Z"}',
        '{"values":{"sound":1.1,"current":0.9,"vibration":1.2}}',
    ]
    answer = post(client, NDJSON, "\ufeff" + "\r\n".join(lines), NDJSON)
    verdicts = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["normal"] * 4
    assert len({verdict["score"] for verdict in verdicts}) == 1


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_without_the_extra_its_formats_are_refused_by_its_name(
    client: TestClient, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = as_arrow([NORMAL_ROW]) if kind == ARROW else as_parquet([NORMAL_ROW])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = post(client, kind, body)
    assert answer.status_code == 415
    assert "the extra 'arrow' (pip install 'kizashi[arrow]')" in answer.json()["detail"]
    answer = post(client, NDJSON, b"[1,2,3]", kind)
    assert answer.status_code == 406
    assert "the extra 'arrow'" in answer.json()["detail"]
    assert post(client, NDJSON, b"[1,2,3]", f"{kind}, */*;q=0.1").status_code == 200


def test_the_service_starts_without_the_extra() -> None:
    code = "import serving.main, sys; sys.exit('pyarrow' in sys.modules)"
    block = "import sys; sys.modules['pyarrow'] = None; import serving.app"
    for program in (code, block):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
