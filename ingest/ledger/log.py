"""The log of what happened: append-only, each line with the digest of all before it.

An alert's lines carry its episode, and so do those of the commands that it caused.
"""

import hashlib
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.moments import to_us


def append_event(  # noqa: PLR0913, PLR0917  (a line of the log has this many columns)
    connection: sa.Connection, episode: str, at: datetime, what: str, who: str, detail: str
) -> None:
    """Append to the log that is never changed; each line carries the digest of all before."""
    newest = sa.select(tables.alert_events.c.chain).order_by(tables.alert_events.c.id.desc())
    before = connection.scalar(newest.limit(1)) or b""
    line = msgspec.json.encode([episode, to_us(at), what, who, detail])
    connection.execute(
        sa.insert(tables.alert_events).values(
            episode=episode,
            at=at,
            what=what,
            who=who,
            detail=detail,
            chain=hashlib.sha256(before + line).digest(),
        )
    )
