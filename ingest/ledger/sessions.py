"""The charging sessions that ended: writing them down, and finding them again."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.areas import Areas, lies_in
from ingest.moments import to_us
from rules.session import EndedSession

SESSIONS_MAX = 2_000_000
"""Rows kept, some 300 MB: years of a town. The oldest give way."""
LIMIT_MAX = 1_000
COLUMNS = EndedSession.__struct_fields__


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session that ended. `ending` and `phase` are words of the catalogue."""

    id: int
    device: str
    channel: int | None
    site: str
    began_at: datetime
    ended_at: datetime
    energy_kwh: float
    peak_w: float
    charging_w: float
    phase: str
    ending: str
    stop_reason: str


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    site: str | None = None
    device: str | None = None
    channel: int | None = None
    ending: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Sessions of which any moment lies in [since, until)."""
    before_id: int | None = None
    """For the next page: the id of the last session of this one."""
    areas: Areas = None


def find_sessions(
    connection: sa.Connection, wanted: SessionFilter, limit: int = 100
) -> list[SessionRow]:
    """Return sessions in the reverse order in which they were known to have ended."""
    session = tables.sessions.c
    conditions: list[sa.ColumnElement[bool]] = [
        session[name] == value
        for name in ("site", "device", "channel", "ending")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.since is not None:
        conditions.append(session.ended_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(session.began_at < wanted.until)
    if wanted.before_id is not None:
        conditions.append(session.id < wanted.before_id)
    conditions += lies_in(wanted.areas, session.site)
    question = sa.select(tables.sessions).where(*conditions).order_by(session.id.desc())
    rows = connection.execute(question.limit(min(limit, LIMIT_MAX)))
    return [SessionRow(**row._mapping) for row in rows]  # noqa: SLF001  (its public name)


def write_sessions(connection: sa.Connection, ended: Iterable[EndedSession]) -> None:
    """Insert sessions; one that is there already, better explained now, takes its place.

    It takes a new number too: whoever carries sessions elsewhere in their order sees it again.
    """
    connection.exec_driver_sql(
        f"INSERT OR REPLACE INTO sessions ({', '.join(COLUMNS)})"  # noqa: S608  (names of ours)
        f" VALUES ({', '.join('?' * len(COLUMNS))})",
        [_row(each) for each in ended],
    )
    connection.exec_driver_sql(
        "DELETE FROM sessions WHERE id <= (SELECT max(id) FROM sessions) - ?",
        (SESSIONS_MAX,),
    )


def _row(ended: EndedSession) -> tuple[object, ...]:
    values = {name: getattr(ended, name) for name in COLUMNS}
    values |= {"began_at": to_us(ended.began_at), "ended_at": to_us(ended.ended_at)}
    values |= {"phase": ended.phase.value, "ending": ended.ending.value}
    return tuple(values.values())
