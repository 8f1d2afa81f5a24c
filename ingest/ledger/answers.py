"""Writing down who sees to an alert, follows it, and what they say and show of it.

Plain functions on a connection whose transaction is the caller's.
"""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.audit import append_audit
from ingest.ledger.commit import Acknowledged, Commit, Handled
from ingest.ledger.links import use_link
from ingest.ledger.log import append_event

NOTES_MAX = 200
"""Of one alert: a diary of a night, and no place to put things."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that somebody may answer."""

    idempotency_key: str
    episode: str
    transition: str
    channel: str
    recipient: str
    alert: int
    """Its number."""


def write_answers(connection: sa.Connection, batch: Commit) -> None:
    """Write who acknowledged, took over and handed over."""
    for seen in batch.acknowledged:
        _write_acknowledged(connection, seen)
    for handled in batch.handled:
        _write_handled(connection, handled)
    for answer in batch.answered:
        if use_link(connection, answer.link, answer.who, answer.at):
            _write_acknowledged(connection, answer.acknowledged)
            if answer.handled is not None:
                _write_handled(connection, answer.handled)
            append_audit(connection, answer.audited)


def asked(connection: sa.Connection, number: int) -> Asked | None:
    """Return the notification of a row of the outbox, with its alert."""
    row, alert = tables.outbox.c, tables.alerts.c
    names = [name for name in Asked.__struct_fields__ if name != "alert"]
    question = (
        sa.select(*(row[name] for name in names), alert.id.label("alert"))
        .join(tables.alerts, alert.episode == row.episode)
        .where(row.id == number)
    )
    found = connection.execute(question).one_or_none()
    return None if found is None else Asked(**found._mapping)  # noqa: SLF001  (its public name)


def write_note(
    connection: sa.Connection, episode: str, at: datetime, who: str, text: str
) -> bool:
    """Append a note to an alert's log; say whether there was room for it."""
    event = tables.alert_events.c
    question = sa.select(sa.func.count()).where(event.episode == episode, event.what == "note")
    if (connection.scalar(question) or 0) >= NOTES_MAX:
        return False
    append_event(connection, episode, at, "note", who, text)
    return True


def _write_acknowledged(connection: sa.Connection, seen: Acknowledged) -> None:
    """Note who sees to an alert; the first to say so stays."""
    alert = tables.alerts.c
    noted = connection.execute(
        sa.update(tables.alerts)
        .where(alert.episode == seen.episode, alert.acknowledged_at.is_(None))
        .values(acknowledged_at=seen.at, acknowledged_by=seen.who, note=seen.note)
    )
    if noted.rowcount:
        append_event(connection, seen.episode, seen.at, "acknowledged", seen.who, seen.note)


def _write_handled(connection: sa.Connection, handled: Handled) -> None:
    """Note who follows an alert. One that was handed over is to be acknowledged anew."""
    if handled.to:
        values: dict[str, object] = {
            "handler": handled.to,
            "handler_since": None,
            "acknowledged_at": None,
            "acknowledged_by": None,
            "note": "",
        }
        what, detail = "handed", f"{handled.to} {handled.note}".rstrip()
    else:
        values = {"handler": handled.who, "handler_since": handled.at}
        what, detail = "taken", handled.note
    alert = tables.alerts.c
    connection.execute(
        sa.update(tables.alerts).where(alert.episode == handled.episode).values(values)
    )
    append_event(connection, handled.episode, handled.at, what, handled.who, detail)
