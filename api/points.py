"""Everything that goes to InfluxDB besides the readings: facts, samples, rollups.

It has a client of its own, so that it waits for no readings, and they for nothing here.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from api.fact_words import fact_words
from api.health import Health
from api.metrics import Metrics
from api.sampler import Sampler
from api.sampling import Scene, Shape
from ingest import facts, rolling_up
from ingest.clock import Now
from ingest.errors import ChargewatchError
from ingest.facts import FactsFollower
from ingest.following import followed
from ingest.history import HistoryUnavailable
from ingest.history_writer import ENTRIES_MAX, HistoryHealth
from ingest.influx_client import InfluxAddress, InfluxClient, open_client
from ingest.influx_writing import Losses
from ingest.ledger.commit import Commit
from ingest.ledger.facts import Facts, facts_after
from ingest.ledger.outbox import waiting
from ingest.ledger.store import Ledger, LedgerUnavailable
from ingest.registry import Registry
from ingest.rolling_up import RollUps, plans_of
from rules.alerts import State
from rules.engine import Engine
from rules.schedule import Calendar, Schedule

DELAYS_OF = timedelta(hours=1)
PASSING: tuple[type[ChargewatchError], ...] = (HistoryUnavailable, LedgerUnavailable)

log = structlog.get_logger()


class Points:
    """Writes them for as long as `run` runs."""

    def __init__(  # noqa: PLR0913  (the wiring names each of them)
        self,
        address: InfluxAddress | None,
        *,
        losses: Losses,
        ledger: Ledger,
        registry: Registry,
        engine: Engine,
        metrics: Metrics,
        health: Health,
        keep: timedelta,
        now: Now,
        speed: float,
    ) -> None:
        """`address` is None where there is no InfluxDB: then nothing is done.

        `keep` is for how long there are readings; `speed` is how fast `now` runs.
        """
        self._address, self._losses, self._ledger = address, losses, ledger
        self._registry, self._engine = registry, engine
        self._metrics, self._health = metrics, health
        self._keep, self._now, self._speed = keep, now, speed
        self._calendar = Calendar()
        self._wake = asyncio.Event()

    def committed(self, batch: Commit) -> None:
        """Be told what is on disk: facts are carried at once, or within a minute."""
        if batch.changes or batch.acknowledged or batch.sessions or batch.log:
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled, through any trouble with InfluxDB or the ledger."""
        if self._address is None:
            return
        async with (
            open_client(self._address, self._losses) as client,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._carry_facts(client), name="facts")
            tasks.create_task(self._roll_up(client), name="rollups")
            tasks.create_task(self._sampler(client).run(), name="samples")

    async def _carry_facts(self, client: InfluxClient) -> None:
        words = fact_words(self._registry.sites)
        follower = FactsFollower(self._facts_after, client, words, self._schedule_of)
        await followed(
            follower.catch_up,
            self._wake,
            look_again=facts.LOOK_AGAIN,
            now=self._now,
            tell=self._teller("facts"),
            passing=PASSING,
        )

    async def _roll_up(self, client: InfluxClient) -> None:
        rollups = RollUps(
            client,
            lambda: plans_of(self._registry),
            now=self._now,
            keep=self._keep,
            ready=self._readings_are_there,
        )
        await followed(
            rollups.catch_up,
            asyncio.Event(),
            look_again=rolling_up.LOOK_AGAIN / self._speed,
            now=self._now,
            tell=self._teller("rollups"),
        )

    def _sampler(self, client: InfluxClient) -> Sampler:
        return Sampler(
            client,
            scene=lambda at: Scene(self._registry, self._engine, self._calendar, at),
            counts=self._metrics.counts,
            shape=self._shape,
            dropped=self._metrics.sample_dropped,
            now=self._now,
            speed=self._speed,
        )

    async def _facts_after(self, event: int, session: int, limit: int) -> Facts:
        return await self._ledger.read(lambda c: facts_after(c, event, session, limit))

    def _schedule_of(self, site: str) -> Schedule:
        known = self._registry.sites.get(site)
        return known.schedule if known else Schedule.nightly()

    def _readings_are_there(self) -> bool:
        """Say whether the history lacks no more than what is just on its way."""
        history = self._health.history
        if history is None or history.behind is None:
            return False
        return history.ok and history.behind < ENTRIES_MAX

    async def _shape(self, now: datetime) -> Shape:
        ok = {part.name: part.ok for part in self._health.parts()}
        history = self._health.history
        try:
            outbox = await self._ledger.read(waiting)
        except LedgerUnavailable:
            outbox = None
        alerts = self._engine.open_alerts()
        return Shape(
            lag=None if history is None else history.behind,
            delays_s=self._metrics.delays_since(now - DELAYS_OF),
            outbox=outbox,
            broker_ok=ok["broker"],
            ledger_ok=ok["ledger"],
            history_ok=ok["history"],
            open_alerts=sum(alert.state is State.FIRING for alert in alerts),
            memory_mib=_resident_mib(),
        )

    def _teller(self, name: str) -> Callable[[HistoryHealth], None]:
        def tell(health: HistoryHealth) -> None:
            self._health.follower_is(name, health)
            if not health.ok:
                log.warning("points.unwell", which=name, reason=health.reason)

        return tell


def _resident_mib() -> float | None:
    """Return how much memory this process holds; None where the system does not say."""
    try:
        pages: Sequence[str] = Path("/proc/self/statm").read_text("ascii").split()
        return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return None
