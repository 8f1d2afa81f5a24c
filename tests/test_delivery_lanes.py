"""Whole deliveries in virtual time: floods, outages, other ways, restarts."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from api.channels import DeliveryFailed, Notice
from api.delivery.plans import HEARD_WITHIN, MESSAGES_MAX
from ingest.ledger import outbox, queries, tables
from ingest.people import Via
from rules.verdict import Severity
from tests.telling import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    InLoop,
    Provider,
    Town,
    alarm,
    away,
    begins,
    ends,
    ledger_in_loop,
    now,
    play,
    until,
)

FIRE, CRITICAL, WARNING = Severity.EMERGENCY, Severity.CRITICAL, Severity.WARNING


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[InLoop]:
    with ledger_in_loop(tmp_path / "ledger.sqlite") as opened:
        yield opened


class Crash(BaseException):
    """Stands for the end of the process, after the message was sent."""


# --- floods --------------------------------------------------------------------------------


def test_a_thousand_sites_at_once_are_told_within_the_budget_fires_first_nothing_lost(
    ledger: InLoop,
) -> None:
    async def flood() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        warnings = [begins(alarm(n, WARNING)) for n in range(1000)]
        fires = [begins(alarm(n, FIRE)) for n in range(1000)]
        async with town.telling() as delivery:
            await until(SECOND)
            await town.tell(desk, Via.DINGTALK, *warnings, *fires)
            delivery.post()
            await until(5 * MINUTE)
            assert delivery.health.digests == 2
        first = robot.heard[0][2]
        assert (first.rule, first.severity) == ("fire", FIRE)
        assert robot.most_within(MINUTE) <= 20
        assert robot.most_within(HEARD_WITHIN, "desk") <= MESSAGES_MAX
        rows = await town.rows(*(each.alert for each in (*warnings, *fires)))
        assert {row.state for row in rows} == {"told"}
        assert len(rows) == 2000
        by_itself = [each for each in robot.heard if each[2].rule != "digest"]
        assert {notice.rule for _, _, notice in by_itself[:15]} == {"fire"}
        [of_fires, of_rest] = [each[2] for each in robot.heard if each[2].rule == "digest"]
        told_fires = sum(notice.rule == "fire" for _, _, notice in by_itself)
        assert of_fires.title.startswith(f"Digest of fires: {1000 - told_fires}")
        assert of_fires.evidence["alarms"] + told_fires == 1000
        assert of_rest.evidence["alarms"] == 2000 - 1000 - (len(by_itself) - told_fires)
        late = max(
            row.told_at - NOON for row in rows if row.told_at and "fire@" in row.idempotency_key
        )
        assert late <= MINUTE

    play(flood)


def test_a_gateway_with_many_numbers_leaves_nobody_out_of_its_first_minute(
    ledger: InLoop,
) -> None:
    async def flood() -> None:
        gateway = Provider(Via.SMS, per_minute=60)
        town = Town(ledger, gateway)
        people = [town.person(f"p{n}", Via.SMS) for n in range(40)]
        alerts = [begins(alarm(n)) for n in range(30)]
        for somebody in people:
            await town.tell(somebody, Via.SMS, *alerts)
        async with town.telling():
            await until(4 * MINUTE)
        first = {address for at, address, _ in gateway.heard if at < NOON + MINUTE}
        assert len(first) == 40
        assert gateway.most_within(MINUTE) <= 60
        rows = await town.rows(*(each.alert for each in alerts))
        assert {row.state for row in rows} == {"told"}
        heard = Counter(address for _, address, _ in gateway.heard)
        assert max(heard.values()) <= MESSAGES_MAX

    play(flood)


def test_somebody_with_two_ways_has_no_more_messages_than_one_with_one(ledger: InLoop) -> None:
    async def flood() -> None:
        robot, gateway = Provider(Via.DINGTALK, 100), Provider(Via.SMS, 100)
        town = Town(ledger, robot, gateway)
        wang = town.person("wang", Via.DINGTALK, Via.SMS)
        async with town.telling() as delivery:
            for minute in range(30):
                await until(minute * MINUTE)
                changes = [begins(alarm(10 * minute + n, WARNING, at=now())) for n in range(10)]
                await town.tell(wang, Via.DINGTALK, *changes[:5])
                await town.tell(wang, Via.SMS, *changes[5:])
                delivery.post()
            await until(40 * MINUTE)
        both = sorted(at for each in (robot, gateway) for at, _, _ in each.heard)
        most = max(sum(a <= b < a + HEARD_WITHIN for b in both) for a in both)
        assert 10 <= most <= MESSAGES_MAX
        waiting = await ledger.read(outbox.waiting)
        assert waiting == 0

    play(flood)


def test_a_flood_to_people_and_posts_with_several_ways_keeps_every_promise_at_once(
    ledger: InLoop,
) -> None:
    """The robot refuses what is beyond its 20 a minute, and the voice gateway is away."""

    async def flood() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        too_fast = DeliveryFailed("130101", permanent=False, retry_after=MINUTE)
        refused: list[object] = []

        def counts(at: datetime, _: Notice) -> DeliveryFailed | None:
            if sum(asked > at - MINUTE for asked in robot.asked) <= 20:
                return None
            refused.append(at)
            return too_fast

        robot.fails = counts
        gateway, phone = Provider(Via.SMS, 60), Provider(Via.VOICE, 60, fails=away(HOUR))
        town = Town(ledger, robot, gateway, phone)
        routed = {
            town.post("desk", Via.DINGTALK, Via.SMS): Via.DINGTALK,
            town.post("siren", Via.VOICE, Via.DINGTALK): Via.VOICE,
            town.person("wang", Via.SMS): Via.SMS,
            town.person("li", Via.VOICE, Via.SMS, language="zh"): Via.VOICE,
            town.person("mao", Via.DINGTALK, Via.VOICE, Via.SMS): Via.DINGTALK,
        }
        warnings = [alarm(n, WARNING) for n in range(500)]
        dangers = [alarm(n, CRITICAL) for n in range(1000)]
        fires = [alarm(n, FIRE) for n in range(1000, 1010)]
        async with town.telling() as delivery:
            await until(SECOND)
            for who, via in routed.items():
                if via is not Via.VOICE:  # nobody is called for a warning
                    await town.tell(who, via, *map(begins, warnings))
                await town.tell(who, via, *map(begins, (*dangers, *fires)))
            delivery.post()
            await until(5 * MINUTE)
            for who, via in routed.items():
                await town.tell(who, via, *map(ends, (*dangers, *fires)))
            delivery.post()
            await until(30 * MINUTE)
        assert refused == []
        for provider in town.providers.values():
            assert provider.most_within(MINUTE) <= provider.per_minute
        for who in routed:
            name = who.partition(":")[2]
            assert 2 <= town.most_heard_within(HEARD_WITHIN, name) <= MESSAGES_MAX
            told = [each for each in (*robot.heard, *gateway.heard) if each[1] == name]
            first_at = min(at for at, _, _ in told)
            rules = {notice.rule for at, _, notice in told if at == first_at}
            assert "fire" in rules, (name, rules)  # nothing was heard before it
        for fire in fires:
            rows = [row for row in await town.rows(fire) if "firing" in row.idempotency_key]
            told_at = {row.recipient: row.told_at for row in rows if row.told_at}
            assert told_at.keys() == routed.keys()
            late = {who: at - NOON for who, at in told_at.items() if at > NOON + 2 * MINUTE}
            assert late == {}
        kept = await town.rows(*warnings, *dangers, *fires)
        lost = [row for row in kept if row.state in {"waiting", "failed"}]
        assert lost == []

    play(flood)


# --- outages -------------------------------------------------------------------------------


def test_after_hours_without_the_provider_dangers_are_told_and_the_rest_is_one_digest(
    ledger: InLoop,
) -> None:
    async def outage() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20, fails=away(3 * HOUR))
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        warnings = [begins(alarm(n, WARNING)) for n in range(100)]
        over = [alarm(n, CRITICAL) for n in range(50)]
        burning = [begins(alarm(n, FIRE)) for n in range(2)]
        await town.tell(desk, Via.DINGTALK, *warnings, *map(begins, over), *burning)
        async with town.telling() as delivery:
            await until(HOUR)
            await town.tell(desk, Via.DINGTALK, *map(ends, over))
            delivery.post()
            assert delivery.health.stuck_since == {"dingtalk": NOON + timedelta(seconds=0.1)}
            await until(3 * HOUR + 5 * MINUTE)
            assert delivery.health.failing == delivery.health.stuck_since == {}
        assert len(robot.asked) < 3 * 60 * 2
        heard = [notice for _, _, notice in robot.heard]
        rules = [notice.rule for notice in heard]
        assert rules.count("fire") == 2
        assert rules.count("digest") == 2  # that of noon, and all that came to wait since
        assert len(heard) <= 5  # the message that found out that it is back may be any
        assert robot.heard[0][0] < NOON + 3 * HOUR + 2 * MINUTE
        assert sum(each.evidence.get("over", 0) for each in heard) >= 49
        rows = await town.rows(*over, *(each.alert for each in (*warnings, *burning)))
        assert {row.state for row in rows} == {"told"}
        by_reason = Counter(row.reason for row in rows)
        assert by_reason["in_digest"] >= 198

    play(outage)


def test_a_provider_that_asks_for_a_pause_gets_it_and_then_everything(ledger: InLoop) -> None:
    async def too_fast() -> None:
        asked = DeliveryFailed("sent too fast", permanent=False, retry_after=5 * MINUTE)
        robot = Provider(Via.DINGTALK, per_minute=20)
        robot.fails = lambda *_: asked if len(robot.asked) == 1 else None
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        alerts = [begins(alarm(n)) for n in range(5)]
        await town.tell(desk, Via.DINGTALK, alerts[0])
        async with town.telling() as delivery:
            await until(SECOND)
            await town.tell(desk, Via.DINGTALK, *alerts[1:])
            delivery.post()
            await until(4 * MINUTE)
            assert len(robot.asked) == 1
            outcomes = await town.outcomes(*(each.alert for each in alerts))
            assert {reason for _, _, reason in outcomes} == {"try_again", "waits_for_provider"}
            await until(6 * MINUTE)
        assert len(robot.heard) == 5
        outcomes = await town.outcomes(*(each.alert for each in alerts))
        assert set(outcomes) == {("dingtalk:desk", "told", "new_alert")}

    play(too_fast)


# --- other ways ----------------------------------------------------------------------------


def test_danger_that_fails_three_times_goes_the_next_way_within_a_minute(
    ledger: InLoop,
) -> None:
    async def spills() -> None:
        robot = Provider(Via.DINGTALK, 20, fails=away(HOUR), takes_s=10)
        gateway = Provider(Via.SMS, 60)
        town = Town(ledger, robot, gateway)
        wang = town.person("wang", Via.DINGTALK, Via.VOICE, Via.SMS)
        fire = begins(alarm(1, FIRE))
        await town.tell(wang, Via.DINGTALK, fire)
        async with town.telling() as delivery:
            await until(50 * SECOND)
            assert len(robot.asked) == 3
            assert await town.outcomes(fire.alert) == [
                ("dingtalk:wang", "skipped", "told_otherwise"),
                ("voice:wang", "failed", "way_not_set_up"),
                ("sms:wang", "told", "spilled"),
            ]
            await until(10 * MINUTE)
            assert len(robot.asked) <= 4
            assert delivery.health.spilled == 2
            assert delivery.health.stuck_since == {}
        first, second, third = await town.rows(fire.alert)
        assert (second.spilled_from, third.spilled_from) == (first.id, second.id)
        log = await ledger.read(lambda c: queries.events_of(c, fire.alert.episode))
        assert [(line.what, line.who) for line in log] == [
            ("spilled", "voice:wang"),
            ("spilled", "sms:wang"),
            ("not_told", "voice:wang"),
            ("told", "sms:wang"),
            ("not_told", "dingtalk:wang"),
        ]

    play(spills)


def test_a_warning_waits_for_a_way_that_fails_and_is_no_reason_to_call(ledger: InLoop) -> None:
    async def waits() -> None:
        robot = Provider(Via.DINGTALK, 20, fails=away(2 * HOUR))
        phone, gateway = Provider(Via.VOICE, 60), Provider(Via.SMS, 60)
        town = Town(ledger, robot, phone, gateway)
        wang = town.person("wang", Via.DINGTALK, Via.VOICE, Via.SMS)
        warning = begins(alarm(1, WARNING))
        await town.tell(wang, Via.DINGTALK, warning)
        async with town.telling():
            await until(9 * MINUTE)
            assert gateway.heard == []
            await until(20 * MINUTE)
        assert phone.asked == []
        assert len(gateway.heard) == 1

    play(waits)


def test_nobody_is_called_for_a_warning_though_that_is_their_first_way(ledger: InLoop) -> None:
    async def no_call() -> None:
        phone, gateway = Provider(Via.VOICE, 60), Provider(Via.SMS, 60)
        town = Town(ledger, phone, gateway)
        wang, li = town.person("wang", Via.VOICE, Via.SMS), town.person("li", Via.VOICE)
        warning = begins(alarm(1, WARNING))
        await town.tell(wang, Via.VOICE, warning)
        await town.tell(li, Via.VOICE, warning)
        async with town.telling():
            await until(SECOND)
        assert phone.asked == []
        assert await town.outcomes(warning.alert) == [
            ("voice:wang", "skipped", "no_call"),
            ("voice:li", "skipped", "no_call"),
            ("sms:wang", "told", "spilled"),
        ]

    play(no_call)


def test_a_final_no_goes_the_next_way_at_once_and_the_end_is_told_there_too(
    ledger: InLoop,
) -> None:
    async def refused() -> None:
        gone = DeliveryFailed("there is no robot with this token", permanent=True)
        robot = Provider(Via.DINGTALK, 20, fails=lambda *_: gone)
        gateway = Provider(Via.SMS, 60)
        town = Town(ledger, robot, gateway)
        wang = town.person("wang", Via.DINGTALK, Via.SMS)
        smoke = alarm()
        await town.tell(wang, Via.DINGTALK, begins(smoke))
        async with town.telling() as delivery:
            await until(2 * SECOND)
            await town.tell(wang, Via.DINGTALK, ends(smoke))
            delivery.post()
            await until(4 * SECOND)
        assert [notice.transition for _, _, notice in gateway.heard] == ["firing", "resolved"]
        assert [row[1:] for row in await town.outcomes(smoke)] == [
            ("failed", "refused_for_good"),
            ("told", "spilled"),
            ("failed", "refused_for_good"),
            ("told", "spilled"),
        ]

    play(refused)


def test_who_has_one_way_only_is_told_by_it_when_it_works_again(ledger: InLoop) -> None:
    async def alone() -> None:
        robot = Provider(Via.DINGTALK, 20, fails=away(20 * MINUTE))
        town = Town(ledger, robot)
        wang = town.person("wang", Via.DINGTALK)
        fire = begins(alarm(1, FIRE))
        await town.tell(wang, Via.DINGTALK, fire)
        async with town.telling() as delivery:
            await until(30 * MINUTE)
            assert delivery.health.spilled == 0
        assert await town.outcomes(fire.alert) == [("dingtalk:wang", "told", "new_alert")]
        assert robot.heard[0][0] <= NOON + 22 * MINUTE

    play(alone)


def test_a_digest_of_dangers_that_fails_goes_the_next_way_as_a_digest(ledger: InLoop) -> None:
    async def spills() -> None:
        robot, gateway = Provider(Via.DINGTALK, 4), Provider(Via.SMS, 60)
        too_long = DeliveryFailed("too long", permanent=True)
        robot.fails = lambda _, notice: too_long if notice.rule == "digest" else None
        town = Town(ledger, robot, gateway)
        wang = town.person("wang", Via.DINGTALK, Via.SMS)
        fires = [begins(alarm(n, FIRE)) for n in range(40)]
        await town.tell(wang, Via.DINGTALK, *fires)
        async with town.telling():
            await until(3 * MINUTE)
        assert len(robot.heard) == 3
        assert sum(notice.rule == "digest" for _, _, notice in gateway.heard) == 1
        told = {
            row.idempotency_key.partition(":1@")[0]
            for row in await town.rows(*(each.alert for each in fires))
            if row.state == "told"
        }
        assert len(told) == 40

    play(spills)


# --- the directory -------------------------------------------------------------------------


def test_each_is_told_in_their_own_language(ledger: InLoop) -> None:
    async def languages() -> None:
        gateway = Provider(Via.SMS, 60)
        town = Town(ledger, gateway)
        smoke = begins(alarm())
        for name in ("zh", "en"):
            await town.tell(town.person(name, Via.SMS, language=name), Via.SMS, smoke)
        async with town.telling():
            await until(SECOND)
        [chinese], [english] = gateway.titles("zh"), gateway.titles("en")
        assert "站" in chinese
        assert "Station" in english

    play(languages)


@pytest.mark.parametrize("change", ["gone", "inactive", "no_such_way", "not_set_up"])
def test_what_became_of_a_recipient_is_named(ledger: InLoop, change: str) -> None:
    async def changed() -> None:
        town = Town(ledger, Provider(Via.SMS, 60))
        via = Via.EMAIL if change == "not_set_up" else Via.SMS
        wang = town.person("wang", via)
        smoke = begins(alarm())
        await town.tell(wang, via, smoke)
        people = town.directory.people
        match change:
            case "gone":
                del people["wang"]
            case "inactive":
                people["wang"] = replace(people["wang"], active=False)
            case "no_such_way":
                people["wang"] = replace(people["wang"], ways=())
            case _:
                assert Via.EMAIL not in town.providers
        async with town.telling():
            await until(SECOND)
        reason = {"no_such_way": "no_such_way", "not_set_up": "way_not_set_up"}
        [row] = await town.rows(smoke.alert)
        assert (row.state, row.reason) == ("failed", reason.get(change, "no_such_recipient"))

    play(changed)


def test_the_address_of_the_moment_of_sending_counts(ledger: InLoop) -> None:
    async def moved() -> None:
        gateway = Provider(Via.SMS, 60, fails=away(MINUTE))
        town = Town(ledger, gateway)
        wang = town.person("wang", Via.SMS)
        await town.tell(wang, Via.SMS, begins(alarm()))
        async with town.telling():
            await until(10 * SECOND)
            person = town.directory.people["wang"]
            way = replace(person.ways[0], address="a new number")
            town.directory.people["wang"] = replace(person, ways=(way,))
            await until(3 * MINUTE)
        assert [address for _, address, _ in gateway.heard] == ["a new number"]

    play(moved)


# --- restarts ------------------------------------------------------------------------------


def test_a_restart_in_the_middle_of_a_digest_sends_the_same_again(ledger: InLoop) -> None:
    async def restarts() -> None:
        robot = Provider(Via.DINGTALK, per_minute=4)
        robot.fails = lambda *_: Crash() if len(robot.asked) == 4 else None
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        fires = [begins(alarm(n, FIRE)) for n in range(20)]
        await town.tell(desk, Via.DINGTALK, *fires)
        with pytest.raises(BaseExceptionGroup):
            async with town.telling() as delivery:
                await delivery.run()
        digests = await ledger.read(lambda c: c.execute(sa.select(tables.digests)).all())
        assert [(each.state, each.attempts) for each in digests] == [("waiting", 0)]
        robot.fails = lambda *_: None
        await until(5 * SECOND)
        late = [begins(alarm(50 + n, FIRE)) for n in range(3)]
        await town.tell(desk, Via.DINGTALK, *late)
        async with town.telling():
            await until(5 * MINUTE)
        rows = await town.rows(*(each.alert for each in (*fires, *late)))
        assert {row.state for row in rows} == {"told"}
        [digest] = [n for _, _, n in robot.heard if n.rule == "digest" and "17" in n.title]
        assert digest.idempotency_key == digests[0].idempotency_key

    play(restarts)


def test_a_digest_that_was_told_before_a_crash_is_closed_and_not_told_again(
    ledger: InLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def restarts() -> None:
        robot = Provider(Via.DINGTALK, per_minute=4)
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        alerts = [begins(alarm(n, FIRE)) for n in range(250)]
        await town.tell(desk, Via.DINGTALK, *alerts)
        with monkeypatch.context() as patched:
            patched.setattr("ingest.ledger.digests.spread", _crash)
            with pytest.raises(BaseExceptionGroup):
                async with town.telling() as delivery:
                    await delivery.run()
        told = len(robot.heard)
        rows = await town.rows(*(each.alert for each in alerts))
        assert Counter(row.state for row in rows)["waiting"] > 200
        async with town.telling():
            await until(3 * MINUTE)
        rows = await town.rows(*(each.alert for each in alerts))
        assert {row.state for row in rows} == {"told"}
        assert len(robot.heard) == told

    play(restarts)


def _crash(*_: object, **__: object) -> None:
    raise Crash


def test_what_was_sent_before_a_restart_counts_for_the_budget_and_for_people(
    ledger: InLoop,
) -> None:
    async def restarts() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        for start in range(6):
            await town.tell(
                desk,
                Via.DINGTALK,
                *(begins(alarm(10 * start + n, at=now())) for n in range(10)),
            )
            async with town.telling():
                await until((start + 1) * 15 * SECOND)
        async with town.telling():
            await until(10 * MINUTE)
        assert robot.most_within(MINUTE) <= 20
        assert robot.most_within(HEARD_WITHIN, "desk") <= MESSAGES_MAX
        assert await ledger.read(outbox.waiting) == 0

    play(restarts)


def test_what_may_have_been_sent_before_a_crash_counts_as_sent(ledger: InLoop) -> None:
    async def crashes() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        robot.fails = lambda *_: Crash()
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        fires = [begins(alarm(n, FIRE)) for n in range(40)]
        async with town.telling() as delivery:
            await until(SECOND)
            await town.tell(desk, Via.DINGTALK, *fires)
            delivery.post()
            await until(3 * SECOND)
        assert len(robot.asked) == 16  # all of them reached it, and nobody wrote that down
        robot.fails = lambda *_: None
        async with town.telling():
            await until(5 * MINUTE)
        assert robot.most_within(MINUTE) <= 20
        rows = await town.rows(*(each.alert for each in fires))
        assert {row.state for row in rows} == {"told"}
        late = max(row.told_at for row in rows if row.told_at)
        assert late <= NOON + 4 * SECOND  # in a digest, and not a minute later

    play(crashes)


def test_what_came_in_while_the_service_started_was_sent_by_nobody_before(
    ledger: InLoop,
) -> None:
    async def starts() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        delivery = town.new_delivery()
        await until(SECOND)  # the broker hands over what it has kept, and that is judged
        await town.tell(desk, Via.DINGTALK, *(begins(alarm(n, FIRE)) for n in range(15)))
        async with town.telling(delivery):
            await until(2 * SECOND)
        assert len(robot.heard) == 15  # each by itself: the budget is whole

    play(starts)


def test_a_provider_that_failed_before_a_restart_is_asked_by_one_message(
    ledger: InLoop,
) -> None:
    async def restarts() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20, fails=away(HOUR))
        gateway = Provider(Via.SMS, per_minute=20)
        town = Town(ledger, robot, gateway)
        desk = town.person("desk", Via.DINGTALK)
        wang = town.person("wang", Via.SMS)
        fires = [begins(alarm(n, FIRE)) for n in range(10)]
        await town.tell(desk, Via.DINGTALK, *fires)
        async with town.telling():
            await until(30 * SECOND)
        asked = len(robot.asked)
        await town.tell(wang, Via.SMS, *fires[:3])
        async with town.telling():
            await until(31 * SECOND)
            assert len(robot.asked) == asked + 1
            assert len(gateway.heard) == 3  # another provider is none the worse for it
        robot.fails = lambda *_: None
        async with town.telling():
            await until(33 * SECOND)
            assert len({n.episode for _, _, n in robot.heard} - {""}) == 10

    play(restarts)


# --- what can be watched -------------------------------------------------------------------


def test_a_lane_says_what_waits_for_how_long_and_what_it_may_still_send(ledger: InLoop) -> None:
    async def watched() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20, fails=away(HOUR))
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        await town.tell(desk, Via.DINGTALK, *(begins(alarm(n)) for n in range(5)))
        async with town.telling() as delivery:
            await until(30 * SECOND)
            lane = delivery.lanes()["dingtalk"]
            assert (lane.oldest_at, lane.digests) == (NOON, 0)
            assert 4 <= lane.waiting <= 5
            assert lane.failing_since == NOON + timedelta(seconds=0.1)
            assert lane.budget_left is not None
            assert 0 < lane.budget_left < 20

    play(watched)


def test_nobody_who_is_not_told_anything_costs_anything(ledger: InLoop) -> None:
    async def idle() -> None:
        town = Town(ledger, Provider(Via.SMS, 60))
        for number in range(2000):
            town.person(f"p{number}", Via.SMS)
        await town.tell("person:p7", Via.SMS, begins(alarm()))
        async with town.telling() as delivery:
            await until(SECOND)
            assert list(delivery.lanes()) == ["sms"]
            await until(HOUR)
            assert delivery.lanes() == {}

    play(idle)


def test_what_is_no_alarm_passes_within_the_budget_and_never_out_of_the_dangers_part(
    ledger: InLoop,
) -> None:
    async def questions() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20)
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        async with town.telling() as delivery:
            await until(SECOND)
            assert [delivery.let_pass(robot.lane) for _ in range(16)] == [True] * 15 + [False]
            fires = [begins(alarm(n, FIRE)) for n in range(4)]
            await town.tell(desk, Via.DINGTALK, *fires)
            delivery.post()
            await until(5 * SECOND)
            assert len(robot.heard) == 4  # for them there was room
            await until(MINUTE + 2 * SECOND)
            assert delivery.let_pass(robot.lane)

    play(questions)


def test_what_is_no_alarm_does_not_pass_while_danger_waits(ledger: InLoop) -> None:
    async def questions() -> None:
        robot = Provider(Via.DINGTALK, per_minute=20, fails=away(HOUR))
        town = Town(ledger, robot)
        desk = town.person("desk", Via.DINGTALK)
        await town.tell(desk, Via.DINGTALK, begins(alarm(1, FIRE)))
        async with town.telling() as delivery:
            await until(10 * SECOND)
            assert not delivery.let_pass(robot.lane)
            await until(HOUR + 2 * MINUTE)
            assert delivery.let_pass(robot.lane)

    play(questions)
