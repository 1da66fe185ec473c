"""What receivers answer, and what keeps them from it, in few kinds that people can be told of."""

import re
from typing import Annotated, Literal

from pydantic import Field

Answer = Literal[
    "unreachable", "slow", "denied", "missing", "busy", "failing", "certificate", "refused",
    "changed", "old", "other",
]  # fmt: skip
ANSWERS: tuple[tuple[Answer, str], ...] = (
    ("changed", "configuration no longer has"),
    ("old", "^too old$"),
    ("certificate", "certificate|SSLError|SSL:|TLS"),
    ("slow", r"timed? ?out|TimeoutError|did not confirm|no answer"),
    ("denied", r"\b40[13]\b|unauthori[sz]ed|forbidden|authenticat|not authorized|bad user"),
    ("missing", r"\b(404|410)\b|not found"),
    ("busy", r"\b429\b|too many"),
    ("failing", r"\b5\d\d\b|server error|unavailable"),
    ("unreachable", "refused|reachable|reached|connection error|gaierror|name or service|no route"),
    ("unreachable", "reset by peer|RemoteDisconnected"),
    ("refused", r"\b4\d\d\b"),
)  # fmt: skip
"""What a problem means in plain words, by what it says; the first that fits."""

Means = Annotated[
    Answer | None, Field(description="What the receiver's answer means; null where it took it")
]


def answer_of(problem: str | None) -> Answer | None:
    """What a problem means."""
    if problem is None:
        return None
    found = (name for name, says in ANSWERS if re.search(says, problem, re.IGNORECASE))
    return next(found, "other")
