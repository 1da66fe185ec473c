"""One batch on its way: rows are gathered until scoring them together pays, judged, and written."""

from collections.abc import Iterable, Iterator

import numpy as np

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import SHOWN_PROBLEMS, BodyTooLarge
from serving.following.detectors import Served
from serving.formats import Format
from serving.formats.rows import FloatArray, Reader
from serving.formats.writing import Writer
from serving.http.spool import Spool
from serving.verdicts.scoring import Judged, Origin, Scoring

ROWS_AT_ONCE = 16_384
VALUES_AT_ONCE = 2**19
"""As many rows as a network takes at once, or fewer of them with many sensors."""
FEWEST_BYTES = 2
"""What one value takes in a text. A binary file can say `a thousand million times 0` in a few
bytes; no more values are read from it than from a text of the greatest size."""


class Judging:
    """Rows in, answer out. Its steps are iterators, each step a fraction of a second of work.

    `size` is the answer's in bytes, and `answer` its pieces, once `finish` has been worked off.
    """

    def __init__(self, scoring: Scoring, served: Served, origin: Origin, most_bytes: int) -> None:
        self._scoring, self._served, self._origin = scoring, served, origin
        self._contract = served.detector.contract
        self._most_values = most_bytes // FEWEST_BYTES
        self._values = 0
        self._gathered: list[FloatArray] = []
        self._rows = 0
        self._judged = 0
        self._before_NF = np.empty((0, len(self._contract.sensors)))
        self._spool = Spool()
        self._reader: Reader | None = None
        self._writer: Writer | None = None

    def open(self, sent: Format, charset: str, wanted: Format) -> Iterator[None]:
        """The first step: a format's library may take a moment to load."""
        self._reader = sent.reader(self._contract, charset)
        self._writer = wanted.writer(self._spool)
        yield

    def feed(self, block: bytes) -> Iterator[None]:
        """Judge the rows that are whole with this block."""
        assert self._reader is not None
        yield from self._gather(self._reader.feed(block))

    def finish(self) -> Iterator[None]:
        """Judge what is left, and complete the answer."""
        assert self._reader is not None and self._writer is not None
        yield from self._gather(self._reader.finish())
        self._judge()
        yield
        self._writer.finish()

    @property
    def size(self) -> int:
        return self._spool.size

    def answer(self) -> Iterator[bytes]:
        """The answer in pieces."""
        return self._spool.pieces()

    def close(self) -> None:
        """Let go of files."""
        for part in (self._reader, self._writer, self._spool):
            if part is not None:
                part.close()

    def _gather(self, pieces: Iterable[FloatArray]) -> Iterator[None]:
        for rows_NF in pieces:
            self._values += rows_NF.size
            if self._values > self._most_values:
                raise BodyTooLarge(f"more than {self._most_values} values came in one batch")
            self._gathered.append(rows_NF)
            self._rows += len(rows_NF)
            width = len(self._contract.sensors)
            if self._rows >= ROWS_AT_ONCE or self._rows * width >= VALUES_AT_ONCE:
                self._judge()
            yield

    def _judge(self) -> None:
        assert self._writer is not None
        before = len(self._before_NF)
        rows_NF = np.concatenate([self._before_NF, *self._gathered])
        require_present(rows_NF, self._contract, self._judged - before)
        judged = self._scoring.many(self._served, rows_NF, self._origin)
        self._writer.write(Judged(judged.score_N[before:], judged.anomaly_N[before:]))
        self._judged += self._rows
        self._gathered, self._rows = [], 0
        kept = min(self._contract.window_length - 1, len(rows_NF))
        self._before_NF = rows_NF[len(rows_NF) - kept :].copy()


def require_present(rows_NF: FloatArray, contract: DataContract, start: int) -> None:
    """Raise InvalidRow where a window of consecutive rows, the first of them being row `start`, has
    more missing values than are allowed."""
    missing_N = contract.missing_before(rows_NF)
    missing_N[: contract.window_length - 1] = 0  # no window ends there
    rows = np.flatnonzero(missing_N > contract.most_missing)[:SHOWN_PROBLEMS].tolist()
    if rows:
        raise InvalidRow([_too_many(contract, int(missing_N[row]), start + row) for row in rows])


def _too_many(contract: DataContract, missing: int, number: int) -> Problem:
    return Problem(f"row {number}: {contract.too_many_missing(missing)}", None, number)
