"""What may have been on its way to providers when the last process ended."""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.outbox import OutboxState


class Doubt(msgspec.Struct, frozen=True):
    """Messages of one channel to somebody, of which nobody knows whether they were sent."""

    channel: str
    recipient: str
    messages: int
    """How many waited that may have been tried since then."""
    failed: bool
    """Whether the last tries of any of them failed."""


def in_doubt(connection: sa.Connection, since: datetime, began: datetime) -> list[Doubt]:
    """Return what waits, and may have been tried since then without a word in the ledger.

    Not what is newer than this process, which `began` then: the last one has not tried that.
    """
    row, kept = tables.outbox.c, tables.digests.c
    single = sa.select(
        row.channel, row.recipient, row.created_at.label("made_at"), row.next_at, row.attempts
    ).where(row.state == OutboxState.WAITING, row.digest.is_(None))
    digest = sa.select(
        kept.channel, kept.recipient, kept.made_at, kept.next_at, kept.attempts
    ).where(kept.state == OutboxState.WAITING)
    each = single.union_all(digest).subquery().c
    tried = each.attempts > 0
    recent = sa.or_(each.made_at > since, sa.and_(tried, each.next_at > since))
    question = (
        sa.select(each.channel, each.recipient, sa.func.count(), sa.func.max(tried))
        .where(each.made_at <= began, recent)
        .group_by(each.channel, each.recipient)
    )
    return [
        Doubt(channel, recipient, messages, bool(failed))
        for channel, recipient, messages, failed in connection.execute(question)
    ]
