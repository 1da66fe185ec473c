"""What Alembic runs: always on the connection that `serving.history.migrate` hands over."""

from alembic import context
from alembic.ddl.sqlite import SQLiteImpl

from serving.history.tables import metadata, revisions

# The transaction is the caller's, and SQLite can do DDL inside one.
SQLiteImpl.transactional_ddl = True

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=revisions.name,
)
context.run_migrations()
