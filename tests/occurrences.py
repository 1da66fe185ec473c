"""A history of alarms, without the rows that would have raised them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from serving.alarms.machine import Alarm
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.history.tables import alarms, occurrences, sources

START = 1_790_000_000 * MICROSECONDS
"""When the first of many begins."""
MINUTE = 60 * MICROSECONDS
TIMES = ("first_time", "newest", "arrived", "on_time", "warm_until")


def add_occurrences(database: Database, told: Iterable[Mapping[str, Any]]) -> None:
    """Occurrences in the order of their ids; each has what is told of it, by the columns' names and
    `source`, and is otherwise an anomaly of press-01 that is over."""
    usual: dict[str, Any] = {
        "source": "press-01",
        "kind": "anomaly",
        "priority": "medium",
        "began": START,
        "ended": None,
        "begins": 1,
        "chattering": 0,
        "rows": 4,
        "severity": 0.7,
        "score": 3.5,
        "sensor": "current",
        "reason": "3 of the last 5 verdicts were wrong; current (60%)",
        "acknowledged": None,
        "acknowledged_by": None,
        "comment": None,
        "label": None,
    }
    with database.write() as connection:
        known: dict[tuple[str, str], tuple[int, int]] = {}
        rows = []
        for one in told:
            row = {**usual, **one}
            row["ended"] = one.get("ended", row["began"] + MINUTE // 2)
            place = (row.pop("source"), row["kind"])
            if place not in known:
                known[place] = _alarm(connection, *place)
            row["source_id"], row["alarm_id"] = known[place]
            rows.append(row)
        connection.execute(insert(occurrences), rows)


def many(count: int, sources: int = 6) -> Iterable[dict[str, Any]]:
    """Alarms a minute after one another, of several sources and of every sort."""
    for place in range(count):
        seen = place % 3 == 0
        yield {
            "source": f"press-{1 + place % sources:02d}",
            "kind": "silence" if place % 7 == 0 else "anomaly",
            "priority": ("critical", "high", "medium", "low")[place % 4],
            "began": START + place * MINUTE,
            "severity": None if place % 7 == 0 else (place % 100) / 100,
            "acknowledged": START + place * MINUTE + MINUTE if seen else None,
            "acknowledged_by": "shift-a" if seen else None,
            "comment": "looked at it" if seen else None,
            "label": (None, "true", "false")[place % 5 % 3],
        }


def _alarm(connection: Connection, name: str, kind: str) -> tuple[int, int]:
    """The ids of a source and of its alarm; made where there are none."""
    found = connection.execute(select(sources.c.id).where(sources.c.name == name)).scalar()
    if found is None:
        source = {"name": name, "rows": 1, "interval": 1.0} | dict.fromkeys(TIMES, START)
        found = _made(connection.execute(insert(sources), source))
    mine = (alarms.c.source_id == found) & (alarms.c.kind == kind)
    alarm_id = connection.execute(select(alarms.c.id).where(mine)).scalar()
    if alarm_id is None:
        normal = {"state": "normal", "alarm": msgspec.json.encode(Alarm()).decode()}
        alarm = normal | {"source_id": found, "kind": kind, "since": START}
        alarm_id = _made(connection.execute(insert(alarms), alarm))
    return found, alarm_id


def _made(result: Any) -> int:
    return int(result.inserted_primary_key[0])
