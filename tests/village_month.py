"""A month of a village in a real InfluxDB: readings, facts, samples and rollups.

    village_month.fill(influx)

takes some 15 seconds and writes two sites, 30 days from 1 October 2026 (of Shanghai) on, to
the database `chargewatch`, which it makes if it is not there. Everything goes through what the
service uses: the simulator's devices, codecs, engine, ledger, the carrier of facts, samples and
rollups; only the clock is ours. `influx` is what tests/influx.py yields.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from api.backtest.places import declare
from api.fact_words import fact_words
from api.sampling import Counts, Scene, Shape, service_line
from ingest.codecs import all_codecs
from ingest.facts import FactsFollower
from ingest.influx_client import InfluxAddress, InfluxClient
from ingest.influx_lines import reading_lines
from ingest.intake import Intake
from ingest.journal import Entry, packed
from ingest.ledger.commit import Acknowledged, Commit
from ingest.ledger.facts import Facts, facts_after
from ingest.ledger.store import Ledger, open_ledger
from ingest.measurements import Kept
from ingest.registry import Registry
from ingest.replay import Seen
from ingest.rolling_up import RollUps, plans_of
from ingest.wire import Message
from rules.alerts import Change, Transition
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.schedule import Calendar
from simulator.batteries import LEAD_ACID_48V, LEAD_ACID_72V
from simulator.charging import charge, joined
from simulator.pile_plans import PilePlan
from simulator.player import Player
from simulator.quiet_month import quiet_month
from simulator.smoke_sensors import SensorPlan, Smoke
from simulator.sockets import Use
from simulator.village import POLICY_TOML, Village, sites_toml

FIRST, DAYS, SITES, SEED = date(2026, 10, 1), 30, 2, 23
BEGINS = datetime(2026, 9, 30, 16, tzinfo=UTC)
"""Midnight in Shanghai."""
ENDS = BEGINS + timedelta(days=DAYS)
BEAT = timedelta(minutes=7)
SOCKETS = SPECIAL = 5
"""The last socket of each pile is used by nobody but those who do something wrong."""
COMMIT_EVERY = timedelta(hours=12)

SITE_BEAT, DEVICE_BEAT, SERVICE_BEAT = (
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(minutes=30),
)
SEEN_AFTER = timedelta(minutes=6)
"""When somebody acknowledges an alert; of three, one is left alone."""


class Influx(Protocol):
    """A server of tests/influx.py."""

    url: str
    token: str
    org: str

    def query(self, statement: str, database: str = ...) -> object: ...


class Away(NamedTuple):
    """A device whose messages do not come through for a while."""

    device: str
    since: datetime
    until: datetime


def at(day: int, hour: float) -> datetime:
    """Return an hour of the site's clock on the n-th day, from 1."""
    return BEGINS + timedelta(days=day - 1, hours=hour)


def village() -> Village:
    """Return a quiet month with some things going wrong in it."""
    quiet = quiet_month(SEED, FIRST, DAYS, SITES)
    return msgspec.structs.replace(
        quiet,
        piles=tuple(_pile(number, plan) for number, plan in enumerate(quiet.piles)),
        sensors=tuple(_sensor(number, plan) for number, plan in enumerate(quiet.sensors)),
    )


def _pile(number: int, plan: PilePlan) -> PilePlan:
    uses = [use for use in plan.uses if use.channel < SPECIAL]
    for day in range(3 + number, DAYS, 7):  # a second charger joins on an adapter
        curve = joined(charge(LEAD_ACID_48V, 0.3), timedelta(minutes=40), extra_w=1060)
        uses.append(Use(SPECIAL, at(day, 18), at(day, 18.9), curve))
    uses += [  # somebody goes on charging after closing time
        Use(SPECIAL, at(day, 20), at(day, 25.5), charge(LEAD_ACID_72V, 0.1))
        for day in range(5 + number, DAYS, 6)
    ]
    return msgspec.structs.replace(plan, uses=tuple(uses), sockets=SOCKETS, beat=BEAT)


def _sensor(number: int, plan: SensorPlan) -> SensorPlan:
    beat = timedelta(hours=6)
    if number == 0:
        smokes = tuple(Smoke(at(day, 14.5), at(day, 14.8)) for day in (8, 22))
        return msgspec.structs.replace(plan, smokes=smokes, beat=beat)
    return msgspec.structs.replace(plan, battery_pct=16.0, battery_falls_pct=0.5, beat=beat)


def absences(of: Village) -> tuple[Away, ...]:
    """Return who cannot be heard, and when."""
    first, *_, last = (pile.id for pile in of.piles)
    return (
        Away(first, at(6, 9), at(6, 11.5)),
        Away(last, at(14, 13), at(15, 8)),
        Away(first, at(27, 3), at(27, 3.6)),
    )


