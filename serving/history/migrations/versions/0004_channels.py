"""Which channels there are, for the pages, and when a delivery last failed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of channels; deliveries remember when they failed."""
    op.create_table(
        "channels",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("machine", sa.SmallInteger(), nullable=False),
        sa.Column("dry_run", sa.SmallInteger(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("deliveries", sa.Column("failed", sa.BigInteger(), nullable=True))
