"""Azure Anomaly Detector, multivariate v1.1: detect-last. The service was retired in October 2026;
clients that still speak to it can be pointed here.

Every variable brings its own timestamps. They are aligned by time, whatever their order; the last
rows, as many as the model's window has, are judged, and a variable without a value at one of those
times has a missing value there, as with Azure's outer alignment. Missing values are filled in by
the model, not as the client's `alignPolicy` said when it trained at Azure.

Source: Azure REST API reference, "Multivariate: Detect Multivariate Last Anomaly", v1.1.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from fastapi import Response
from starlette.routing import Route

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract, shown
from kizashi.runtime.detector import Verdicts
from serving.errors import SHOWN_PROBLEMS, Failure, UnknownModel, invalid
from serving.following.detectors import Served
from serving.http.requests import media_type
from serving.protocols.endpoint import JSON, Answer, Asked, Endpoint, read_struct, said
from serving.protocols.values import named, read_cells, require_windows
from serving.verdicts.scoring import Origin, Scoring

PREFIX = "/anomalydetector"
DETECT_LAST = PREFIX + "/v1.1/multivariate/models/{model}:detect-last"
DEFAULT_CONTRIBUTORS = 10
MOST_TIMES = 2880
"""As many timestamps as Azure took in one request; only the last window of them is judged."""
STATUS = {422: 400}
CODES = {
    400: "InvalidJsonFormat",
    401: "Unauthorized",
    403: "Forbidden",
    404: "ModelNotExist",
    405: "MethodNotAllowed",
    413: "RequestTooLarge",
    415: "UnsupportedMediaType",
    422: "BadArgument",
    429: "TooManyRequests",
    503: "ModelNotReady",
}
"""Azure's own codes, where it has one for the case."""

FloatArray = npt.NDArray[np.float64]


class VariableValues(msgspec.Struct):
    """The values of one variable, and when each was measured."""

    variable: str
    timestamps: list[str]
    values: list[Any]


class DetectLast(msgspec.Struct):
    """The body; other names in it are ignored, as Azure does."""

    variables: list[VariableValues]
    contributors: int | None = msgspec.field(default=None, name="topContributorCount")


@dataclass(frozen=True, slots=True)
class Aligned:
    """What was sent, by time: `rows_NF` has NaN where a variable has no value at that time."""

    times: list[datetime]
    rows_NF: FloatArray


def routes(scoring: Scoring, limit: int, model_id: str | None) -> list[Route]:
    """What answers; `serving.protocols.openapi` declares the same path. `model_id` is another id
    than the model's name that clients may have in their configuration."""

    def detect(asked: Asked) -> Answer:
        require(asked.served, asked.path["model"], model_id)
        return detect_last(asked)

    endpoint = Endpoint(scoring, limit, "anomaly_detector", detect)
    return [Route(DETECT_LAST, endpoint, methods=["POST"])]


def dialect(failure: Failure) -> Response:
    """`{"code": "…", "message": "…"}`, and the code in `x-ms-error-code` too."""
    default = "BadArgument" if failure.status < 500 else "UnexpectedError"
    code = CODES.get(failure.status, default)
    body = msgspec.json.encode({"code": code, "message": said(failure)})
    headers = {**failure.headers, "x-ms-error-code": code}
    status = STATUS.get(failure.status, failure.status)
    return Response(body, status, headers=headers, media_type="application/json")


def require(served: Served, model: str, model_id: str | None) -> None:
    """Raise UnknownModel for an id that is neither the model's name nor `model_id`."""
    if model != served.name and (model_id is None or model.lower() != model_id.lower()):
        raise UnknownModel(
            f"The model does not exist: the id is {shown(model)}; the model served here has the id "
            f"'{served.name}'"
        )


def detect_last(asked: Asked) -> Answer:
    """Judge the last window of what one request brings."""
    media_type(asked.headers, (JSON,))
    contract = asked.served.detector.contract
    request = read_request(asked.body)
    aligned = align(request.variables, contract)
    windows_BTF = last_window(aligned, contract)
    timestamp = written(aligned.times[-1])
    origin = Origin(asked.origin.protocol, asked.origin.request_id, timestamp=timestamp)
    verdicts = asked.scoring.full(asked.served, windows_BTF, origin)
    content = {
        "variableStates": states(aligned, contract),
        "results": [
            {
                "timestamp": timestamp,
                "value": value(verdicts, contract, request.contributors or DEFAULT_CONTRIBUTORS),
                "errors": [],
            }
        ],
    }
    return Answer(msgspec.json.encode(content))


def read_request(body: bytes) -> DetectLast:
    """The request in `body`; raises MalformedBody or InvalidRow."""
    request = read_struct(body, DetectLast, "detect-last request")
    count = request.contributors
    if count is not None and count < 1:
        raise invalid(f"topContributorCount is {shown(count)}; a whole number from 1 is needed")
    return request


