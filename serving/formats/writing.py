"""What all formats share in writing: verdicts become bytes in a spool, piece by piece."""

from itertools import chain
from typing import ClassVar, Protocol

import msgspec
import numpy as np

from serving.http.spool import Spool
from serving.verdicts.scoring import Judged

_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Writes verdicts in the order of their rows; NaN is no verdict."""

    def write(self, judged: Judged) -> None:
        """The verdicts of the next rows."""

    def finish(self) -> None:
        """Nothing follows: what the spool has is the whole answer."""

    def close(self) -> None:
        """Let go of files of its own."""


class LineWriter:
    """A line for each row: `BEFORE`, the score, and the verdict's end of the line; `NOTHING` for a
    row without a verdict, of which there are only some at the start."""

    HEAD: ClassVar[bytes] = b""
    BEFORE: ClassVar[bytes]
    NORMAL: ClassVar[bytes]
    ANOMALY: ClassVar[bytes]
    NOTHING: ClassVar[bytes]

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        spool.write(self.HEAD)

    def write(self, judged: Judged) -> None:
        without = int(np.count_nonzero(np.isnan(judged.score_N)))
        self._spool.write(self.NOTHING * without)
        if without == len(judged.score_N):
            return
        scores = score_texts(judged)[without:]
        ends = (self.NORMAL + self.BEFORE, self.ANOMALY + self.BEFORE)
        verdicts = map(ends.__getitem__, judged.anomaly_N[without:].tolist())
        lines = self.BEFORE + b"".join(chain.from_iterable(zip(scores, verdicts, strict=True)))
        self._spool.write(lines[: len(lines) - len(self.BEFORE)])

    def finish(self) -> None: ...

    def close(self) -> None: ...


def score_texts(judged: Judged) -> list[bytes]:
    """Each score as the shortest number that reads back as the same; `null` for none."""
    return _encode(judged.score_N.tolist())[1:-1].split(b",")
