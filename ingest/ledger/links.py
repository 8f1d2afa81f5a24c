"""Which signed links were used, by whom and when."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.ledger import tables


class Used(msgspec.Struct, frozen=True):
    """A link that is good no more."""

    by: str
    at: datetime


def use_link(connection: sa.Connection, link: str, by: str, at: datetime) -> bool:
    """Note that a link is used, in the transaction of what is done with it.

    Returns False if it was used before: then nothing may be done.
    """
    row = {"id": link, "used_at": at, "used_by": by}
    noted = connection.execute(insert(tables.links).values(row).on_conflict_do_nothing())
    return noted.rowcount > 0


def used_link(connection: sa.Connection, link: str) -> Used | None:
    """Return who used a link, and when; None: nobody has."""
    kept = tables.links.c
    row = connection.execute(
        sa.select(kept.used_by, kept.used_at).where(kept.id == link)
    ).one_or_none()
    return None if row is None else Used(*row)
