"""The worklist of notifications: what waits to be told, and what became of it.

A row is written in the same transaction as the alert's transition. It is `waiting` until
the channel has taken it (`told`), or it is plain that it never will (`failed`), or there
is nobody to tell any more (`skipped`). The reason is always a word that people can read.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.ledger import tables
from ingest.ledger.log import append_event
from rules.alerts import Alert, Transition
from rules.verdict import Severity

_unpack_alert = msgspec.msgpack.Decoder(Alert).decode

FIRST = 0
"""The urgency of danger: what may use all of a budget."""
LATER = 1
URGENCIES = range(3)


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
    STILL_FIRES = "still_fires"
    HANDED_OVER = "handed_over"
    ALERT_OVER = "alert_over"
    TRY_AGAIN = "try_again"
    WAITS_FOR_BUDGET = "waits_for_budget"
    """The provider takes so many a minute, and what is more urgent goes first."""
    WAITS_FOR_PROVIDER = "waits_for_provider"
    """It asked for a pause, or fails: one message at a time finds out when that is over."""
    ENOUGH_FOR_NOW = "enough_for_now"
    """The recipient has had so many messages that the next is a digest."""
    IN_DIGEST = "in_digest"
    SPILLED = "spilled"
    """Another way of the recipient failed; this is the next one."""
    TOLD_OTHERWISE = "told_otherwise"
    """The recipient has heard of it by another way."""
    REFUSED_FOR_GOOD = "refused_for_good"
    NEVER_TOLD = "never_told"
    """The end of an alarm of which this recipient was never told."""
    NO_CALL = "no_call"
    """Nobody is called for a warning, for good news or for a digest of such."""
    NO_SUCH_CHANNEL = "no_such_channel"
    NO_SUCH_RECIPIENT = "no_such_recipient"
    NO_SUCH_WAY = "no_such_way"
    """The recipient had this way when it was written down, and has it no more."""
    WAY_NOT_SET_UP = "way_not_set_up"
    INACTIVE = "inactive"
    """The person has left, or the post is closed."""
    NOT_THEIR_AREA = "not_their_area"
    OFF_DUTY = "off_duty"
    NO_WAY = "no_way"
    """No way is entered by which the recipient could be reached."""
    NOBODY_OF_ROLE = "nobody_of_role"
    """A route names a role, and nobody who has it answers for the area."""
    NO_ROUTE = "no_route"
    """There are routes, and none is for such an alarm at this hour."""
    NOBODY_IN_REACH = "nobody_in_reach"
    """Routes fit, and none of those whom they name could be told."""


REACHED_NOBODY = frozenset((Reason.NO_ROUTE, Reason.NOBODY_IN_REACH))
"""Why an alarm reached no person at all."""
NOBODY = "people"
"""Stands for the channel in the row that says so."""


WHY = {
    Transition.FIRING: Reason.NEW_ALERT,
    Transition.RAISED: Reason.ALERT_WORSE,
    Transition.ESCALATED: Reason.NOBODY_ANSWERED,
    Transition.REMINDED: Reason.STILL_FIRES,
    Transition.HANDED: Reason.HANDED_OVER,
    Transition.RESOLVED: Reason.ALERT_OVER,
}
"""Why a notification was written down."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that is not told yet."""

    id: int
    idempotency_key: str
    episode: str
    transition: str
    channel: str
    recipient: str = ""
    """`person:{id}` or `post:{id}`; empty: it is a channel of the settings."""
    urgency: int
    severity: Severity
    attempts: int
    created_at: datetime
    next_at: datetime
    """Not before; later than it was written only after a try that failed."""
    spilled_from: int | None = None
    packed: bytes = b""

    @property
    def alert(self) -> Alert:
        return _unpack_alert(self.packed)

    @property
    def who(self) -> str:
        """Who hears of it: somebody, or whoever reads a channel of the settings."""
        return self.recipient or self.channel


class Told(msgspec.Struct, frozen=True):
    """A message that somebody had."""

    channel: str
    recipient: str
    at: datetime
    digest_urgency: int | None = None
    """None: it was about one alarm."""


