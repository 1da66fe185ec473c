"""Notes that say of their time that its rows were faulty, or normal."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Labels know the note that they came with."""
    op.add_column("labels", sa.Column("annotation_id", Identity, nullable=True))
