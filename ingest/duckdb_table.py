"""The table of the DuckDB history: its columns, and the statements that change it.

Every name in a statement is a constant of this module or comes from `COLUMNS`; every value
is bound. Moments are UTC and travel as microseconds since 1970.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path

import duckdb
import msgspec

from ingest.history import QUANTITY_TYPES
from ingest.journal import Entry
from ingest.moments import to_us
from rules.readings import Reading

Connection = duckdb.DuckDBPyConnection

CHUNK_ROWS = 5_000
"""Rows inserted at a time: 1 MB of JSON, made in 2 ms under the interpreter's lock."""

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


_OF_READING = Reading.__struct_fields__


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


def append(connection: Connection, entries: Sequence[Entry], passing: Path) -> None:
    """Insert the readings of the entries after the cursor, and move it, in one transaction.

    `passing` is a file that may be written and read for that time.
    """
    with transaction(connection):
        done = cursor(connection)
        fresh = {entry.id: entry for entry in entries if entry.id > done}
        if fresh:
            lines = _lines(fresh.values())
            while chunk := list(islice(lines, CHUNK_ROWS)):
                _insert(connection, chunk, passing)
            connection.execute("UPDATE journal_cursor SET entry = $1", [max(fresh)])


def forget(connection: Connection, before: datetime) -> int:
    [(gone,)] = connection.execute(
        'DELETE FROM readings WHERE "at" < make_timestamp($1::BIGINT)', [to_us(before)]
    ).fetchall()
    return int(gone)


class _Line(msgspec.Struct, gc=False):
    """One reading on its way into the table."""

    device: str
    at: int
    received_at: int
    entry: int
    position: int
    reading: Reading


def _lines(entries: Iterable[Entry]) -> Iterator[_Line]:
    for entry in entries:
        position = 0
        for report in entry.reports:
            at, received_at = to_us(report.at), to_us(report.received_at)
            for reading in report.readings:
                yield _Line(report.device, at, received_at, entry.id, position, reading)
                position += 1


def _insert(connection: Connection, lines: Sequence[_Line], passing: Path) -> None:
    """Insert lines in one statement; they pass through a file, as JSON lines.

    DuckDB reads those three times as fast as lists of Python values, and does not hold the
    interpreter's lock meanwhile, which is what an alarm waits for (docs/decisions/007).
    """
    passing.write_bytes(_to_json_lines(lines))
    try:
        connection.execute(_INSERT, [str(passing)])
    finally:
        passing.unlink(missing_ok=True)


def _statement() -> str:
    reading = ", ".join(f'"{name}" {COLUMNS[name]}' for name in _OF_READING)
    kinds = {name: kind for name, kind in COLUMNS.items() if name not in _OF_READING}
    kinds |= {"at": "BIGINT", "received_at": "BIGINT", "reading": f"STRUCT({reading})"}
    values = {name: f'"{name}"' for name in KEYS if name not in _OF_READING}
    values |= {name: f'make_timestamp("{name}")' for name in ("at", "received_at")}
    values |= {name: f'reading."{name}"' for name in _OF_READING}
    columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in kinds.items())
    return (
        f"INSERT INTO readings ({', '.join(map(_quoted, values))})"  # noqa: S608
        f" SELECT {', '.join(values.values())}"
        f" FROM read_json($1, format = 'newline_delimited', columns = {{{columns}}})"
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


_to_json_lines = msgspec.json.Encoder().encode_lines
_INSERT = _statement()
