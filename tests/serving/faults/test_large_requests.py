"""Large requests keep nobody waiting: /health/live beside them, in every format, several at once.

What is measured of each answer to /health/live is how long it took, or how long the processor was
the service's meanwhile, whichever is less: another program on the machine may hold up both, and
that is not the service's doing.
"""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bundles import NORMAL_ROW
from tests.filling import filling_bundle
from tests.serving.services import Running, keep_alive, running

MOST_SECONDS = 0.1
TRIES = 6
"""The best of so many counts."""
ROWS = 150_000
NAMES = ("vibration", "current", "sound")
LISTS = b"[1.2,0.9,1.1]," * (ROWS - 1) + b"[1.2,0.9,1.1]"
INFER = "/v2/models/press-line/infer"


class Large(NamedTuple):
    """A request of many rows."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 200


def of(path: str, kind: str, body: bytes, status: int = 200) -> Large:
    return Large(path, {"Content-Type": kind}, body, status)


def table() -> pa.Table:
    return pa.table(
        {name: np.full(ROWS, value) for name, value in zip(NAMES, NORMAL_ROW, strict=True)}
    )


def arrow() -> bytes:
    sink, rows = io.BytesIO(), table()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(), sink)
    return sink.getvalue()


def infer(rows: int) -> bytes:
    """All outputs are asked for: none is named."""
    head = b'{"inputs":[{"name":"values","shape":[%d,3],"datatype":"FP64","data":[' % rows
    return head + LISTS[: 14 * rows - 1] + b"]}]}"


def binary() -> Large:
    numbers = np.tile(np.array(NORMAL_ROW, dtype="<f8"), (ROWS, 1)).tobytes()
    sized = {"binary_data_size": len(numbers)}
    tensor = {"name": "values", "shape": [ROWS, 3], "datatype": "FP64", "parameters": sized}
    outputs = [{"name": "score", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    return Large(INFER, {"Content-Type": "application/octet-stream"} | length, head + numbers)


JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
LINES = b"vibration,current,sound\n" + b"1.2,0.9,1.1\n" * ROWS
INSTANCES = b'{"instances":[%b]}' % LISTS
SPLIT = b'{"dataframe_split":{"columns":["vibration","current","sound"],"data":[%b]}}' % LISTS
ANOMALY = b'{"values":[%b]}' % LISTS[: 14 * 70_000 - 1]
REQUESTS: dict[str, Callable[[], Large]] = {
    "batch as NDJSON": lambda: of(
        "/anomaly/batch", "application/x-ndjson", b"[1.2,0.9,1.1]\n" * ROWS
    ),
    "batch as CSV": lambda: of("/anomaly/batch", CSV, LINES),
    "batch as JSON": lambda: of("/anomaly/batch", JSON, INSTANCES),
    "batch as Arrow": lambda: of("/anomaly/batch", "application/vnd.apache.arrow.stream", arrow()),
    "batch as Parquet": lambda: of("/anomaly/batch", PARQUET, parquet()),
    "MLflow as JSON": lambda: of("/invocations", JSON, INSTANCES),
    "MLflow as a frame": lambda: of("/invocations", JSON, SPLIT),
    "MLflow as CSV": lambda: of("/invocations", CSV, LINES),
    "MLflow as Parquet": lambda: of("/invocations", PARQUET, parquet()),
    "V2 as JSON": lambda: of(INFER, JSON, infer(40_000)),
    "V2 as bytes": binary,
    "a window of too many rows": lambda: of("/anomaly", JSON, ANOMALY, 422),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process, which serves a trained model: all there is to tell takes its time."""
    folder = tmp_path_factory.mktemp("large")
    bundle = filling_bundle(folder / "press-line")
    with running(bundle.folder, folder) as started:
        yield started


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have had of the processors, as Linux counts it."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended since
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def longest_wait(service: Running, requests: list[Large]) -> float:
    """The longest that /health/live took while all these requests were answered, in seconds."""
    found: list[int] = []

    def send(request: Large) -> None:
        connection = keep_alive(service)
        connection.timeout = 120
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        found.append(answer.status)

    connection = keep_alive(service)
    connection.timeout = 60
    connection.request("GET", "/health/live")
    connection.getresponse().read()
    threads = [threading.Thread(target=send, args=(one,)) for one in requests]
    for thread in threads:
        thread.start()
    waited = []
    while any(thread.is_alive() for thread in threads):
        started, used = time.monotonic(), cpu_seconds(service.process.pid)
        connection.request("GET", "/health/live")
        assert connection.getresponse().read()
        seconds = time.monotonic() - started
        waited.append(min(seconds, cpu_seconds(service.process.pid) - used))
        time.sleep(0.003)
    connection.close()
    assert found == [one.status for one in requests]
    return max(waited)


def require_soon(
    service: Running, requests: list[Large], capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    while len(waits) < TRIES and min(waits, default=1.0) >= MOST_SECONDS:
        waits.append(longest_wait(service, requests))
    with capsys.disabled():
        said = ", ".join(f"{one * 1e3:.0f}" for one in waits)
        print(f"\n/health/live beside {len(requests)} × {requests[0].path}: {said} ms at most")
    assert min(waits) < MOST_SECONDS


@pytest.mark.parametrize("name", REQUESTS)
def test_a_large_request_keeps_nobody_waiting(
    service: Running, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    require_soon(service, [REQUESTS[name]()], capsys)


@pytest.mark.parametrize("name", ["V2 as JSON", "V2 as bytes", "MLflow as a frame", "batch as CSV"])
def test_several_large_requests_at_once_keep_nobody_waiting(
    service: Running, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    require_soon(service, [REQUESTS[name]()] * 6, capsys)