def fill(influx: Influx) -> None:
    """Write the month. The database must be empty, or not be there."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_fill(influx, Path(folder)))


async def _fill(influx: Influx, folder: Path) -> None:
    influx.query('CREATE DATABASE "chargewatch"', "")
    influx.query(
        'CREATE RETENTION POLICY "long" ON "chargewatch" DURATION INF REPLICATION 1', ""
    )
    address = InfluxAddress(
        url=influx.url, database="chargewatch", org=influx.org, token=influx.token
    )
    registry = Registry([], [], [])
    (folder / "sites.toml").write_text(sites_toml(village()), encoding="utf-8")
    (folder / "policy.toml").write_text(POLICY_TOML, encoding="utf-8")
    declare(registry, folder / "sites.toml", folder / "policy.toml", BEGINS)
    client, ledger = InfluxClient(address), open_ledger(folder / "ledger.sqlite")
    try:
        month = Month(registry, ledger, client)
        await month.play()

        async def read(event: int, session: int, limit: int) -> Facts:
            return await ledger.read(lambda c: facts_after(c, event, session, limit))

        facts = FactsFollower(
            read, client, fact_words(registry.sites), lambda site: registry.sites[site].schedule
        )
        await facts.catch_up()
        rollups = RollUps(
            client,
            lambda: plans_of(registry),
            now=lambda: ENDS + timedelta(hours=1),
            keep=timedelta(days=400),
            ready=lambda: True,
        )
        await rollups.catch_up()
    finally:
        client.close()
        ledger.close()


class Month:
    """One run of the month, half a day in each commit."""

    def __init__(self, registry: Registry, ledger: Ledger, client: InfluxClient) -> None:
        self._registry, self._ledger, self._client = registry, ledger, client
        self._engine = Engine(*rules_in_force(), registry)
        self._intake = Intake(all_codecs(), registry, self._engine, Seen(), lambda *_: ())
        self._calendar = Calendar()
        self._batch = Commit(now=BEGINS)
        self._entry = 0
        self._lines: list[bytes] = []
        self._to_see: list[tuple[datetime, str]] = []
        self._fired = 0
        self._counted = Counts(at=BEGINS)
        self._messages = self._readings = 0
        for device in registry.devices.values():
            self._engine.expect(device.id, BEGINS)

    async def play(self) -> None:
        """Play it all, and write readings, samples and the ledger."""
        now = BEGINS
        self._batch.registered += self._registry.take_news()
        for message in self._messages_heard():
            while message.received_at >= now + SITE_BEAT:
                now += SITE_BEAT
                self._pass_time(now)
                self._sample(now)
                if (now - BEGINS) % COMMIT_EVERY == timedelta(0):
                    await self._commit(now)
            self._hear(message)
        while now < ENDS:
            now += SITE_BEAT
            self._pass_time(now)
            self._sample(now)
        await self._commit(now)

    def _messages_heard(self) -> Iterator[Message]:
        here = village()
        away = absences(here)
        for said in Player(here.devices()).play(ENDS - timedelta(seconds=1)):
            if not any(
                each.device == said.device and each.since <= said.at < each.until
                for each in away
            ):
                yield Message(said.topic, said.payload, said.at)

    def _hear(self, message: Message) -> None:
        self._pass_time(message.received_at)
        judged = self._intake.judged((message,), message.received_at)
        self._batch.reports += judged.reports
        self._messages += len(judged.reports)
        self._readings += sum(len(report.readings) for report in judged.reports)
        self._note(judged.changes, message.received_at)

    def _pass_time(self, until: datetime) -> None:
        while (due := self._engine.next_deadline()) is not None and due <= until:
            self._note(self._engine.advance(due), due)
        while self._to_see and self._to_see[0][0] <= until:
            seen_at, episode = self._to_see.pop(0)
            self._engine.acknowledge(episode, seen_at)
            seen = Acknowledged(episode, seen_at, "night-watch", "on my way")
            self._batch.acknowledged.append(seen)

    def _note(self, changes: list[Change], now: datetime) -> None:
        self._batch.changes += changes
        self._batch.sessions += self._engine.take_ended()
        for alert, transition in changes:
            if transition is Transition.FIRING:
                self._fired += 1
                if self._fired % 3:
                    self._to_see.append((now + SEEN_AFTER, alert.episode))

    def _sample(self, now: datetime) -> None:
        scene = Scene(self._registry, self._engine, self._calendar, now)
        self._lines += scene.sites()
        if (now - BEGINS) % DEVICE_BEAT == timedelta(0):
            self._lines += scene.devices()
        if (now - BEGINS) % SERVICE_BEAT == timedelta(0):
            self._lines.append(self._service(scene, now))

    def _service(self, scene: Scene, now: datetime) -> bytes:
        counts = Counts(at=now, messages=self._messages, readings=self._readings)
        shape = Shape(
            lag=0,
            outbox=0,
            delays_s=(0.004, 0.02),
            open_alerts=sum(firing.count for firing in scene.firing().values()),
            memory_mib=96.0,
        )
        before, self._counted = self._counted, counts
        return service_line(before, counts, shape)

    async def _commit(self, now: datetime) -> None:
        """Keep what was heard, as the service would, though in larger pieces."""
        batch, self._batch = self._batch, Commit(now=now)
        batch.now = now
        acknowledged, batch.acknowledged = batch.acknowledged, []
        batch.journal = packed(batch.reports)
        await self._ledger.commit(batch)
        if acknowledged:  # after the alerts that they are of
            await self._ledger.commit(Commit(now=now, acknowledged=acknowledged))
        self._entry += 1
        entry = Entry(self._entry, now, tuple(batch.reports))
        await self._client.write(Kept.READINGS, reading_lines(entry))
        await self._client.write(Kept.LONG, self._lines)
        self._lines = []
