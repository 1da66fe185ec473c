"""What has to be sent to which notification channel."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of deliveries."""
    op.create_table(
        "deliveries",
        sa.Column("id", Identity, autoincrement=True, nullable=False),
        sa.Column("outbox_id", Identity, nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("channel_name", sa.Text(), nullable=False),
        sa.Column("stops", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("outbox_id", "channel", "stops", name="one_delivery"),
    )
    op.create_index("deliveries_waiting", "deliveries", ["state", "channel", "id"], unique=False)
