"""Rows as a table for files, read page by page: a year of them needs no more memory than a day."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, and_, or_, select, union

from serving.alarms.actions import source_id_of
from serving.history.database import Database
from serving.history.table import Cell, Column
from serving.history.tables import (
    ANOMALY,
    HOUR,
    LATE,
    MISSING,
    OUT_OF_RANGE,
    STUCK,
    batches,
    labels,
    models,
    trends,
    verdicts,
)
from serving.history.views import moment, written

Exported = Literal["verdicts", "labels"]
PAGE = 5000
COLUMNS = (
    Column("time", "text"),
    Column("score", "real"),
    Column("p_value", "real"),
    Column("status", "text"),
    Column("severity", "real"),
    Column("data_quality", "text"),
    Column("late", "whole"),
)
LABEL = Column("label", "whole")
LINEAGE = (Column("model", "text"), Column("version", "text"), Column("request_id", "text"))
QUALITY = ((MISSING, "missing"), (OUT_OF_RANGE, "out_of_range"), (STUCK, "stuck"))


class Label(NamedTuple):
    """What was said of the rows from `start` to `end` that have one of these bits, or of all."""

    start: int
    end: int
    bits: int | None
    label: int


class Rows:
    """The rows of one source in a time, page by page; each page is a transaction of its own, so
    that a slow download keeps nothing back."""

    def __init__(
        self, database: Database, source: str, start: int, end: int, what: Exported
    ) -> None:
        self._database = database
        self._what = what
        self._start, self._end = start, end
        with database.read() as connection:
            self._source_id = source_id_of(connection, source)
            known = connection.execute(select(models).where(models.c.id.in_(self._model_ids())))
            self._models: dict[int, Any] = {row.id: row for row in known}
            query = select(labels).where(labels.c.source_id == self._source_id)
            found = connection.execute(query.order_by(labels.c.at, labels.c.id)).all()
        self._labels = [
            Label(row.start, row.end, row.bits, int(row.label == "anomaly")) for row in found
        ]
        self._sensors = {
            row.id: [one["name"] for one in msgspec.json.decode(row.sensors)]
            for row in self._models.values()
        }
        self.sensors: list[str] = list(
            dict.fromkeys(name for names in self._sensors.values() for name in names)
        )
        label = (LABEL,) if what == "labels" else ()
        measured = (Column(name, "real") for name in self.sensors)
        self.columns: tuple[Column, ...] = (*COLUMNS, *label, *measured, *LINEAGE)

    def pages(self) -> Iterator[list[list[Cell]]]:
        """The rows, in the order of their time."""
        if self._what == "verdicts":
            for found in self._between(self._start, self._end):
                yield [self._row(row) for row in found]
            return
        page: list[list[Cell]] = []
        for start, end, told in spans(self._labels):
            for found in self._between(max(start, self._start), min(end, self._end)):
                said = ((row, _said(told, row)) for row in found)
                page += [self._row(row, label) for row, label in said if label is not None]
                if len(page) >= PAGE:
                    yield page
                    page = []
        if page:
            yield page

    def _between(self, start: int, end: int) -> Iterator[Sequence[Any]]:
        """The rows of a time, both ends included, in pages."""
        after = (start - 1, 0)
        while True:
            with self._database.read() as connection:
                found = self._page(connection, after, end)
            if found:
                yield found
            if len(found) < PAGE:
                return
            after = (found[-1].time, found[-1].id)

    def _page(self, connection: Connection, after: tuple[int, int], end: int) -> Sequence[Any]:
        c = verdicts.c
        beyond = or_(c.time > after[0], and_(c.time == after[0], c.id > after[1]))
        query = select(verdicts).where(
            c.source_id == self._source_id, c.time >= after[0], c.time <= end, beyond
        )
        return connection.execute(query.order_by(c.time, c.id).limit(PAGE)).all()

    def _model_ids(self) -> Any:
        """Trends and batches know which models judged, in far fewer rows."""
        mine = (trends.c.source_id == self._source_id) & (trends.c.resolution == HOUR)
        batched = batches.c.source_id == self._source_id
        return union(
            select(trends.c.model_id).where(mine).distinct(),
            select(batches.c.model_id).where(batched).distinct(),
        )

    def _row(self, row: Any, label: int | None = None) -> list[Cell]:
        model, flags = self._models.get(row.model_id), row.flags
        values = dict(
            zip(
                self._sensors.get(row.model_id, ()),
                msgspec.json.decode(row.values, type=list[float | None]),
                strict=False,
            )
        )
        cells: list[Cell] = [
            written(moment(row.time)),
            row.score,
            row.p_value,
            "anomaly" if flags & ANOMALY else "normal",
            row.severity,
            " ".join(word for bit, word in QUALITY if flags & bit),
            int(bool(flags & LATE)),
        ]
        if self._what == "labels":
            cells.append(label)
        cells += [values.get(name) for name in self.sensors]
        return [
            *cells,
            None if model is None else model.name,
            None if model is None else model.version,
            row.request_id,
        ]


def spans(told: Sequence[Label]) -> Iterator[tuple[int, int, list[Label]]]:
    """Times that do not overlap, ascending, each with the labels in it in the order of `told`."""
    order = sorted(range(len(told)), key=lambda place: told[place].start)
    places: list[int] = []
    until = 0
    for place in order:
        if places and told[place].start > until:
            yield told[places[0]].start, until, [told[one] for one in sorted(places)]
            places = []
        until = max(until, told[place].end) if places else told[place].end
        places.append(place)
    if places:
        yield told[places[0]].start, until, [told[one] for one in sorted(places)]


def _said(told: Sequence[Label], row: Any) -> int | None:
    """What was said last of a row; None where no label means it."""
    for start, end, bits, label in reversed(told):
        if start <= row.time <= end and (bits is None or row.flags & bits):
            return label
    return None
