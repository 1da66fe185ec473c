"""What Alembic runs: always on the connection that `serving.history.migrate` hands over."""

from alembic import context
from alembic.ddl.sqlite import SQLiteImpl

from serving.history.tables import VERSION_TABLE, metadata

# The transaction is the caller's, and SQLite can do DDL inside one.
SQLiteImpl.transactional_ddl = True

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
