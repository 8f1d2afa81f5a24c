"""Telling people in virtual time: hours pass at once, and providers keep their own count."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import async_solipsism
import sqlalchemy as sa

from api.announce import Composer, key_of, urgency
from api.channels import DeliveryFailed, Limits, Notice
from api.channels.lanes import Lane
from api.channels.ways import WayNotSetUp, name_of
from api.delivery import Delivery, Recipients
from ingest.ledger import queries
from ingest.ledger.commit import Commit, ToTell
from ingest.ledger.queries import DeliveryRow
from ingest.ledger.store import Ledger, LedgerUnavailable, open_ledger
from ingest.people import Directory, Person, Post, Role, Via, Way
from ingest.registry import Area, Name, Registry, Site
from rules.alerts import Alert, AlertKey, Change, Group, GroupKind, State, Transition
from rules.readings import DeviceId
from rules.verdict import Evidence, Severity

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
T = TypeVar("T")


class InLoop(Ledger):
    """A real ledger without threads: time stands still while it works."""

    async def write(self, change: Callable[[sa.Connection], T]) -> T:
        return self._write_now(change)

    async def read(self, question: Callable[[sa.Connection], T]) -> T:
        try:
            with self.engine.connect() as connection:
                return question(connection)
        except sa.exc.OperationalError as error:
            raise LedgerUnavailable(str(error.orig)) from error


@contextmanager
def ledger_in_loop(path: Path) -> Iterator[InLoop]:
    first = open_ledger(path)
    ledger = InLoop(first.engine)
    ledger.engine.pool.connect().execute("PRAGMA synchronous = OFF").close()
    try:
        yield ledger
    finally:
        ledger.close()
        first.close()


def now() -> datetime:
    """Return noon, and what has passed of this loop's time since."""
    return NOON + timedelta(seconds=asyncio.get_running_loop().time())


