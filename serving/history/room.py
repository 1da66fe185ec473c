"""How much room the history's rows take, and how much a row of each table frees."""

from sqlalchemy import Connection, text

from serving.history.database import Database
from serving.history.tables import batches, deliveries, outbox, trends, verdicts

KEPT = (verdicts, trends, batches, outbox, deliveries)
"""What is let go of, so what its room is told from; all else is small."""
ROW_BYTES = 36
"""Of PostgreSQL beside a row's values: its header, its pointer, what it is rounded up by."""
ENTRY_BYTES = 32
"""Of an entry in one of its indexes, whose pages are not full."""

_TABLES = text(
    "SELECT c.relname, pg_total_relation_size(c.oid) AS total, "
    # Statistics are lost in a crash, and the other count is as old as the last VACUUM.
    "CASE WHEN c.reltuples >= 0 OR s.n_live_tup + s.n_dead_tup > 0 "
    "THEN GREATEST(s.n_live_tup, c.reltuples - s.n_dead_tup, 0) END AS rows, "
    "(SELECT SUM(p.avg_width * (1 - p.null_frac)) FROM pg_stats p "
    "WHERE p.tablename = c.relname AND p.schemaname = s.schemaname) AS width, "
    "(SELECT COUNT(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indpred IS NULL) AS indexes "
    "FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid "
    "WHERE c.relname = ANY(:names) AND pg_table_is_visible(c.oid)"
)


def size(connection: Connection, database: Database) -> int:
    """How many bytes the history's rows take. What is free in the files does not count: rows to
    come fill it again."""
    if database.sqlite:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
        return int((pages - free) * (connection.exec_driver_sql("PRAGMA page_size").scalar() or 0))
    # PostgreSQL does not tell what is free within a table that was vacuumed.
    return round(sum(rows * each for rows, each in _tables(connection).values()))


def bytes_a_row(connection: Connection) -> dict[str, float]:
    """What a row of each table takes in PostgreSQL, by estimate."""
    return {name: each for name, (_, each) in _tables(connection).items()}


def _tables(connection: Connection) -> dict[str, tuple[float, float]]:
    """Of each table how many rows there are, and how many bytes each takes: what its values take on
    average, and never more than the table has."""
    found = connection.execute(_TABLES, {"names": [table.name for table in KEPT]}).all()
    told: dict[str, tuple[float, float]] = {}
    for name, total, rows, width, indexes in found:
        if rows is None:  # nobody has counted yet: one row stands for all
            told[name] = (1.0, float(total))
            continue
        most = float(total) / max(float(rows), 1.0)
        by_values = most if width is None else float(width) + ROW_BYTES + ENTRY_BYTES * indexes
        told[name] = (float(rows), min(by_values, most))
    return told
