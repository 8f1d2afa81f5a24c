"""Digests: several notifications told as one message, and what became of it.

What is in a digest is decided once, in one transaction, so that a restart sends the same
again. Its rows in the outbox wait until it was told. They are closed a few at a time after
that: a thousand lines of the log at once would hold up an alarm.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from ingest.ledger import tables
from ingest.ledger.log import append_event
from ingest.ledger.outbox import (
    Due,
    OutboxState,
    Reason,
    Told,
    before_the_end,
    due_of,
    mark_skipped,
    told_otherwise,
)
from rules.alerts import Transition

SPREAD_AT_ONCE = 100


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """A digest that is not told yet."""

    id: int
    idempotency_key: str
    channel: str
    recipient: str
    urgency: int
    attempts: int
    made_at: datetime
    next_at: datetime

    @property
    def who(self) -> str:
        return self.recipient or self.channel


def fold(
    connection: sa.Connection, items: Sequence[Due], urgency: int, now: datetime
) -> Digest | None:
    """Put what waits for one channel into a digest; None if nothing of it is worth telling.

    The end of an alarm is not, where neither its beginning is in here nor was ever told.
    """
    begun = {item.episode for item in items if item.transition != Transition.RESOLVED}
    kept: list[int] = []
    for item in items:
        if item.transition == Transition.RESOLVED and item.episode not in begun:
            before = before_the_end(connection, item)
            if not before.told and not before.waits:
                mark_skipped(connection, item, Reason.NEVER_TOLD, now)
                continue
        kept.append(item.id)
    if not kept:
        return None
    first = items[0]
    digest = Digest(
        id=0,
        idempotency_key=f"digest:{kept[0]}-{kept[-1]}:{first.channel}",
        channel=first.channel,
        recipient=first.recipient,
        urgency=urgency,
        attempts=0,
        made_at=now,
        next_at=now,
    )
    row = msgspec.structs.asdict(digest) | {"state": OutboxState.WAITING, "receipt": ""}
    del row["id"]
    made = connection.execute(sa.insert(tables.digests).values(row))
    digest = replace(digest, id=made.lastrowid)
    connection.execute(
        sa.update(tables.outbox)
        .where(tables.outbox.c.id.in_(kept))
        .values(digest=digest.id, reason=Reason.IN_DIGEST)
    )
    return digest


def join(connection: sa.Connection, digest: Digest) -> list[int]:
    """Put into a digest what has happened since to what it tells of; return those rows."""
    row = tables.outbox.c
    inside = sa.select(row.episode).where(
        row.digest == digest.id, row.state == OutboxState.WAITING
    )
    news = sa.select(row.id).where(
        row.episode.in_(inside),
        row.channel == digest.channel,
        row.recipient == digest.recipient,
        row.state == OutboxState.WAITING,
        row.digest.is_(None),
    )
    numbers = list(connection.scalars(news))
    connection.execute(
        sa.update(tables.outbox)
        .where(row.id.in_(numbers))
        .values(digest=digest.id, reason=Reason.IN_DIGEST)
    )
    return numbers


def waiting_digests(connection: sa.Connection) -> list[Digest]:
    """Return the digests that were made and are not told yet, oldest first."""
    kept = tables.digests.c
    columns = [kept[name] for name in Digest.__struct_fields__]
    question = sa.select(*columns).where(
        kept.state == OutboxState.WAITING, kept.state != OutboxState.TOLD
    )
    found = connection.execute(question.order_by(kept.id)).mappings()
    return [Digest(**row) for row in found]


def half_spread(connection: sa.Connection) -> list[int]:
    """Return the digests that ended while their rows still wait to be closed."""
    row, kept = tables.outbox.c, tables.digests.c
    question = (
        sa.select(kept.id)
        .join(tables.outbox, row.digest == kept.id)
        .where(row.state == OutboxState.WAITING, kept.state != OutboxState.WAITING)
    )
    return list(connection.scalars(question.distinct()))


def members(connection: sa.Connection, digest: int, limit: int | None = None) -> list[Due]:
    """Return what a digest has to tell of: what was told by another way since, it has not."""
    row = tables.outbox.c
    question = sa.select(tables.outbox).where(
        row.digest == digest, row.state == OutboxState.WAITING
    )
    return [
        due_of(found) for found in connection.execute(question.order_by(row.id).limit(limit))
    ]


def told_since(connection: sa.Connection, since: datetime) -> list[Told]:
    """Return the digests that were told since then, oldest first."""
    kept = tables.digests.c
    question = sa.select(kept.channel, kept.recipient, kept.told_at, kept.urgency)
    found = connection.execute(question.where(kept.told_at > since).order_by(kept.told_at))
    return [Told(*row) for row in found]


def mark_told(connection: sa.Connection, digest: Digest, receipt: str, now: datetime) -> None:
    _mark(connection, digest, state=OutboxState.TOLD, told_at=now, receipt=receipt[:500])


def mark_failed(connection: sa.Connection, digest: Digest, detail: str) -> None:
    _mark(connection, digest, state=OutboxState.FAILED, receipt=detail[:500])


def mark_skipped_whole(connection: sa.Connection, digest: Digest) -> None:
    """Close a digest of which everything was told by other ways."""
    _mark(connection, digest, state=OutboxState.SKIPPED)


def mark_retry(
    connection: sa.Connection, digest: Digest, detail: str, next_at: datetime
) -> None:
    _mark(connection, digest, receipt=detail[:500], next_at=next_at)
    row = tables.outbox.c
    connection.execute(
        sa.update(tables.outbox)
        .where(row.digest == digest.id, row.state == OutboxState.WAITING)
        .values(attempts=digest.attempts + 1, receipt=detail[:500], next_at=next_at)
    )


def spread(connection: sa.Connection, number: int) -> list[int] | None:
    """Close some of an ended digest's rows as it was closed itself.

    Returns the rows on other ways that need not be told now; None when all are closed.
    """
    kept = tables.digests.c
    digest = connection.execute(sa.select(tables.digests).where(kept.id == number)).one()
    some = members(connection, number, SPREAD_AT_ONCE)
    if not some:
        return None
    told = digest.state == OutboxState.TOLD
    values = {
        "state": digest.state,
        "reason": Reason.IN_DIGEST if told else Reason.REFUSED_FOR_GOOD,
        "receipt": digest.receipt,
        "told_at": digest.told_at,
        "attempts": digest.attempts,
    }
    row, skipped = tables.outbox.c, list[int]()
    for item in some:
        connection.execute(sa.update(tables.outbox).where(row.id == item.id).values(values))
        what, detail = (
            ("told_in_digest", item.transition) if told else ("not_told", digest.receipt)
        )
        at = digest.told_at or digest.next_at
        append_event(connection, item.episode, at, what, item.channel, detail)
        if told:
            skipped += told_otherwise(connection, item, at)
    return skipped


def _mark(connection: sa.Connection, digest: Digest, **values: object) -> None:
    connection.execute(
        sa.update(tables.digests)
        .where(tables.digests.c.id == digest.id)
        .values(attempts=digest.attempts + 1, **values)
    )
