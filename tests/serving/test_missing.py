"""Missing values and nearest normal windows, as the service answers them."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from serving.verdicts.openapi import FullVerdict, ScoreBody, Verdict
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.filling import filling_bundle

FULL = "/anomaly?detail=full"
CSV = {"Content-Type": "text/csv"}
Post = Callable[..., Any]


def client_of(folder: Path, cache: Path) -> TestClient:
    app: FastAPI = create_app(Settings.model_validate({"model_uri": str(folder), "cache": cache}))
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return filling_bundle(tmp_path_factory.mktemp("filling"))


@pytest.fixture(scope="module")
def post(filling: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Post:
    return client_of(filling.folder, tmp_path_factory.mktemp("cache")).post


@pytest.fixture(scope="module")
def post_window(tmp_path_factory: pytest.TempPathFactory) -> Post:
    folder = tmp_path_factory.mktemp("windowed")
    bundle = filling_bundle(folder / "bundle", window_length=4)
    return client_of(bundle.folder, folder / "cache").post


@pytest.mark.parametrize("row", [NORMAL_ROW, ANOMALOUS_ROW])
def test_null_is_scored_and_the_brief_answer_stays_as_it_is(
    post: Post, filling: Bundle, row: list[float]
) -> None:
    body = {"values": [row[0], None, row[2]]}
    ScoreBody.model_validate(body, strict=True)
    answer = post("/anomaly", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"score", "status"}
    Verdict.model_validate_json(answer.content, strict=True)
    window_TF = np.array([[row[0], np.nan, row[2]]])
    assert answer.json()["score"] == filling.detector.score(window_TF[None])[0]
    assert answer.json()["status"] == ("anomaly" if row is ANOMALOUS_ROW else "normal")


def test_null_under_a_name_is_missing_too(post: Post) -> None:
    keyed = {"sound": 1.1, "current": None, "vibration": 1.2}
    listed = post("/anomaly", json={"values": [1.2, None, 1.1]}).json()
    assert post("/anomaly", json={"values": keyed}).json() == listed


def test_full_detail_says_what_is_missing_and_what_was_expected(post: Post) -> None:
    answer = post(FULL, json={"values": [1.2, None, 1.1]})
    FullVerdict.model_validate_json(answer.content, strict=True)
    part = answer.json()["contributions"]["current"]
    assert part["value"] is None
    assert part["share"] == 0
    assert part["expected"] == pytest.approx(0.9, abs=0.1)
    assert answer.json()["data_quality"] == [
        {
            "kind": "missing",
            "sensor": "current",
            "value": None,
            "low": 0.0,
            "high": 10.0,
            "detail": f"current is missing; {part['expected']:.4g} A was expected",
        }
    ]


def test_missing_values_of_a_window_are_counted(post_window: Post) -> None:
    rows: list[list[Any]] = [list(NORMAL_ROW) for _ in range(4)]
    rows[0][1] = rows[1][1] = rows[3][2] = None
    quality = post_window(FULL, json={"values": rows}).json()["data_quality"]
    assert [flag["sensor"] for flag in quality] == ["current", "sound"]
    assert quality[0]["detail"] == "current is missing in 2 of 4 rows"
    assert quality[1]["detail"].startswith("sound is missing in 1 of 4 rows; 1.")
    assert quality[1]["detail"].endswith(" Pa was expected in the last")


@pytest.mark.parametrize("url", ["/anomaly", FULL])
def test_too_many_missing_values_are_refused(post: Post, url: str) -> None:
    answer = post(url, json={"values": [None, None, 1.1]})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "2 of 3 values are missing; at most 1 may be"


@pytest.mark.parametrize("body", ['{"values":[1.2,NaN,1.1]}', '{"values":{"sound":1,"current":2}}'])
def test_nan_and_a_name_that_is_left_out_stay_errors(post: Post, body: str) -> None:
    assert post("/anomaly", content=body).status_code == 422


def test_a_model_that_rejects_missing_values_refuses_null(tmp_path: Path) -> None:
    bundle = filling_bundle(tmp_path / "bundle", missing="reject")
    answer = client_of(bundle.folder, tmp_path / "cache").post(
        "/anomaly", json={"values": [1.2, None, 1.1]}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"] == "sensor 'current' is null; a number in A is needed"


def test_rows_of_a_batch_may_have_missing_values_in_every_format(post: Post) -> None:
    rows: list[list[Any]] = [NORMAL_ROW, [1.2, None, 1.1], [None, 2.0, 3.0]]
    each = [post("/anomaly", json={"values": row}).json() for row in rows]
    names = ("vibration", "current", "sound")
    keyed = [dict(zip(names, row, strict=True)) for row in rows]
    lines = "".join(
        ",".join("" if value is None else str(value) for value in row) + "\n" for row in rows
    )
    for answer in (
        post("/anomaly/batch", json={"instances": rows}),
        post("/anomaly/batch", json={"instances": keyed}),
        post("/anomaly/batch", content=f"{','.join(names)}\n{lines}", headers=CSV),
    ):
        assert answer.json()["statuses"] == ["normal", "normal", "anomaly"]
        assert answer.json()["scores"] == pytest.approx([one["score"] for one in each], rel=1e-5)


@pytest.mark.parametrize(
    "row", [[None, None, 1.1], {"vibration": None, "current": None, "sound": 1}]
)
def test_a_row_of_a_batch_with_too_many_missing_values_is_named(post: Post, row: Any) -> None:
    answer = post("/anomaly/batch", json={"instances": [NORMAL_ROW, row]})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "row 1: 2 of 3 values are missing; at most 1 may be"
    assert answer.json()["errors"][0]["row"] == 1


def tables(gap: str, column: list[float | None]) -> list[tuple[str, bytes]]:
    """Rows with `column` as their current: as CSV, where a value that is missing is written as
    `gap`, as an Arrow stream and as a Parquet file."""
    text = "\n".join(f"1.2,{gap if cell is None else cell},1.1" for cell in column)
    table = pa.table(
        {
            "vibration": [1.2] * len(column),
            "current": pa.array(
                [math.nan if cell is None and "n" in gap.lower() else cell for cell in column],
                pa.float64(),
            ),
            "sound": [1.1] * len(column),
        }
    )
    stream, file = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, file)
    return [
        ("text/csv", f"vibration,current,sound\n{text}\n".encode()),
        ("application/vnd.apache.arrow.stream", stream.getvalue()),
        ("application/vnd.apache.parquet", file.getvalue()),
    ]


ANYWHERE = [0.9, None, 0.8, None]


@pytest.mark.parametrize("gap", ["", "nan", "NaN", " NaN", "-nan"])
def test_nan_in_a_table_is_as_missing_as_an_empty_cell(post: Post, gap: str) -> None:
    rows = [[1.2, cell, 1.1] for cell in ANYWHERE]
    expected = post("/anomaly/batch", json={"instances": rows}).json()
    for kind, body in tables(gap, ANYWHERE):
        headers = {"Content-Type": kind}
        assert post("/anomaly/batch", content=body, headers=headers).json() == expected
        if "arrow" not in kind:
            found = post("/invocations", content=body, headers=headers).json()["predictions"]
            assert [one["score"] for one in found] == expected["scores"]


@pytest.mark.parametrize(
    ("value", "said"), [(math.inf, "Infinity"), (-math.inf, "-Infinity")], ids=["inf", "-inf"]
)
def test_infinity_beside_missing_values_is_refused_by_row_and_sensor(
    post: Post, value: float, said: str
) -> None:
    for kind, body in tables("nan", [None, 0.9, value]):
        answer = post("/anomaly/batch", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422
        detail = f"row 2: sensor 'current' is {said}; a number in A is needed"
        assert answer.json()["detail"] == detail


@pytest.mark.parametrize("gap", ["", "nan"])
def test_a_model_that_rejects_missing_values_refuses_them_in_tables(
    client: TestClient, gap: str
) -> None:
    for kind, body in tables(gap, [0.9, None]):
        answer = client.post("/anomaly/batch", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("row 1: sensor 'current' is ")


def test_too_many_nans_in_a_row_of_a_table_are_refused(post: Post) -> None:
    body = "vibration,current,sound\n1.2,0.9,1.1\nnan,NaN,1.1\n"
    answer = post("/anomaly/batch", content=body, headers=CSV)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "row 1: 2 of 3 values are missing; at most 1 may be"


@pytest.mark.parametrize("text", ["n/a", "NA", "null", "None", "-"])
def test_a_text_that_is_no_number_is_no_missing_value(post: Post, text: str) -> None:
    body = f"vibration,current,sound\n1.2,{text},1.1\n"
    answer = post("/anomaly/batch", content=body, headers=CSV)
    assert answer.status_code == 422
    detail = f"row 0: sensor 'current' is '{text}'; a number in A is needed"
    assert answer.json()["detail"] == detail


def test_rows_of_a_windowed_batch_are_counted_by_window(post_window: Post) -> None:
    gap = [None, None, None]
    fine = post_window("/anomaly/batch", json={"instances": [NORMAL_ROW, gap, NORMAL_ROW, gap]})
    assert fine.json()["statuses"][:3] == [None] * 3
    answer = post_window("/anomaly/batch", json={"instances": [*[NORMAL_ROW] * 3, gap, gap, gap]})
    assert answer.json()["detail"] == (
        "row 5: 9 of 12 values in its window are missing; at most 6 may be"
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_nearest_normal_windows_come_on_request(post: Post, count: int) -> None:
    answer = post(f"{FULL}&prototypes={count}", json={"values": ANOMALOUS_ROW})
    FullVerdict.model_validate_json(answer.content, strict=True)
    assert ("nearest_normal" in answer.json()) == (count > 0)
    nearest = answer.json().get("nearest_normal", [])
    assert len(nearest) == count
    distances = [one["distance"] for one in nearest]
    assert distances == sorted(distances)
    for one in nearest:
        assert list(one["values"]) == ["vibration", "current", "sound"]
        assert one["values"]["vibration"] == pytest.approx(1.2, abs=0.6)


def test_a_missing_value_does_not_keep_the_nearest_windows_away(post: Post) -> None:
    answer = post(f"{FULL}&prototypes=1", json={"values": [1.2, None, 1.1]})
    (nearest,) = answer.json()["nearest_normal"]
    assert nearest["distance"] < 0.5


def test_a_model_without_prototypes_has_none_to_show(client: TestClient) -> None:
    answer = client.post(f"{FULL}&prototypes=3", json={"values": NORMAL_ROW})
    assert answer.json()["nearest_normal"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("detail=full&prototypes=4", "prototypes is '4'; a whole number from 0 to 3 is needed"),
        ("detail=full&prototypes=-1", "prototypes is '-1'; a whole number from 0 to 3 is needed"),
        ("detail=full&prototypes=", "prototypes is ''; a whole number from 0 to 3 is needed"),
        ("prototypes=1", "prototypes is 1, which needs detail=full"),
    ],
)
def test_other_numbers_of_prototypes_are_refused(post: Post, query: str, detail: str) -> None:
    answer = post(f"/anomaly?{query}", json={"values": NORMAL_ROW})
    assert answer.status_code == 422
    assert answer.json()["detail"] == detail


def test_the_model_says_what_it_does_about_missing_values(
    filling: Bundle, tmp_path: Path, client: TestClient
) -> None:
    contract = client_of(filling.folder, tmp_path / "other").get("/model").json()["contract"]
    assert (contract["missing"], contract["max_missing_share"]) == ("impute", 0.5)
    assert client.get("/model").json()["contract"]["missing"] == "reject"