def play(test: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        await test()

    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(all_of_it())


async def until(at: timedelta) -> None:
    """Wait until so long after noon."""
    await asyncio.sleep(max(0.0, (NOON + at - now()).total_seconds()))


Fails = Callable[[datetime, Notice], BaseException | None]


def works(_: datetime, __: Notice) -> None:
    return None


@dataclass
class Provider:
    """What is behind a lane: it counts what it is asked, and may fail."""

    via: Via
    per_minute: int
    fails: Fails = works
    takes_s: float = 0.1
    heard: list[tuple[datetime, str, Notice]] = field(default_factory=list)
    """When it took what for which address."""
    asked: list[datetime] = field(default_factory=list)

    @property
    def lane(self) -> Lane:
        return Lane(name=str(self.via), per_minute=self.per_minute, folds=True)

    def most_within(self, span: timedelta, address: str = "") -> int:
        """Return how often it was asked, or somebody heard of it, within any such span."""
        at = [when for when, to, _ in self.heard if to == address] if address else self.asked
        return max((sum(a <= b < a + span for b in at) for a in at), default=0)

    def titles(self, address: str) -> list[str]:
        return [notice.title for _, to, notice in self.heard if to == address]


@dataclass
class Behind:
    """A channel to one address behind a provider."""

    provider: Provider
    address: str
    recipient: str

    @property
    def name(self) -> str:
        return name_of(self.provider.via, self.recipient)

    @property
    def limits(self) -> Limits:
        return Limits(per_minute=self.provider.per_minute)

    @property
    def lane(self) -> Lane:
        return self.provider.lane

    @property
    def channel(self) -> "Behind":
        return self

    async def send(self, notice: Notice) -> str:
        self.provider.asked.append(now())
        await asyncio.sleep(self.provider.takes_s)
        failure = self.provider.fails(now(), notice)
        if failure is not None:
            raise failure
        self.provider.heard.append((now(), self.address, notice))
        return f"{self.provider.via} has it"


class Town:
    """People with ways, the providers behind these, and who is told what."""

    def __init__(self, ledger: Ledger, *providers: Provider) -> None:
        self.ledger = ledger
        self.providers = {provider.via: provider for provider in providers}
        self.directory = Directory()
        self.registry = Registry([], [], [])
        areas = [Area(id=area, name=Name(area, area.title())) for area in ("east", "west")]
        sites = [
            Site(id=f"{area.id}/{n}", area=area.id, name=Name(f"站{n}", f"Station {n}"))
            for area in areas
            for n in range(3)
        ]
        self.registry.declare(areas, sites, [], NOON)

    def person(self, name: str, *ways: Via, language: str = "en") -> str:
        """Put somebody with these ways into the directory; the address is their name."""
        self.directory.people[name] = Person(
            id=name,
            name=name,
            role=Role.POLICE,
            areas=frozenset("*"),
            language=language,
            ways=tuple(Way(via=via, address=name) for via in ways),
            added_at=NOON,
        )
        return f"person:{name}"

    def post(self, name: str, *ways: Via) -> str:
        """Put a duty post with these ways into the directory."""
        self.directory.posts[name] = Post(
            id=name,
            name=Name(name, name),
            area="*",
            ways=tuple(Way(via=via, address=name) for via in ways),
            language="en",
        )
        return f"post:{name}"

    def most_heard_within(self, span: timedelta, address: str) -> int:
        """Return how many messages somebody had within any such span, by all ways together."""
        at = [
            when
            for provider in self.providers.values()
            for when, to, _ in provider.heard
            if to == address
        ]
        return max((sum(a <= b < a + span for b in at) for a in at), default=0)

    def channel_for(self, way: Way, recipient: str) -> Behind:
        if way.via not in self.providers:
            raise WayNotSetUp(f"{way.via}: the settings have no gateway")
        return Behind(self.providers[way.via], way.address, recipient)

    async def tell(self, recipient: str, via: Via, *changes: Change) -> None:
        """Write down that somebody is to be told, as routing does."""
        channel = name_of(via, recipient)
        told = [
            ToTell(
                idempotency_key=f"{change.alert.episode}:"
                f"{key_of(change.alert, change.transition)}:{channel}",
                episode=change.alert.episode,
                transition=change.transition,
                channel=channel,
                urgency=urgency(change.alert, change.transition),
                alert=change.alert,
                recipient=recipient,
            )
            for change in changes
        ]
        await self.ledger.commit(Commit(now=now(), to_tell=told))

    def new_delivery(self) -> Delivery:
        """Return a delivery that does not run yet."""
        recipients = Recipients(
            (),
            lambda channel: Lane(name=channel.name),
            "en",
            self.directory,
            self.channel_for,
        )
        words = Composer(self.registry, "http://cw.example")
        return Delivery(self.ledger, recipients, words, now, 1.0)

    @asynccontextmanager
    async def telling(self, delivery: Delivery | None = None) -> AsyncIterator[Delivery]:
        delivery = delivery or self.new_delivery()
        task = asyncio.create_task(delivery.run())
        try:
            yield delivery
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rows(self, *alerts: Alert) -> list[DeliveryRow]:
        def ask(connection: sa.Connection) -> list[DeliveryRow]:
            found = (queries.deliveries_of(connection, alert.episode) for alert in alerts)
            return [row for rows in found for row in rows]

        return await self.ledger.read(ask)

    async def outcomes(self, *alerts: Alert) -> list[tuple[str, str, str]]:
        """Return channel, state and reason of all that was written down for alerts."""
        return [(row.channel, row.state, row.reason) for row in await self.rows(*alerts)]


def alarm(
    number: int = 1,
    severity: Severity = Severity.CRITICAL,
    rule: str = "",
    at: datetime = NOON,
) -> Alert:
    rules = {Severity.EMERGENCY: "fire", Severity.CRITICAL: "smoke"}
    return Alert(
        key=AlertKey(rule or rules.get(severity, "silence"), DeviceId(f"east/0/d{number}"), 1),
        severity=severity,
        within=(Group(GroupKind.SITE, f"{'east' if number % 2 else 'west'}/{number % 3}"),),
        told=severity,
        state=State.FIRING,
        began_at=at,
        since=at,
        evidence=Evidence(None, None, "", at),
    )


def begins(alert: Alert) -> Change:
    return Change(alert, Transition.FIRING)


def ends(alert: Alert, after: timedelta = MINUTE) -> Change:
    over = Alert(
        key=alert.key,
        severity=alert.severity,
        within=alert.within,
        told=alert.told,
        state=State.RESOLVED,
        began_at=alert.began_at,
        since=alert.since + after,
        evidence=alert.evidence,
    )
    return Change(over, Transition.RESOLVED)


def away(until_after: timedelta) -> Fails:
    """Return how a provider fails that is out of reach until so long after noon."""

    def fails(at: datetime, _: Notice) -> DeliveryFailed | None:
        if at < NOON + until_after:
            return DeliveryFailed("ConnectError: refused", permanent=False)
        return None

    return fails


def states_of(rows: Sequence[DeliveryRow]) -> set[tuple[str, str]]:
    return {(row.state, row.reason) for row in rows}
