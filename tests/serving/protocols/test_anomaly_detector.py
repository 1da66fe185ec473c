"""Azure Anomaly Detector, multivariate v1.1: detect-last."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from kizashi.runtime.bundle import Bundle
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW

SENSORS = ("vibration", "current", "sound")
TIMES = [f"2026-01-01T00:0{minute}:00Z" for minute in range(4)]
GUID = "45aad126-aafd-11ea-b8fb-d89ef3400c5f"


def path(model: str = "press-line") -> str:
    return f"/anomalydetector/v1.1/multivariate/models/{model}:detect-last"


def variables(rows: Sequence[Sequence[Any]], times: Sequence[str] = TIMES) -> list[dict[str, Any]]:
    return [
        {"variable": name, "timestamps": list(times[: len(rows)]), "values": list(column)}
        for name, column in zip(SENSORS, zip(*rows, strict=True), strict=True)
    ]


def body(rows: Sequence[Sequence[Any]], **more: Any) -> dict[str, Any]:
    return {"variables": variables(rows), **more}


def result_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == 1 and results[0]["errors"] == []
    result: dict[str, Any] = results[0]
    return result


def error_of(answer: Any, status: int = 400, code: str = "BadArgument") -> str:
    assert answer.status_code == status, answer.text
    content = answer.json()
    assert list(content) == ["code", "message"]
    assert content["code"] == answer.headers["x-ms-error-code"] == code
    return str(content["message"])


def test_the_specified_request_gets_the_specified_answer(client: TestClient) -> None:
    full = client.post("/anomaly?detail=full", json={"values": ANOMALOUS_ROW}).json()
    shares = {name: one["share"] for name, one in full["contributions"].items()}
    answer = client.post(path(), json=body([ANOMALOUS_ROW], topContributorCount=10))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "variableStates": [
            {
                "variable": name,
                "filledNARatio": 0.0,
                "effectiveCount": 1,
                "firstTimestamp": "2026-01-01T00:00:00Z",
                "lastTimestamp": "2026-01-01T00:00:00Z",
            }
            for name in SENSORS
        ],
        "results": [
            {
                "timestamp": "2026-01-01T00:00:00Z",
                "value": {
                    "isAnomaly": True,
                    "severity": full["severity"],
                    "score": full["score"],
                    "interpretation": [
                        {
                            "variable": name,
                            "contributionScore": shares[name],
                            "correlationChanges": {"changedVariables": []},
                        }
                        for name in sorted(SENSORS, key=lambda name: -shares[name])
                    ],
                },
                "errors": [],
            }
        ],
    }


def test_what_is_no_anomaly_has_no_severity(client: TestClient) -> None:
    value = result_of(client.post(path(), json=body([NORMAL_ROW])))["value"]
    assert (value["isAnomaly"], value["severity"]) == (False, 0.0)
    assert value["score"] > 0


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (3, 3), (10**30, 3), (None, 3)])
def test_as_many_contributors_as_asked_for(
    client: TestClient, count: int | None, shown: int
) -> None:
    answer = client.post(path(), json=body([ANOMALOUS_ROW], topContributorCount=count))
    interpretation = result_of(answer)["value"]["interpretation"]
    assert len(interpretation) == shown
    assert interpretation[0]["variable"] == "vibration"


def test_of_several_times_the_last_is_judged(client: TestClient) -> None:
    answer = client.post(path(), json=body([ANOMALOUS_ROW, ANOMALOUS_ROW, NORMAL_ROW]))
    result = result_of(answer)
    assert result["timestamp"] == TIMES[2]
    assert result["value"]["isAnomaly"] is False
    assert [one["effectiveCount"] for one in answer.json()["variableStates"]] == [3, 3, 3]


def test_the_last_rows_by_time_are_the_window(windowed: TestClient) -> None:
    rows = [ANOMALOUS_ROW, NORMAL_ROW, [1.3, 1.0, 1.2], [1.0, 0.8, 0.9]]
    own = windowed.post("/anomaly", json={"values": rows[1:]}).json()
    sent = variables(rows)
    for one, order in zip(sent, ([3, 0, 2, 1], [0, 1, 2, 3], [1, 3, 0, 2]), strict=True):
        for name in ("timestamps", "values"):
            one[name] = [one[name][place] for place in order]
    result = result_of(windowed.post(path("windowed"), json={"variables": sent}))
    assert result["timestamp"] == TIMES[3]
    assert result["value"]["score"] == pytest.approx(own["score"], rel=1e-9)


def test_too_few_times_for_a_window_are_refused(windowed: TestClient) -> None:
    error = error_of(windowed.post(path("windowed"), json=body([NORMAL_ROW] * 2)))
    assert "2 timestamps came; this model judges windows of 3" in error


def test_a_time_that_a_variable_lacks_is_a_missing_value(filling: TestClient) -> None:
    own = filling.post("/anomaly", json={"values": [1.2, None, 1.1]}).json()
    lacking = variables([NORMAL_ROW] * 3)
    del lacking[1]["timestamps"][1:], lacking[1]["values"][1:]
    null = variables([NORMAL_ROW, [1.2, None, 1.1], [1.2, None, 1.1]])
    for sent in (lacking, null):
        answer = filling.post(path("filling"), json={"variables": sent})
        assert result_of(answer)["value"]["score"] == pytest.approx(own["score"], rel=1e-9)
        state = answer.json()["variableStates"][1]
        assert state["filledNARatio"] == pytest.approx(2 / 3)
        assert state["effectiveCount"] == 1
        assert state["firstTimestamp"] == state["lastTimestamp"] == TIMES[0]


def test_a_variable_without_any_value_has_no_times(filling: TestClient) -> None:
    answer = filling.post(path("filling"), json=body([[1.2, None, 1.1]]))
    state = answer.json()["variableStates"][1]
    assert (state["filledNARatio"], state["effectiveCount"]) == (1.0, 0)
    assert state["firstTimestamp"] is None


def test_more_missing_values_than_allowed_are_refused(filling: TestClient) -> None:
    error = error_of(filling.post(path("filling"), json=body([[None, 1, None]])))
    assert "2 of 3 values are missing; at most 1 may be" in error


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2026-01-01T09:00:00+09:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.250000Z"),
        ("2026-01-01", "2026-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_in_utc(client: TestClient, sent: str, written: str) -> None:
    answer = client.post(path(), json={"variables": variables([NORMAL_ROW], [sent])})
    assert result_of(answer)["timestamp"] == written


def test_the_model_has_its_name_for_an_id(client: TestClient) -> None:
    error = error_of(client.post(path(GUID), json=body([NORMAL_ROW])), 404, "ModelNotExist")
    assert "The model does not exist" in error and "'press-line'" in error


def test_the_model_has_the_id_that_clients_have_in_their_configuration(
    press_line: Bundle, make_client: Callable[..., TestClient]
) -> None:
    client = make_client(press_line.folder, anomaly_detector_model_id=GUID)
    for model in (GUID, GUID.upper(), "press-line"):
        result_of(client.post(path(model), json=body([NORMAL_ROW])))
    error_of(client.post(path("other"), json=body([NORMAL_ROW])), 404, "ModelNotExist")


def test_without_a_model_it_is_not_ready(nothing: TestClient) -> None:
    answer = nothing.post(path(), json=body([NORMAL_ROW]))
    assert "no model is ready" in error_of(answer, 503, "ModelNotReady")
    assert answer.headers["retry-after"] == "2"


ONE = {"variable": "vibration", "timestamps": TIMES[:1], "values": [1.2]}
OTHERS = variables([NORMAL_ROW])[1:]


def with_first(**changes: Any) -> dict[str, Any]:
    return {"variables": [ONE | changes, *OTHERS]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `variables`"),
        ({"variables": []}, "variable 'vibration' is missing"),
        ({"variables": 3}, "Expected `array`, got `int` - at `$.variables`"),
        ({"variables": OTHERS}, "variable 'vibration' is missing; vibration, current, sound are"),
        ({"variables": [ONE, ONE, *OTHERS]}, "variable 'vibration' comes 2 times"),
        ({"variables": [ONE, ONE | {"variable": "oil"}, *OTHERS]}, "variable 'oil' is unknown"),
        (with_first(variable="\ud800"), "is unknown"),
        (with_first(values=[]), "variable 'vibration' has 1 timestamps and 0 values"),
        (with_first(values=["1.2"]), "row 0: sensor 'vibration' is '1.2'; a number in mm/s"),
        (with_first(values=[True]), "row 0: sensor 'vibration' is true"),
        (with_first(values=[[1]]), "row 0: sensor 'vibration' is a list of 1"),
        (with_first(values=[None]), "row 0: sensor 'vibration' is missing"),
        (with_first(values=[10**400]), "row 0: sensor 'vibration' is Infinity"),
        (with_first(timestamps=["noon"]), "variable 'vibration' has the timestamp 'noon'"),
        (with_first(timestamps=["0001-01-01T00:00:00+14:00"]), "ISO 8601 is needed"),
        (with_first(timestamps=[1]), "Expected `str`, got `int`"),
        (
            with_first(timestamps=TIMES[:1] * 2, values=[1, 2]),
            "variable 'vibration' has 2026-01-01T00:00:00Z twice",
        ),
        (
            {"variables": [one | {"timestamps": [], "values": []} for one in (ONE, *OTHERS)]},
            "0 timestamps came; this model judges windows of 1",
        ),
        (with_first() | {"topContributorCount": 0}, "topContributorCount is 0; a whole number"),
        (with_first() | {"topContributorCount": "3"}, "Expected `int | null`, got `str`"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(client: TestClient, content: Any, said: str) -> None:
    assert said in error_of(client.post(path(), content=json.dumps(content)))


@pytest.mark.parametrize(
    ("sent", "said"), [(b"", "is empty"), (b"{", "not JSON"), (b"[" * 100_000, "nested too deeply")]
)
def test_what_is_no_json_is_refused(client: TestClient, sent: bytes, said: str) -> None:
    assert said in error_of(client.post(path(), content=sent), code="InvalidJsonFormat")


def test_errors_of_every_kind_are_of_the_protocol(
    press_line: Bundle, make_client: Callable[..., TestClient]
) -> None:
    client = make_client(press_line.folder, max_body_bytes=1024)
    error_of(client.post(path(), content=b" " * 2000), 413, "RequestTooLarge")
    headers = {"Content-Type": "text/csv"}
    error_of(client.post(path(), content=b"x", headers=headers), 415, "UnsupportedMediaType")
    error_of(client.get(path()), 405, "MethodNotAllowed")
    error_of(client.get("/anomalydetector/v1.1/multivariate/models"), 404, "ModelNotExist")


def test_many_times_are_read_in_any_order(client: TestClient) -> None:
    count = 2880
    times = [f"{1970 + number // 366:04}-01-01T00:00:00.{number:06}Z" for number in range(count)]
    sent = variables([NORMAL_ROW] * (count - 1) + [ANOMALOUS_ROW], times)
    answer = client.post(path(), json={"variables": sent})
    assert result_of(answer)["value"]["isAnomaly"] is True
    assert answer.json()["variableStates"][0]["effectiveCount"] == count


def test_more_times_than_azure_took_are_refused(client: TestClient) -> None:
    times = [f"2026-01-01T00:00:{number:09.6f}Z" for number in np.arange(2881) / 100]
    sent = variables([NORMAL_ROW] * 2881, times)
    error = error_of(client.post(path(), json={"variables": sent}))
    assert "2881 timestamps; at most 2880 are read" in error
