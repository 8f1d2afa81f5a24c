"""What one lane has to do, and how it does: the part of a worklist that is in memory."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import chain, islice

import msgspec
from msgspec.structs import replace

from api.channels.lanes import Lane
from api.delivery.planning import plan
from api.delivery.plans import (
    DOWN_AFTER,
    HEARD_WITHIN,
    MINUTE,
    Heard,
    LaneNow,
    Parcel,
    Plan,
    Rank,
    Trail,
    trail_of,
)
from api.delivery.spilling import to_spill
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, RETRY_FIRST, URGENCIES, Due, Reason, Told

LOOKED_AT_MAX = 4_000
"""What one plan is made of, the most urgent first; the others wait behind it anyway."""
UNFOLDED_MAX = 64
"""The same where nothing folds: more than may be on its way at once is of no use."""
PROBE_AFTER_MAX = MINUTE
"""How long it takes at most to see that a lane is back: as long as it has failed, or this."""


class LaneHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a lane does, for people and metrics."""

    waiting: int
    oldest_at: datetime | None
    digests: int
    """Made and not told yet."""
    failing_since: datetime | None
    budget_left: int | None
    """Messages that the provider takes within this minute; None: as many as there are."""


class LaneWork:
    """A lane, what waits for it, and what it was asked of late."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.wake = asyncio.Event()
        self.digests: dict[int, Digest] = {}
        self.reasons: dict[int, Reason] = {}
        """Why rows were last written to be held."""
        self.spilled: set[int | str] = set()
        """What went to another way as well, or has none: rows by number, digests by key."""
        self.on_the_way = 0
        self.failures = 0
        self.failing_since: datetime | None = None
        self.last_used: datetime | None = None
        self.is_doubtful = False
        """It failed before a restart: one message finds out whether it does still."""
        self.in_doubt = 0
        """Messages that may have been on their way when the last process ended."""
        self._waiting: tuple[dict[int, Due], ...] = tuple({} for _ in URGENCIES)
        self._later: dict[int, Due] = {}
        """What failed, until it may be tried again: it must not hide what is behind it."""
        self._ripe_at: list[tuple[datetime, int]] = []
        self._busy: dict[Trail, int] = {}
        self._folded: dict[int, frozenset[Trail]] = {}
        """What is in the digests that are not told yet."""
        self._sent: deque[datetime] = deque()
        self._paused_until: datetime | None = None
        self._probe_at: datetime | None = None

    # --- what waits --------------------------------------------------------------------

    def put(self, item: Due, now: datetime) -> None:
        if item.next_at > now:
            self._later[item.id] = item
            heappush(self._ripe_at, (item.next_at, item.id))
        else:
            self._waiting[item.urgency][item.id] = item

    def put_digest(self, digest: Digest, items: Iterable[Due]) -> None:
        """Have a digest wait; nothing else is told of what it tells of until it is told."""
        self.digests[digest.id] = digest
        self._folded[digest.id] = frozenset(map(trail_of, items))

    def end_digest(self, number: int) -> None:
        self._folded.pop(number, None)

    def take_out(self, number: int) -> bool:
        for some in (*self._waiting, self._later):
            if number in some:
                del some[number]
                self.reasons.pop(number, None)
                return True
        return False

    @property
    def has_work(self) -> bool:
        return bool(self.on_the_way or self.digests or self._later or any(self._waiting))

    def loaded(self, urgency: int) -> int:
        later = sum(item.urgency == urgency for item in self._later.values())
        return len(self._waiting[urgency]) + later

    def looked_at(self) -> list[Due]:
        most = LOOKED_AT_MAX if self.lane.folds else UNFOLDED_MAX
        return list(islice(chain.from_iterable(map(dict.values, self._waiting)), most))

    def planned(self, heard: Mapping[str, Heard], now: datetime) -> Plan:
        self._ripen(now)
        digests = list(self.digests.values())
        later = map(trail_of, self._later.values())
        busy = {*self._busy, *later, *chain.from_iterable(self._folded.values())}
        made = plan(self.looked_at(), digests, self.now_is(now), heard, busy, now)
        if self._ripe_at:
            made.wake(self._ripe_at[0][0])
        return made

    def spilling(self, now: datetime) -> list[Due | Digest]:
        """Return what is to be told by other ways too, and is not yet."""
        now_is = self.now_is(now)
        found: list[Due | Digest] = [*self.looked_at(), *self._later.values()]
        found += self.digests.values()
        return [
            each
            for each in found
            if spill_key(each) not in self.spilled and to_spill(each, now_is, now)
        ]

    def _ripen(self, now: datetime) -> None:
        while self._ripe_at and self._ripe_at[0][0] <= now:
            _, number = heappop(self._ripe_at)
            item = self._later.get(number)
            if item is not None and item.next_at <= now:
                self.put(self._later.pop(number), now)

    # --- how it does -------------------------------------------------------------------

    def now_is(self, now: datetime) -> LaneNow:
        while self._sent and self._sent[0] <= now - MINUTE:
            self._sent.popleft()
        return LaneNow(
            lane=self.lane,
            sent=tuple(self._sent),
            on_the_way=self.on_the_way,
            failures=self.failures,
            paused_until=self._paused_until,
            probe_at=self._probe_at,
            is_doubtful=self.is_doubtful,
        )

    def asked(self, at: datetime) -> None:
        """Note that a message was handed to the provider."""
        self._sent.append(at)
        self.last_used = at

    def start(self, parcel: Parcel, now: datetime) -> None:
        """Take a message out of what waits: it is on its way now."""
        for item in parcel.items:
            self.take_out(item.id)
            trail = trail_of(item)
            self._busy[trail] = self._busy.get(trail, 0) + 1
        if parcel.digest is not None:
            del self.digests[parcel.digest.id]
        self.on_the_way += 1
        self.asked(now)

    def end(self, parcel: Parcel) -> None:
        for item in parcel.items:
            trail = trail_of(item)
            self._busy[trail] -= 1
            if not self._busy[trail]:
                del self._busy[trail]
        self.on_the_way -= 1
        self.wake.set()

    def confirmed(self, now: datetime) -> None:
        """Note that the provider took something: what failed before need not wait longer."""
        was_down = self.now_is(now).is_down or self.is_doubtful
        self.is_doubtful = False
        self.failures, self._paused_until, self._probe_at = 0, None, None
        self.failing_since = None
        if was_down:
            for item in self._later.values():
                self.put(replace(item, next_at=now), now)
            self._later.clear()
            self._ripe_at.clear()
            for number, digest in self.digests.items():
                self.digests[number] = replace(digest, next_at=min(digest.next_at, now))

    def failed(
        self, now: datetime, asked: timedelta | None, jitter: float, speed: float
    ) -> None:
        """Note a failure that may pass."""
        self.failures = DOWN_AFTER if self.is_doubtful else self.failures + 1
        self.is_doubtful = False
        self.failing_since = self.failing_since or now
        lasts = (now - self.failing_since) / speed
        pause = min(max(lasts, RETRY_FIRST), PROBE_AFTER_MAX) * (0.5 + jitter / 2)
        self._probe_at = now + pause * speed
        if asked is not None:
            self._paused_until = now + asked * speed

    def health(self, now: datetime) -> LaneHealth:
        per_minute = self.lane.per_minute
        used = len(self.now_is(now).sent)
        items = [*chain.from_iterable(map(dict.values, self._waiting)), *self._later.values()]
        return LaneHealth(
            waiting=len(items),
            oldest_at=min((item.created_at for item in items), default=None),
            digests=len(self.digests),
            failing_since=self.failing_since,
            budget_left=None if per_minute is None else max(0, per_minute - used),
        )


def spill_key(item: Due | Digest) -> int | str:
    return item.id if isinstance(item, Due) else item.idempotency_key


class Ears:
    """What everybody had of late, over all lanes."""

    def __init__(self) -> None:
        self.heard: dict[str, Heard] = {}

    def hears(self, parcel: Parcel, now: datetime) -> None:
        """Note a message that is on its way."""
        self._note(parcel.who, now, parcel.rank if parcel.is_digest else None)

    def has_not(self, parcel: Parcel, at: datetime) -> None:
        """Take back a message that did not arrive."""
        known = self.heard.get(parcel.who)
        if known is not None and at in known.singles and not parcel.is_digest:
            singles = list(known.singles)
            singles.remove(at)
            self.heard[parcel.who] = replace(known, singles=tuple(singles))

    def remember(self, told: Told) -> None:
        """Take up what the ledger knows."""
        digest = None
        if told.digest_urgency is not None:
            digest = Rank.DANGER if told.digest_urgency == FIRST else Rank.REST
        self._note(told.recipient or told.channel, told.at, digest)

    def forget(self, now: datetime) -> None:
        """Drop whoever has heard nothing of late."""
        for who, known in list(self.heard.items()):
            digests = (known.urgent_digest_at, known.rest_digest_at)
            last = max((at for at in (*known.singles, *digests) if at is not None), default=now)
            if last <= now - HEARD_WITHIN:
                del self.heard[who]

    def _note(self, who: str, at: datetime, digest: Rank | None) -> None:
        known = self.heard.get(who, Heard())
        if digest is None:
            recent = (each for each in known.singles if each > at - HEARD_WITHIN)
            known = replace(known, singles=(*recent, at))
        elif digest is Rank.REST:
            known = replace(known, rest_digest_at=at)
        else:
            known = replace(known, urgent_digest_at=at)
        self.heard[who] = known
