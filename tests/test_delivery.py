"""Telling people from a real outbox, through channels of our own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api.announce import Composer, announcer, urgency
from api.channels import UNLIMITED, Channel, DeliveryFailed, Limits, Notice
from api.channels.lanes import lane_of
from api.channels.ways import Ways
from api.delivery import Delivery, Recipients, books
from api.settings import Settings
from ingest.ledger import queries
from ingest.ledger.commit import Commit
from ingest.ledger.queries import DeliveryRow
from ingest.ledger.store import Ledger, open_ledger
from ingest.people import Directory
from ingest.registry import Area, Device, Name, Registry, Site
from rules.alerts import Alert, AlertKey, Change, Group, GroupKind, State, Transition
from rules.readings import DeviceId, Kind
from rules.verdict import Evidence, Severity
from tests.receivers import TLS

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PILE = DeviceId("town/north/pile-1")
WITHIN_S = 10.0
"""Longer than anything here takes; a test that hangs fails then."""

Outcome = str | BaseException


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


class Listener:
    """A channel that does what its script says, and then always confirms."""

    def __init__(self, name: str, script: Sequence[Outcome] = ()) -> None:
        self._name = name
        self._script = list(script)
        self.heard: list[Notice] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def limits(self) -> Limits:
        return UNLIMITED

    async def send(self, notice: Notice) -> str:
        self.heard.append(notice)
        outcome = self._script.pop(0) if self._script else "heard"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @property
    def keys(self) -> list[str]:
        return [notice.idempotency_key.rpartition(":")[0] for notice in self.heard]


class Deaf(Listener):
    """A channel that never comes to an end."""

    async def send(self, notice: Notice) -> str:
        self.heard.append(notice)
        await asyncio.Event().wait()
        return "never"


class Crash(BaseException):
    """Stands for the end of the process, after the message was sent."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def registry() -> Registry:
    known = Registry([], [], [])
    known.declare(
        [Area(id="town", name=Name("镇", "Town"))],
        [Site(id="town/north", area="town", name=Name("北站", "North"))],
        [Device(id=PILE, site="town/north", dialect="native", name=PILE, kind=Kind.CHARGER)],
        NOON,
    )
    return known


def firing(rule: str = "overload", severity: Severity = Severity.CRITICAL) -> Alert:
    return Alert(
        key=AlertKey(rule, PILE, 1 if rule == "overload" else None),
        severity=severity,
        within=(Group(GroupKind.SITE, "town/north"),),
        told=severity,
        state=State.FIRING,
        began_at=NOON,
        since=NOON,
        evidence=Evidence(1200.0, 1000.0, "W", NOON),
    )


def over(alert: Alert) -> Alert:
    return Alert(
        key=alert.key,
        severity=alert.severity,
        within=alert.within,
        told=alert.told,
        state=State.RESOLVED,
        began_at=alert.began_at,
        since=alert.since + MINUTE,
        evidence=alert.evidence,
    )


async def happen(ledger: Ledger, channels: Sequence[Channel], *changes: Alert) -> None:
    to_tell = announcer(channels)
    happened = [Change(alert, Transition(alert.state)) for alert in changes]
    told = [each for change in happened for each in to_tell(change, NOON)]
    await ledger.commit(Commit(now=NOON, changes=happened, to_tell=told))


@asynccontextmanager
async def telling(ledger: Ledger, clock: Clock, *channels: Channel) -> AsyncIterator[Delivery]:
    delivery = made(ledger, clock, channels)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def made(ledger: Ledger, clock: Clock, channels: Sequence[Channel]) -> Delivery:
    settings = Settings(language="en")
    recipients = Recipients(
        channels,
        partial(lane_of, settings=settings),
        settings.language,
        Directory(),
        Ways(settings=settings, now=clock, tls=TLS).channel_for,
    )
    return Delivery(ledger, recipients, Composer(registry(), "http://cw.example"), clock, 1.0)


async def rows(ledger: Ledger, alert: Alert) -> list[DeliveryRow]:
    return await ledger.read(lambda c: queries.deliveries_of(c, alert.episode))


async def until(
    ledger: Ledger, alert: Alert, holds: Callable[[list[DeliveryRow]], bool]
) -> list[DeliveryRow]:
    """Read an alert's notifications again and again until they are as they should be."""
    found: list[DeliveryRow] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            while not holds(found := await rows(ledger, alert)):
                pass
    except TimeoutError:
        pytest.fail(f"still {found}")
    return found


