"""Alembic's entry: the caller hands over an open connection, there is no ini file."""

from alembic import context

from ingest.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
