import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.verdicts.batch import THREADS
from serving.verdicts.judging import Judging
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle, press_line_rows
from tests.serving.conftest import MakeClient
from tests.serving.services import wait_until

ROWS = "timestamp,sound,vibration,current\n08:00,1.1,1.2,0.9\n08:01,3,1,2\n"
CSV = {"Content-Type": "text/csv"}


def test_scores_and_statuses_come_in_the_order_sent(client: TestClient) -> None:
    rows = [NORMAL_ROW, ANOMALOUS_ROW, NORMAL_ROW]
    answer = client.post("/anomaly/batch", json={"instances": rows})
    assert answer.status_code == 200
    assert set(answer.json()) == {"scores", "statuses"}
    assert answer.json()["statuses"] == ["normal", "anomaly", "normal"]
    one_by_one = [client.post("/anomaly", json={"values": row}).json()["score"] for row in rows]
    assert answer.json()["scores"] == pytest.approx(one_by_one)
    assert answer.headers["X-Model-Name"] == "press-line"


def test_instances_may_be_keyed_by_sensor(client: TestClient) -> None:
    keyed = [{"sound": 1.1, "current": 0.9, "vibration": 1.2}, ANOMALOUS_ROW]
    answer = client.post("/anomaly/batch", json={"instances": keyed})
    assert answer.json()["statuses"] == ["normal", "anomaly"]


def test_csv_columns_are_found_by_name_and_others_ignored(client: TestClient) -> None:
    answer = client.post("/anomaly/batch", content=ROWS, headers=CSV)
    rows = [NORMAL_ROW, ANOMALOUS_ROW]
    assert answer.json() == client.post("/anomaly/batch", json={"instances": rows}).json()


def test_the_answer_is_csv_when_asked_for(client: TestClient) -> None:
    answer = client.post("/anomaly/batch", content=ROWS, headers=CSV | {"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["status"] for row in rows] == ["normal", "anomaly"]
    scores = client.post("/anomaly/batch", content=ROWS, headers=CSV).json()["scores"]
    assert [float(row["score"]) for row in rows] == scores


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("text/csv;q=0.1, */*;q=0.5", "application/json"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/json"),
        ("image/png", "application/problem+json"),
        ("text/csv;q=0", "application/problem+json"),
        ("text/csv;q=x", "application/problem+json"),
    ],
)
def test_accept_decides_the_format(client: TestClient, accept: str, kind: str) -> None:
    answer = client.post(
        "/anomaly/batch", json={"instances": [NORMAL_ROW]}, headers={"Accept": accept}
    )
    assert answer.headers["content-type"] == kind
    assert answer.status_code == (406 if "problem" in kind else 200)


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_the_first_rows_of_a_windowed_model_have_no_verdict(
    tmp_path: Path, make_client: MakeClient, accept: str
) -> None:
    bundle = press_line_bundle(tmp_path / "windowed", window_length=3)
    client = make_client(bundle.folder)
    rows_NF = press_line_rows(5)
    answer = client.post(
        "/anomaly/batch", json={"instances": rows_NF.tolist()}, headers={"Accept": accept}
    )
    score_B = bundle.detector.score(bundle.detector.windows(rows_NF)).tolist()
    if accept == "application/json":
        assert answer.json()["scores"] == [None, None, *score_B]
        assert answer.json()["statuses"][:2] == [None, None]
    else:
        assert answer.text.splitlines()[:3] == ["score,status", ",", ","]
        assert len(answer.text.splitlines()) == 6


def test_fewer_rows_than_a_window_have_no_verdict(tmp_path: Path, make_client: MakeClient) -> None:
    client = make_client(press_line_bundle(tmp_path / "windowed", window_length=3).folder)
    answer = client.post("/anomaly/batch", json={"instances": [NORMAL_ROW, NORMAL_ROW]})
    assert answer.json() == {"scores": [None, None], "statuses": [None, None]}


def test_no_rows_give_no_verdicts(client: TestClient) -> None:
    empty: dict[str, list[object]] = {"scores": [], "statuses": []}
    assert client.post("/anomaly/batch", json={"instances": []}).json() == empty
    header_only = client.post("/anomaly/batch", content="vibration,current,sound", headers=CSV)
    assert header_only.json() == empty


def test_many_rows_are_judged_as_the_detector_judges_them(
    client: TestClient, press_line: Bundle
) -> None:
    rows_NF = press_line_rows(40_000, seed=5)
    score_B = press_line.detector.score(rows_NF[:, None])
    as_json = client.post("/anomaly/batch", json={"instances": rows_NF.tolist()}).json()
    assert as_json["scores"] == score_B.tolist()
    assert np.mean(np.array(as_json["statuses"]) == "anomaly") == np.mean(
        press_line.detector.decide(rows_NF[:, None], score_B)
    )
    lines = "\n".join(",".join(map(repr, row)) for row in rows_NF.tolist())
    as_csv = client.post("/anomaly/batch", content=f"vibration,current,sound\n{lines}", headers=CSV)
    assert as_csv.json() == as_json


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode(),
        (ROWS + "\n\n").encode(),
        ROWS.replace("sound", '" sound "').encode(),
        ROWS.replace(",3,1,2", ", 3 , 1,2").encode(),
    ],
)
def test_csv_as_spreadsheets_write_it_is_read(client: TestClient, body: bytes) -> None:
    answer = client.post("/anomaly/batch", content=body, headers=CSV)
    assert answer.json()["statuses"] == ["normal", "anomaly"]


