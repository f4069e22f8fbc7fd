"""What Alembic runs: it gets the open connection from ``services.migration``."""

from __future__ import annotations

from alembic import context

from services.records import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
