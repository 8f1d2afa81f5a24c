"""Whether the logs that are only ever added to are as they were written.

Each line carries the digest of all before it (ingest/ledger/chained.py). A line that
was changed, put in or taken out shows in the next one; a missing end shows in the counter that
SQLite keeps of the numbers it has given.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.moments import to_us

ROWS_AT_A_TIME = 1_000
NUMBER_DIGITS_MAX = 18


class Verified(NamedTuple):
    """What was looked at. `broken_at` is the number of the first line that does not fit."""

    log: str
    lines: int
    broken_at: int | None


def verify_events(connection: sa.Connection, last: int | None = None) -> Verified:
    """Check the log of alerts and commands, or only its `last` lines."""
    return _verify(connection, tables.alert_events, _event_line, last)


def verify_policy_changes(connection: sa.Connection, last: int | None = None) -> Verified:
    """Check the log of what was changed about the policy."""
    return _verify(connection, tables.policy_changes, _policy_line, last)


def verify_audit(connection: sa.Connection, last: int | None = None) -> Verified:
    """Check the log of what people did."""
    return _verify(connection, tables.audit, _audit_line, last)


def _event_line(row: Any) -> bytes:
    return msgspec.json.encode([row.episode, to_us(row.at), row.what, row.who, row.detail])


def _policy_line(row: Any) -> bytes:
    return msgspec.json.encode(
        [to_us(row.at), row.who, row.how, row.file, row.digest, row.changes, row.settings]
    )


def _audit_line(row: Any) -> bytes:
    return msgspec.json.encode(
        [to_us(row.at), row.who, row.via, row.what, row.about, row.area, row.detail]
    )


def _verify(
    connection: sa.Connection, log: sa.Table, line_of: Callable[[Any], bytes], last: int | None
) -> Verified:
    given = connection.scalar(
        sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": log.name}
    )
    newest = int(given or 0)
    first = 1 if last is None else max(1, newest - last + 1)
    before = connection.scalar(sa.select(log.c.chain).where(log.c.id == first - 1)) or b""
    wanted = sa.select(log).where(log.c.id >= first).order_by(log.c.id)
    rows = connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(wanted)
    expected = first
    for row in rows:
        if row.id != expected:
            return Verified(log.name, expected - first, expected)
        if hashlib.sha256(before + line_of(row)).digest() != row.chain:
            return Verified(log.name, expected - first, row.id)
        before, expected = row.chain, expected + 1
    broken_at = expected if expected <= newest else None
    return Verified(log.name, expected - first, broken_at)


LOGS: dict[str, Callable[[sa.Connection], Verified]] = {
    tables.alert_events.name: verify_events,
    tables.policy_changes.name: verify_policy_changes,
    tables.audit.name: verify_audit,
}
"""All of them, with how each is checked."""


def newest_of(connection: sa.Connection, log: str) -> tuple[int, str]:
    """Return the number and the digest of the last line; (0, ""): there is none."""
    kept = tables.metadata.tables[log].c
    newest = sa.select(kept.id, kept.chain).order_by(kept.id.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return (0, "") if row is None else (row.id, row.chain.hex())


def head_of(connection: sa.Connection, log: str) -> str:
    """Return the digest of the last line in hexadecimal, which stands for all before it."""
    return newest_of(connection, log)[1]


def holds(connection: sa.Connection, noted: str) -> bool:
    """Say whether a line that was noted elsewhere, LOG:LINE:DIGEST, is there as it was."""
    log, _, rest = noted.strip().partition(":")
    number, _, digest = rest.partition(":")
    if log not in LOGS or not number.isdecimal() or len(number) > NUMBER_DIGITS_MAX:
        return False
    if int(number) == 0:
        return not digest
    kept = tables.metadata.tables[log].c
    chain = connection.scalar(sa.select(kept.chain).where(kept.id == int(number)))
    return chain is not None and chain.hex() == digest
