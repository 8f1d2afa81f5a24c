"""Carrying out the plans: what is read and written, sent and waited for."""

import asyncio
from datetime import datetime
from functools import partial

import structlog

from api.channels.lanes import Lane
from api.delivery.books import LEDGER_RETRY_S, Books
from api.delivery.carrying import Carrier, Words
from api.delivery.health import DeliveryHealth
from api.delivery.lanework import LaneHealth, LaneWork
from api.delivery.plans import HEARD_WITHIN, MINUTE, RESERVE_PART
from api.delivery.recipients import Recipients, Unreachable
from api.delivery.worklist import Worklist
from ingest.clock import Now
from ingest.ledger import digests, outbox
from ingest.ledger.doubts import Doubt, in_doubt
from ingest.ledger.outbox import FIRST, URGENCIES, Reason, Told
from ingest.ledger.store import Ledger, LedgerUnavailable

AT_ONCE_MAX = 16
"""Messages of one lane that are on their way at the same time."""
IDLE_S = 5.0
"""How soon a clock that was set is noticed, by a lane for which something waits."""
LOOK_AGAIN_S = 60.0
BREATH_S = 50e-6
"""The pause between two plans, for each row held back: a plan takes a fifth of that."""
LOADED_AT_ONCE = 2_000

log = structlog.get_logger()


