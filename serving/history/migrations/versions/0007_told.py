"""Who was told of an alarm, and who knows of what was given up."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LOST = sa.text("state = 'given_up' AND seen IS NULL")
OCCURRENCE = {
    "sqlite": "json_extract(payload, '$.occurrence_id')",
    "postgresql": "CAST(CAST(payload AS json) ->> 'occurrence_id' AS bigint)",
}


def upgrade() -> None:
    """Steps are found by their occurrence; what was given up before this is taken for known."""
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("outbox", sa.Column("occurrence_id", identity, nullable=True))
    op.add_column("deliveries", sa.Column("seen", sa.BigInteger(), nullable=True))
    op.add_column("deliveries", sa.Column("seen_by", sa.Text(), nullable=True))
    dialect = op.get_bind().dialect.name
    op.execute(sa.text(f"UPDATE outbox SET occurrence_id = {OCCURRENCE[dialect]}"))
    op.execute(sa.text("UPDATE deliveries SET seen = done WHERE state = 'given_up'"))
    op.create_index("outbox_of_occurrence", "outbox", ["occurrence_id"])
    op.create_index(
        "deliveries_lost", "deliveries", ["id"], sqlite_where=LOST, postgresql_where=LOST
    )
