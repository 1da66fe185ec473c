"""One good request for every route that takes a body, and what is put into its place."""

import io
import json
import struct
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.faults.asking import Sent

JSON, CSV, NDJSON = b"application/json", b"text/csv", b"application/x-ndjson"
ARROW, PARQUET = b"application/vnd.apache.arrow.stream", b"application/vnd.apache.parquet"
OCTETS, FORM = b"application/octet-stream", b"application/x-www-form-urlencoded"
NAMES = ("vibration", "current", "sound")
SOURCE = "press-01"
INFER = "/v2/models/{model}/infer"
DETECT = "/anomalydetector/v1.1/multivariate/models/model-id:detect-last"
LATER = "2031-01-01T00:00:00Z"


def table() -> pa.Table:
    rows = [NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW]
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(NAMES)})


def arrow() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table())
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(table(), sink)
    return sink.getvalue()


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "values", "shape": [1, 3], "datatype": "FP64"} | more


def binary() -> tuple[bytes, bytes]:
    """The JSON of a request with a binary tensor, and the tensor."""
    numbers = struct.pack("<3d", *NORMAL_ROW)
    said = {"inputs": [tensor(parameters={"binary_data_size": len(numbers)})]}
    return json.dumps(said).encode(), numbers


def series() -> list[dict[str, Any]]:
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
    return [
        {"variable": name, "timestamps": times, "values": [value, value]}
        for name, value in zip(NAMES, NORMAL_ROW, strict=True)
    ]


def jsons(model: str, bundle: str) -> dict[str, tuple[str, Any]]:
    """Good JSON requests by name: path and content."""
    about = {"source": SOURCE, "kind": "anomaly", "comment": "on my way"}
    return {
        "row": ("/anomaly", {"values": NORMAL_ROW, "source": SOURCE}),
        "detail": (
            "/anomaly?detail=full&prototypes=1",
            {"values": dict(zip(NAMES, ANOMALOUS_ROW, strict=True)), "timestamp": LATER},
        ),
        "batch": ("/anomaly/batch", {"instances": [NORMAL_ROW, ANOMALOUS_ROW]}),
        "infer": (
            INFER.replace("{model}", model),
            {"id": "1", "inputs": [tensor(data=NORMAL_ROW)], "outputs": [{"name": "score"}]},
        ),
        "split": (
            "/invocations",
            {"dataframe_split": {"columns": list(NAMES), "data": [NORMAL_ROW]}, "params": {}},
        ),
        "records": (
            "/invocations",
            {"dataframe_records": [dict(zip(NAMES, NORMAL_ROW, strict=True))]},
        ),
        "inputs": ("/invocations", {"inputs": {name: [1.0, 2.0] for name in NAMES}}),
        "detect": (DETECT, {"variables": series(), "topContributorCount": 2}),
        "acknowledge": ("/api/alarms/acknowledge", about),
        "shelve": ("/api/alarms/shelve", about | {"seconds": 60}),
        "unshelve": ("/api/alarms/unshelve", about),
        "out of service": ("/api/alarms/out-of-service", about | {"until": LATER}),
        "in service": ("/api/alarms/in-service", about),
        "label": ("/api/occurrences/1/label", {"label": "true", "comment": ""}),
        "note": (
            "/api/annotations",
            {"source": SOURCE, "start": "2026-01-01T00:00:00Z", "end": LATER, "text": "oil"},
        ),
        "threshold": ("/api/threshold", {"bundle": bundle, "value": 5.0, "comment": "louder"}),
    }


def of_windows(model: str) -> dict[str, tuple[str, Any]]:
    """Good JSON requests to a model of windows of two rows."""
    window = [NORMAL_ROW, ANOMALOUS_ROW]
    infer = {"inputs": [tensor(shape=[1, 2, 3], data=[window])]}
    return {
        "row": ("/anomaly", {"values": window, "source": SOURCE}),
        "detail": ("/anomaly?detail=full&prototypes=3", {"values": [NORMAL_ROW, [1, None, 3]]}),
        "batch": ("/anomaly/batch", {"instances": [*window, [1, None, 3]]}),
        "infer": (INFER.replace("{model}", model), infer),
        "split": ("/invocations", {"dataframe_split": {"columns": list(NAMES), "data": window}}),
        "detect": (DETECT, {"variables": series()}),
    }


def bodies(model: str) -> dict[str, Sent]:
    """Good requests whose bodies are no JSON, or not only."""

    def post(path: str, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> Sent:
        return Sent("POST", path, body, [(b"content-type", kind), *more])

    head, numbers = binary()
    length = (b"inference-header-content-length", str(len(head)).encode())
    csv = b"timestamp,vibration,current,sound\n2026-01-01,1.2,0.9,1.1\n2026-01-02,1,2.0,3.0\n"
    lines = b'[1.2,0.9,1.1]\n{"vibration":1,"current":2,"sound":3}\n{"values":[1,2,3]}\n'
    batch = "/anomaly/batch"
    return {
        "csv": post(batch, csv, CSV, (b"accept", CSV)),
        "ndjson": post(batch, lines, NDJSON, (b"accept", NDJSON)),
        "arrow": post(batch, arrow(), ARROW, (b"accept", ARROW)),
        "parquet": post(batch, parquet(), PARQUET, (b"accept", PARQUET)),
        "binary": post(INFER.replace("{model}", model), head + numbers, OCTETS, length),
        "invocations csv": post("/invocations", csv, CSV),
        "invocations parquet": post("/invocations", parquet(), PARQUET),
        "sign in": post("/sign-in", b"key=kz_abcdefgh_secret&after=%2Fmodel&keep=on", FORM),
    }


def as_json(path: str, content: Any) -> Sent:
    """A request with this content, whose integers may have any number of digits; bytes as they
    are."""
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
    finally:
        sys.set_int_max_str_digits(most)
    return Sent("POST", path, body, [(b"content-type", JSON)])
