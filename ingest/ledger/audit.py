"""The log of what people did, and tried to do: who, by which way, what, about what.

It is only ever added to, and each line carries the digest of all before it, as in
ingest/ledger/log.py. A line is written in the transaction of what it tells of.
"""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.areas import Areas
from ingest.ledger.chained import append
from ingest.moments import to_us

DETAIL_CHARS_MAX = 500
SHOWN_MAX = 200
READ_MAX = 10_000


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One deed."""

    at: datetime
    who: str
    """A person's id, a token's name, or "chargewatch"."""
    via: str
    """By which way: console, api, link, mqtt, command, plan."""
    what: str
    """A dotted word of the catalogue: "alert.acknowledged", "login.refused"."""
    about: str = ""
    """The id of what it was done to; empty: nothing in particular."""
    area: str = ""
    """Whose business it is; empty: everybody's, or nobody's."""
    detail: str = ""


class AuditLine(Audited, frozen=True, kw_only=True):
    """A deed as it is kept."""

    id: int


def append_audit(connection: sa.Connection, deed: Audited) -> None:
    """Append a line with the digest of all before it."""
    row = {
        "who": deed.who,
        "via": deed.via,
        "what": deed.what,
        "about": deed.about,
        "area": deed.area,
        "detail": deed.detail[:DETAIL_CHARS_MAX],
    }
    line = [to_us(deed.at), *row.values()]
    append(connection, tables.audit, line, {"at": deed.at, **row})


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    who: str | None = None
    what: str | None = None
    """A word, or the beginning of some up to a dot: "login."."""
    area: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None


def audit_lines(
    connection: sa.Connection,
    before_id: int | None = None,
    limit: int = SHOWN_MAX,
    *,
    wanted: AuditFilter | None = None,
    areas: Areas = None,
) -> list[AuditLine]:
    """Return the log, newest first; for `areas`, what is their business or nobody's."""
    kept, wanted = tables.audit.c, wanted or AuditFilter(before_id=before_id)
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.who is not None:
        conditions.append(kept.who == wanted.who)
    if wanted.what is not None:
        family = wanted.what.endswith(".")
        by_family = kept.what.startswith(wanted.what, autoescape=True)
        conditions.append(by_family if family else kept.what == wanted.what)
    if wanted.area is not None:
        conditions.append(kept.area == wanted.area)
    if wanted.since is not None:
        conditions.append(kept.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(kept.at < wanted.until)
    if wanted.before_id is not None:
        conditions.append(kept.id < wanted.before_id)
    if areas is not None:
        conditions.append(kept.area.in_(["", *sorted(areas)]))
    columns = [kept[name] for name in AuditLine.__struct_fields__]
    question = sa.select(*columns).where(*conditions).order_by(kept.id.desc())
    rows = connection.execute(question.limit(min(limit, READ_MAX))).mappings()
    return [AuditLine(**row) for row in rows]
