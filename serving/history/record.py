"""What waits for the writer: a verdict, or a batch of them, as it was heard of."""

from concurrent.futures import Future
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kizashi.runtime.detector import Verdicts
from serving.following.detectors import Served
from serving.verdicts.scoring import Origin

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

MICROSECONDS = 1_000_000
TOLERANCE = 60 * MICROSECONDS
"""How far a client's clock may be ahead of this machine's, and how far rows of one source may be
out of order, before one counts as late. The same for both: a clock that jumped ahead as far as it
is believed then makes no later row a late one."""
OLDEST = 946_684_800 * MICROSECONDS
"""Year 2000; a controller whose battery is empty sends 1970."""
LATEST = 7_258_118_400 * MICROSECONDS
"""Year 2200: what clients may ask for has an end."""
DEFAULT_SOURCE = "default"
UNKEPT = "unkept"
"""The protocol of an origin whose verdicts are not kept: somebody is only trying something out."""


class Row(NamedTuple):
    """One verdict; `window` and `verdicts` are kept of anomalies, to say which sensor it was."""

    served: Served
    origin: Origin
    arrived: float
    values_F: FloatArray
    score: float
    anomaly: bool
    window: FloatArray | None = None
    verdicts: Verdicts | None = None
    kept: Future[None] | None = None


class Batch(NamedTuple):
    """The verdicts of one request's rows."""

    served: Served
    origin: Origin
    arrived: float
    values_NF: FloatArray
    score_N: FloatArray
    anomaly_N: BoolArray
    loudest: IntArray
    """The rows of the `windows`: the anomalies with the highest scores."""
    windows_BTF: FloatArray
    verdicts: Verdicts | None = None
    kept: Future[None] | None = None


Record = Row | Batch


def source_of(origin: Origin) -> str:
    """The source's name as databases can hold it: a request without one is `default`'s."""
    return _writable(origin.source or "")


@lru_cache(maxsize=1024)
def _writable(source: str) -> str:
    name = source.replace("\0", "")[:200]
    return name.encode(errors="replace").decode() or DEFAULT_SOURCE


def time_of(timestamp: str | None, arrived: int) -> int | None:
    """The client's time in microseconds; None where it sent none, or one that cannot be."""
    if timestamp is None:
        return None
    try:
        told = datetime.fromisoformat(timestamp)
        if told.tzinfo is None:
            return None
        time = round(told.timestamp() * MICROSECONDS)
    except (ValueError, OverflowError):
        return None
    return time if OLDEST <= time <= arrived + TOLERANCE else None
