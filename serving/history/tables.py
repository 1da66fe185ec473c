"""The tables, as SQLAlchemy Core sees them; `migrations/` brings those of older versions here.

Times are whole microseconds since 1970 in UTC: they sort, subtract and compare alike in SQLite and
PostgreSQL. Lists are JSON text, sensors in the order of their model's `sensors`.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0007"
"""What these tables are, and where the scripts in `migrations/` lead to."""

ANOMALY, MISSING, OUT_OF_RANGE, STUCK, LATE, ARRIVAL = (1 << bit for bit in range(6))
"""Bits of `verdicts.flags`. LATE: the source had sent newer rows long before. ARRIVAL: the time is
the arrival's, as the client sent none that can be."""

BAD_DATA = MISSING | OUT_OF_RANGE | STUCK

MINUTE, HOUR, DAY = 60, 3600, 86_400
RESOLUTIONS = (MINUTE, HOUR, DAY)
"""Of trends, in seconds."""

IS_ANOMALY = "(flags & 1) = 1"
IS_LOST = "state = 'given_up' AND seen IS NULL"
"""A condition has to be written as its partial index is, to be found by it."""

metadata = MetaData()

revisions = Table(
    "kizashi_history",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="kizashi_history_pkc"),
)
"""At which revision a database is: one row, as Alembic wants it."""

# SQLite counts rows itself only where the key is called INTEGER.
Identity = BigInteger().with_variant(Integer, "sqlite")


def _identity() -> Column[int]:
    return Column("id", Identity, primary_key=True, autoincrement=True)


sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("first_time", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),  # the newest row's time
    Column("arrived", BigInteger, nullable=False),  # when a row last arrived
    Column("on_time", BigInteger, nullable=False),  # when one last arrived that was not late
    Column("warm_until", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("interval", Double, nullable=False),  # usual seconds between rows
    Column("score", Double),
    Column("anomaly", SmallInteger),
    Column("severity", Double),
    Column("model_id", Integer),
    Column("quality", LargeBinary),  # what tells a stuck sensor, see quality.py
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("bundle", String(64), nullable=False),
    Column("threshold", Double, nullable=False),
    Column("sensors", Text, nullable=False),  # [{"name", "unit"}, ...]
    UniqueConstraint("bundle", "name", "version", "threshold", name="one_model"),
)