def align(variables: Sequence[VariableValues], contract: DataContract) -> Aligned:
    """All variables by time, one row for each time that any of them has; raises InvalidRow."""
    _require_variables([one.variable for one in variables], contract)
    series = {one.variable: _series(one, contract) for one in variables}
    times = sorted(set().union(*series.values()))
    rows_NF = np.full((len(times), len(contract.names)), np.nan)
    place = {time: row for row, time in enumerate(times)}
    for column, name in enumerate(contract.names):
        rows = [place[time] for time in series[name]]
        rows_NF[rows, column] = list(series[name].values())
    return Aligned(times, rows_NF)


def _require_variables(names: Sequence[str], contract: DataContract) -> None:
    count, known = Counter(names), set(contract.names)
    problems = [
        Problem(f"variable '{name}' is missing; {named(contract)} are needed", name)
        for name in contract.names
        if not count[name]
    ]
    problems += [
        Problem(f"variable {shown(name)} is unknown; {named(contract)} are known")
        for name in count
        if name not in known
    ]
    problems += [
        Problem(f"variable '{name}' comes {count[name]} times; it may come once", name)
        for name in contract.names
        if count[name] > 1
    ]
    if problems:
        raise InvalidRow(problems[:SHOWN_PROBLEMS])


def _series(one: VariableValues, contract: DataContract) -> dict[datetime, float]:
    """The values of one variable by time."""
    most = max(MOST_TIMES, contract.window_length)
    if len(one.timestamps) > most:
        came = f"variable '{one.variable}' has {len(one.timestamps)} timestamps"
        raise invalid(f"{came}; at most {most} are read", one.variable)
    if len(one.timestamps) != len(one.values):
        raise invalid(
            f"variable '{one.variable}' has {len(one.timestamps)} timestamps and "
            f"{len(one.values)} values; one value is needed for each",
            one.variable,
        )
    alone = DataContract((contract.sensors[contract.names.index(one.variable)],))
    values = read_cells(one.values, (len(one.values), 1), alone).tolist()
    times = [_time(text, one.variable) for text in one.timestamps]
    series = dict(zip(times, values, strict=True))
    if len(series) < len(times):
        twice = Counter(times).most_common(1)[0][0]
        raise invalid(
            f"variable '{one.variable}' has {written(twice)} twice; a time may come once",
            one.variable,
        )
    return series


def _time(text: str, variable: str) -> datetime:
    """A timestamp of ISO 8601 in UTC; one without a zone is in UTC already."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        needed = "ISO 8601 is needed, like 2026-01-01T00:00:00Z"
        raise invalid(
            f"variable '{variable}' has the timestamp {shown(text)}; {needed}", variable
        ) from error


def last_window(aligned: Aligned, contract: DataContract) -> FloatArray:
    """The window to judge, shape (1, T, F); raises InvalidRow."""
    length = contract.window_length
    if len(aligned.times) < length:
        raise invalid(
            f"{len(aligned.times)} timestamps came; this model judges windows of {length}, so "
            f"{length} are needed"
        )
    windows_BTF = aligned.rows_NF[None, -length:]
    require_windows(windows_BTF, contract)
    return windows_BTF


def states(aligned: Aligned, contract: DataContract) -> list[dict[str, Any]]:
    """What was sent of each variable, over all times that any variable has."""
    present_NF, count = ~np.isnan(aligned.rows_NF), len(aligned.times)
    found = []
    for name, present_N in zip(contract.names, present_NF.T, strict=True):
        rows = np.flatnonzero(present_N)
        found.append(
            {
                "variable": name,
                "filledNARatio": (count - len(rows)) / count,
                "effectiveCount": len(rows),
                "firstTimestamp": written(aligned.times[rows[0]]) if len(rows) else None,
                "lastTimestamp": written(aligned.times[rows[-1]]) if len(rows) else None,
            }
        )
    return found


def value(verdicts: Verdicts, contract: DataContract, contributors: int) -> dict[str, Any]:
    """The verdict on the last window. As at Azure, what is no anomaly has a severity of 0."""
    anomaly = bool(verdicts.anomaly_B[0])
    share_F = verdicts.contribution_BF[0]
    largest = np.argsort(-share_F, kind="stable")[:contributors]
    return {
        "isAnomaly": anomaly,
        "severity": float(verdicts.severity_B[0]) if anomaly else 0.0,
        "score": float(verdicts.score_B[0]),
        "interpretation": [
            {
                "variable": contract.names[column],
                "contributionScore": float(share_F[column]),
                "correlationChanges": {"changedVariables": []},
            }
            for column in largest
        ],
    }


def written(time: datetime) -> str:
    """A time in UTC as Azure writes it, with `Z`."""
    return time.isoformat().replace("+00:00", "Z")
