"""MLflow's scoring protocol, as `mlflow models serve` answers it, and so SageMaker's.

`/invocations` takes a table in any of MLflow's forms. What MLflow's server refuses only because of
how it reads tables (rows without names, a value that is missing from a whole-number column) is read
here; a table that both read gets the same predictions. Where a windowed model has no verdict yet,
score and status are null: MLflow writes NaN, which is no JSON.

Source: MLflow, `mlflow.pyfunc.scoring_server`; SageMaker, "Custom inference code with hosting".
"""

import math
from collections.abc import Mapping
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from fastapi import Response
from starlette.routing import Route

from kizashi.errors import KizashiError
from kizashi.runtime.contract import DataContract, shown
from serving.errors import BodyTooLarge, Failure, WrongMediaType, invalid
from serving.formats import EXTRA, FORMATS, read
from serving.http.requests import media_type, parse_json
from serving.protocols.endpoint import JSON, Answer, Asked, Endpoint, said
from serving.protocols.values import named, read_rows, require_rows
from serving.verdicts.score import status
from serving.verdicts.scoring import Judged, Scoring

INVOCATIONS = "/invocations"
CSV, PARQUET = b"text/csv", b"application/vnd.apache.parquet"
INSTANCES = b'{"instances"'
ROWS_AT_ONCE = 8192
MOST_VALUES = 2**22
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
STATUS = {422: 400}
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's error codes; every other error of the client is a BAD_REQUEST."""

FloatArray = npt.NDArray[np.float64]


def routes(scoring: Scoring, limit: int) -> list[Route]:
    """What answers; `serving.protocols.openapi` declares the same path."""
    return [Route(INVOCATIONS, Endpoint(scoring, limit, "mlflow", invoke), methods=["POST"])]


def dialect(failure: Failure) -> Response:
    """`{"error_code": "…", "message": "…"}`."""
    default = "BAD_REQUEST" if failure.status < 500 else "INTERNAL_ERROR"
    content = {"error_code": CODES.get(failure.status, default), "message": said(failure)}
    code = STATUS.get(failure.status, failure.status)
    body = msgspec.json.encode(content)
    return Response(body, code, headers=failure.headers, media_type="application/json")


def mlflow_version() -> str:
    """The version of MLflow that is installed, without importing it."""
    try:
        return version("mlflow-skinny")
    except PackageNotFoundError:
        return version("mlflow")


def invoke(asked: Asked) -> Answer:
    """Score one table of consecutive rows."""
    contract = asked.served.detector.contract
    kind, charset = media_type(asked.headers, (JSON, CSV, PARQUET))
    if kind == JSON:
        rows_NF = read_json(asked.body, contract)
    elif kind == CSV:
        rows_NF = read(CSV, asked.body, contract, charset)
    else:
        rows_NF = read_parquet(asked.body, contract)
    return Answer(write(asked.scoring.many(asked.served, rows_NF, asked.origin)))


def write(judged: Judged) -> bytes:
    """The predictions, written some at a time: as objects all of them would fill the memory."""
    pieces = []
    for at in range(0, len(judged.score_N), ROWS_AT_ONCE):
        some = slice(at, at + ROWS_AT_ONCE)
        scores, anomalies = judged.score_N[some].tolist(), judged.anomaly_N[some].tolist()
        predictions = [
            {"score": None, "status": None}
            if math.isnan(score)
            else {"score": score, "status": status(anomaly)}
            for score, anomaly in zip(scores, anomalies, strict=True)
        ]
        pieces.append(msgspec.json.encode(predictions)[1:-1])
    return b'{"predictions":[%b]}' % b",".join(pieces)


def read_parquet(body: bytes, contract: DataContract) -> FloatArray:
    """Rows of a Parquet file, shape (N, F); raises BodyTooLarge for more than can be answered: such
    a file may hold any number of rows in a few bytes."""
    parquet = FORMATS[PARQUET]
    if not parquet.installed:
        raise WrongMediaType(f"Content-Type is {PARQUET.decode()!r}; reading it needs {EXTRA}")
    with closing(parquet.reader(contract, "utf-8")) as reader:
        pieces, values = [], 0
        for piece in chain(reader.feed(body), reader.finish()):
            pieces.append(piece)
            values += piece.size
            if values > MOST_VALUES:
                said_so = f"the file has more than the {MOST_VALUES} values that are read at once"
                raise BodyTooLarge(f"{said_so}; POST /anomaly/batch reads any number")
    rows_NF = np.concatenate([np.empty((0, len(contract.sensors))), *pieces])
    contract.require_present(rows_NF)
    return rows_NF