class Delivery:
    """The outbox's workers: one for each lane for which something waits."""

    def __init__(
        self, ledger: Ledger, recipients: Recipients, words: Words, now: Now, speed: float
    ) -> None:
        self.health = DeliveryHealth()
        self._ledger, self._recipients = ledger, recipients
        self._now, self._speed, self._began = now, speed, now()
        self._books, self._worklist = Books(ledger), Worklist(recipients, now)
        self._carrier = Carrier(
            self._books,
            self._worklist,
            recipients,
            words,
            self.health,
            now=now,
            speed=speed,
        )
        self._served: set[str] = set()
        self._loaded_to = dict.fromkeys(URGENCIES, 0)

    def post(self) -> None:
        """Be told that there is something new in the outbox, or that the clock was set."""
        self._worklist.wake_all()

    def lanes(self) -> dict[str, LaneHealth]:
        """Return how each lane does for which something waits, or that was used of late."""
        now = self._now()
        return {name: work.health(now) for name, work in self._worklist.lanes.items()}

    def let_pass(self, lane: Lane) -> bool:
        """Say whether a lane may send a message that is no alarm now, and count it if so.

        Not while danger waits there, nor out of what is kept for danger.
        """
        now, work = self._now(), self._worklist.work_of(lane)
        left = work.health(now).budget_left
        reserve = max(1, (lane.per_minute or 0) // RESERVE_PART)
        if work.loaded(FIRST) or (left is not None and left <= reserve):
            return False
        work.asked(now)
        return True

    async def run(self) -> None:
        """Tell what is due, for ever."""
        await self._take_up()
        posted = self._worklist.posted
        async with asyncio.TaskGroup() as tasks:
            while True:
                posted.clear()
                try:
                    await self._load()
                except LedgerUnavailable as error:
                    log.warning("outbox.unavailable", reason=str(error))
                    await asyncio.sleep(LEDGER_RETRY_S)
                    continue
                for name, work in self._worklist.lanes.items():
                    if work.has_work and name not in self._served:
                        self._served.add(name)
                        tasks.create_task(self._serve(tasks, work), name=f"tell {name}")
                await _set_within(posted, LOOK_AGAIN_S)
                for name in self._worklist.forget(self._served):
                    if name not in self._recipients.house:
                        self.health.works(name)

    # --- what waits --------------------------------------------------------------------

    async def _take_up(self) -> None:
        """Go on where the last process stopped: what was sent of late counts for budgets."""
        house, since = self._recipients.house, self._now() - HEARD_WITHIN
        await self._books.note(lambda c: outbox.give_up_on_others(c, house, self._now()))
        told = await self._books.asked(
            lambda c: [*outbox.told_since(c, since), *digests.told_since(c, since)]
        )
        for each in sorted(told, key=lambda each: each.at):
            self._remember(each)
        began, minute_ago = self._began, self._now() - MINUTE
        for doubt in await self._books.asked(lambda c: in_doubt(c, minute_ago, began)):
            self._suspect(doubt)
        self._carrier.to_close = await self._books.asked(digests.half_spread)
        for digest in await self._books.asked(digests.waiting_digests):
            await self._carrier.place_digest(digest)
        await self._carrier.close_digests()

    def _remember(self, told: Told) -> None:
        self._worklist.ears.remember(told)
        if told.at > self._now() - MINUTE:
            try:
                lane = self._recipients.reached(told.channel, told.recipient).lane
            except Unreachable:
                return
            self._worklist.work_of(lane).asked(told.at)

    def _suspect(self, doubt: Doubt) -> None:
        """Count what the last process may have sent without living to write it down.

        A provider that is asked more than it takes may be deaf for minutes, to fires too.
        """
        try:
            lane = self._recipients.reached(doubt.channel, doubt.recipient).lane
        except Unreachable:
            return
        work = self._worklist.work_of(lane)
        work.is_doubtful = work.is_doubtful or doubt.failed
        for _ in range(min(doubt.messages, AT_ONCE_MAX - work.in_doubt)):
            work.asked(self._now())
            work.in_doubt += 1

    async def _load(self) -> None:
        """Take up what was written since the last time, danger first."""
        self._worklist.is_full = False
        for urgency in URGENCIES:
            while limit := min(LOADED_AT_ONCE, self._worklist.room(urgency)):
                after = self._loaded_to[urgency]
                items = await self._ledger.read(
                    partial(outbox.waiting_after, urgency=urgency, number=after, limit=limit)
                )
                for item in items:
                    await self._carrier.place(item)
                    self._loaded_to[urgency] = item.id
                if len(items) < limit:
                    break

    # --- a lane ------------------------------------------------------------------------

    async def _serve(self, tasks: asyncio.TaskGroup, work: LaneWork) -> None:
        """Carry out one plan after another while there is anything to do."""
        while work.has_work:
            work.wake.clear()
            now = self._now()
            made = work.planned(self._worklist.ears.heard, now)
            for parcel in made.send[: max(0, AT_ONCE_MAX - work.on_the_way)]:
                work.start(parcel, now)
                self._worklist.ears.hears(parcel, now)
                tasks.create_task(self._carrier.carry(work, parcel, now))
            try:
                await self._carrier.spill(work, work.spilling(now))
                await self._write_why(work, made.held)
            except LedgerUnavailable as error:
                log.warning("outbox.unavailable", reason=str(error))
                await asyncio.sleep(LEDGER_RETRY_S)
            await asyncio.sleep(len(made.held) * BREATH_S)
            if work.has_work:
                await _set_within(work.wake, self._real_s_until(made.wake_at))
        self._served.discard(work.lane.name)
        self.health.stuck_since.pop(work.lane.name, None)

    def _real_s_until(self, at: datetime | None) -> float:
        if at is None:
            return IDLE_S
        ahead_s = (at - self._now()).total_seconds() / self._speed
        return min(max(ahead_s, 0.02), IDLE_S)

    async def _write_why(self, work: LaneWork, held: dict[int, Reason]) -> None:
        """Write down why rows wait, where that is another reason than before."""
        news: dict[Reason, list[int]] = {}
        for number, reason in held.items():
            if work.reasons.get(number) != reason:
                news.setdefault(reason, []).append(number)
        for reason, numbers in news.items():
            await self._ledger.write(partial(outbox.hold, numbers=numbers, reason=reason))
            work.reasons.update(dict.fromkeys(numbers, reason))


async def _set_within(event: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return
