"""The tables of a ledger's file: made at once where it is new, migrated where it is older.

A new file gets tables.sql, which says in one what the migrations do one after another: a
start takes a twentieth of the time, and a power cut in between leaves nothing of it behind.
`python -m ingest.ledger.making` writes tables.sql anew; a test holds it against the migrations.
"""

from pathlib import Path

import sqlalchemy as sa

from ingest.errors import ChargewatchError
from ingest.ledger import tables

MIGRATIONS = Path(__file__).with_name("migrations")
NEWEST = "head"
TABLES = Path(__file__).with_name("tables.sql")
BETWEEN = ";\n\n"
"""Is between the statements of tables.sql; none has an empty line within."""

_MADE = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"


class UnknownVersion(ChargewatchError):
    """The file was made by a newer chargewatch."""


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make the tables of this version, or make them of those of a version before.

    Raises UnknownVersion.
    """
    if not statements(connection):
        # Another process may see the same new file, and be quicker.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not statements(connection):
            _make(connection)
    elif _version(connection) != tables.VERSION:
        migrate(connection)


def migrate(connection: sa.Connection, to: str = NEWEST) -> None:
    """Run the migrations that the tables have not had yet. Raises UnknownVersion."""
    # Loading it takes a tenth of a second, and only an older ledger needs it.
    from alembic.command import upgrade  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        upgrade(config, to)
    except CommandError as error:
        raise UnknownVersion(str(error)) from error


def statements(connection: sa.Connection) -> list[str]:
    """Return what has made the tables, indexes and triggers that are there, in its order."""
    made = connection.exec_driver_sql(f"{_MADE} ORDER BY rowid").scalars()
    return ["\n".join(line.rstrip() for line in str(each).splitlines()) for each in made]


def tables_sql() -> str:
    """Return what tables.sql must say."""
    with sa.create_engine("sqlite://").connect() as connection:
        migrate(connection)
        return f"{BETWEEN.join(statements(connection))};\n"


def _make(connection: sa.Connection) -> None:
    for statement in TABLES.read_text(encoding="utf-8").split(BETWEEN):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (tables.VERSION,))


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    number = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if number is None else str(number)


if __name__ == "__main__":
    TABLES.write_text(tables_sql(), encoding="utf-8")