def read_json(body: bytes, contract: DataContract) -> FloatArray:
    """Rows of a JSON body, shape (N, F); raises MalformedBody or InvalidRow."""
    if body.startswith(INSTANCES):
        with suppress(KizashiError):  # what is wrong, if anything is, is said below
            return read(JSON, body, contract)  # the quick reader of /anomaly/batch
    rows_NF = read_table(parse_json(body), contract)
    require_rows(rows_NF, contract)
    return rows_NF


def read_table(content: Any, contract: DataContract) -> FloatArray:
    """Rows of a JSON body, shape (N, F), in whichever form they are; raises InvalidRow.

    `params` are read and have no effect: the model has none. MLflow ignores other names too.
    """
    found = [form for form in FORMS if isinstance(content, dict) and form in content]
    if len(found) != 1:
        came = f"{' and '.join(found)} came" if found else f"{shown(content)} came"
        raise invalid(f"exactly one of {', '.join(FORMS)} is needed in an object; {came}")
    if not isinstance(content.get("params"), dict | None):
        raise invalid(f"params is {shown(content['params'])}; an object is needed")
    form, table = found[0], content[found[0]]
    if form == "dataframe_split":
        return _split(table, contract)
    if isinstance(table, dict) and form != "dataframe_records":
        return _columns(table, contract)
    if not isinstance(table, list):
        raise invalid(f"{form} is {shown(table)}; a list of rows is needed")
    named_rows = [row for row in table if isinstance(row, dict)]
    if form == "dataframe_records" and len(named_rows) < len(table):
        raise invalid("dataframe_records has a row that is no object keyed by sensor name")
    if named_rows:
        return _records(table, named_rows, contract)
    return read_rows(table, contract)


def _split(table: Any, contract: DataContract) -> FloatArray:
    """`{"columns": […], "data": [[…], …]}`; columns that are no sensors are ignored."""
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        needed = '{"columns": ["…"], "data": [[…]]} is needed'
        raise invalid(f"dataframe_split is {shown(table)}; {needed}")
    unknown = sorted(set(table) - {"columns", "data", "index"})
    if unknown:
        raise invalid(f"dataframe_split has {shown(unknown[0])}; columns, data and index are read")
    columns, data = table.get("columns"), table["data"]
    if columns is None:
        return read_rows(data, contract)
    if not isinstance(columns, list):
        raise invalid(f"columns is {shown(columns)}; a list of names is needed")
    places = [_place(name, columns) for name in contract.names]
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            came = f"{len(row)} values" if isinstance(row, list) else shown(row)
            raise invalid(f"row {number}: {came} came; there are {len(columns)} columns")
    return read_rows([[row[place] for place in places] for row in data], contract)


def _place(name: str, columns: list[Any]) -> int:
    count = columns.count(name)
    if count != 1:
        came = "no column" if count == 0 else f"{count} columns"
        raise invalid(f"sensor '{name}' has {came}; one is needed", name)
    return columns.index(name)


def _records(
    table: list[Any], named_rows: list[dict[str, Any]], contract: DataContract
) -> FloatArray:
    """Rows keyed by sensor name, and others between them; a name that some rows have and one has
    not is missing there."""
    known: set[str] = set()
    for row in named_rows:
        known.update(row)
    _require_names(known, contract)
    names = contract.names
    return read_rows(
        [[row.get(name) for name in names] if isinstance(row, dict) else row for row in table],
        contract,
    )


def _columns(table: Mapping[str, Any], contract: DataContract) -> FloatArray:
    """Columns keyed by sensor name; numbers in place of lists are one row."""
    _require_names(set(table), contract)
    columns = [table[name] for name in contract.names]
    if not any(isinstance(column, list | dict) for column in columns):
        return read_rows([columns], contract)
    for name, column in zip(contract.names, columns, strict=True):
        if not isinstance(column, list) or len(column) != len(columns[0]):
            came = f"{len(column)} values" if isinstance(column, list) else shown(column)
            raise invalid(f"sensor '{name}' has {came}; lists of one length are needed", name)
    return read_rows([list(row) for row in zip(*columns, strict=True)], contract)


def _require_names(known: set[str], contract: DataContract) -> None:
    lost = [name for name in contract.names if name not in known]
    if lost:
        raise invalid(f"sensor '{lost[0]}' is missing; {named(contract)} are needed", lost[0])
