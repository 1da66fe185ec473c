"""Groups that hold several sources: each is as it would be alone, in no more statements."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select

from serving.following.detectors import Served
from serving.history.block import blocks_of
from serving.history.database import Database
from serving.history.many import find_rows, insert_rows, replace_rows
from serving.history.record import Row
from serving.history.store import Store
from serving.history.tables import alarms, leases, occurrences, sources, trends, verdicts
from serving.verdicts.scoring import Origin
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.history.conftest import array

START = 1_800_000_000.0
NAMES = tuple(f"press-{number:02}" for number in range(10))
LEASES = ("name", "holder", "until")


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements meanwhile."""
    told: list[str] = []

    def hear(_c: object, _u: object, statement: str, *_: object) -> None:
        told.append(statement)

    with database.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield told
    event.remove(engine, "before_cursor_execute", hear)


def rows(served: Served, names: Sequence[str], at: float, anomaly: bool = False) -> list[Row]:
    """Of each source one, a millisecond apart."""
    told = array(ANOMALOUS_ROW if anomaly else NORMAL_ROW)
    score, window = (3.5 + at, told) if anomaly else (0.01, None)
    return [
        Row(
            served,
            Origin("anomaly", f"{name}-{at}", name),
            START + at + place / 1000,
            told[0],
            score,
            anomaly,
            window,
        )
        for place, name in enumerate(names)
    ]


def groups(served: Served, names: Sequence[str]) -> list[list[Row]]:
    """An alarm of each source begins in the first, goes on, becomes worse, and ends."""
    return [
        [one for at in (0.0, 1.0, 2.0) for one in rows(served, names, at, anomaly=True)],
        rows(served, names, 3.0, anomaly=True) + rows(served, names, 4.0, anomaly=True),
        [one for at in range(5, 16) for one in rows(served, names, float(at))],
    ]


def told(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """What the tables say of each source, but for what identifies rows."""
    found: dict[str, list[tuple[object, ...]]] = {}
    unequal = {"id", "source_id", "alarm_id", "occurrence_id"}
    with database.read() as connection:
        for table in (verdicts, trends, alarms, occurrences):
            columns = [column for column in table.c if column.name not in unequal]
            query = (
                select(sources.c.name, *columns)
                .join(sources, sources.c.id == table.c.source_id)
                .order_by(*list(table.primary_key.columns))
            )
            for name, *values in connection.execute(query).all():
                found.setdefault(name, []).append((table.name, *values))
    return found


def test_sources_in_one_group_are_as_if_each_had_come_alone(
    store: Store, database: Database, served: Served
) -> None:
    together, alone = NAMES[:3], [f"alone-{name}" for name in NAMES[:3]]
    for group in groups(served, together):
        store.write(group)
    for group in groups(served, alone):
        for name in alone:
            store.write([one for one in group if one.origin.source == name])
    found = told(database)
    for name in together:
        assert len(found[name]) > 20
        as_alone = [
            tuple(value.replace("alone-", "") if isinstance(value, str) else value for value in row)
            for row in found[f"alone-{name}"]
        ]
        assert found[name] == as_alone


def test_an_alarm_keeps_the_worst_of_the_rows_that_it_goes_on_for(
    store: Store, database: Database, served: Served
) -> None:
    for group in groups(served, NAMES[:3])[:2]:
        store.write(group)
    with database.read() as connection:
        found = connection.execute(select(occurrences.c.rows, occurrences.c.score)).all()
    assert [tuple(one) for one in found] == [(3, 7.5)] * 3


def test_a_group_of_many_sources_takes_no_more_statements_than_one_of_few(
    store: Store, database: Database, served: Served
) -> None:
    for group in groups(served, NAMES)[:1]:
        store.write(group)
    counts = []
    for at, names in ((5.0, NAMES[:2]), (6.0, NAMES[:8])):
        with counted(database) as statements:
            store.write(rows(served, names, at, anomaly=True))
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 1
    assert counts[1] < 20


def test_anomalies_of_all_sources_are_explained_by_one_run_of_the_model(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    judge: Callable[..., object] = served.detector.judge

    def counted_judge(windows: Sequence[object]) -> object:
        runs.append(len(windows))
        return judge(windows)

    monkeypatch.setattr(
        type(served.detector), "judge", lambda _self, windows: counted_judge(windows)
    )
    normal = rows(served, NAMES, 0.0)
    found = blocks_of(normal + rows(served, NAMES, 1.0, anomaly=True))
    assert runs == [len(NAMES)]
    assert {name: [*blocks[0].details] for name, blocks in found.items()} == {
        name: [1] for name in NAMES
    }


def test_rows_are_found_replaced_and_left_alone_by_their_keys(database: Database) -> None:
    made = [(f"lease '{number}', \"quoted\" 押", "me", number) for number in range(300)]
    with database.write() as connection:
        insert_rows(connection, leases, LEASES, made)
        replace_rows(connection, leases, LEASES, [(made[7][0], "you", 7), ("new", "you", 1)])
        keys = [(made[7][0],), ("new",), ("nobody",)]
        found = find_rows(connection, leases, ("name",), keys, hold=True)
        assert sorted(row.holder for row in found) == ["you", "you"]
        (pair,) = find_rows(connection, leases, ("holder", "until"), [("me", 8), ("you", 9)])
        assert pair.name == made[8][0]
        assert find_rows(connection, leases, ("name",), []) == []
    with database.read() as connection:
        everything = connection.execute(select(leases)).all()
    assert sorted(row.until for row in everything) == sorted([*range(300), 1])
