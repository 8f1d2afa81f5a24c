"""From smoke to whoever a route names, tier by tier, in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.announce import announcer
from api.metrics import Metrics
from api.unheard import Unheard
from ingest.codecs import all_codecs
from ingest.desk import HandedIn
from ingest.intake import Intake
from ingest.ledger.commit import Commit
from ingest.ledger.queries import (
    AlertFilter,
    DeliveryRow,
    deliveries_of,
    events_of,
    find_alerts,
)
from ingest.people import Post, Role, Route, Via, Way
from ingest.registry import Device, Name
from ingest.replay import Seen
from ingest.wire import Message
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import DeviceId, Kind
from rules.schedule import Schedule, Window
from tests.telling import (
    MINUTE,
    NOON,
    SECOND,
    InLoop,
    Provider,
    Town,
    ledger_in_loop,
    now,
    play,
    until,
)

SMOKE = DeviceId("east/0/smoke-1")
NIGHT = Schedule(
    "Asia/Shanghai", (Window(NOON.time().replace(hour=20), NOON.time().replace(hour=6)),)
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[InLoop]:
    with ledger_in_loop(tmp_path / "ledger.sqlite") as opened:
        yield opened


class Station(Town):
    """A town with a detector, an engine, and people whom routes name."""

    def __init__(self, ledger: InLoop, *providers: Provider) -> None:
        super().__init__(ledger, *(providers or (Provider(Via.SMS, 60),)))
        self.registry.declare(
            self.registry.areas.values(),
            self.registry.sites.values(),
            [Device(id=SMOKE, site="east/0", dialect="native", name=SMOKE, kind=Kind.SMOKE)],
            NOON,
        )
        self.engine = Engine(*rules_in_force(), self.registry)
        self.unheard, self.metrics, self.serial = Unheard(), Metrics(1), 0
        self.intake = Intake(
            all_codecs(),
            self.registry,
            self.engine,
            Seen(),
            announcer((), self.directory, frozenset(self.providers)),
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Tell people, and let the engine have its deadlines."""
        async with self.telling() as self.delivery:
            task = asyncio.create_task(self._deadlines())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def smoke(self, *, active: bool = True) -> None:
        said = {"event": "smoke", "active": active, "boot": "b", "seq": self.serial}
        self.serial += 1
        topic = f"chargewatch/v1/{SMOKE}/event"
        await self._digest(Message(topic, json.dumps(said).encode(), now()))

    async def acknowledge(self) -> None:
        [alert] = self.engine.open_alerts()

        def see(batch: Commit) -> None:
            self.engine.acknowledge(alert.episode, batch.now)

        await self._commit(self.intake.digest([], now(), [HandedIn(see)]))

    async def deliveries(self) -> list[DeliveryRow]:
        return await self.ledger.read(
            lambda c: [
                row
                for alert in find_alerts(c, AlertFilter())
                for row in deliveries_of(c, alert.episode)
            ]
        )

    def heard(self, name: str, via: Via = Via.SMS) -> list[str]:
        """Return what somebody heard, and how long after noon, in seconds."""
        return [
            f"{notice.transition} {(at - NOON).total_seconds():.0f}"
            for at, address, notice in self.providers[via].heard
            if address == name
        ]

    def go(self, *tiers: tuple[str, ...]) -> None:
        self.directory.routes["r"] = Route(id="r", tiers=tiers)

    def named(self, *names: str) -> None:
        for name in names:
            self.person(name, Via.SMS)

    async def _digest(self, *messages: Message) -> None:
        await self._commit(self.intake.digest(messages, now()))

    async def _commit(self, batch: Commit) -> None:
        await self.ledger.commit(batch)
        self.unheard.committed(batch)
        self.metrics.committed(batch)
        if batch.to_tell:
            self.delivery.post()

    async def _deadlines(self) -> None:
        while True:
            await asyncio.sleep(1)
            due = self.intake.next_deadline()
            if due is not None and due <= now():
                await self._digest()


def test_nobody_answers_and_the_next_tier_is_told_each_interval(ledger: InLoop) -> None:
    async def unanswered() -> None:
        town = Station(ledger)
        town.named("li", "wang", "zhou")
        town.go(("person:li",), ("person:wang",), ("person:zhou",))
        async with town.watching():
            await town.smoke()
            await until(15 * MINUTE)
        assert town.heard("li") == ["firing 0"]
        assert town.heard("wang") == ["escalated 180"]
        assert town.heard("zhou") == ["escalated 360"]
        assert [(row.recipient, row.tier) for row in await town.deliveries()] == [
            ("person:li", 1),
            ("person:wang", 2),
            ("person:zhou", 3),
        ]

    play(unanswered)


