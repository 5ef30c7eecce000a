"""What Alembic runs: the revisions wanted, on the connection that is handed over, in the transaction that it is in.

Here: nothing else. Not here: the connection and its lock (``online.migrating``), the revisions (``versions``).
"""

from alembic import context

from skin_platform.storage.online.tables import METADATA, REVISIONS

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=REVISIONS,
                  transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
