"""The log of what was changed about the policy: who, when, which values, from what to what.

It is only ever added to, and each line carries the digest of all before it. Each line also
keeps the whole policy, as it was written: what was in force on any day can be told, and a
service that starts with a broken file can take up the last one.
"""

from datetime import datetime
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.chained import append
from ingest.moments import to_us
from rules.policies import Changed, Settings, Written

SHOWN_MAX = 200

_Listed = list[tuple[str, str, str, Written]]


class How(StrEnum):
    """What made somebody look at the policy file."""

    START = "start"
    FILE = "file"
    """It had changed."""
    SIGNAL = "signal"
    REQUEST = "request"


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change; `who` is a token's name, or "chargewatch" itself."""

    at: datetime
    who: str
    how: How
    file: str
    digest: str
    changes: tuple[Changed, ...]
    settings: Settings
    """All that was set from then on."""


class PolicyLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log, without the whole policy."""

    id: int
    at: datetime
    who: str
    how: How
    file: str
    digest: str
    changes: tuple[Changed, ...]


def append_policy_change(connection: sa.Connection, change: PolicyChange) -> None:
    """Append a line with the digest of all before it."""
    row: dict[str, object] = {
        "who": change.who,
        "how": change.how,
        "file": change.file,
        "digest": change.digest,
        "changes": msgspec.json.encode(change.changes),
        "settings": msgspec.json.encode(
            [(*place, value) for place, value in change.settings.items()]
        ),
    }
    line = [to_us(change.at), *row.values()]
    append(connection, tables.policy_changes, line, {"at": change.at, **row})


def last_change(connection: sa.Connection) -> PolicyChange | None:
    """Return the newest line; None if nothing was ever set."""
    logged = tables.policy_changes
    newest = sa.select(logged).order_by(logged.c.id.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    if row is None:
        return None
    listed = msgspec.json.decode(row.settings, type=_Listed)
    return PolicyChange(
        at=row.at,
        who=row.who,
        how=How(row.how),
        file=row.file,
        digest=row.digest,
        changes=msgspec.json.decode(row.changes, type=tuple[Changed, ...]),
        settings={(layer, table, key): value for layer, table, key, value in listed},
    )


def policy_lines(
    connection: sa.Connection, before_id: int | None = None, limit: int = SHOWN_MAX
) -> list[PolicyLine]:
    """Return the log, newest first."""
    logged = tables.policy_changes.c
    columns = [logged[name] for name in PolicyLine.__struct_fields__]
    question = sa.select(*columns).order_by(logged.id.desc()).limit(limit)
    if before_id is not None:
        question = question.where(logged.id < before_id)
    return [
        PolicyLine(
            id=row.id,
            at=row.at,
            who=row.who,
            how=How(row.how),
            file=row.file,
            digest=row.digest,
            changes=msgspec.json.decode(row.changes, type=tuple[Changed, ...]),
        )
        for row in connection.execute(question)
    ]