def test_csv_in_shift_jis_is_read_when_it_is_named(client: TestClient) -> None:
    body = ("時刻" + ROWS[9:]).encode("cp932")
    unnamed = client.post("/anomaly/batch", content=body, headers=CSV)
    assert unnamed.status_code == 400
    assert "charset=shift_jis" in unnamed.json()["detail"]
    named = {"Content-Type": "text/csv; charset=Shift_JIS"}
    answer = client.post("/anomaly/batch", content=body, headers=named)
    assert answer.json()["statuses"] == ["normal", "anomaly"]


@pytest.mark.parametrize(
    ("kind", "body", "status", "said"),
    [
        ("json", '{"instances":[[1,2,3],[1,2]]}', 422, "row 1: 2 values came; 3 values"),
        ("json", '{"instances":[[1,2,3],[1,2,"x"]]}', 422, "row 1: sensor 'sound' is 'x'"),
        ("json", '{"instances":[[1,2,true]]}', 422, "row 0: sensor 'sound' is true"),
        ("json", '{"instances":[[1,2,NaN]]}', 422, "row 0: sensor 'sound' is NaN"),
        ("json", '{"instances":[[1,2,1e400]]}', 422, "row 0: sensor 'sound' is Infinity"),
        ("json", '{"instances":[1,2,3]}', 422, "row 0: values is 1; a list of 3 values"),
        ("json", '{"instances":[[[1,2,3]]]}', 422, "row 0: 1 value came"),
        ("json", '{"instances":5}', 422, "instances is 5; a list of rows is needed"),
        ("json", '{"instances":[],"instances":[]}', 422, "'instances' occurs twice"),
        ("json", '{"instances":[],"\\u0069nstances":[]}', 422, "'instances' occurs twice"),
        ("json", '{"values":[1,2,3]}', 422, "'values' is unknown; instances is known"),
        ("json", '{"values":[1,2,3]}', 422, "'instances' is missing; a list of rows"),
        ("json", '{"instances":[],"source":"a"}', 422, "'source' is unknown; instances is known"),
        ("json", "[[1,2,3]]", 422, 'the body is not an object; {"instances"'),
        ("json", "", 400, "the body is empty; JSON is needed"),
        ("json", "{", 400, "the body is not JSON"),
        ("json", '{"instances":' + "[" * 100_000, 400, "nested too deeply"),
        ("csv", "", 400, "the body is empty; a header row, of sensors' names, is needed"),
        ("csv", "1,2,3\n", 422, "sensor 'sound' has no column in the header row"),
        ("csv", "vibration,current\n1,2\n", 422, "sensor 'sound' has no column"),
        ("csv", "vibration,current,sound,sound\n", 422, "sensor 'sound' has 2 columns"),
        ("csv", "vibration,current,sound\n1,2,3\n1,2\n", 422, "row 1: 2 cells came; the header"),
        ("csv", "vibration,current,sound\n1,2,3\n\n1,2,3\n", 422, "row 1: 0 cells came"),
        ("csv", "vibration,current,sound\n1,2,n/a\n", 422, "row 0: sensor 'sound' is 'n/a'"),
        ("csv", "vibration,current,sound\n1,2,\n", 422, "row 0: sensor 'sound' is ''"),
        ("csv", "vibration,current,sound\n1,2,inf\n", 422, "row 0: sensor 'sound' is Infinity"),
        ("csv", "vibration,current,sound\n1,2,1_0\n", 422, "row 0: sensor 'sound' is '1_0'"),
        ("csv", 'vibration,current,sound\n1,2,"3\n', 400, "the body is not CSV"),
        ("csv; charset=punycode", "x", 415, "charset is 'punycode'; known are utf-8"),
        ("xml", "<a/>", 415, "application/json or text/csv or application/x-ndjson or"),
        ("x-ndjson", "[1,2,3", 400, "row 0: the body is not JSON"),
        ("vnd.apache.parquet", "PAR1", 400, "the body is not a Parquet file"),
    ],
)
def test_bad_batches_are_refused_and_named(
    client: TestClient, kind: str, body: str, status: int, said: str
) -> None:
    media_type = f"text/{kind}" if kind.startswith("csv") else f"application/{kind}"
    answer = client.post("/anomaly/batch", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_rows_are_numbered_through_a_long_file(client: TestClient) -> None:
    lines = ["vibration,current,sound", *["1.2,0.9,1.1"] * 9000, "1.2,x,1.1", "1.2,0.9"]
    answer = client.post("/anomaly/batch", content="\n".join(lines[:-1]), headers=CSV)
    problem = answer.json()["errors"][0]
    assert (problem["row"], problem["sensor"]) == (9000, "current")
    del lines[9001]
    answer = client.post("/anomaly/batch", content="\n".join(lines), headers=CSV)
    assert answer.json()["detail"] == "row 9000: 2 cells came; the header row has 3"


@pytest.mark.parametrize("line", ["1,2,x", "1,2"])
def test_a_file_of_bad_rows_is_answered_with_the_first_hundred(
    client: TestClient, line: str
) -> None:
    body = "vibration,current,sound\n" + f"{line}\n" * 20_000
    answer = client.post("/anomaly/batch", content=body, headers=CSV)
    assert len(answer.json()["errors"]) == 100
    assert answer.json()["errors"][99]["row"] == 99


def test_a_batch_larger_than_the_setting_is_refused(
    press_line: Bundle, make_client: MakeClient
) -> None:
    client = make_client(press_line.folder, max_stream_bytes=2048)
    assert client.post("/anomaly/batch", content=ROWS, headers=CSV).status_code == 200
    answer = client.post("/anomaly/batch", content=ROWS + "x" * 2048, headers=CSV)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body is larger than the 2048 bytes that are read"


def test_batches_that_wait_for_a_thread_are_counted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(client.app, FastAPI)
    counts = client.app.state.counts
    more, go_on, open_as_before = 3, threading.Event(), Judging.open

    def held(self: Judging, *given: object) -> object:
        go_on.wait(30)
        yield from open_as_before(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Judging, "open", held)

    def waiting() -> float:
        return float(dict(counts.snapshot().gauges["kizashi_queue_depth"])[("batches",)])

    body = {"instances": [NORMAL_ROW]}
    assert client.get("/metrics").status_code == 200
    assert waiting() == 0
    with client, ThreadPoolExecutor(THREADS + more) as clients:
        asked = [
            clients.submit(client.post, "/anomaly/batch", json=body) for _ in range(THREADS + more)
        ]
        try:
            wait_until(lambda: waiting() == more)
        finally:
            go_on.set()
        assert [one.result().status_code for one in asked] == [200] * (THREADS + more)
    assert waiting() == 0
