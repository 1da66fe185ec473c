"""Odd queries, numbers, times, paths and methods that somebody thought of."""

import json
import re
from urllib.parse import quote

import pytest

from tests.bundles import NORMAL_ROW
from tests.serving.faults.asking import Asker, Sent
from tests.serving.faults.requests_that_work import (
    as_json,
)
from tests.serving.faults.written import HOW, MODEL, ask


@pytest.mark.parametrize(
    "query",
    [
        *(
            "detail",
            "detail=",
            "detail=full&detail=brief",
            "detail=FULL",
            "detail[]=full",
            "&" * 3000,
        ),
        *(
            "prototypes=-1",
            "prototypes=9",
            "prototypes=1",
            "detail=full&prototypes=1e0",
            "%00",
            "%",
        ),
        *("detail=full&prototypes=%EF%BC%91", "detail=%ff", "=&=;=", "detail=full" + "&x=1" * 2000),
        *("detail=" + "x" * 50_000, "%0d%0aX-Evil:1", "detail=full&prototypes=\u0663", "\xff"),
    ],
)
def test_odd_queries_are_answered(asker: Asker, query: str) -> None:
    body = json.dumps({"values": NORMAL_ROW}).encode()
    got = ask(asker, f"/anomaly?{query}", body)
    assert got.status in (200, 422)
    for path in ("/anomaly/batch", MODEL, "/invocations", "/api/alarms/shelve", "/sign-in"):
        ask(asker, f"{path}?{query}", body)
    for path in ("/", "/model", "/sign-in", "/health/ready", "/metrics", "/api/sources"):
        asker.check(Sent("GET", f"{path}?{query}"), HOW)


NUMBERS = ["-1", "0", "1e3", "9" * 18, "9" * 19, "9" * 400, "9" * 5000, "%F0%9F%98%80", "1.0", " 1"]
TIMES = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B23:59", "now", "0"]
TIMES += ["9999-12-31T23:59:59-23:59", "1e400", "nan", "-62135596800", "99999999999999999"]


@pytest.mark.parametrize("number", NUMBERS)
def test_odd_numbers_of_the_api_are_answered(asker: Asker, number: str) -> None:
    for path in (
        *(f"/api/occurrences?before={number}", f"/api/occurrences?limit={number}"),
        *(f"/api/occurrences?after={number}.{number}", f"/alarms?before={number}.{number}"),
        *(f"/api/audit?before={number}", f"/api/series?source=press-01&points={number}"),
        *(f"/api/occurrences/{number}", f"/api/threshold/preview?value={number}"),
    ):
        asker.check(Sent("GET", path), HOW)
    asker.check(Sent("DELETE", f"/api/annotations/{number}"), HOW)
    ask(asker, f"/api/occurrences/{number}/label", b'{"label":null}')


@pytest.mark.parametrize("time", TIMES)
def test_odd_times_of_the_api_are_answered(asker: Asker, time: str) -> None:
    listed = ("/api/occurrences?", "/api/occurrences/export?", "/alarms?")
    for path in ("/api/series?source=press-01", *listed, "/api/annotations?source=x"):
        for name in ("start", "end"):
            asker.check(Sent("GET", f"{path}&{name}={time}"), HOW)
    for what in ("verdicts", "labels"):
        for name in ("start", "end"):
            path = f"/api/export?source=press-01&what={what}&{name}={time}"
            asker.check(Sent("GET", path), HOW)
    told = time.replace("%2B", "+")
    note = {"source": "press-01", "start": told, "end": told, "text": "x"}
    asker.check(as_json("/api/annotations", note), HOW)
    shelf = {"source": "press-01", "kind": "anomaly", "until": told}
    asker.check(as_json("/api/alarms/shelve", shelf), HOW)


@pytest.mark.parametrize(
    "path",
    [
        *("//", "/..", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/anomaly/", "//anomaly"),
        *("/anomaly%00", "/anomaly/../model", "/ANOMALY", "/anomaly;x=1", "/./anomaly", "/%ff%fe"),
        *("/static/../app.py", "/static/..%2f..%2fserving/app.py", "/static/%2e%2e%2fapp.py"),
        *("/static/....//app.py", "/static//etc/passwd", "/static/%00", "/static/" + "a" * 5000),
        *("/static-offline-docs/..%2f..%2f", "/v2/models/..%2f..%2f/infer", "/v2//infer", "/v2/"),
        *("/v2/models/%0d%0aX-Evil:1/infer", "/v2/models/%F0%9F%98%80/infer", "/v2/models//infer"),
        *("/v2/models/a/versions/%00/infer", "/invocations/", "/invocations/x", "/api", "/api/"),
        *("/anomalydetector/v1.1/multivariate/models/%00:detect-last", "/anomalydetector"),
        *("/api/occurrences/../alarms", "/api/occurrences//label", "/" + "a/" * 5000, "/%" * 1000),
        *("/*", "http://elsewhere.example/anomaly", "/\\..\\..", "/{model}", "/sign-in/../model"),
        "/" + quote("日本") * 100,
    ],
)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "X"]
)
def test_odd_paths_and_methods_are_answered(asker: Asker, path: str, method: str) -> None:
    got = asker.check(Sent(method, path, b"", []), HOW)
    assert b"root:" not in got.body and b"import " not in got.body
    place = (got.all("location") or [""])[0]
    assert not re.match(r"(https?:)?//(?!127\.0\.0\.1:8000/)", place), place
