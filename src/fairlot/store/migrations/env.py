"""Run by alembic, on the connection that :mod:`fairlot.store.database` gives."""

from alembic import context

from fairlot.store.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
