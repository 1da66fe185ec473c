"""The list of occurrences as a table for files."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice

from serving.history.database import Database
from serving.history.occurrences import Filters, pages_of_occurrences
from serving.history.table import Cell, Column
from serving.history.views import Occurrence, written

COLUMNS = (
    Column("id", "whole"),
    Column("source", "text"),
    Column("kind", "text"),
    Column("priority", "text"),
    Column("state", "text"),
    Column("began", "text"),
    Column("ended", "text"),
    Column("severity", "real"),
    Column("score", "real"),
    Column("sensor", "text"),
    Column("reason", "text"),
    Column("rows", "whole"),
    Column("begins", "whole"),
    Column("model", "text"),
    Column("version", "text"),
    Column("acknowledged", "text"),
    Column("acknowledged_by", "text"),
    Column("comment", "text"),
    Column("label", "text"),
    Column("request_id", "text"),
)


class ListOfOccurrences:
    """All that the filters find, newest first. The first page is read at once, so that a database
    that is away is told before the file has begun."""

    columns = COLUMNS

    def __init__(self, database: Database, filters: Filters) -> None:
        pages = pages_of_occurrences(database, filters)
        self._pages = chain(list(islice(pages, 1)), pages)

    def pages(self) -> Iterator[list[list[Cell]]]:
        """The occurrences as rows."""
        for page in self._pages:
            yield [_row(one) for one in page]


def _row(one: Occurrence) -> list[Cell]:
    values = (getattr(one, column.name) for column in COLUMNS)
    return [written(value) if isinstance(value, datetime) else value for value in values]
