"""The data path. Everything that happens to a message happens in `run`, in this order.

One task owns the engine, so there are no locks. While one batch is on its way to the disk
the next is already being judged; its commit waits for the first, and no message is
acknowledged before its own. Whoever else wants something of the engine leaves an order on the
desk, with which the next batch begins. If the ledger cannot be written, nothing is acknowledged
or answered, the broker stops sending at the receive maximum, and the batch is tried again until
it is kept.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from ingest.clock import Now
from ingest.desk import Desk, HandedIn
from ingest.intake import Intake
from ingest.ledger.commit import Commit
from ingest.ledger.store import Ledger, LedgerUnavailable
from ingest.mqtt import Link, Received
from rules.engine import Engine
from rules.self_health import SelfHealth

BATCH_MAX = 1_000
"""Messages judged at a time, about 30 ms: what an alarm waits for at most."""
LEDGER_RETRY_S = 1.0
FINISH_S = 3.0
"""How long a commit may take at the end; the broker still has what it does not see."""
LAG_STEP = timedelta(seconds=1)
"""How finely a lag is told: what is below is no news, with each batch."""
HEARTBEAT_S = 10.0
"""How exactly a restart knows since when nobody listened."""

log = structlog.get_logger()


class PipelineHealth(msgspec.Struct):
    """How the data path is doing, for `ready` and the metrics."""

    ledger_ok: bool = True
    ledger_reason: str = ""
    since: datetime | None = None
    batches: int = 0
    committing: int = 0
    """Messages judged and not yet on disk."""


class Pipeline:
    """Wires links, desk, intake and ledger together; `run` is the service's heart."""

    def __init__(  # noqa: PLR0913  (it is where everything meets)
        self,
        *,
        links: Sequence[Link],
        wake: asyncio.Event,
        desk: Desk,
        intake: Intake,
        engine: Engine,
        ledger: Ledger,
        now: Now,
        speed: float,
        committed: Callable[[Commit], None],
        own_health: Callable[[], SelfHealth] = SelfHealth,
    ) -> None:
        """`links` in order of urgency; `speed` is how fast `now` runs, 1 for real time.

        `wake` is set when a link or the desk has something.
        `own_health` tells how the rest of the service is doing.
        """
        self.health = PipelineHealth()
        self._links, self._wake, self._desk = tuple(links), wake, desk
        self._intake, self._engine, self._ledger = intake, engine, ledger
        self._now, self._speed, self._committed = now, speed, committed
        self._own_health = own_health
        self._ledger_away = timedelta(0)
        self._storing: asyncio.Task[None] | None = None
        self._hearing = False

    async def run(self) -> None:
        """Take, judge, keep, acknowledge, answer, until cancelled.

        What is begun by then is finished; who still waits for an answer is cancelled too.
        """
        try:
            while True:
                taken = await self._next_batch()
                self._notice_hearing()
                self._notice_health(taken)
                orders = self._desk.take()
                messages = [each.message for each in taken]
                batch = self._intake.digest(messages, self._now(), orders)
                batch.hearing = self._hearing
                if self._storing is not None:
                    await asyncio.shield(self._storing)
                keeping = self._keep(batch, taken, orders)
                self._storing = asyncio.create_task(keeping, name="keep")
        finally:
            if self._storing is not None:
                await asyncio.wait({self._storing}, timeout=FINISH_S)
                self._storing.cancel()
            self._desk.close()

    async def _next_batch(self) -> list[Received]:
        """Wait for messages, orders or the engine's next deadline; return the messages."""
        while not ((taken := self._taken()) or self._desk.waits):
            self._wake.clear()
            if self._storing is not None and self._storing.done():
                await self._storing  # raises what must not be overlooked
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._wake.wait()
            except TimeoutError:
                return []
            if self._can_hear() is not self._hearing:
                return []
        return taken

    def _taken(self) -> list[Received]:
        """Return messages of the most urgent link that has any, so that smoke never queues."""
        for link in self._links:
            if taken := link.take(BATCH_MAX):
                return taken
        return []

    def _wait_s(self) -> float:
        deadline = self._intake.next_deadline()
        if deadline is None:
            return HEARTBEAT_S
        wait_s = (deadline - self._now()).total_seconds() / self._speed
        return min(max(wait_s, 0.0), HEARTBEAT_S)

    def _can_hear(self) -> bool:
        return all(link.connected for link in self._links)

    def _notice_hearing(self) -> None:
        """Tell the engine when nothing can be heard: then silence means nothing."""
        self._hearing = self._can_hear()
        if self._hearing:
            self._engine.sighted(self._now())
        else:
            self._engine.blind(self._now())

    def _notice_health(self, taken: Sequence[Received]) -> None:
        """Tell the engine how we are; a wait is counted in real time, at any speed."""
        now, lag = self._now(), timedelta(0)
        if taken:
            lag = (now - min(each.message.received_at for each in taken)) / self._speed
        health = replace(
            self._own_health(),
            lag=timedelta(seconds=max(0, lag // LAG_STEP)),
            ledger_away=self._ledger_away / self._speed,
        )
        self._ledger_away = timedelta(0)
        self._engine.note_health(health, now)

    async def _keep(
        self,
        batch: Commit,
        taken: Sequence[Received],
        orders: Sequence[HandedIn[Any]],
    ) -> None:
        """Commit until it is committed, acknowledge, pass the word on, and answer."""
        if batch.hearing or not batch.is_empty:
            await self._commit(batch, taken)
        # else no heartbeat: until it hears again, the service is as good as away
        for order in orders:
            order.answer()

    async def _commit(self, batch: Commit, taken: Sequence[Received]) -> None:
        self.health.committing = len(taken)
        while True:
            try:
                await self._ledger.commit(batch)
                break
            except LedgerUnavailable as error:
                self._unwell(str(error))
                await asyncio.sleep(LEDGER_RETRY_S)
        if not self.health.ledger_ok and self.health.since is not None:
            self._ledger_away = self._now() - self.health.since
        self.health.ledger_ok, self.health.ledger_reason = True, ""
        self.health.batches += 1
        self.health.committing = 0
        for link in self._links:
            link.acknowledge(taken)
        self._committed(batch)

    def _unwell(self, reason: str) -> None:
        if self.health.ledger_ok:
            self.health.since = self._now()
            log.error("ledger.unavailable", reason=reason)
        self.health.ledger_ok, self.health.ledger_reason = False, reason
