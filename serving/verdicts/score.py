"""POST /anomaly: one window in, one verdict out.

The endpoint is plain ASGI, reached by `one_window`; most requests are answered before it, in
`fast_road`. `openapi` documents it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
import numpy as np
import numpy.typing as npt
from starlette.types import Receive, Scope, Send

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.detector import Detector, Verdicts
from serving.errors import invalid
from serving.following.detectors import Served
from serving.history.record import UNKEPT
from serving.http.requests import media_type, parse_json, read_body
from serving.threshold.change import Change
from serving.verdicts.aside import aside
from serving.verdicts.scoring import Origin, Scoring

ONE_WINDOW_BYTES = 1024 * 1024
"""More than any window of sensor values needs."""
LONGEST_SOURCE = 200
MOST_PROTOTYPES = 3
PROTOTYPES = [str(count) for count in range(MOST_PROTOTYPES + 1)]
JSON = (b"application/json",)
JSON_HEADERS = ((b"content-type", b"application/json"),)

FloatArray = npt.NDArray[np.float64]


class ScoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body. Unknown names are refused: a mistyped `timestamp` would otherwise be lost in
    silence, and with it what an alarm is attributed to."""

    values: Any
    source: str | None = None
    timestamp: str | None = None


NAMES = tuple(f'"{name}"'.encode() for name in ScoreRequest.__struct_fields__)
_decoder = msgspec.json.Decoder(ScoreRequest)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ScoreEndpoint:
    """The ASGI endpoint; errors go to the table of `serving.errors`."""

    scoring: Scoring
    limit: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        media_type(scope["headers"], JSON)
        served = self.scoring.held()
        body = await read_body(scope, receive, self.limit)
        query, name = scope["query_string"], scope["state"]["request_id"]
        answer = await aside(len(body), partial(self._answer, served, query, body, name))
        length = (b"content-length", b"%d" % len(answer))
        headers = (*JSON_HEADERS, length, *served.headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, served: Served, query: bytes, body: bytes, request_id: str) -> bytes:
        contract = served.detector.contract
        try:
            asked = asked_for(query)
            request = read_request(body)
            window_TF = contract.window(request.values)
        except InvalidRow as first:
            raise InvalidRow(every_problem(query, parse_json(body), contract)) from first
        kind = "anomaly" if asked.keep else UNKEPT
        origin = Origin(kind, request_id, request.source, request.timestamp)
        if asked.full:
            verdicts = self.scoring.full(served, window_TF[None], origin)
            return _encode(detail(served, window_TF, verdicts, origin, asked.prototypes))
        # Score and status, and nothing else: strict clients depend on exactly these two.
        score, anomaly = self.scoring.one(served, window_TF, origin)
        return _encode({"score": score, "status": status(anomaly)})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query asks for: full detail, and with it so many of the nearest normal windows; and
    whether the verdict is kept in the history."""

    full: bool = False
    prototypes: int = 0
    keep: bool = True


BRIEFLY = Asked()


def asked_for(query: bytes) -> Asked:
    """What `?detail=full&prototypes=3` asks for; raises InvalidRow for what cannot be had."""
    if not query:
        return BRIEFLY
    named = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    detail, prototypes = named.get("detail", ["brief"])[-1], named.get("prototypes", ["0"])[-1]
    keep = named.get("keep", ["true"])[-1]
    wrong = []
    if detail not in ("brief", "full"):
        wrong.append(f"detail is {detail[:60]!r}; 'full' or 'brief' is needed")
    if prototypes not in PROTOTYPES:
        wanted = f"a whole number from 0 to {MOST_PROTOTYPES} is needed"
        wrong.append(f"prototypes is {prototypes[:60]!r}; {wanted}")
    elif prototypes != "0" and detail == "brief":
        wrong.append(f"prototypes is {prototypes}, which needs detail=full")
    if keep not in ("true", "false"):
        wrong.append(f"keep is {keep[:60]!r}; 'true' or 'false' is needed")
    if wrong:
        raise InvalidRow([Problem(one) for one in wrong])
    return Asked(detail == "full", int(prototypes), keep == "true")


def kept(query: bytes) -> bool:
    """What `?keep=false` asks for; raises InvalidRow for anything but true and false."""
    if not query:
        return True
    keep = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("keep", ["true"])[-1]
    if keep not in ("true", "false"):
        raise invalid(f"keep is {keep[:60]!r}; 'true' or 'false' is needed")
    return keep == "true"


def read_request(body: bytes) -> ScoreRequest:
    """The request in `body`; raises MalformedBody or InvalidRow."""
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        request = _checked(parse_json(body))
    else:
        if may_repeat(body):
            request = _checked(parse_json(body))
    if request.source is not None or request.timestamp is not None:
        check_origin(request.source, request.timestamp)
    return request


def may_repeat(body: bytes) -> bool:
    """Whether a name may occur twice in one object, which only the careful reader sees.

    With a single text there is a single name. Otherwise a name occurs twice only in an inner
    object, or written twice, or written in another way by a backslash.
    """
    return body.count(b'"') > 2 and (
        body.count(b"{") > 1 or b"\\" in body or any(body.count(name) > 1 for name in NAMES)
    )


def every_problem(query: bytes, content: Any, contract: DataContract) -> list[Problem]:
    """Whatever is wrong with a request, in its query, its body and its values alike."""
    found = _problems_of(lambda: asked_for(query)) + _wrong_shape(content)
    if not isinstance(content, dict):
        return found
    texts = (content.get("source"), content.get("timestamp"))
    source, timestamp = (one if isinstance(one, str) else None for one in texts)
    found += _problems_of(lambda: check_origin(source, timestamp))
    if "values" in content:
        found += _problems_of(lambda: contract.window(content["values"]))
    return found


def _problems_of(check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except InvalidRow as error:
        return list(error.problems)
    return []


def _checked(content: Any) -> ScoreRequest:
    problems = _wrong_shape(content)
    if problems:
        raise InvalidRow(problems)
    return ScoreRequest(**content)


def _wrong_shape(content: Any) -> list[Problem]:
    if not isinstance(content, dict):
        return [Problem('the body is not an object; {"values": [...]} is needed')]
    known = ScoreRequest.__struct_fields__
    problems = [
        Problem(f"{name[:60]!r} is unknown; {', '.join(known)} are known")
        for name in content
        if name not in known
    ]
    if "values" not in content:
        problems.append(Problem("'values' is missing; the sensors' values are needed"))
    problems += [
        Problem(f"{name} is {str(content[name])[:60]}; a text is needed")
        for name in ("source", "timestamp")
        if not isinstance(content.get(name, ""), str | None)
    ]
    return problems


def check_origin(source: str | None, timestamp: str | None) -> None:
    """Raise InvalidRow for what is no name of a source, or no time."""
    problems = []
    if source is not None and not (source.isprintable() and 1 <= len(source) <= LONGEST_SOURCE):
        wanted = f"1 to {LONGEST_SOURCE} printable characters are needed"
        problems.append(Problem(f"source is {source[:60]!r}; {wanted}"))
    if timestamp is not None:
        try:
            msgspec.convert(timestamp, Annotated[datetime, msgspec.Meta(tz=True)])
        except (msgspec.ValidationError, UnicodeEncodeError):  # half of a surrogate pair
            wanted = "RFC 3339 with its zone is needed, like 2026-01-31T08:00:00+09:00"
            problems.append(Problem(f"timestamp is {timestamp[:60]!r}; {wanted}"))
    if problems:
        raise InvalidRow(problems)


def detail(
    served: Served, window_TF: FloatArray, verdicts: Verdicts, origin: Origin, prototypes: int = 0
) -> dict[str, Any]:
    """Everything there is to say of one window, and `nearest_normal` where `prototypes` are asked
    for; `verdicts` are of this window alone."""
    detector = served.detector
    sensors = detector.contract.sensors
    contributions = {
        sensor.name: {
            "share": share,
            "value": None if math.isnan(value) else value,
            "expected": expected,
            "unit": sensor.unit,
        }
        for sensor, share, value, expected in zip(
            sensors,
            verdicts.contribution_BF[0].tolist(),
            window_TF[-1].tolist(),
            verdicts.expected_BF[0].tolist(),
            strict=True,
        )
    }
    quality = [
        missing(sensor, column.tolist(), contributions[sensor.name]["expected"])
        for sensor, absent, column in zip(sensors, verdicts.missing_BF[0], window_TF.T, strict=True)
        if absent
    ]
    quality += [
        out_of_range(sensor, column.tolist())
        for sensor, beyond, column in zip(
            sensors, verdicts.out_of_range_BF[0], window_TF.T, strict=True
        )
        if beyond
    ]
    answer = {
        "score": float(verdicts.score_B[0]),
        "status": status(verdicts.anomaly_B[0]),
        "threshold": detector.threshold.value,
        "override": None if served.change is None else override(served.change),
        "p_value": float(verdicts.p_value_B[0]),
        "severity": float(verdicts.severity_B[0]),
        "contributions": contributions,
        "data_quality": quality,
        "model": {"name": served.name, "version": served.version, "bundle": served.bundle.hash},
        "source": origin.source,
        "timestamp": origin.timestamp,
    }
    if prototypes:
        answer["nearest_normal"] = nearest_normal(detector, window_TF, prototypes)
    return answer


def override(change: Change) -> dict[str, Any]:
    """Who set the threshold that is in force, in the place of which."""
    return {name: getattr(change, name) for name in ("calibrated", "who", "why", "at")}


def nearest_normal(detector: Detector, window_TF: FloatArray, count: int) -> list[dict[str, Any]]:
    """The normal windows next to this one, nearest first: the last row of each, and how far away
    the window is. Empty for a model that keeps none."""
    found = detector.nearest_normal(window_TF[None])
    if found is None:
        return []
    nearest_BKTF, distance_BK = found
    return [
        {
            "values": dict(zip(detector.contract.names, window[-1].tolist(), strict=True)),
            "distance": float(distance),
        }
        for window, distance in zip(nearest_BKTF[0, :count], distance_BK[0], strict=False)
    ]


def missing(sensor: Sensor, column: list[float], expected: float) -> dict[str, Any]:
    """What `data_quality` says of a sensor with missing values in its window; `expected` is what
    was filled in for the last one, if that is missing."""
    unit = f" {sensor.unit}" if sensor.unit else ""
    count = sum(map(math.isnan, column))
    inside = "" if len(column) == 1 else f" in {count} of {len(column)} rows"
    last = "" if len(column) == 1 else " in the last"
    told = f"; {expected:.4g}{unit} was expected{last}" if math.isnan(column[-1]) else ""
    return {
        "kind": "missing",
        "sensor": sensor.name,
        "value": None,
        "low": sensor.low,
        "high": sensor.high,
        "detail": f"{sensor.name} is missing{inside}{told}",
    }


def out_of_range(sensor: Sensor, column: list[float]) -> dict[str, Any]:
    """What `data_quality` says of a sensor whose window has a value beyond its limits."""
    low = -math.inf if sensor.low is None else sensor.low
    high = math.inf if sensor.high is None else sensor.high
    value = next(value for value in reversed(column) if not low <= value <= high)
    limit = f"below {low:g}" if value < low else f"above {high:g}"
    unit = f" {sensor.unit}" if sensor.unit else ""
    return {
        "kind": "out_of_range",
        "sensor": sensor.name,
        "value": value,
        "low": sensor.low,
        "high": sensor.high,
        "detail": f"{sensor.name} is {value:g}{unit}, {limit}{unit}, its instrument's limit",
    }


def status(anomaly: bool | np.bool_) -> str:
    """The verdict as a word."""
    return "anomaly" if anomaly else "normal"
