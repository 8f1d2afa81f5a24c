"""The ledger: its file, its log, and what it says of messages, history and notifications."""

import sqlite3
import time
from datetime import datetime, timedelta

import sqlalchemy as sa

from api.doctor.finding import Finding, found
from api.doctor.patient import Patient, read_only
from ingest.ledger import tables
from ingest.ledger.chain import verify_audit, verify_events, verify_policy_changes
from ingest.ledger.outbox import OutboxState
from ingest.ledger.writing import REPLAY_MESSAGES
from ingest.moments import from_us
from rules.readings import Kind

CHECKED_WITHIN_S = 3.0
"""A ledger that takes longer to check is checked in part: a monitor asks every few minutes."""
LINES_MAX = 50_000
"""Lines of the log that are verified, the last ones."""
BEHIND_MESSAGES = 2 * REPLAY_MESSAGES
"""The journal keeps the last ones anyway; so many more, and the history does not take them."""
QUIET, QUIET_WITHOUT_CHARGERS = timedelta(hours=1), timedelta(hours=26)
"""Chargers speak every few minutes, detectors alone perhaps once a day."""
STUCK = timedelta(minutes=10)
GIVEN_UP_SINCE = timedelta(days=1)
PROGRESS_STEPS = 10_000
OF_THE_LEDGER = ("ledger", "log", "journal", "messages", "notifications")


def check_ledger(patient: Patient) -> list[Finding]:
    """Everything that one look into the ledger tells."""
    path = patient.ledger
    if not path.exists():
        return [found(name, "none") for name in OF_THE_LEDGER]
    try:
        with read_only(path) as connection:
            version = str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))
            if version != tables.VERSION:
                known = version < tables.VERSION
                outcome = "older" if known else "newer"
                return [
                    found("ledger", outcome, version=version, ours=tables.VERSION),
                    *(found(name, "none") for name in OF_THE_LEDGER[1:]),
                ]
            return [
                _quick_check(connection, version),
                _log(connection),
                _journal(connection, patient.now),
                _messages(connection, patient.now),
                _notifications(connection, patient.now),
            ]
    except sa.exc.DatabaseError as error:
        reason = str(error.orig)
        return [
            found("ledger", "damaged", file=str(path), reason=reason),
            *(found(name, "none") for name in OF_THE_LEDGER[1:]),
        ]


def _quick_check(connection: sa.Connection, version: str) -> Finding:
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError("the ledger is a SQLite file")
    until = time.monotonic() + CHECKED_WITHIN_S
    raw.set_progress_handler(lambda: time.monotonic() > until, PROGRESS_STEPS)
    try:
        said = [str(row[0]) for row in raw.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return found("ledger", "partly", version=version)
        raise sa.exc.DatabaseError("quick_check", None, error) from error
    finally:
        raw.set_progress_handler(None, 0)
    if said != ["ok"]:
        return found("ledger", "damaged", file="", reason="; ".join(said))
    return found("ledger", "fine", version=version)


def _log(connection: sa.Connection) -> Finding:
    lines = 0
    for verify in (verify_events, verify_policy_changes, verify_audit):
        verified = verify(connection, LINES_MAX)
        if verified.broken_at is not None:
            return found("log", "broken", log=verified.log, line=verified.broken_at)
        lines += verified.lines
    return found("log", "fine", lines=lines)


def _journal(connection: sa.Connection, now: datetime) -> Finding:
    journal = tables.journal.c
    kept, oldest = connection.execute(
        sa.select(sa.func.sum(journal.messages), sa.func.min(journal.committed_at))
    ).one()
    messages = int(kept or 0)
    if messages > BEHIND_MESSAGES and oldest is not None:
        hours = round((now - oldest).total_seconds() / 3600, 1)
        return found("journal", "behind", messages=messages - REPLAY_MESSAGES, hours=hours)
    return found("journal", "fine", messages=messages)


def _messages(connection: sa.Connection, now: datetime) -> Finding:
    newest = connection.scalar(sa.select(sa.func.max(tables.journal.c.committed_at)))
    if newest is None:
        return found("messages", "never")
    kinds = set(connection.scalars(sa.select(tables.devices.c.kind).distinct()))
    quiet = QUIET_WITHOUT_CHARGERS if kinds == {Kind.SMOKE} else QUIET
    minutes = max(0, int((now - newest).total_seconds() // 60))
    return found("messages", "old" if now - newest > quiet else "fine", minutes=minutes)


def _notifications(connection: sa.Connection, now: datetime) -> Finding:
    row = tables.outbox.c

    def channels(*conditions: sa.ColumnElement[bool]) -> str:
        asked = sa.select(row.channel).where(*conditions).distinct().order_by(row.channel)
        return ", ".join(connection.scalars(asked))

    stuck = channels(row.state == OutboxState.WAITING, row.created_at < now - STUCK)
    if stuck:
        return found("notifications", "waiting", channels=stuck)
    lost = channels(row.state == OutboxState.FAILED, row.created_at > now - GIVEN_UP_SINCE)
    if lost:
        return found("notifications", "given_up", channels=lost)
    return found("notifications", "fine")


def newest_commit(patient: Patient) -> datetime | None:
    """Return when the service last wrote that it was listening."""
    if not patient.ledger.exists():
        return None
    mark = tables.watermarks.c
    try:
        with read_only(patient.ledger) as connection:
            moment = connection.scalar(sa.select(mark.value).where(mark.name == "committed_at"))
    except sa.exc.DatabaseError:  # said by the check of the ledger
        return None
    return None if moment is None else from_us(moment)
