"""Telling people: takes what is due from the outbox and hands it to its channel.

Each notification was written down together with the decision, so a crash between deciding
and telling loses nothing. It is told at least once: a crash between telling and noting that
it was told repeats it, with the same idempotency key.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
import structlog

from api.channels import Channel, DeliveryFailed, Notice
from ingest.clock import Now
from ingest.ledger import outbox
from ingest.ledger.outbox import Due, Reason
from ingest.ledger.store import Ledger, LedgerUnavailable
from rules.alerts import State

AT_ONCE_MAX = 16
"""Notifications of one channel that are on their way at the same time."""
IDLE_S = 5.0
LEDGER_RETRY_S = 1.0

log = structlog.get_logger()

Compose = Callable[[Due], Notice]
"""Puts a notification into words."""


class DeliveryHealth(msgspec.Struct):
    told: int = 0
    tries_failed: int = 0
    given_up: int = 0
    failing: dict[str, str] = {}
    """Channels whose last try failed, and why."""
    stuck_since: dict[str, datetime] = {}
    """Channels that are tried again and again, and since when."""


class Delivery:
    """The outbox's workers, one for each channel: a slow one keeps no other waiting."""

    def __init__(
        self,
        ledger: Ledger,
        channels: Iterable[Channel],
        compose: Compose,
        now: Now,
        speed: float,
    ) -> None:
        self.health = DeliveryHealth()
        self._ledger, self._compose = ledger, compose
        self._channels = {channel.name: channel for channel in channels}
        self._posted = {name: asyncio.Event() for name in self._channels}
        self._now, self._speed = now, speed

    def post(self) -> None:
        """Be told that there is something new in the outbox."""
        for posted in self._posted.values():
            posted.set()

    async def run(self) -> None:
        """Tell what is due, for ever."""
        await self._note(
            lambda connection: outbox.give_up_on_others(
                connection, tuple(self._channels), self._now()
            )
        )
        async with asyncio.TaskGroup() as tasks:
            for channel in self._channels.values():
                tasks.create_task(self._serve(channel), name=f"tell {channel.name}")

    async def _serve(self, channel: Channel) -> None:
        while True:
            self._posted[channel.name].clear()
            try:
                due = await self._ledger.read(
                    lambda connection: outbox.due(
                        connection, channel.name, self._now(), AT_ONCE_MAX
                    )
                )
                if due:
                    await asyncio.gather(*(self._tell(channel, item) for item in due))
                else:
                    await self._sleep(channel)
            except LedgerUnavailable as error:
                log.warning("outbox.unavailable", reason=str(error))
                await asyncio.sleep(LEDGER_RETRY_S)

    async def _tell(self, channel: Channel, item: Due) -> None:
        """Send one notification, and write down what became of it."""
        if item.transition == State.RESOLVED and not await self._ledger.read(
            lambda connection: outbox.was_told(connection, item.episode, item.channel)
        ):
            await self._note(
                lambda connection: outbox.mark_skipped(
                    connection, item, Reason.NEVER_TOLD, self._now()
                )
            )
            return
        try:
            receipt = await channel.send(self._compose(item))
        except DeliveryFailed as failure:
            await self._failed(item, failure)
            return
        except Exception as fault:  # ours: one channel's bug must not silence the others
            log.exception("channel.broken", channel=item.channel)
            reason = f"fault in the channel: {type(fault).__name__}"
            await self._failed(item, DeliveryFailed(reason, permanent=False))
            return
        self.health.told += 1
        self.health.failing.pop(item.channel, None)
        self.health.stuck_since.pop(item.channel, None)
        await self._note(
            lambda connection: outbox.mark_told(connection, item, receipt, self._now())
        )

    async def _failed(self, item: Due, failure: DeliveryFailed) -> None:
        self.health.tries_failed += 1
        self.health.failing[item.channel] = failure.reason
        if failure.permanent:
            self.health.stuck_since.pop(item.channel, None)
            await self._give_up(item, failure.reason, Reason.REFUSED_FOR_GOOD)
            return
        self.health.stuck_since.setdefault(item.channel, self._now())
        jitter = random.random()  # noqa: S311  (no secret)
        pause = max(
            outbox.retry_after(item.attempts, jitter), failure.retry_after or timedelta(0)
        )
        log.warning(
            "alert.not_told", channel=item.channel, reason=failure.reason, again_in=str(pause)
        )
        next_at = self._now() + pause * self._speed
        await self._note(
            lambda connection: outbox.mark_retry(connection, item, failure.reason, next_at)
        )

    async def _give_up(self, item: Due, detail: str, reason: Reason) -> None:
        self.health.given_up += 1
        log.error("alert.never_told", channel=item.channel, reason=reason, detail=detail)
        await self._note(
            lambda connection: outbox.mark_failed(connection, item, detail, self._now(), reason)
        )

    async def _note(self, change: Callable[[sa.Connection], None]) -> None:
        """Write down what became of it, however long that takes.

        To go on without would be to tell the same again, every second that the disk is full.
        """
        while True:
            try:
                await self._ledger.write(change)
            except LedgerUnavailable as error:
                log.warning("outbox.unavailable", reason=str(error))
                await asyncio.sleep(LEDGER_RETRY_S)
            else:
                return

    async def _sleep(self, channel: Channel) -> None:
        next_at = await self._ledger.read(
            lambda connection: outbox.next_due_at(connection, channel.name)
        )
        wait_s = IDLE_S
        if next_at is not None:
            ahead_s = (next_at - self._now()).total_seconds() / self._speed
            wait_s = min(max(ahead_s, 0.05), IDLE_S)
        try:
            async with asyncio.timeout(wait_s):
                await self._posted[channel.name].wait()
        except TimeoutError:
            return