def states(found: list[DeliveryRow]) -> list[tuple[str, str, str]]:
    return [(row.transition, row.channel, row.state) for row in found]


def tried(found: list[DeliveryRow], times: int) -> bool:
    return found[0].attempts == times


def nobody_waits(found: list[DeliveryRow]) -> bool:
    return bool(found) and all(row.state != "waiting" for row in found)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_the_end_of_an_alarm_is_not_told_to_whom_its_beginning_was_not(ledger: Ledger) -> None:
    async def play() -> None:
        alert = firing()
        channel = Listener("log", [DeliveryFailed("no such address", permanent=True)])
        await happen(ledger, [channel], alert, over(alert))
        async with telling(ledger, Clock(), channel) as delivery:
            begun, ended = await until(ledger, alert, nobody_waits)
            assert (begun.state, begun.reason, begun.receipt) == (
                "failed",
                "refused_for_good",
                "no such address",
            )
            assert (ended.state, ended.reason) == ("skipped", "never_told")
            assert len(channel.heard) == 1
            assert (delivery.health.given_up, delivery.health.told) == (1, 0)
            assert delivery.health.failing == {"log": "no such address"}
        events = await ledger.read(lambda c: queries.events_of(c, alert.episode))
        assert [event.detail for event in events if event.what == "not_told"] == [
            "no such address",
            "never_told",
        ]

    run(play())


def test_what_was_told_is_not_told_again(ledger: Ledger) -> None:
    async def play() -> None:
        alert, channel = firing(), Listener("log", ["by bell"])
        await happen(ledger, [channel], alert)
        async with telling(ledger, Clock(), channel) as delivery:
            [row] = await until(ledger, alert, nobody_waits)
            assert (row.state, row.receipt, row.told_at) == ("told", "by bell", NOON)
            delivery.post()
        async with telling(ledger, Clock(), channel):
            await until(ledger, alert, nobody_waits)
        assert len(channel.heard) == 1

    run(play())


def test_everybody_is_told_the_beginning_before_the_end(ledger: Ledger) -> None:
    async def play() -> None:
        alert, channels = firing(), [Listener("log"), Listener("mail")]
        await happen(ledger, channels, alert, over(alert))
        async with telling(ledger, Clock(), *channels):
            found = await until(ledger, alert, nobody_waits)
        assert {row.state for row in found} == {"told"}
        for channel in channels:
            assert [notice.transition for notice in channel.heard] == ["firing", "resolved"]
        assert "North" in channels[0].heard[0].text + channels[0].heard[0].title

    run(play())


def test_a_channel_that_fails_is_tried_again_after_a_pause_that_grows(ledger: Ledger) -> None:
    async def play() -> None:
        alert, clock = firing(), Clock()
        busy = [DeliveryFailed(f"busy {n}", permanent=False) for n in range(3)]
        channel = Listener("log", busy)
        await happen(ledger, [channel], alert)
        pauses: list[timedelta] = []
        async with telling(ledger, clock, channel) as delivery:
            for attempt in range(1, 4):
                [row] = await until(ledger, alert, partial(tried, times=attempt))
                assert (row.state, row.reason, row.receipt) == (
                    "waiting",
                    "try_again",
                    f"busy {attempt - 1}",
                )
                assert len(channel.heard) == attempt
                pauses.append(row.next_at - clock.at)
                clock.at = row.next_at
                delivery.post()
            [row] = await until(ledger, alert, nobody_waits)
            assert (row.state, row.attempts) == ("told", 4)
            assert delivery.health.failing == {}
            assert (delivery.health.told, delivery.health.tries_failed) == (1, 3)
        for number, pause in enumerate(pauses):
            longest = timedelta(seconds=2) * 2**number
            assert longest / 2 <= pause <= longest
        assert len(set(channel.keys)) == 1

    run(play())


def test_a_receiver_that_asks_for_a_longer_pause_gets_it(ledger: Ledger) -> None:
    async def play() -> None:
        alert, clock = firing(), Clock()
        asked = DeliveryFailed("slow down", permanent=False, retry_after=30 * MINUTE)
        channel = Listener("log", [asked])
        await happen(ledger, [channel], alert)
        async with telling(ledger, clock, channel):
            [row] = await until(ledger, alert, lambda found: found[0].attempts == 1)
            assert row.next_at == NOON + 30 * MINUTE

    run(play())


