"""The worklist of notifications: what is due, and what became of it.

A row is written in the same transaction as the alert's transition. It is `waiting` until
the channel has taken it (`told`), or it is plain that it never will (`failed`), or there
is nobody to tell any more (`skipped`). The reason is always a word that people can read.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.log import append_event
from rules.alerts import Alert, Transition

_unpack_alert = msgspec.msgpack.Decoder(Alert).decode


class OutboxState(StrEnum):
    WAITING = "waiting"
    TOLD = "told"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a notification is where it is."""

    NEW_ALERT = "new_alert"
    ALERT_WORSE = "alert_worse"
    NOBODY_ANSWERED = "nobody_answered"
    ALERT_OVER = "alert_over"
    TRY_AGAIN = "try_again"
    REFUSED_FOR_GOOD = "refused_for_good"
    NEVER_TOLD = "never_told"
    """The end of an alarm of which this recipient was never told."""
    NO_SUCH_CHANNEL = "no_such_channel"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A notification to send now."""

    id: int
    idempotency_key: str
    episode: str
    transition: str
    channel: str
    attempts: int
    created_at: datetime
    alert: Alert


def due(connection: sa.Connection, channel: str, now: datetime, limit: int) -> list[Due]:
    """Return what a channel is to send now, the most urgent first, then the oldest.

    Nothing is told of an alarm before its beginning, and nothing after its end.
    """
    row = tables.outbox.c
    question = (
        sa.select(tables.outbox)
        .where(
            row.channel == channel,
            row.state == OutboxState.WAITING,
            row.next_at <= now,
            ~_earlier_waits(),
        )
        .order_by(row.urgency, row.id)
        .limit(limit)
    )
    return [
        Due(
            id=found.id,
            idempotency_key=found.idempotency_key,
            episode=found.episode,
            transition=found.transition,
            channel=found.channel,
            attempts=found.attempts,
            created_at=found.created_at,
            alert=_unpack_alert(found.alert),
        )
        for found in connection.execute(question)
    ]


def _earlier_waits() -> sa.ColumnElement[bool]:
    """Say of a row that what has to be told before it is not told yet."""
    row, first = tables.outbox.c, tables.outbox.alias("first")
    return sa.exists().where(
        first.c.episode == row.episode,
        first.c.channel == row.channel,
        first.c.state == OutboxState.WAITING,
        first.c.id < row.id,
        sa.or_(first.c.transition == Transition.FIRING, row.transition == Transition.RESOLVED),
    )


def next_due_at(connection: sa.Connection, channel: str) -> datetime | None:
    """Return when a channel's next notification is due."""
    row = tables.outbox.c
    question = (
        sa.select(row.next_at)
        .where(row.channel == channel, row.state == OutboxState.WAITING, ~_earlier_waits())
        .order_by(row.next_at)
        .limit(1)
    )
    return connection.scalar(question)


def give_up_on_others(
    connection: sa.Connection, channels: Collection[str], now: datetime
) -> None:
    """Fail what waits for channels that are not configured any more, in the open."""
    row = tables.outbox.c
    orphaned = sa.select(row.id, row.episode, row.channel).where(
        row.state == OutboxState.WAITING, row.channel.not_in(channels)
    )
    for found in connection.execute(orphaned).all():
        connection.execute(
            sa.update(tables.outbox)
            .where(row.id == found.id)
            .values(state=OutboxState.FAILED, reason=Reason.NO_SUCH_CHANNEL)
        )
        append_event(
            connection, found.episode, now, "not_told", found.channel, Reason.NO_SUCH_CHANNEL
        )


def waiting(connection: sa.Connection) -> int:
    """Return how many notifications are not told yet."""
    row = tables.outbox.c
    question = sa.select(sa.func.count()).where(row.state == OutboxState.WAITING)
    return connection.scalar(question) or 0


def was_told(connection: sa.Connection, episode: str, channel: str) -> bool:
    """Say whether this channel was told of the alarm: that it began, or became worse."""
    row = tables.outbox.c
    told = sa.select(row.id).where(
        row.episode == episode,
        row.channel == channel,
        row.transition != Transition.RESOLVED,
        row.state == OutboxState.TOLD,
    )
    return connection.scalar(told.limit(1)) is not None


def mark_told(connection: sa.Connection, item: Due, receipt: str, now: datetime) -> None:
    _mark(connection, item, state=OutboxState.TOLD, told_at=now, receipt=receipt[:500])
    append_event(connection, item.episode, now, "told", item.channel, item.transition)


def mark_skipped(connection: sa.Connection, item: Due, reason: Reason, now: datetime) -> None:
    _mark(connection, item, state=OutboxState.SKIPPED, reason=reason)
    append_event(connection, item.episode, now, "not_told", item.channel, reason)


def mark_failed(
    connection: sa.Connection, item: Due, detail: str, now: datetime, reason: Reason
) -> None:
    """Give up: trying again would not help, and a person must see why."""
    _mark(connection, item, state=OutboxState.FAILED, reason=reason, receipt=detail[:500])
    append_event(connection, item.episode, now, "not_told", item.channel, detail[:500])


def mark_retry(connection: sa.Connection, item: Due, detail: str, next_at: datetime) -> None:
    _mark(connection, item, reason=Reason.TRY_AGAIN, receipt=detail[:500], next_at=next_at)


def _mark(connection: sa.Connection, item: Due, **values: object) -> None:
    connection.execute(
        sa.update(tables.outbox)
        .where(tables.outbox.c.id == item.id)
        .values(attempts=item.attempts + 1, **values)
    )


RETRY_FIRST = timedelta(seconds=2)
RETRY_LONGEST = timedelta(minutes=5)


def retry_after(attempts: int, jitter: float) -> timedelta:
    """Return the pause before the next try: doubled each time, `jitter` in [0, 1)."""
    pause = min(RETRY_FIRST * (1 << min(attempts, 10)), RETRY_LONGEST)
    return pause * (0.5 + jitter / 2)
