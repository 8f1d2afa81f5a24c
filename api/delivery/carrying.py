"""Sending one message, and writing down what became of it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import sqlalchemy as sa
import structlog
from msgspec.structs import replace

from api.channels import DeliveryFailed, Notice
from api.delivery.books import Books
from api.delivery.health import DeliveryHealth
from api.delivery.lanework import PROBE_AFTER_MAX, LaneWork, spill_key
from api.delivery.plans import Parcel, Rank
from api.delivery.recipients import Reachable, Recipients, Unreachable
from api.delivery.worklist import Worklist
from ingest.clock import Now
from ingest.ledger import digests, outbox
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, LATER, Due, Reason
from rules.alerts import Transition

SPILLED_AT_ONCE = 50
END_AFTER_BEGIN = timedelta(seconds=30)
"""How soon an end is looked at again whose beginning still waits on another way."""

log = structlog.get_logger()


class Words(Protocol):
    """Puts notifications into words of a language."""

    def notice(self, item: Due, language: str) -> Notice: ...

    def digest(self, digest: Digest, items: Sequence[Due], language: str) -> Notice: ...


class Carrier:
    """Whoever takes messages to channels; `health` is told how that goes."""

    def __init__(  # noqa: PLR0913  (it stands between all of these)
        self,
        books: Books,
        worklist: Worklist,
        recipients: Recipients,
        words: Words,
        health: DeliveryHealth,
        *,
        now: Now,
        speed: float,
    ) -> None:
        self._books, self._worklist = books, worklist
        self._recipients, self._words, self._health = recipients, words, health
        self._now, self._speed = now, speed
        self.to_close: list[int] = []
        """Digests that ended, and whose rows are not all closed yet."""

    async def place(self, item: Due) -> None:
        """Put a notification to its lane, or write down why that cannot be."""
        try:
            self._worklist.place(item)
        except Unreachable as error:
            await self.unreachable(item, error)

    async def place_digest(self, digest: Digest) -> None:
        items = await self._books.asked(lambda c: digests.members(c, digest.id))
        try:
            self._worklist.place_digest(digest, items)
        except Unreachable as error:
            await self.digest_refused(digest, error.detail)

    async def carry(self, work: LaneWork, parcel: Parcel, at: datetime) -> None:
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
            self._worklist.ears.has_not(parcel, at)
        if self._worklist.is_full:
            self._worklist.posted.set()

    # --- one alarm ---------------------------------------------------------------------

    async def _tell(self, work: LaneWork, item: Due) -> bool:
        try:
            reachable = self._recipients.reached(item.channel, item.recipient)
        except Unreachable as error:
            await self.unreachable(item, error)
            return False
        if reachable.lane.name != work.lane.name:  # the address is another by now
            await self.place(item)
            self._worklist.posted.set()
            return False
        if item.transition == Transition.RESOLVED:
            before = await self._books.asked(lambda c: outbox.before_the_end(c, item))
            if not before.told:
                await self._end_of_the_unheard(work, item, waits=before.waits)
                return False
        notice = self._words.notice(item, reachable.language)
        sent = await self._sent(work, item, reachable, notice)
        if isinstance(sent, str):
            self._health.told += 1
            told = await self._books.note(
                lambda c: outbox.mark_told(c, item, sent, self._now())
            )
            self._worklist.drop(told)
            return True
        if sent.permanent:
            await self._refused(item, sent.reason, Reason.REFUSED_FOR_GOOD)
            return False
        next_at = self._again_at(work, item, sent)
        if await self._books.note(lambda c: outbox.mark_retry(c, item, sent.reason, next_at)):
            work.put(replace(item, attempts=item.attempts + 1, next_at=next_at), self._now())
        return False

    async def _end_of_the_unheard(self, work: LaneWork, item: Due, *, waits: bool) -> None:
        if waits:
            now = self._now()
            work.put(replace(item, next_at=now + END_AFTER_BEGIN), now)
            return
        reason = Reason.NEVER_TOLD
        await self._books.note(lambda c: outbox.mark_skipped(c, item, reason, self._now()))

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
            self._health.works(name)
            return receipt
        self._health.tries_failed += 1
        self._health.failing[name] = found.reason
        if found.permanent:
            self._health.stuck_since.pop(name, None)
        else:
            self._health.stuck_since.setdefault(name, self._now())
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
        made = await self._books.note(
            lambda c: digests.fold(c, parcel.items, urgency, self._now())
        )
        return made is not None and await self._tell_digest(work, made)

    async def _tell_digest(self, work: LaneWork, digest: Digest) -> bool:
        if digest.attempts:
            self._worklist.drop(await self._books.note(lambda c: digests.join(c, digest)))
        items = await self._books.asked(lambda c: digests.members(c, digest.id))
        if not items:
            await self._books.note(lambda c: digests.mark_skipped_whole(c, digest))
            work.end_digest(digest.id)
            return False
        try:
            reachable = self._recipients.reached(digest.channel, digest.recipient)
        except Unreachable as error:
            work.end_digest(digest.id)
            await self.digest_refused(digest, error.detail)
            return False
        notice = self._words.digest(digest, items, reachable.language)
        sent = await self._sent(work, digest, reachable, notice)
        if isinstance(sent, str):
            work.end_digest(digest.id)
            self._health.told += len(items)
            self._health.digests += 1
            await self._books.note(lambda c: digests.mark_told(c, digest, sent, self._now()))
            self.to_close.append(digest.id)
            await self.close_digests()
            return True
        if sent.permanent:
            work.end_digest(digest.id)
            await self.digest_refused(digest, sent.reason)
            return False
        next_at = self._again_at(work, digest, sent)
        await self._books.note(lambda c: digests.mark_retry(c, digest, sent.reason, next_at))
        again = replace(digest, attempts=digest.attempts + 1, next_at=next_at)
        work.put_digest(again, items)
        return False

    async def digest_refused(self, digest: Digest, detail: str) -> None:
        log.error("alert.never_told", channel=digest.channel, detail=detail)
        items = await self._books.asked(lambda c: digests.members(c, digest.id))
        self._health.given_up += len(items)
        await self._spill_all(items)
        await self._books.note(lambda c: digests.mark_failed(c, digest, detail))
        self.to_close.append(digest.id)
        await self.close_digests()

    async def close_digests(self) -> None:
        """Close the rows of digests that ended, a few at a time: alarms go in between."""
        while self.to_close:
            number = self.to_close[0]
            skipped = await self._books.note(partial(digests.spread, number=number))
            if skipped is not None:
                self._worklist.drop(skipped)
            elif number in self.to_close:
                self.to_close.remove(number)

    # --- other ways --------------------------------------------------------------------

    async def spill(self, work: LaneWork, found: Sequence[Due | Digest]) -> None:
        items: list[Due] = []
        for each in found:
            if isinstance(each, Due):
                items.append(each)
            else:
                items += await self._books.asked(partial(digests.members, digest=each.id))
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
            written = await self._books.note(partial(_spilled, some=some, now=self._now()))
            self._health.spilled += written
            if written:
                self._worklist.posted.set()

    async def unreachable(self, item: Due, error: Unreachable) -> None:
        await self._refused(item, error.detail, error.reason)

    async def _refused(self, item: Due, detail: str, reason: Reason) -> None:
        """Give up this way for good; the recipient may have another."""
        await self._spill_all([item])
        if reason is Reason.NO_CALL:
            await self._books.note(lambda c: outbox.mark_skipped(c, item, reason, self._now()))
            return
        self._health.given_up += 1
        log.error("alert.never_told", channel=item.channel, reason=reason, detail=detail)
        await self._books.note(
            lambda c: outbox.mark_failed(c, item, detail, self._now(), reason)
        )


def _spilled(
    connection: sa.Connection, some: Sequence[tuple[Due, Sequence[str]]], now: datetime
) -> int:
    written = [outbox.spill(connection, item, names, now) for item, names in some]
    return sum(each is not None for each in written)
