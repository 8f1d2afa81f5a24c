"""The table of the DuckDB history: its columns, and the statements that change it.

Every name in a statement is a constant of this module or comes from `COLUMNS`; every value
is bound. Moments are UTC and travel as microseconds since 1970.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import duckdb
from msgspec.structs import astuple

from ingest.history import QUANTITY_TYPES
from ingest.journal import Entry
from rules.readings import Reading

Connection = duckdb.DuckDBPyConnection

CHUNK_ROWS = 20_000
"""Rows bound at a time: some 20 MB of Python objects."""

KEYS = {
    "device": "VARCHAR",
    "at": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "entry": "BIGINT",
    "position": "INTEGER",
    "channel": "SMALLINT",
}
SQL_TYPES = {float: "DOUBLE", bool: "BOOLEAN", str: "VARCHAR"}
QUANTITY_COLUMNS = {name: SQL_TYPES[kind] for name, kind in QUANTITY_TYPES.items()}
COLUMNS = KEYS | QUANTITY_COLUMNS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_ROW = ("device", "at", "received_at", "entry", "position", *Reading.__struct_fields__)
"""The columns in the order in which `_rows` fills them."""


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit what is done inside, or, if anything at all goes wrong, none of it."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(duckdb.Error):  # the reason is more use than what followed from it
            connection.rollback()
        raise


def create(connection: Connection) -> None:
    """Make the tables, or add the columns that this version has and the file has not."""
    keys = ", ".join(f'"{name}" {kind}' for name, kind in KEYS.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS readings ({keys})")
    for name, kind in QUANTITY_COLUMNS.items():
        connection.execute(f'ALTER TABLE readings ADD COLUMN IF NOT EXISTS "{name}" {kind}')
    connection.execute("CREATE TABLE IF NOT EXISTS journal_cursor (entry BIGINT)")
    connection.execute(
        "INSERT INTO journal_cursor SELECT 0 WHERE NOT EXISTS (FROM journal_cursor)"
    )


def cursor(connection: Connection) -> int:
    [(entry,)] = connection.execute("SELECT entry FROM journal_cursor").fetchall()
    return int(entry)


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert the readings of the entries after the cursor, and move it, in one transaction."""
    with transaction(connection):
        done = cursor(connection)
        fresh = {entry.id: entry for entry in entries if entry.id > done}
        if fresh:
            rows = _rows(fresh.values())
            while chunk := list(islice(rows, CHUNK_ROWS)):
                _insert(connection, chunk)
            connection.execute("UPDATE journal_cursor SET entry = $1", [max(fresh)])


def forget(connection: Connection, before: datetime) -> int:
    [(gone,)] = connection.execute(
        'DELETE FROM readings WHERE "at" < make_timestamp($1::BIGINT)', [microseconds(before)]
    ).fetchall()
    return int(gone)


def _rows(entries: Iterable[Entry]) -> Iterator[tuple[Any, ...]]:
    for entry in entries:
        position = 0
        for report in entry.reports:
            at, received_at = microseconds(report.at), microseconds(report.received_at)
            for reading in report.readings:
                key = (report.device, at, received_at, entry.id, position)
                yield key + astuple(reading)
                position += 1


def _insert(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows column by column, leaving out columns that are empty in all of them."""
    filled = {
        name: values
        for name, values in zip(_ROW, map(list, zip(*rows, strict=True)), strict=True)
        if any(value is not None for value in values)
    }
    names = ", ".join(f'"{name}"' for name in filled)
    places = ", ".join(_place(name, number) for number, name in enumerate(filled, start=1))
    connection.execute(
        f"INSERT INTO readings ({names}) SELECT {places}",
        list(filled.values()),
    )


def _place(column: str, number: int) -> str:
    if COLUMNS[column] == "TIMESTAMP":
        return f"make_timestamp(unnest(${number}::BIGINT[]))"
    return f"unnest(${number}::{COLUMNS[column]}[])"
