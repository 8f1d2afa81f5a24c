"""The log of what people did, and tried to do: who, by which way, what, about what.

It is only ever added to, and each line carries the digest of all before it, as in
ingest/ledger/log.py. A line is written in the transaction of what it tells of.
"""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.chained import append
from ingest.moments import to_us

DETAIL_CHARS_MAX = 500
SHOWN_MAX = 200


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One deed."""

    at: datetime
    who: str
    """A person's id, a token's name, or "chargewatch"."""
    via: str
    """By which way: console, api, link, mqtt, command."""
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


def audit_lines(
    connection: sa.Connection, before_id: int | None = None, limit: int = SHOWN_MAX
) -> list[AuditLine]:
    """Return the log, newest first."""
    kept = tables.audit.c
    columns = [kept[name] for name in AuditLine.__struct_fields__]
    question = sa.select(*columns).order_by(kept.id.desc()).limit(min(limit, SHOWN_MAX))
    if before_id is not None:
        question = question.where(kept.id < before_id)
    return [AuditLine(**row) for row in connection.execute(question).mappings()]
