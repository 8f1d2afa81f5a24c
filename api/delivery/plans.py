"""What a plan is made from, and what is in it: values, and the limits that hold for all."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from api.channels.lanes import Lane
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due, Reason
from rules.verdict import Severity

MINUTE = timedelta(minutes=1)
RESERVE_PART = 4
"""A quarter of a budget, and at least one message of it, is for danger alone."""
STALE = timedelta(minutes=15)
DOWN_AFTER = 3
"""Tries that failed one after another, whatever they were to tell."""
ODD_PROBE = 4
"""Of so many tries of a lane that is down, one is not for what is most urgent."""

HEARD_WITHIN = timedelta(minutes=10)
MESSAGES_MAX = 30
URGENT_EVERY = MINUTE
REST_EVERY = 2 * MINUTE
FOLDED_MAX = 2_000
"""Notifications in one digest: one transaction makes it."""


class Rank(IntEnum):
    """What goes before what."""

    EMERGENCY = 0
    DANGER = 1
    REST = 2


SINGLES_MAX = {Rank.EMERGENCY: 15, Rank.DANGER: 12, Rank.REST: 8}
"""Of MESSAGES_MAX, about one alarm each. What is less urgent leaves some for what is more: a
fire in the middle of a flood of smoke must not wait for the next digest."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient had within HEARD_WITHIN, by whatever way."""

    singles: tuple[datetime, ...] = ()
    """Messages about one alarm each. Digests are not among them: they are held down by their
    distance, and would otherwise use up what is kept for the next fire."""
    urgent_digest_at: datetime | None = None
    rest_digest_at: datetime | None = None


class LaneNow(msgspec.Struct, frozen=True, kw_only=True):
    """How a lane does."""

    lane: Lane
    sent: tuple[datetime, ...] = ()
    """When it was asked within the last minute, oldest first, what is on its way included."""
    on_the_way: int = 0
    failures: int = 0
    """Tries that failed since the last that did not."""
    paused_until: datetime | None = None
    """The provider asked for it."""
    probe_at: datetime | None = None
    """While it is down: not before."""
    is_doubtful: bool = False
    """It failed before a restart, and has not been asked since."""

    @property
    def is_down(self) -> bool:
        return self.failures >= DOWN_AFTER


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One message: an alarm's news by itself, several folded, or a digest made before."""

    items: tuple[Due, ...] = ()
    digest: Digest | None = None
    is_digest: bool = False
    """Whether it counts as a digest, even if there was one notification only to fold."""
    rank: Rank

    @property
    def who(self) -> str:
        return self.digest.who if self.digest is not None else self.items[0].who

    @property
    def attempts(self) -> int:
        return self.digest.attempts if self.digest is not None else self.items[0].attempts


class Plan(msgspec.Struct, kw_only=True):
    """What to do now; `wake_at` is when there may be more to do without anything new."""

    send: list[Parcel] = []
    held: dict[int, Reason] = {}
    """By number of its row, why it waits although it might be sent."""
    wake_at: datetime | None = None

    def wake(self, at: datetime) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)


Trail = tuple[str, str, str]
"""Who hears of which episode by which channel: what is on this is told in its order."""


def trail_of(item: Due) -> Trail:
    return (item.who, item.channel, item.episode)


class Line(msgspec.Struct, frozen=True):
    """What waits about one episode for one channel of one recipient, in its order."""

    items: tuple[Due, ...]
    rank: Rank
    stale: bool
    """To be folded whatever the budget."""

    @property
    def head(self) -> Due:
        return self.items[0]


def rank_of(item: Due) -> Rank:
    if item.urgency != FIRST:
        return Rank.REST
    return Rank.EMERGENCY if item.severity is Severity.EMERGENCY else Rank.DANGER


def hold(lines: Sequence[Line], reason: Reason, made: Plan) -> None:
    made.held.update((item.id, reason) for line in lines for item in line.items)


def single(line: Line) -> Parcel:
    return Parcel(items=(line.head,), rank=line.rank)


def again(digest: Digest) -> Parcel:
    rank = Rank.DANGER if digest.urgency == FIRST else Rank.REST
    return Parcel(digest=digest, is_digest=True, rank=rank)