# Without foreign keys, as trends: the writer has just looked both ids up, and to check each row
# costs more than to insert it.
verdicts = Table(
    "verdicts",
    metadata,
    _identity(),
    Column("source_id", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("arrived", BigInteger, nullable=False),
    Column("model_id", Integer, nullable=False),
    Column("score", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("values", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("severity", Double),
    Column("detail", Text),  # of anomalies: {"share": [...], "expected": [...]}
    Column("batch_id", Identity),
    Column("position", Integer),  # in the batch, from 0
    Index("verdicts_by_time", "source_id", "time"),
    Index(
        "anomalies_by_time",
        "source_id",
        "time",
        sqlite_where=text(IS_ANOMALY),
        postgresql_where=text(IS_ANOMALY),
    ),
    sqlite_autoincrement=True,  # ids are handed out in order and never twice: readers go by them
)

batches = Table(
    "batches",
    metadata,
    _identity(),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("arrived", BigInteger, nullable=False),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    Column("protocol", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("anomalies", Integer, nullable=False),
    Column("score_mean", Double, nullable=False),
    Column("score_max", Double, nullable=False),
    Index("batches_by_time", "source_id", "time"),
)

trends = Table(
    "trends",
    metadata,
    Column("source_id", Integer, primary_key=True),
    Column("resolution", Integer, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("model_id", Integer, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("anomalies", Integer, nullable=False),
    Column("score_sum", Double, nullable=False),
    Column("score_max", Double, nullable=False),
    Column("sensors", LargeBinary, nullable=False),  # see trends.py
    sqlite_with_rowid=False,
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("state", String(24), nullable=False),  # what `alarm` says, for filters
    Column("since", BigInteger, nullable=False),
    Column("alarm", Text, nullable=False),  # the machine's, as JSON
    Column("due", BigInteger),  # when time alone will change it
    Column("occurrence_id", Identity),
    UniqueConstraint("source_id", "kind", name="one_alarm"),
)

occurrences = Table(
    "occurrences",
    metadata,
    _identity(),
    Column("alarm_id", Integer, ForeignKey("alarms.id"), nullable=False),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("priority", String(10), nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("begins", Integer, nullable=False),
    Column("chattering", SmallInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("severity", Double),
    Column("score", Double),
    Column("sensor", Text),
    Column("reason", Text, nullable=False),
    Column("model_id", Integer),
    Column("request_id", Text),
    Column("acknowledged", BigInteger),
    Column("acknowledged_by", Text),
    Column("comment", Text),
    Column("label", String(10)),
    Column("first", BigInteger),  # the first wrong row's time of those that it began with
    Index("occurrences_by_time", "began"),
    Index("occurrences_of_source", "source_id", "began"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    _identity(),
    Column("at", BigInteger, nullable=False),
    Column("alarm_id", Integer, ForeignKey("alarms.id"), nullable=False),
    Column("occurrence_id", Identity),
    Column("event", String(24), nullable=False),
    Column("from_state", String(24), nullable=False),
    Column("to_state", String(24), nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("request_id", Text),
    Column("until", BigInteger),
    Index("audit_of_alarm", "alarm_id", "id"),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    _identity(),
    Column("key", String(64), nullable=False, unique=True),  # the idempotency key
    Column("created", BigInteger, nullable=False),
    Column("event", String(24), nullable=False),
    Column("source", String(200), nullable=False),
    Column("payload", Text, nullable=False),
    Column("taken", BigInteger),  # when its messages were made of it
    Column("occurrence_id", Identity),
    Index("outbox_waiting", "taken", "id"),
    Index("outbox_of_occurrence", "occurrence_id"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    _identity(),
    Column("outbox_id", Identity, ForeignKey("outbox.id", ondelete="CASCADE"), nullable=False),
    Column("channel", String(40), nullable=False),
    Column("channel_name", Text, nullable=False),
    Column("stops", SmallInteger, nullable=False),  # asks for a line stop
    Column("state", String(12), nullable=False),  # waiting, sent, summed, unsent, given_up
    Column("attempts", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),  # when to try next
    Column("done", BigInteger),  # when it was sent, or given up
    Column("problem", Text),
    Column("failed", BigInteger),  # when an attempt last did not get through
    Column("seen", BigInteger),  # when a person said that they know that it was given up
    Column("seen_by", Text),
    Index("deliveries_waiting", "state", "channel", "id"),
    Index(
        "deliveries_lost",
        "id",
        sqlite_where=text(IS_LOST),
        postgresql_where=text(IS_LOST),
    ),
    UniqueConstraint("outbox_id", "channel", "stops", name="one_delivery"),
)

channels = Table(
    "channels",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("tags", Text, nullable=False),  # as JSON
    Column("machine", SmallInteger, nullable=False),
    Column("dry_run", SmallInteger, nullable=False),
    Column("place", Integer, nullable=False),  # in the configuration
)

labels = Table(
    "labels",
    metadata,
    _identity(),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("label", String(10), nullable=False),  # anomaly, normal
    Column("occurrence_id", Identity, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("annotation_id", Identity),  # the note that it came with
    Column("bits", SmallInteger),  # it means rows with one of these flags; null: all
    Index("labels_of_source", "source_id", "start"),
)

annotations = Table(
    "annotations",
    metadata,
    _identity(),
    Column("source_id", Integer, ForeignKey("sources.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger),
    Column("text", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Index("annotations_of_source", "source_id", "start"),
)

thresholds = Table(
    "thresholds",
    metadata,
    _identity(),
    Column("followed", Text, nullable=False),  # what the service follows, KIZASHI_MODEL_URI
    Column("at", BigInteger, nullable=False),
    Column("event", String(12), nullable=False),  # set, undone, replaced
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("bundle", String(64), nullable=False),
    Column("value", Double),
    Column("calibrated", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("request_id", Text),
    Index("thresholds_newest", "followed", "id"),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)