def waiting_after(
    connection: sa.Connection, urgency: int, number: int, limit: int
) -> list[Due]:
    """Return what waits by itself, of one urgency, and was written after row `number`."""
    row = tables.outbox.c
    question = (
        sa.select(tables.outbox)
        .where(
            row.state == OutboxState.WAITING,
            row.digest.is_(None),
            row.urgency == urgency,
            row.id > number,
        )
        .order_by(row.id)
        .limit(limit)
    )
    return [due_of(found) for found in connection.execute(question)]


def due_of(found: sa.Row[tuple[object, ...]]) -> Due:
    """Return a row of the outbox as something that is to be told."""
    values = {name: getattr(found, name) for name in _COLUMNS}
    severity = _unpack_alert(found.alert).severity
    return Due(**values, severity=severity, packed=found.alert)


_COLUMNS = tuple(set(Due.__struct_fields__) - {"severity", "packed"})


def waiting(connection: sa.Connection) -> int:
    """Return how many notifications are not told yet."""
    row = tables.outbox.c
    question = sa.select(sa.func.count()).where(row.state == OutboxState.WAITING)
    return connection.scalar(question) or 0


def told_since(connection: sa.Connection, since: datetime) -> list[Told]:
    """Return the messages about one alarm that were told since then, oldest first."""
    row = tables.outbox.c
    question = sa.select(row.channel, row.recipient, row.told_at).where(
        row.told_at > since, row.digest.is_(None)
    )
    return [Told(*found) for found in connection.execute(question.order_by(row.told_at))]


class Before(msgspec.Struct, frozen=True):
    """What became of the news of an alarm that came before its end."""

    told: bool
    waits: bool


def before_the_end(connection: sa.Connection, item: Due) -> Before:
    """Return whether whoever is to hear of an end heard of the alarm, by any way, or will."""
    row = tables.outbox.c
    same = row.recipient == item.recipient if item.recipient else row.channel == item.channel
    question = sa.select(row.state).where(
        row.episode == item.episode, same, row.transition != Transition.RESOLVED
    )
    states = set(connection.scalars(question))
    return Before(OutboxState.TOLD in states, OutboxState.WAITING in states)


def heard_by(connection: sa.Connection, episode: str) -> list[tuple[str, str, int]]:
    """Return the people and posts who heard of an alarm or will: each with way and tier.

    The way is the last that has told them; of those that all still wait, the first.
    """
    row = tables.outbox.c
    question = sa.select(row.recipient, row.channel, row.tier, row.state, row.told_at).where(
        row.episode == episode,
        row.recipient != "",
        row.state.in_((OutboxState.TOLD, OutboxState.WAITING)),
        row.transition != Transition.RESOLVED,
    )
    ways: dict[str, tuple[str, str, int]] = {}
    told_at: dict[str, datetime] = {}
    for found in connection.execute(question.order_by(row.id)):
        who, way = found.recipient, (found.recipient, found.channel, found.tier)
        if found.told_at is None:
            ways.setdefault(who, way)
        elif who not in told_at or found.told_at >= told_at[who]:
            ways[who], told_at[who] = way, found.told_at
    return list(ways.values())


# --- what became of it ----------------------------------------------------------------------


def mark_told(connection: sa.Connection, item: Due, receipt: str, now: datetime) -> list[int]:
    """Note a confirmation; return the rows on other ways that need not be told now."""
    why = WHY[Transition(item.transition)] if item.spilled_from is None else Reason.SPILLED
    said = receipt[:500]
    _mark(connection, item, state=OutboxState.TOLD, told_at=now, receipt=said, reason=why)
    append_event(connection, item.episode, now, "told", item.channel, item.transition)
    return told_otherwise(connection, item, now)


def mark_skipped(connection: sa.Connection, item: Due, reason: Reason, now: datetime) -> None:
    if _mark(connection, item, state=OutboxState.SKIPPED, reason=reason):
        append_event(connection, item.episode, now, "not_told", item.channel, reason)


def mark_failed(
    connection: sa.Connection, item: Due, detail: str, now: datetime, reason: Reason
) -> None:
    """Give up: trying again would not help, and a person must see why."""
    said = detail[:500]
    if _mark(connection, item, state=OutboxState.FAILED, reason=reason, receipt=said):
        append_event(connection, item.episode, now, "not_told", item.channel, said)


def mark_retry(connection: sa.Connection, item: Due, detail: str, next_at: datetime) -> bool:
    """Note a try that failed; say whether it still waits, and was not told otherwise."""
    said = detail[:500]
    return _mark(connection, item, reason=Reason.TRY_AGAIN, receipt=said, next_at=next_at)


