"""Many rows of a table in few statements: to find, to insert and to replace them.

A statement costs about as much as ten rows in it. It also gives up the interpreter once, however
many rows it has; row by row, a busy event loop would keep the writer waiting at each.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Row, Table

CHUNKS = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Rows to a statement of SQLite's: any number of rows is few of them, whose texts are few too, and
so stay prepared."""


def find_rows(
    connection: Connection,
    table: Table,
    at: tuple[str, ...],
    keys: Sequence[tuple[int | str, ...]],
    *,
    hold: bool = False,
) -> Sequence[Row[Any]]:
    """The rows whose columns `at` have the values of one of the `keys`; with `hold` they are locked
    until the transaction ends, and come in the order of their primary key."""
    if not keys:
        return []
    if connection.dialect.name == "postgresql":
        parameters: tuple[Any, ...] = tuple(list(column) for column in zip(*keys, strict=True))
        text = _find_by_arrays(table, at, connection.dialect)
        held = f"{_in_order(table)} FOR UPDATE"
    else:
        parameters = (msgspec.json.encode(keys).decode(),)
        text = _find_by_json(table, at)
        held = _in_order(table)
    return connection.exec_driver_sql(text + held if hold else text, parameters).all()


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert `rows`, whose values stand in the order of `columns`."""
    _insert(connection, table, columns, rows, "")


def replace_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert `rows`, of which no two have the same primary key; where the table has one of that key
    already, its `columns` are changed to these. What may not be null has to be among them."""
    _insert(connection, table, columns, rows, _changing(table, columns))


def _insert(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    changing: str,
) -> None:
    if not rows:
        return
    into = _into(table, columns)
    if connection.dialect.name == "postgresql":
        # A parameter for each column: with one for each value psycopg would read a text of
        # thousands of them for every statement, which takes longer than all else.
        values = tuple(list(column) for column in zip(*rows, strict=True))
        arrays = _arrays(table, columns, connection.dialect)
        connection.exec_driver_sql(f"{into} SELECT * FROM {arrays}{changing}", values)
        return
    one = f"({', '.join('?' * len(columns))})"
    done = 0
    for size in CHUNKS:
        while len(rows) - done >= size:
            flat = tuple(chain.from_iterable(rows[done : done + size]))
            text = f"{into} VALUES {', '.join([one] * size)}{changing}"
            connection.exec_driver_sql(text, flat)
            done += size


@lru_cache
def _find_by_arrays(table: Table, at: tuple[str, ...], dialect: Dialect) -> str:
    return f"{_from(table)} WHERE ({_names(at)}) IN (SELECT * FROM {_arrays(table, at, dialect)})"


@lru_cache
def _find_by_json(table: Table, at: tuple[str, ...]) -> str:
    key = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(at)))
    return f"{_from(table)} WHERE ({_names(at)}) IN (SELECT {key} FROM json_each(?))"


@lru_cache
def _arrays(table: Table, columns: tuple[str, ...], dialect: Dialect) -> str:
    """PostgreSQL's table of parameters, each of which has the values of one column."""
    kinds = (table.c[name].type.compile(dialect) for name in columns)
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


@lru_cache
def _changing(table: Table, columns: tuple[str, ...]) -> str:
    key = tuple(table.primary_key.columns.keys())
    new = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    return f" ON CONFLICT ({_names(key)}) DO UPDATE SET {new}"


def _from(table: Table) -> str:
    return f'SELECT {_names(tuple(table.c.keys()))} FROM "{table.name}"'


def _into(table: Table, columns: tuple[str, ...]) -> str:
    return f'INSERT INTO "{table.name}" ({_names(columns)})'


def _in_order(table: Table) -> str:
    return f" ORDER BY {_names(tuple(table.primary_key.columns.keys()))}"


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
