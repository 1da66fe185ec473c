"""What /openapi.json says of the protocols' paths, one file each."""

from typing import Any

from pydantic import BaseModel, ConfigDict

NAMED = {
    "X-Model-Name": {"schema": {"type": "string"}, "description": "The model that answered"},
    "X-Model-Version": {"schema": {"type": "string"}, "description": "Its version"},
    "X-Request-ID": {"schema": {"type": "string"}, "description": "The request's id"},
    "X-Threshold-Override": {
        "schema": {"type": "number"},
        "description": "The threshold that an operator set, while it is in force",
    },
}
REASONS = {
    400: "A request that cannot be answered as it is; the text names what is wrong",
    401: "No key, or one that is not known",
    403: "A key without the right to this",
    404: "A model or version that is not served here",
    408: "A body that did not come in time",
    413: "More bytes than are read",
    415: "A media type that is not read here",
    429: "Too many requests; Retry-After says when to come back",
    500: "The service failed",
    503: "No model is ready",
}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"schema": {"type": "string"}}},
}


class Exact(BaseModel):
    """What is answered has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """What is sent may have other fields, which are ignored."""

    model_config = ConfigDict(extra="allow")


def failures(model: type[BaseModel], *codes: int) -> dict[int | str, dict[str, Any]]:
    """What an operation declares of the errors that it answers, each of them a `model`."""
    return {
        code: {"model": model, "description": REASONS[code], "headers": HEADERS.get(code, {})}
        for code in codes
    }
