"""What happened, in the order in which it was written down: for who carries it elsewhere."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.queries import AlertRow, alert_row
from ingest.ledger.sessions import SessionRow


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the alerts' log."""

    id: int
    episode: str
    at: datetime
    what: str
    who: str
    detail: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of the log and sessions, each in the order of its number."""

    events: tuple[LogLine, ...]
    alerts: dict[str, AlertRow]
    """The alerts of those lines by episode, as they are now; silences, drills and such have
    none."""
    sessions: tuple[SessionRow, ...]
    newest_event: int
    """The number of the last line that there is, 0 for none; it may be further on."""
    newest_session: int


def facts_after(connection: sa.Connection, event: int, session: int, limit: int) -> Facts:
    """Return up to `limit` lines of the log after `event`, and sessions after `session`."""
    log, ended = tables.alert_events.c, tables.sessions.c
    columns = [log[name] for name in LogLine.__struct_fields__]
    lines = sa.select(*columns).where(log.id > event).order_by(log.id).limit(limit)
    events = tuple(LogLine(**row._mapping) for row in connection.execute(lines))  # noqa: SLF001
    known = sa.select(tables.alerts).where(
        tables.alerts.c.episode.in_({each.episode for each in events}),
        ~tables.alerts.c.drill,
    )
    over = sa.select(tables.sessions).where(ended.id > session).order_by(ended.id).limit(limit)
    return Facts(
        events=events,
        alerts={row.episode: alert_row(row) for row in connection.execute(known)},
        sessions=tuple(SessionRow(**row._mapping) for row in connection.execute(over)),  # noqa: SLF001
        newest_event=_last_number(connection, tables.alert_events),
        newest_session=_last_number(connection, tables.sessions),
    )


def _last_number(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))) or 0)
