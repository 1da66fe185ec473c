"""Labels of an alarm are of its wrong rows, from the first of those that began it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WRONG = {"anomaly": 1, "data_quality": 2 | 4 | 8}
"""Which bits of a verdict's flags make it a wrong row, by the kind of alarm."""


def upgrade() -> None:
    """Occurrences know their first wrong row, and labels which rows of their time they mean."""
    op.add_column("occurrences", sa.Column("first", sa.BigInteger(), nullable=True))
    op.add_column("labels", sa.Column("bits", sa.SmallInteger(), nullable=True))
    kinds = sa.text(
        "UPDATE labels SET bits = (SELECT CASE kind WHEN 'anomaly' THEN :anomaly "
        "WHEN 'data_quality' THEN :data_quality ELSE 0 END "
        "FROM occurrences WHERE occurrences.id = labels.occurrence_id) "
        "WHERE occurrence_id IS NOT NULL"
    )
    op.execute(kinds.bindparams(**WRONG))
