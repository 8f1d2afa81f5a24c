"""The log of what happened: append-only, each line with the digest of all before it.

An alert's lines carry its episode, and so do those of the commands that it caused.
"""

from datetime import datetime

import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.chained import append
from ingest.moments import to_us


def append_event(  # noqa: PLR0913, PLR0917  (a line of the log has this many columns)
    connection: sa.Connection, episode: str, at: datetime, what: str, who: str, detail: str
) -> None:
    """Append to the log that is never changed; each line carries the digest of all before."""
    line: list[object] = [episode, to_us(at), what, who, detail]
    row = {"episode": episode, "at": at, "what": what, "who": who, "detail": detail}
    append(connection, tables.alert_events, line, row)