def hold(connection: sa.Connection, numbers: Sequence[int], reason: Reason) -> None:
    """Write down why rows wait, and that they were not tried."""
    change = sa.update(tables.outbox).where(tables.outbox.c.id.in_(numbers))
    connection.execute(change.values(reason=reason))


def give_up_on_others(
    connection: sa.Connection, channels: Collection[str], now: datetime
) -> None:
    """Fail what waits for channels of the settings that are there no more, in the open."""
    row = tables.outbox.c
    orphaned = sa.select(tables.outbox).where(
        row.state == OutboxState.WAITING, row.recipient == "", row.channel.not_in(channels)
    )
    for found in connection.execute(orphaned).all():
        item = due_of(found)
        reason = Reason.NO_SUCH_CHANNEL
        mark_failed(connection, item, reason, now, reason)


def _mark(connection: sa.Connection, item: Due, **values: object) -> bool:
    """Change a row that waits; say whether it did. One that was told is told, come what may."""
    row = tables.outbox.c
    may = sa.true() if "told_at" in values else row.state == OutboxState.WAITING
    changed = connection.execute(
        sa.update(tables.outbox)
        .where(row.id == item.id, may)
        .values(attempts=item.attempts + 1, **values)
    )
    return changed.rowcount > 0


# --- another way ----------------------------------------------------------------------------


def spill(
    connection: sa.Connection, item: Due, channels: Iterable[str], now: datetime
) -> str | None:
    """Write the notification down for the first of `channels` that does not have it yet.

    Returns that channel; None if all have it. The key's own part of each is its channel's
    name, so that one is never written twice, whatever happens in between.
    """
    stem = item.idempotency_key.removesuffix(item.channel)
    original = sa.select(tables.outbox).where(tables.outbox.c.id == item.id)
    kept = connection.execute(original).mappings().one()
    if _linked(connection, item, already=True):
        return None
    for channel in channels:
        row = {name: value for name, value in kept.items() if name != "id"} | {
            "idempotency_key": f"{stem}{channel}",
            "channel": channel,
            "state": OutboxState.WAITING,
            "reason": Reason.SPILLED,
            "attempts": 0,
            "next_at": now,
            "told_at": None,
            "receipt": "",
            "spilled_from": item.id,
            "digest": None,
        }
        written = insert(tables.outbox).values(row).on_conflict_do_nothing()
        if connection.execute(written).rowcount:
            append_event(connection, item.episode, now, "spilled", channel, item.channel)
            return channel
    return None


def told_otherwise(connection: sa.Connection, item: Due, now: datetime) -> list[int]:
    """Skip what waits on the other ways of a notification that was told; return the rows."""
    row = tables.outbox.c
    numbers = _linked(connection, item)
    others = sa.select(tables.outbox).where(
        row.id.in_(numbers), row.id != item.id, row.state == OutboxState.WAITING
    )
    skipped = [due_of(found) for found in connection.execute(others)]
    for other in skipped:
        mark_skipped(connection, other, Reason.TOLD_OTHERWISE, now)
    return [other.id for other in skipped]


def _linked(connection: sa.Connection, item: Due, *, already: bool = False) -> set[int]:
    """Return the rows that spilled from one another; or only those after `item`."""
    if not item.recipient:
        return set()
    row = tables.outbox.c
    question = sa.select(row.id, row.spilled_from).where(
        row.episode == item.episode,
        row.recipient == item.recipient,
        row.spilled_from.is_not(None),
    )
    pairs = [(found.id, found.spilled_from) for found in connection.execute(question)]
    if already:
        return {after for after, first in pairs if first == item.id}
    found = {item.id}
    for _ in pairs:  # a chain is no longer than there are pairs
        found |= {number for pair in pairs if found & set(pair) for number in pair}
    return found


RETRY_FIRST = timedelta(seconds=2)
RETRY_LONGEST = timedelta(minutes=5)


def retry_after(attempts: int, jitter: float) -> timedelta:
    """Return the pause before the next try: doubled each time, `jitter` in [0, 1)."""
    pause = min(RETRY_FIRST * (1 << min(attempts, 10)), RETRY_LONGEST)
    return pause * (0.5 + jitter / 2)