def test_an_acknowledgement_stops_it_and_the_end_is_told_to_those_who_were_told(
    ledger: InLoop,
) -> None:
    async def answered() -> None:
        town = Station(ledger)
        town.named("li", "wang", "zhou")
        town.go(("person:li",), ("person:wang",), ("person:zhou",))
        async with town.watching():
            await town.smoke()
            await until(4 * MINUTE)
            await town.acknowledge()
            await until(20 * MINUTE)
            await town.smoke(active=False)
            await until(40 * MINUTE)
        assert [each.split()[0] for each in town.heard("li")] == ["firing", "resolved"]
        assert [each.split()[0] for each in town.heard("wang")] == ["escalated", "resolved"]
        assert town.heard("zhou") == []

    play(answered)


def test_whoever_went_off_duty_or_left_the_route_hears_the_end_all_the_same(
    ledger: InLoop,
) -> None:
    async def went_off() -> None:
        town = Station(ledger)
        town.named("li", "wang")
        town.go(("person:li", "person:wang"))
        async with town.watching():
            await town.smoke()
            await until(MINUTE)
            people = town.directory.people
            people["li"] = replace(people["li"], duty=NIGHT)
            town.go(("person:li",))
            await town.smoke(active=False)
            await until(20 * MINUTE)
        for name in ("li", "wang"):
            assert [each.split()[0] for each in town.heard(name)] == ["firing", "resolved"]

    play(went_off)


def test_the_end_goes_the_way_that_told_of_the_alarm(ledger: InLoop) -> None:
    async def by_mail() -> None:
        refuses = Provider(Via.SMS, 60, fails=lambda *_: pytest.fail("not set up"))
        mail = Provider(Via.EMAIL, 60)
        town = Station(ledger, refuses, mail)
        town.person("li", Via.EMAIL)
        town.go(("person:li",))
        async with town.watching():
            await town.smoke()
            await until(10 * SECOND)
            person = town.directory.people["li"]
            ways = (Way(via=Via.SMS, address="li"), *person.ways)
            town.directory.people["li"] = replace(person, ways=ways)
            await town.smoke(active=False)
            await until(20 * MINUTE)
        heard = [each.split()[0] for each in town.heard("li", Via.EMAIL)]
        assert heard == ["firing", "resolved"]

    play(by_mail)


def test_who_is_not_told_is_in_the_alerts_deliveries_with_the_reason(ledger: InLoop) -> None:
    async def written() -> None:
        town = Station(ledger)
        town.named("li", "off", "west")
        people = town.directory.people
        people["off"] = replace(people["off"], duty=NIGHT)
        people["west"] = replace(people["west"], areas=frozenset({"west"}))
        desk = Post(id="desk", name=Name("岗", "Desk"), area="east")
        town.directory.posts["desk"] = desk
        town.go(("person:off", "person:west", "post:desk", "person:li", "person:gone"))
        async with town.watching():
            await town.smoke()
            await until(MINUTE)
        found = {row.recipient: (row.state, row.reason) for row in await town.deliveries()}
        assert found == {
            "person:li": ("told", "new_alert"),
            "person:off": ("skipped", "off_duty"),
            "person:west": ("skipped", "not_their_area"),
            "post:desk": ("skipped", "no_way"),
            "person:gone": ("skipped", "no_such_recipient"),
        }
        assert town.heard("off") == town.heard("west") == []
        assert b'not_told_total{reason="off_duty"} 1.0' in town.metrics.exposition()

    play(written)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.POLICE])
def test_an_alarm_that_reaches_no_person_says_so_until_it_does_or_ends(
    ledger: InLoop, role: Role
) -> None:
    async def unheard() -> None:
        town = Station(ledger)
        town.go((f"role:{role}",))
        if role is Role.POLICE:
            town.directory.routes["r"] = Route(
                id="r", areas=frozenset({"west"}), tiers=(("role:police",),)
            )
        why = "nobody_in_reach" if role is Role.ADMIN else "no_route"
        async with town.watching():
            assert town.unheard.part().ok
            await town.smoke()
            await until(MINUTE)
            part = town.unheard.part()
            assert (part.ok, part.vital) == (False, False)
            assert part.reason == f"1 alarms reached no person; the last: {why}"
            [row] = [each for each in await town.deliveries() if each.channel == "people"]
            assert (row.state, row.reason, row.recipient) == ("skipped", why, "")
            if role is Role.ADMIN:
                town.named("li")
                town.go(("person:li",))
                await until(5 * MINUTE)
                assert town.heard("li") == ["escalated 180"]
            else:
                await town.smoke(active=False)
                await until(20 * MINUTE)
            assert town.unheard.part().ok
        log = await ledger.read(
            lambda c: [
                (line.what, line.detail)
                for alert in find_alerts(c, AlertFilter())
                for line in events_of(c, alert.episode)
            ]
        )
        assert ("nobody_told", why) in log

    play(unheard)


def test_a_danger_of_the_night_wakes_those_off_duty_if_nobody_else_can_be_told(
    ledger: InLoop,
) -> None:
    async def woken() -> None:
        town = Station(ledger)
        town.named("li")
        people = town.directory.people
        people["li"] = replace(people["li"], duty=NIGHT)
        town.go(("person:li",))
        async with town.watching():
            await town.smoke()
            await until(MINUTE)
        assert town.heard("li") == ["firing 0"]

    play(woken)
