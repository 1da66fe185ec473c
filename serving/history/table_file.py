"""A table as a file, written while it is read: however long, it needs the memory of one page."""

import csv
import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from serving.errors import WrongMediaType
from serving.history.table import Cell, Table

Format = Literal["csv", "parquet"]
EXPORTS: dict[Format, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
FILE = {
    "content": {kind: {"schema": {"type": "string"}} for kind in EXPORTS.values()},
    "description": "The file",
}
"""How OpenAPI describes the answer."""
UNSAFE = re.compile(r"[^\w.-]+")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What begins like this is a formula to spreadsheets, whoever wrote it."""
MARK = "\ufeff"
"""Without it spreadsheets take the letters of most languages for others."""


def has_parquet() -> bool:
    """Whether Parquet can be written here: it needs the `arrow` extra."""
    return find_spec("pyarrow") is not None


def as_file(table: Table, name: str, format_: Format, *, mark: bool = False) -> StreamingResponse:
    """The file as an answer, under a name without an ending; `mark` has spreadsheets read a CSV as
    UTF-8. Raises WrongMediaType without the extra that the format needs."""
    if format_ == "parquet":
        if not has_parquet():
            raise WrongMediaType("parquet needs the 'arrow' extra: pip install 'kizashi[arrow]'")
        from serving.history.parquet_file import parquet  # pyarrow, an extra

        pieces: Iterator[str] | Iterator[bytes] = parquet(table)
    else:
        pieces = as_csv(table, MARK if mark else "")
    file = f"{UNSAFE.sub('_', name)}.{format_}"
    disposition = f"attachment; filename*=UTF-8''{quote(file)}"
    return StreamingResponse(
        pieces, media_type=EXPORTS[format_], headers={"Content-Disposition": disposition}
    )


def as_csv(table: Table, mark: str = "") -> Iterator[str]:
    """The file in pieces; a text that a spreadsheet would run has an apostrophe before it.

    The names of the columns stay: programs look for them."""
    text = io.StringIO()
    text.write(mark)
    write = csv.writer(text)
    write.writerow([column.name for column in table.columns])
    words = [place for place, column in enumerate(table.columns) if column.holds == "text"]
    for page in table.pages():
        for row in page:
            for place in words:
                row[place] = _harmless(row[place])
        write.writerows(page)
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