def test_a_channel_that_hangs_keeps_no_other_waiting(ledger: Ledger) -> None:
    async def play() -> None:
        alert, hung, quick = firing(), Deaf("a-robot"), Listener("mail")
        await happen(ledger, [hung, quick], alert, over(alert))
        async with telling(ledger, Clock(), hung, quick):
            found = await until(
                ledger, alert, lambda found: [r.state for r in found].count("told") == 2
            )
        assert ("firing", "a-robot", "waiting") in states(found)
        assert [notice.transition for notice in quick.heard] == ["firing", "resolved"]

    run(play())


def test_a_channel_with_a_fault_of_its_own_is_tried_again_and_stops_no_other(
    ledger: Ledger,
) -> None:
    async def play() -> None:
        alert, faulty = firing(), Listener("a-robot", [ZeroDivisionError()])
        quick = Listener("mail")
        await happen(ledger, [faulty, quick], alert)
        async with telling(ledger, Clock(), faulty, quick):
            found = await until(
                ledger, alert, lambda found: "told" in [row.state for row in found]
            )
        [row] = [row for row in found if row.channel == "a-robot"]
        assert (row.state, row.reason) in {("waiting", "new_alert"), ("waiting", "try_again")}
        assert len(quick.heard) == 1

    run(play())


def test_a_crash_between_telling_and_noting_it_repeats_it_with_the_same_key(
    ledger: Ledger,
) -> None:
    async def play() -> None:
        alert, crashing, restarted = firing(), Listener("log", [Crash()]), Listener("log")
        await happen(ledger, [crashing], alert)
        with pytest.raises(BaseExceptionGroup):
            await made(ledger, Clock(), [crashing]).run()
        [row] = await rows(ledger, alert)
        assert row.state == "waiting"
        async with telling(ledger, Clock(), restarted):
            await until(ledger, alert, nobody_waits)
        assert crashing.heard[0].idempotency_key == restarted.heard[0].idempotency_key

    run(play())


def test_a_ledger_that_cannot_be_written_makes_nobody_be_told_twice(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "LEDGER_RETRY_S", 0.01)
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)

    class Locking(Listener):
        async def send(self, notice: Notice) -> str:
            other.execute("BEGIN IMMEDIATE")
            return await super().send(notice)

    async def play() -> None:
        alert, channel = firing(), Locking("log")
        await happen(ledger, [channel], alert)
        await ledger.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 1").all())
        async with telling(ledger, Clock(), channel) as delivery:
            async with asyncio.timeout(WITHIN_S):
                while not channel.heard:
                    await rows(ledger, alert)
            for _ in range(50):
                delivery.post()
                assert (await rows(ledger, alert))[0].state == "waiting"
            assert len(channel.heard) == 1
            other.execute("ROLLBACK")
            await until(ledger, alert, nobody_waits)
        assert len(channel.heard) == 1

    run(play())
    other.close()


def test_what_waits_for_a_channel_that_is_no_more_is_given_up_in_words(ledger: Ledger) -> None:
    async def play() -> None:
        alert, gone, kept = firing(), Listener("pager"), Listener("log")
        await happen(ledger, [gone, kept], alert)
        async with telling(ledger, Clock(), kept):
            found = await until(ledger, alert, nobody_waits)
        assert [(row.channel, row.state, row.reason) for row in found] == [
            ("pager", "failed", "no_such_channel"),
            ("log", "told", "new_alert"),
        ]
        assert gone.heard == []

    run(play())


def test_what_happens_while_it_runs_is_told_at_once(ledger: Ledger) -> None:
    async def play() -> None:
        first, second, channel = firing(), firing("smoke"), Listener("log")
        await happen(ledger, [channel], first)
        async with telling(ledger, Clock(), channel) as delivery:
            await until(ledger, first, nobody_waits)
            await happen(ledger, [channel], second)
            delivery.post()
            await until(ledger, second, nobody_waits)
        assert [notice.rule for notice in channel.heard] == ["overload", "smoke"]

    run(play())


def test_danger_goes_before_warnings_and_those_before_good_news(ledger: Ledger) -> None:
    warning = firing("silence", Severity.WARNING)
    order = [
        urgency(firing("smoke"), Transition.FIRING),
        urgency(warning, Transition.FIRING),
        urgency(over(firing("smoke")), Transition.RESOLVED),
    ]
    assert order == sorted(set(order))

    async def play() -> None:
        channel = Listener("log")
        await happen(ledger, [channel], warning, firing("smoke"), firing())
        async with telling(ledger, Clock(), channel):
            await until(ledger, warning, nobody_waits)
        assert [notice.rule for notice in channel.heard] == ["smoke", "overload", "silence"]

    run(play())
