import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from kizashi.runtime.bundle import Bundle
from serving.errors import Dialects, Problems
from serving.http.observed import (
    KEPT_PATHS,
    Observed,
    Templates,
    protocol_of,
    routes_of,
    too_busy,
)
from serving.logs import JsonFormatter
from serving.metrics.counts import OTHER, Counts
from serving.metrics.families import REJECTED, REQUESTS
from tests.bundles import NORMAL_ROW
from tests.serving.conftest import MakeClient
from tests.serving.services import samples, total

ROUTES = ("/", "/anomaly", "/v2/models/{model}/infer", "/static/{rest:path}")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/anomaly", "/anomaly"),
        ("/v2/models/kizashi/infer", "/v2/models/{model}/infer"),
        ("/static/page.css", "/static/{rest:path}"),
        ("/static/a/b", "/static/{rest:path}"),
        ("/anomaly/", OTHER),
        ("/Anomaly", OTHER),
        ("/v2/models/a/b/infer", OTHER),
        ("/wp-admin", OTHER),
        ("", OTHER),
        ("/anomaly\nforged", OTHER),
    ],
)
def test_a_path_is_known_by_its_route(path: str, route: str) -> None:
    templates = Templates(lambda: ROUTES)
    assert templates.of(path) == templates.of(path) == route


def test_paths_that_clients_invent_do_not_pile_up() -> None:
    templates = Templates(lambda: ROUTES)
    for number in range(2 * KEPT_PATHS):
        assert templates.of(f"/v2/models/{number}/infer") == "/v2/models/{model}/infer"
        assert templates.of(f"/{number}") == OTHER
    assert len(templates._exact) <= KEPT_PATHS


@pytest.mark.parametrize(
    ("route", "protocol"),
    [
        ("/anomaly", "kizashi"),
        ("/anomaly/batch", "kizashi"),
        ("/v2/models/{model}/infer", "open_inference"),
        ("/invocations", "mlflow"),
        ("/anomalydetector/v1.1/timeseries/last/detect", "anomaly_detector"),
        ("/metrics", "service"),
        (OTHER, "service"),
    ],
)
def test_a_route_speaks_its_protocol(route: str, protocol: str) -> None:
    assert protocol_of(route) == protocol


def test_every_route_of_the_application_is_known(
    press_line: Bundle, make_app: Callable[..., FastAPI]
) -> None:
    app = make_app(press_line.folder)
    app.state.later.come_now()
    routes = routes_of(app)
    expected = {"/", "/anomaly", "/anomaly/batch", "/health/ready", "/metrics", "/model", "/docs"}
    assert expected | {"/static/{rest:path}"} <= set(routes)


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "expected"),
    [
        ("POST", "/anomaly", {"values": []}, "application/json", ("/anomaly", "InvalidRow")),
        ("POST", "/anomaly", {}, "text/html", ("/anomaly", "WrongMediaType")),
        ("GET", "/anomaly", None, "", ("/anomaly", "MethodNotAllowed")),
        ("GET", "/nothing", None, "", (OTHER, "NotFound")),
    ],
)
def test_each_refusal_has_its_reason(
    client: TestClient,
    method: str,
    path: str,
    content: Any,
    kind: str,
    expected: tuple[str, str],
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    client.request(method, path, content=json.dumps(content), headers=headers)
    found = samples(client.get("/metrics").text)
    route, reason = expected
    assert total(found, "kizashi_rejected_total", route=route, reason=reason) == 1
    assert total(found, "kizashi_rejected_total") == 1


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


def observe(app: Any, path: str = "/anomaly", limit: int = 10) -> tuple[Counts, Observed, Scope]:
    counts = Counts(protocol_of, 10)
    busy = Problems(too_busy, Dialects({}))
    observed = Observed(app, counts, Templates(lambda: ROUTES), busy, limit, 30.0)
    state = {"request_id": "a"}
    scope = {"type": "http", "path": path, "method": "POST", "headers": [], "state": state}
    return counts, observed, scope


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ClientDisconnect(), "499", "Closed"),
        (asyncio.CancelledError(), "499", "Closed"),
        (ZeroDivisionError(), "500", "Unexpected"),
    ],
)
def test_what_ends_without_an_answer_is_counted_too(
    error: BaseException, status: str, reason: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    counts, observed, scope = observe(app)
    with pytest.raises(type(error)):
        asyncio.run(observed(scope, _receive, _send))
    snapshot = counts.snapshot()
    assert snapshot.counters[REQUESTS.name] == [(("kizashi", "/anomaly", "POST", status), 1)]
    assert snapshot.counters[REJECTED.name] == [(("/anomaly", reason), 1)]
    assert counts.in_flight == 0


def test_a_method_that_nobody_knows_is_other() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    counts, observed, scope = observe(app)
    asyncio.run(observed({**scope, "method": "FORGED\n"}, _receive, _send))
    ((labels, _),) = counts.snapshot().counters[REQUESTS.name]
    assert labels[2] == OTHER


def test_beyond_the_limit_requests_are_told_at_once_and_probes_still_answered() -> None:
    sent: list[Any] = []

    async def run() -> None:
        release = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            sent.append(message)

        counts, observed, scope = observe(app, limit=2)
        held = [asyncio.create_task(observed(dict(scope), _receive, _send)) for _ in range(2)]
        await asyncio.sleep(0)
        await observed(dict(scope), _receive, send)
        probe = {**scope, "path": "/health/ready"}
        held.append(asyncio.create_task(observed(probe, _receive, _send)))
        await asyncio.sleep(0)
        assert counts.in_flight == 3
        release.set()
        await asyncio.gather(*held)
        await observed(dict(scope), _receive, _send)
        told = {labels[3]: count for labels, count in counts.snapshot().counters[REQUESTS.name]}
        assert told["503"] == 1
        assert counts.snapshot().counters[REJECTED.name] == [(("/anomaly", "TooBusy"), 1)]

    asyncio.run(run())
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"2") in sent[0]["headers"]
    assert "ask again" in json.loads(sent[1]["body"])["detail"]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    written: list[str] = []
    lock = threading.Lock()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with lock:
                written.append(JsonFormatter().format(record))

    handler = Kept()
    log = logging.getLogger("serving.access")
    caplog.set_level(logging.INFO, "serving.access")
    log.addHandler(handler)
    caplog.handler.setLevel(logging.CRITICAL)
    return lambda: [json.loads(line) for line in written]


def test_the_access_log_has_a_line_for_each_request_and_no_secret(
    press_line: Bundle, make_client: MakeClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    client = make_client(press_line.folder, access_log=True)
    headers = {"X-Request-ID": "abc", "Authorization": "Bearer kz_secret", "X-Other": "kz_secret"}
    client.post("/anomaly?token=kz_secret", json={"values": NORMAL_ROW}, headers=headers)
    client.get("/kz_secret")
    first, second = lines()
    assert (first["method"], first["route"], first["status"]) == ("POST", "/anomaly", 200)
    assert first["request_id"] == "abc"
    assert first["milliseconds"] > 0
    assert (second["route"], second["status"]) == (OTHER, 404)
    assert "kz_secret" not in json.dumps([first, second])


def test_by_default_there_is_no_access_log(
    client: TestClient, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    client.post("/anomaly", json={"values": NORMAL_ROW})
    assert lines() == []
