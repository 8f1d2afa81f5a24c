"""Carrying out the plans: what is read and written, sent and waited for."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from api.channels import DeliveryFailed, Notice
from api.channels.lanes import Lane
from api.delivery.health import DeliveryHealth
from api.delivery.lanework import PROBE_AFTER_MAX, Ears, LaneHealth, LaneWork, spill_key
from api.delivery.planning import HEARD_WITHIN, MINUTE, Parcel, Rank
from api.delivery.recipients import Reachable, Recipients, Unreachable, is_no_call
from ingest.clock import Now
from ingest.ledger import digests, outbox
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, LATER, URGENCIES, Due, Reason
from ingest.ledger.store import Ledger, LedgerUnavailable
from rules.alerts import Transition

AT_ONCE_MAX = 16
"""Messages of one lane that are on their way at the same time."""
IDLE_S = 5.0
"""How soon a clock that was set is noticed, by a lane for which something waits."""
LOOK_AGAIN_S = 60.0
BREATH_S = 50e-6
"""The pause between two plans, for each row held back: a plan takes a fifth of that."""
LEDGER_RETRY_S = 1.0
LOADED_MAX = 20_000
"""Notifications of one urgency in memory; the others wait in the ledger for their turn."""
LOADED_AT_ONCE = 2_000
SPILLED_AT_ONCE = 50
END_AFTER_BEGIN = timedelta(seconds=30)
"""How soon an end is looked at again whose beginning still waits on another way."""

log = structlog.get_logger()

T = TypeVar("T")


class Words(Protocol):
    """Puts notifications into words of a language."""

    def notice(self, item: Due, language: str) -> Notice: ...

    def digest(self, digest: Digest, items: Sequence[Due], language: str) -> Notice: ...


class Delivery:
    """The outbox's workers: one for each lane for which something waits."""

    def __init__(
        self, ledger: Ledger, recipients: Recipients, words: Words, now: Now, speed: float
    ) -> None:
        self.health = DeliveryHealth()
        self._ledger, self._recipients, self._words = ledger, recipients, words
        self._now, self._speed = now, speed
        self._posted = asyncio.Event()
        self._lanes: dict[str, LaneWork] = {}
        self._served: set[str] = set()
        self._ears = Ears()
        self._loaded_to = dict.fromkeys(URGENCIES, 0)
        self._to_close: list[int] = []
        """Digests that ended, and whose rows are not all closed yet."""
        self._full = False
        """Whether there is more in the ledger than there is room for in memory."""

    def post(self) -> None:
        """Be told that there is something new in the outbox, or that the clock was set."""
        self._posted.set()
        for work in self._lanes.values():
            work.wake.set()

    def lanes(self) -> dict[str, LaneHealth]:
        """Return how each lane does for which something waits, or that was used of late."""
        now = self._now()
        return {name: work.health(now) for name, work in self._lanes.items()}

    async def run(self) -> None:
        """Tell what is due, for ever."""
        await self._take_up()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._posted.clear()
                try:
                    await self._load()
                except LedgerUnavailable as error:
                    log.warning("outbox.unavailable", reason=str(error))
                    await asyncio.sleep(LEDGER_RETRY_S)
                    continue
                for name, work in self._lanes.items():
                    if work.has_work and name not in self._served:
                        self._served.add(name)
                        tasks.create_task(self._serve(tasks, work), name=f"tell {name}")
                await _set_within(self._posted, LOOK_AGAIN_S)
                self._tidy()

    # --- what waits --------------------------------------------------------------------

    async def _take_up(self) -> None:
        """Go on where the last process stopped: what was sent of late counts for budgets."""
        house, since = self._recipients.house, self._now() - HEARD_WITHIN
        await self._note(lambda c: outbox.give_up_on_others(c, house, self._now()))
        told = await self._asked(
            lambda c: [*outbox.told_since(c, since), *digests.told_since(c, since)]
        )
        for each in sorted(told, key=lambda each: each.at):
            self._ears.remember(each)
            if each.at > self._now() - MINUTE:
                try:
                    lane = self._recipients.reached(each.channel, each.recipient).lane
                except Unreachable:
                    continue
                self._work_of(lane).asked(each.at)
        self._to_close = await self._asked(digests.half_spread)
        for digest in await self._asked(digests.waiting_digests):
            await self._place_digest(digest)
        await self._close_digests()

    async def _load(self) -> None:
        """Take up what was written since the last time, danger first."""
        self._full = False
        for urgency in URGENCIES:
            while True:
                loaded = sum(work.loaded(urgency) for work in self._lanes.values())
                room = min(LOADED_AT_ONCE, LOADED_MAX - loaded)
                self._full = self._full or room <= 0
                after = self._loaded_to[urgency]
                items = await self._ledger.read(
                    partial(outbox.waiting_after, urgency=urgency, number=after, limit=room)
                )
                for item in items:
                    await self._place(item)
                    self._loaded_to[urgency] = item.id
                if len(items) < LOADED_AT_ONCE:
                    break

    async def _place(self, item: Due) -> None:
        """Put a notification to the lane by which its recipient is reached now."""
        if is_no_call(item.channel, item.recipient, item.urgency):
            await self._unreachable(item, Unreachable(Reason.NO_CALL))
            return
        try:
            lane = self._recipients.reached(item.channel, item.recipient).lane
        except Unreachable as error:
            await self._unreachable(item, error)
            return
        work = self._work_of(lane)
        work.put(item, self._now())
        work.wake.set()

    async def _place_digest(self, digest: Digest) -> None:
        try:
            lane = self._recipients.reached(digest.channel, digest.recipient).lane
        except Unreachable as error:
            await self._digest_refused(digest, error.detail)
            return
        work = self._work_of(lane)
        work.put_digest(digest, await self._asked(lambda c: digests.members(c, digest.id)))
        work.wake.set()

    def _work_of(self, lane: Lane) -> LaneWork:
        work = self._lanes.get(lane.name)
        if work is None:
            work = self._lanes[lane.name] = LaneWork(lane)
        work.lane = lane  # the limit may be another by now
        return work

    def _drop(self, numbers: Iterable[int]) -> None:
        """Take out what was told otherwise; what is on its way just now goes on."""
        for number in numbers:
            for work in self._lanes.values():
                if work.take_out(number):
                    work.wake.set()
                    break

    def _tidy(self) -> None:
        """Forget lanes that nothing waits for, and what people heard long ago."""
        now = self._now()
        self._ears.forget(now)
        for name, work in list(self._lanes.items()):
            old = work.last_used is None or work.last_used < now - HEARD_WITHIN
            if old and not work.has_work and name not in self._served:
                del self._lanes[name]
                if name not in self._recipients.house:
                    self.health.works(name)

    # --- a lane ------------------------------------------------------------------------

    async def _serve(self, tasks: asyncio.TaskGroup, work: LaneWork) -> None:
        """Carry out one plan after another while there is anything to do."""
        while work.has_work:
            work.wake.clear()
            now = self._now()
            made = work.planned(self._ears.heard, now)
            for parcel in made.send[: max(0, AT_ONCE_MAX - work.on_the_way)]:
                work.start(parcel, now)
                self._ears.hears(parcel, now)
                tasks.create_task(self._carry(work, parcel, now))
            try:
                await self._spill(work, work.spilling(now))
                await self._write_why(work, made.held)
            except LedgerUnavailable as error:
                log.warning("outbox.unavailable", reason=str(error))
                await asyncio.sleep(LEDGER_RETRY_S)
            wait_s = IDLE_S
            if made.wake_at is not None:
                ahead_s = (made.wake_at - self._now()).total_seconds() / self._speed
                wait_s = min(max(ahead_s, 0.02), IDLE_S)
            await asyncio.sleep(len(made.held) * BREATH_S)
            if work.has_work:
                await _set_within(work.wake, wait_s)
        self._served.discard(work.lane.name)
        self.health.stuck_since.pop(work.lane.name, None)

    async def _write_why(self, work: LaneWork, held: dict[int, Reason]) -> None:
        """Write down why rows wait, where that is another reason than before."""
        news: dict[Reason, list[int]] = {}
        for number, reason in held.items():
            if work.reasons.get(number) != reason:
                news.setdefault(reason, []).append(number)
        for reason, numbers in news.items():
            await self._ledger.write(partial(outbox.hold, numbers=numbers, reason=reason))
            work.reasons.update(dict.fromkeys(numbers, reason))

    async def _carry(self, work: LaneWork, parcel: Parcel, at: datetime) -> None:
        """Send one message, and write down what became of it."""
        try:
            if parcel.digest is not None:
                arrived = await self._tell_digest(work, parcel.digest)
            elif len(parcel.items) > 1:
                arrived = await self._fold(work, parcel)
            else:
                arrived = await self._tell(work, parcel.items[0])
        finally:
            work.end(parcel)
        if not arrived:
            self._ears.has_not(parcel, at)
        if self._full:
            self._posted.set()

    # --- one alarm ---------------------------------------------------------------------

    async def _tell(self, work: LaneWork, item: Due) -> bool:
        try:
            reachable = self._recipients.reached(item.channel, item.recipient)
        except Unreachable as error:
            await self._unreachable(item, error)
            return False
        if reachable.lane.name != work.lane.name:  # the address is another by now
            await self._place(item)
            self._posted.set()
            return False
        if item.transition == Transition.RESOLVED:
            before = await self._asked(lambda c: outbox.before_the_end(c, item))
            if not before.told:
                await self._end_of_the_unheard(work, item, waits=before.waits)
                return False
        notice = self._words.notice(item, reachable.language)
        sent = await self._sent(work, item, reachable, notice)
        if isinstance(sent, str):
            self.health.told += 1
            told = await self._note(lambda c: outbox.mark_told(c, item, sent, self._now()))
            self._drop(told)
            return True
        if sent.permanent:
            await self._refused(item, sent.reason, Reason.REFUSED_FOR_GOOD)
            return False
        next_at = self._again_at(work, item, sent)
        if await self._note(lambda c: outbox.mark_retry(c, item, sent.reason, next_at)):
            work.put(replace(item, attempts=item.attempts + 1, next_at=next_at), self._now())
        return False

    async def _end_of_the_unheard(self, work: LaneWork, item: Due, *, waits: bool) -> None:
        if waits:
            now = self._now()
            work.put(replace(item, next_at=now + END_AFTER_BEGIN), now)
            return
        reason = Reason.NEVER_TOLD
        await self._note(lambda c: outbox.mark_skipped(c, item, reason, self._now()))

    async def _sent(
        self, work: LaneWork, item: Due | Digest, reachable: Reachable, notice: Notice
    ) -> str | DeliveryFailed:
        """Hand a message to its channel; return the receipt, or why there is none."""
        name = work.lane.name if item.recipient else item.channel
        try:
            receipt = await reachable.channel.send(notice)
        except DeliveryFailed as failure:
            found = failure
        except Exception as fault:  # ours: one channel's bug must not silence the others
            log.exception("channel.broken", channel=item.channel)
            reason = f"fault in the channel: {type(fault).__name__}"
            found = DeliveryFailed(reason, permanent=False)
        else:
            work.confirmed(self._now())
            self.health.works(name)
            return receipt
        self.health.tries_failed += 1
        self.health.failing[name] = found.reason
        if found.permanent:
            self.health.stuck_since.pop(name, None)
        else:
            self.health.stuck_since.setdefault(name, self._now())
        return found

    def _again_at(
        self, work: LaneWork, item: Due | Digest, failure: DeliveryFailed
    ) -> datetime:
        """Return when to try again what failed, and have the lane know of it."""
        jitter, now = random.random(), self._now()  # noqa: S311  (no secret)
        work.failed(now, failure.retry_after, jitter, self._speed)
        pause = outbox.retry_after(item.attempts, jitter)
        if item.urgency == FIRST:  # as soon as the lane itself is tried again
            pause = min(pause, PROBE_AFTER_MAX * (0.5 + jitter / 2))
        pause = max(pause, failure.retry_after or timedelta(0))
        log.warning(
            "alert.not_told", channel=item.channel, reason=failure.reason, again_in=str(pause)
        )
        return now + pause * self._speed

    # --- a digest ----------------------------------------------------------------------

    async def _fold(self, work: LaneWork, parcel: Parcel) -> bool:
        urgency = LATER if parcel.rank is Rank.REST else FIRST
        made = await self._note(lambda c: digests.fold(c, parcel.items, urgency, self._now()))
        return made is not None and await self._tell_digest(work, made)

    async def _tell_digest(self, work: LaneWork, digest: Digest) -> bool:
        if digest.attempts:
            self._drop(await self._note(lambda c: digests.join(c, digest)))
        items = await self._asked(lambda c: digests.members(c, digest.id))
        if not items:
            await self._note(lambda c: digests.mark_skipped_whole(c, digest))
            work.end_digest(digest.id)
            return False
        try:
            reachable = self._recipients.reached(digest.channel, digest.recipient)
        except Unreachable as error:
            work.end_digest(digest.id)
            await self._digest_refused(digest, error.detail)
            return False
        notice = self._words.digest(digest, items, reachable.language)
        sent = await self._sent(work, digest, reachable, notice)
        if isinstance(sent, str):
            work.end_digest(digest.id)
            self.health.told += len(items)
            self.health.digests += 1
            await self._note(lambda c: digests.mark_told(c, digest, sent, self._now()))
            self._to_close.append(digest.id)
            await self._close_digests()
            return True
        if sent.permanent:
            work.end_digest(digest.id)
            await self._digest_refused(digest, sent.reason)
            return False
        next_at = self._again_at(work, digest, sent)
        await self._note(lambda c: digests.mark_retry(c, digest, sent.reason, next_at))
        again = replace(digest, attempts=digest.attempts + 1, next_at=next_at)
        work.put_digest(again, items)
        return False

    async def _digest_refused(self, digest: Digest, detail: str) -> None:
        log.error("alert.never_told", channel=digest.channel, detail=detail)
        items = await self._asked(lambda c: digests.members(c, digest.id))
        self.health.given_up += len(items)
        await self._spill_all(items)
        await self._note(lambda c: digests.mark_failed(c, digest, detail))
        self._to_close.append(digest.id)
        await self._close_digests()

    async def _close_digests(self) -> None:
        """Close the rows of digests that ended, a few at a time: alarms go in between."""
        while self._to_close:
            number = self._to_close[0]
            skipped = await self._note(partial(digests.spread, number=number))
            if skipped is not None:
                self._drop(skipped)
            elif number in self._to_close:
                self._to_close.remove(number)

    # --- other ways --------------------------------------------------------------------

    async def _spill(self, work: LaneWork, found: Sequence[Due | Digest]) -> None:
        items: list[Due] = []
        for each in found:
            if isinstance(each, Due):
                items.append(each)
            else:
                items += await self._ledger.read(partial(digests.members, digest=each.id))
        await self._spill_all(items)
        work.spilled.update(spill_key(each) for each in found)

    async def _spill_all(self, items: Sequence[Due]) -> None:
        """Write notifications down for their recipients' next ways, if there are any."""
        others = [
            (item, names)
            for item in items
            if (names := self._recipients.others(item.channel, item.recipient, item.urgency))
        ]
        for start in range(0, len(others), SPILLED_AT_ONCE):
            some = others[start : start + SPILLED_AT_ONCE]
            written = await self._note(partial(_spilled, some=some, now=self._now()))
            self.health.spilled += written
            if written:
                self._posted.set()

    async def _unreachable(self, item: Due, error: Unreachable) -> None:
        await self._refused(item, error.detail, error.reason)

    async def _refused(self, item: Due, detail: str, reason: Reason) -> None:
        """Give up this way for good; the recipient may have another."""
        await self._spill_all([item])
        if reason is Reason.NO_CALL:
            await self._note(lambda c: outbox.mark_skipped(c, item, reason, self._now()))
            return
        self.health.given_up += 1
        log.error("alert.never_told", channel=item.channel, reason=reason, detail=detail)
        await self._note(lambda c: outbox.mark_failed(c, item, detail, self._now(), reason))

    async def _note(self, change: Callable[[sa.Connection], T]) -> T:
        """Write down what became of it, however long that takes.

        To go on without would be to tell the same again, every second that the disk is full.
        """
        return await _in_the_end(lambda: self._ledger.write(change))

    async def _asked(self, question: Callable[[sa.Connection], T]) -> T:
        return await _in_the_end(lambda: self._ledger.read(question))


async def _in_the_end(work: Callable[[], Awaitable[T]]) -> T:
    """Try until the ledger can be read and written again."""
    while True:
        try:
            return await work()
        except LedgerUnavailable as error:
            log.warning("outbox.unavailable", reason=str(error))
            await asyncio.sleep(LEDGER_RETRY_S)


def _spilled(
    connection: sa.Connection, some: Sequence[tuple[Due, Sequence[str]]], now: datetime
) -> int:
    written = [outbox.spill(connection, item, names, now) for item, names in some]
    return sum(each is not None for each in written)


async def _set_within(event: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return
