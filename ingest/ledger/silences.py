"""Silences and maintenance windows: who asked for which, and until when."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.errors import ChargewatchError
from ingest.ledger import tables
from ingest.ledger.areas import Areas, lies_in
from ingest.ledger.log import append_event
from ingest.moments import MICROSECOND
from rules.silences import Silence, SilenceKind

OPEN_MAX = 500
"""In force or to come, at the same time: whoever needs more should change the policy."""
LISTED_MAX = 1_000


class TooManySilences(ChargewatchError):
    """There are OPEN_MAX that are not over."""


class SilenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A silence, and who made and ended it. `ended_by` is empty if nobody did."""

    silence: Silence
    created_at: datetime
    created_by: str
    ended_by: str


def create(connection: sa.Connection, wanted: Silence, *, who: str, now: datetime) -> Silence:
    """Write down a silence and return it with its number. Raises TooManySilences."""
    silence = tables.silences.c
    count = sa.select(sa.func.count()).where(silence.ends > now)
    if (connection.scalar(count) or 0) >= OPEN_MAX:
        raise TooManySilences(f"there are {OPEN_MAX} silences already: end some of them")
    values = msgspec.structs.asdict(wanted) | {
        "created_at": now,
        "created_by": who,
        "ended_by": "",
    }
    del values["id"]
    added = sa.insert(tables.silences).values(values).returning(silence.id)
    number = connection.scalar(added)
    made = msgspec.structs.replace(wanted, id=str(number))
    detail = msgspec.json.encode(made).decode()
    append_event(connection, _name(made.id), now, f"{made.kind}_created", who, detail)
    return made


def end(connection: sa.Connection, number: int, *, who: str, now: datetime) -> Silence | None:
    """End a silence now; one that is over stays as it is. None: no such silence.

    One that has not begun is taken back: it begins and ends at once.
    """
    found = get(connection, number)
    if found is None:
        return None
    silence = found.silence
    if silence.ends <= now:
        return silence
    starts = min(silence.starts, now - MICROSECOND)
    ended = msgspec.structs.replace(silence, starts=starts, ends=now)
    connection.execute(
        sa.update(tables.silences)
        .where(tables.silences.c.id == number)
        .values(starts=starts, ends=now, ended_by=who)
    )
    append_event(connection, _name(ended.id), now, f"{ended.kind}_ended", who, "")
    return ended


def get(connection: sa.Connection, number: int) -> SilenceRow | None:
    row = connection.execute(
        sa.select(tables.silences).where(tables.silences.c.id == number)
    ).one_or_none()
    return None if row is None else _row(row)


def not_over(connection: sa.Connection, now: datetime, areas: Areas = None) -> list[SilenceRow]:
    """Return those in force and to come, the next to end first."""
    silence = tables.silences.c
    question = sa.select(tables.silences).where(silence.ends > now, *_of(areas))
    return [_row(row) for row in connection.execute(question.order_by(silence.ends))]


def over_since(
    connection: sa.Connection, since: datetime, now: datetime, limit: int, areas: Areas = None
) -> list[SilenceRow]:
    """Return those that ended since then, the last to end first."""
    silence = tables.silences.c
    ended = sa.and_(silence.ends <= now, silence.ends > since)
    question = sa.select(tables.silences).where(ended, *_of(areas))
    rows = connection.execute(question.order_by(silence.ends.desc()).limit(limit))
    return [_row(row) for row in rows]


def newest(connection: sa.Connection, limit: int, areas: Areas = None) -> list[SilenceRow]:
    """Return all of them, over or not, the newest first."""
    question = sa.select(tables.silences).where(*_of(areas))
    question = question.order_by(tables.silences.c.id.desc())
    rows = connection.execute(question.limit(min(limit, LISTED_MAX)))
    return [_row(row) for row in rows]


def _of(areas: Areas) -> list[sa.ColumnElement[bool]]:
    return lies_in(areas, tables.silences.c.site, tables.silences.c.device)


def _name(number: str) -> str:
    """Return what the log, which is by episode, calls a silence."""
    return f"silence@{number}"


def _row(row: sa.Row[tuple[object, ...]]) -> SilenceRow:
    values = dict(row._mapping)  # noqa: SLF001  (its public name)
    more = {name: values.pop(name) for name in ("created_at", "created_by", "ended_by")}
    values |= {"id": str(values["id"]), "kind": SilenceKind(values["kind"])}
    return SilenceRow(silence=Silence(**values), **more)
