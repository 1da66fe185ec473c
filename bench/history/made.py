"""A made year of several sources at one row a second, as retention leaves it: every row of the last
days, and trends by minute, hour and day of the whole time.

One day is simulated and stands for all: what a database and a page do with it depends on how much
there is, not on what it says. SQLite multiplies it, in the order in which rows would have come.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from sqlalchemy import insert

from kizashi.runtime.bundle import Bundle
from serving.alarms.desk import create
from serving.history.block import Detail
from serving.history.database import Database, database_url
from serving.history.record import MICROSECONDS
from serving.history.tables import ANOMALY, DAY, RESOLUTIONS, models, occurrences, sources
from serving.history.trends import packed, sensors_of

ALARM_SECONDS = 60
VERDICTS = """
INSERT INTO verdicts (source_id, time, arrived, model_id, score, p_value, flags, "values",
    request_id, severity, detail)
SELECT machine.id, :day + second * 1000000, :day + second * 1000000, 1, score, p_value, flags,
    "values", lower(hex(randomblob(16))), severity, detail
FROM second CROSS JOIN machine
"""
TRENDS = """
INSERT INTO trends (source_id, resolution, start, model_id, rows, anomalies, score_sum, score_max,
    sensors)
SELECT machine.id, resolution, :day + at * 1000000, 1, rows, anomalies, score_sum, score_max,
    sensors
FROM part CROSS JOIN machine
"""


@dataclass(frozen=True)
class Year:
    """How much is made; whole days, the last of which ends at `until`, in seconds since 1970."""

    sources: int
    days: int
    row_days: int
    until: int

    def days_of(self, count: int) -> Iterator[int]:
        """The beginnings of the last `count` days, in microseconds."""
        for back in range(count, 0, -1):
            yield (self.until - back * DAY) * MICROSECONDS


def make(path: Path, year: Year, bundle: Bundle, rows_NF: np.ndarray) -> None:
    """Write it to a new SQLite database; `rows_NF` are the rows of a day, one a second."""
    assert len(rows_NF) == DAY
    url = database_url(f"sqlite:///{path}", path.parent)
    assert url is not None
    database = Database(url)
    try:
        _sources(database, year, bundle)
    finally:
        database.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nothing of it is worth keeping through a crash.
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-400000;"
            "PRAGMA temp_store=MEMORY; CREATE TEMP TABLE machine AS SELECT id FROM sources;"
        )
        _pools(connection, bundle, rows_NF)
        for count, statement in ((year.days, TRENDS), (year.row_days, VERDICTS)):
            for day in year.days_of(count):
                connection.execute("BEGIN")
                connection.execute(statement, {"day": day})
                connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _sources(database: Database, year: Year, bundle: Bundle) -> None:
    """The sources, the model, and an alarm of each source every day."""
    detector = bundle.detector
    first, until = (time * MICROSECONDS for time in (year.until - year.days * DAY, year.until))
    sensors = [{"name": one.name, "unit": one.unit} for one in detector.contract.sensors]
    model = {
        "name": "bench",
        "version": "1",
        "bundle": bundle.hash,
        "threshold": detector.threshold.value,
        "sensors": msgspec.json.encode(sensors).decode(),
    }
    state = {
        **dict.fromkeys(("newest", "arrived", "on_time"), until),
        "first_time": first,
        "warm_until": first,
        "rows": year.days * DAY,
        "interval": 1.0,
        "score": 0.5,
        "anomaly": 0,
        "model_id": 1,
    }
    with database.write() as connection:
        connection.execute(insert(models), model)
        for number in range(year.sources):
            name = f"press-{number:02}"
            made = connection.execute(insert(sources), {**state, "name": name})
            assert made.inserted_primary_key is not None
            source_id = made.inserted_primary_key[0]
            alarm = create(connection, source_id, name, "anomaly", until)
            occurred = {
                "alarm_id": alarm.id,
                "source_id": source_id,
                "kind": "anomaly",
                "priority": "medium",
                "begins": 1,
                "chattering": 0,
                "rows": 20,
                "model_id": 1,
                "severity": 0.9,
                "score": 9.0,
                "sensor": sensors[0]["name"],
                "reason": "3 of the last 5 verdicts were wrong",
            }
            began = [{**occurred, "began": day, "ended": day + ALARM_SECONDS * MICROSECONDS}
                     for day in year.days_of(year.days)]  # fmt: skip
            connection.execute(insert(occurrences), began)


def _pools(connection: sqlite3.Connection, bundle: Bundle, rows_NF: np.ndarray) -> None:
    """The day that stands for all: its seconds, and its parts."""
    detector = bundle.detector
    score_N = detector.score(detector.windows(rows_NF))
    p_value_N = detector.calibration.p_value(score_N)
    anomaly_N = score_N > detector.threshold.value
    encode = msgspec.json.Encoder().encode
    share = [round(1 / rows_NF.shape[1], 4)] * rows_NF.shape[1]
    details = [
        encode(Detail(share, row)).decode() if anomaly else None
        for row, anomaly in zip(rows_NF.tolist(), anomaly_N.tolist(), strict=True)
    ]
    connection.execute(
        'CREATE TEMP TABLE second (second INTEGER PRIMARY KEY, score, p_value, flags, "values", '
        "severity, detail)"
    )
    columns = (
        range(DAY),
        score_N.tolist(),
        p_value_N.tolist(),
        np.where(anomaly_N, ANOMALY, 0).tolist(),
        (encode(row).decode() for row in rows_NF.tolist()),
        (0.9 if anomaly else None for anomaly in anomaly_N.tolist()),
        details,
    )
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO second VALUES (?, ?, ?, ?, ?, ?, ?)", zip(*columns, strict=True)
    )
    connection.execute("COMMIT")
    connection.execute(
        "CREATE TEMP TABLE part (resolution, at, rows, anomalies, score_sum, score_max, sensors)"
    )
    for resolution in RESOLUTIONS:
        for at in range(0, DAY, resolution):
            part = slice(at, at + resolution)
            summed = (
                resolution,
                int(anomaly_N[part].sum()),
                float(score_N[part].sum()),
                float(score_N[part].max()),
                packed(sensors_of(rows_NF[part])),
            )
            connection.execute(
                "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?)", (resolution, at, *summed)
            )
