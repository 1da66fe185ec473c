"""The formats of many rows: which there are, and what reads and writes each.

Arrow and Parquet need pyarrow, an extra: it is larger than all else that the service needs. Their
modules are imported when the first such body comes, so that a service without them is not the
slower or larger for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from kizashi.runtime.contract import DataContract
from serving.formats.csv import CsvReader, CsvWriter
from serving.formats.json import JsonReader, JsonWriter
from serving.formats.ndjson import NdjsonReader, NdjsonWriter
from serving.formats.rows import BLOCK_BYTES, FloatArray, Reader
from serving.formats.writing import Writer
from serving.http.spool import Spool

MakeReader = Callable[[DataContract, str], Reader]
MakeWriter = Callable[[Spool], Writer]


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `streams` says that a body needs no more memory the larger it is."""

    media_type: bytes
    reader: MakeReader
    writer: MakeWriter
    streams: bool = True
    needs_arrow: bool = False

    @property
    def installed(self) -> bool:
        """Whether this environment can read and write it."""
        return not self.needs_arrow or find_spec("pyarrow") is not None


def _arrow_reader(contract: DataContract, charset: str) -> Reader:
    from serving.formats.arrow import ArrowReader

    return ArrowReader(contract, charset)


def _arrow_writer(spool: Spool) -> Writer:
    from serving.formats.arrow import ArrowWriter

    return ArrowWriter(spool)


def _parquet_reader(contract: DataContract, charset: str) -> Reader:
    from serving.formats.parquet import ParquetReader

    return ParquetReader(contract, charset)


def _parquet_writer(spool: Spool) -> Writer:
    from serving.formats.parquet import ParquetWriter

    return ParquetWriter(spool)


FORMATS = {
    one.media_type: one
    for one in (
        Format(b"application/json", JsonReader, JsonWriter, streams=False),
        Format(b"text/csv", CsvReader, CsvWriter),
        Format(b"application/x-ndjson", NdjsonReader, NdjsonWriter),
        Format(
            b"application/vnd.apache.arrow.stream", _arrow_reader, _arrow_writer, needs_arrow=True
        ),
        Format(
            b"application/vnd.apache.parquet", _parquet_reader, _parquet_writer, needs_arrow=True
        ),
    )
}
"""By media type; the first is what is meant where none is named."""
EXTRA = "the extra 'arrow' (pip install 'kizashi[arrow]')"


def read(
    media_type: bytes, body: bytes, contract: DataContract, charset: str = "utf-8"
) -> FloatArray:
    """All rows of a whole body, shape (N, F), NaN where a value is missing.

    Raises MalformedBody, BodyTooLarge, WrongMediaType, or InvalidRow with what is wrong in which
    row.
    """
    reader = FORMATS[media_type].reader(contract, charset)
    try:
        pieces = [
            piece
            for at in range(0, len(body), BLOCK_BYTES)
            for piece in reader.feed(body[at : at + BLOCK_BYTES])
        ]
        pieces += reader.finish()
    finally:
        reader.close()
    rows_NF = np.concatenate([np.empty((0, len(contract.sensors))), *pieces])
    contract.require_present(rows_NF)
    return rows_NF
