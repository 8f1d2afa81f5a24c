"""The engine: deadlines, memory, what it says was touched, and what a message may do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ingest.ledger.commit import Stored
from ingest.registry import Area, Device, Name, Registry, Site
from rules.alerts import Alert, AlertKey, Group, GroupKind, State, Subject
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.policies import Policies, Tables
from rules.readings import ClockState, DeviceId, Kind, Reading, Report, Standing
from rules.schedule import Schedule

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
"""In Shanghai; the station is open."""
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PILE, SMOKE = DeviceId("town/north/pile-1"), DeviceId("town/north/smoke-1")
OPEN = Schedule("Asia/Shanghai", ())
AT_ONCE: Tables = {"silence": {"hold": timedelta(0)}}


def device(name: DeviceId, kind: Kind) -> Device:
    return Device(id=name, site="town/north", dialect="native", name=name, kind=kind)


def registry(*more: Device, policy: Tables = AT_ONCE) -> Registry:
    known = Registry([], [], [])
    known.declare(
        [Area(id="town", name=Name("镇", "Town"))],
        [Site(id="town/north", area="town", name=Name("北", "North"), schedule=OPEN)],
        [device(PILE, Kind.CHARGER), device(SMOKE, Kind.SMOKE), *more],
        NOON,
    )
    known.apply(Policies(policy))
    return known


class World:
    """A registry and an engine on it, and a shorthand for messages."""

    def __init__(self, known: Registry | None = None) -> None:
        self.registry = known or registry()
        self.engine = self.fresh()

    def fresh(self) -> Engine:
        return Engine(*rules_in_force(), self.registry)

    def hear(
        self,
        name: DeviceId,
        at: datetime,
        *readings: Reading,
        standing: Standing = Standing.LIVE,
        now: datetime | None = None,
    ) -> list[Alert]:
        report = Report(
            device=name,
            at=at,
            received_at=at,
            identity="",
            readings=readings,
            standing=standing,
            clock=ClockState.ARRIVAL,
        )
        return [change.alert for change in self.engine.observe(report, now or at)]

    def until(self, end: datetime) -> Iterator[Alert]:
        """Let time pass from deadline to deadline, each after the one before."""
        while (due := self.engine.next_deadline()) and due <= end:
            yield from (change.alert for change in self.engine.advance(due))
            after = self.engine.next_deadline()
            assert after is None or after > due


def power(power_w: float, channel: int | None = 1) -> Reading:
    return Reading(channel=channel, power_w=power_w)


def states(changes: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.key.rule, alert.state) for alert in changes]


# --- what a message may do ------------------------------------------------------------


@pytest.mark.parametrize("standing", [Standing.LATE, Standing.RETAINED])
def test_what_is_no_news_raises_no_alarm_and_is_no_sign_of_life(standing: Standing) -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    assert world.hear(PILE, NOON + SECOND, power(9000), standing=standing) == []
    assert world.hear(SMOKE, NOON, Reading(smoke_alarm=True), standing=standing) == []
    assert list(world.until(NOON + 7 * MINUTE)) == []
    state = world.engine.device(PILE)
    assert state is not None
    assert state.heard_at == NOON
    assert state.sockets[1].power_w == 100
    assert states(list(world.until(NOON + 8 * MINUTE))) == [("silence", "firing")]


@pytest.mark.parametrize("standing", [Standing.LATE, Standing.RETAINED])
def test_what_is_no_news_ends_no_alarm(standing: Standing) -> None:
    world = World()
    world.hear(SMOKE, NOON, Reading(smoke_alarm=True))
    late = Reading(smoke_alarm=False)
    assert world.hear(SMOKE, NOON + SECOND, late, standing=standing) == []
    assert [alert.state for alert in world.engine.alerts_of(SMOKE)] == [State.FIRING]


def test_a_last_will_is_no_sign_of_life_but_shows_that_the_device_is_away() -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    world.hear(PILE, NOON + MINUTE, Reading(online=False))
    state = world.engine.device(PILE)
    assert state is not None
    assert (state.heard_at, state.offline_since) == (NOON, NOON + MINUTE)
    assert state.whole.online is False
    world.hear(PILE, NOON + 2 * MINUTE, power(100))
    assert (state.heard_at, state.offline_since) == (NOON + 2 * MINUTE, None)
    assert state.whole.online is True


def test_a_retained_measurement_says_nothing_about_being_online() -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    world.hear(PILE, NOON + SECOND, power(50), standing=Standing.RETAINED)
    state = world.engine.device(PILE)
    assert state is not None
    assert state.whole.online is True


def test_a_retained_birth_takes_back_the_last_will_but_is_no_sign_of_life() -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    world.hear(PILE, NOON + MINUTE, Reading(online=False))
    world.hear(PILE, NOON + 2 * MINUTE, Reading(online=True), standing=Standing.RETAINED)
    state = world.engine.device(PILE)
    assert state is not None
    assert (state.heard_at, state.offline_since) == (NOON, None)


def test_a_retained_birth_tells_firmware_and_no_signal() -> None:
    world = World()
    birth = Reading(online=True, firmware="1.4.2", signal_pct=50)
    world.hear(PILE, NOON, birth, standing=Standing.RETAINED)
    state = world.engine.device(PILE)
    assert state is not None
    assert (state.whole.firmware, state.whole.signal_pct) == ("1.4.2", None)


def test_a_last_will_leaves_the_firmware_as_it_was() -> None:
    world = World()
    world.hear(PILE, NOON, Reading(online=True, firmware="1.4.2"))
    world.hear(PILE, NOON + MINUTE, Reading(online=False))
    state = world.engine.device(PILE)
    assert state is not None
    assert state.whole.firmware == "1.4.2"


def test_a_value_that_a_message_does_not_mention_keeps_its_old_one() -> None:
    world = World()
    world.hear(PILE, NOON, Reading(channel=1, power_w=100, voltage_v=230), power(50, 2))
    world.hear(PILE, NOON + SECOND, power(110))
    state = world.engine.device(PILE)
    assert state is not None
    assert (state.sockets[1].power_w, state.sockets[1].voltage_v) == (110, 230)
    assert state.sockets[2].power_w == 50


# --- strangers, kinds, policies -------------------------------------------------------


def test_a_stranger_of_unknown_kind_is_watched_for_smoke_and_named_as_a_stranger() -> None:
    world = World()
    stranger = world.registry.enter("native", "else/where/x", NOON)
    assert stranger is not None
    assert world.hear(stranger.id, NOON, Reading(battery_pct=3)) == []
    assert list(world.until(NOON + 48 * HOUR)) == []
    smoke = world.hear(stranger.id, NOON + 48 * HOUR, Reading(smoke_alarm=True))
    assert states(smoke) == [("smoke", "firing"), ("undeclared_device", "firing")]


def test_a_stranger_is_watched_by_its_kind_once_that_is_plain() -> None:
    world = World()
    stranger = world.registry.enter("native", "else/where/x", NOON)
    assert stranger is not None
    world.hear(stranger.id, NOON, Reading(battery_pct=3))
    world.registry.learn(stranger, [power(1200)])
    world.hear(stranger.id, NOON + MINUTE, power(1200))
    assert states(list(world.until(NOON + 2 * MINUTE))) == [("overload", "firing")]


def test_an_alert_ends_when_the_device_turns_out_to_be_of_another_kind() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200))
    world.hear(PILE, NOON, power(1200, 2))
    assert len(list(world.until(NOON + MINUTE))) == 2
    world.registry.declare([], [], [device(PILE, Kind.SMOKE)], NOON)
    ended = world.hear(PILE, NOON + 2 * MINUTE, Reading(smoke_alarm=False))
    assert states(ended) == [("overload", "resolved")] * 2
    assert world.engine.alerts_of(PILE) == ()


def test_an_alert_of_a_plug_ends_when_it_turns_out_to_have_sockets() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200, None))
    assert states(list(world.until(NOON + MINUTE))) == [("overload", "firing")]
    ended = world.hear(PILE, NOON + 2 * MINUTE, power(300, 1), power(200, 2))
    assert states(ended) == [("overload", "resolved")]
    assert list(world.until(NOON + 5 * MINUTE)) == []


def test_a_pending_alert_that_nobody_asks_about_is_forgotten_without_a_word() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200))
    world.registry.declare([], [], [device(PILE, Kind.SMOKE)], NOON)
    assert world.hear(PILE, NOON + SECOND, Reading(smoke_alarm=False)) == []
    assert world.engine.alerts_of(PILE) == ()


def test_a_new_policy_is_in_force_from_the_next_message_on() -> None:
    world = World()
    world.hear(PILE, NOON, power(600))
    tight = {"overload": {"warn_w": 500.0, "act_w": 500.0, "clear_w": 400.0}}
    world.registry.apply(Policies(sites={"town/north": tight}))
    world.hear(PILE, NOON + MINUTE, power(600))
    [fired] = world.until(NOON + 2 * MINUTE)
    assert (fired.key, fired.evidence.limit) == (AlertKey("overload", PILE, 1), 500)


def test_the_figure_of_a_device_overrides_that_of_its_site() -> None:
    patient = msgspec.structs.replace(device(PILE, Kind.CHARGER), silent_after=2 * HOUR)
    world = World(registry(patient))
    world.hear(PILE, NOON, power(100))
    assert list(world.until(NOON + 2 * HOUR - SECOND)) == []
    assert states(list(world.until(NOON + 2 * HOUR))) == [("silence", "firing")]


# --- deadlines, memory, what was touched ----------------------------------------------


def test_a_pending_alert_whose_data_ran_dry_does_not_wake_the_engine_for_ever() -> None:
    slow = {"overload": {"hold": 30 * MINUTE}}
    world = World(registry(policy=slow))
    world.hear(PILE, NOON, power(1200))
    assert states(list(world.until(NOON + HOUR))) == [("silence", "firing")]
    assert world.engine.next_deadline() is None
    fired = world.hear(PILE, NOON + HOUR, power(1200))
    assert states(fired) == [("overload", "firing"), ("silence", "resolved")]


def test_the_heap_stays_small_over_100_000_messages() -> None:
    world, at = World(), NOON
    for n in range(100_000):
        at += SECOND
        world.hear(PILE, at, power(1200 if n % 7 < 2 else 100))
        for _ in world.until(at):
            pass
    assert len(world.engine._deadlines._heap) < 100


def test_touched_names_exactly_the_devices_that_changed() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200))
    world.hear(SMOKE, NOON, Reading(smoke_alarm=False))
    assert world.engine.touched == {PILE, SMOKE}
    world.engine.touched.clear()
    assert world.engine.advance(NOON + 29 * SECOND) == []
    assert world.engine.touched == set()
    assert len(world.engine.advance(NOON + 30 * SECOND)) == 1
    assert world.engine.touched == {PILE}


def test_being_blind_touches_those_whose_wait_is_longer_now() -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    world.engine.touched.clear()
    world.engine.blind(NOON + MINUTE)
    world.engine.blind(NOON + 2 * MINUTE)
    assert world.engine.touched == set()
    world.engine.sighted(NOON + 4 * MINUTE)
    world.engine.sighted(NOON + 5 * MINUTE)
    assert world.engine.touched == {PILE}
    state = world.engine.device(PILE)
    assert state is not None
    assert state.waiting_since == NOON + 3 * MINUTE


def test_a_device_heard_on_the_other_connection_while_blind_waits_from_now_on() -> None:
    world = World()
    world.hear(PILE, NOON, power(100))
    world.engine.blind(NOON + MINUTE)
    world.hear(PILE, NOON + 59 * MINUTE, power(100))
    world.engine.sighted(NOON + HOUR)
    assert list(world.until(NOON + HOUR + 7 * MINUTE)) == []
    assert states(list(world.until(NOON + HOUR + 8 * MINUTE))) == [("silence", "firing")]


def test_alerts_that_fire_end_and_fire_again_at_one_moment_have_names_of_their_own() -> None:
    world, changes = World(), list[Alert]()
    for smoke in (True, False, True, False, True):
        changes += world.hear(SMOKE, NOON, Reading(smoke_alarm=smoke))
    fired = [alert.episode for alert in changes if alert.state is State.FIRING]
    assert len(fired) == len(set(fired)) == 3


def test_a_clock_of_ours_that_is_set_back_stops_nothing() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200))
    before = NOON - 2 * HOUR
    world.hear(PILE, before, power(100))
    world.hear(PILE, before + SECOND, power(1300))
    fired = list(world.until(before + MINUTE))
    assert [(alert.state, alert.since) for alert in fired] == [
        (State.FIRING, before + 31 * SECOND)
    ]


def test_a_clock_of_ours_that_leaps_ahead_lets_every_deadline_pass_once() -> None:
    world = World()
    world.hear(PILE, NOON, power(1200))
    changes = world.engine.advance(NOON + 30 * 24 * HOUR)
    assert states([change.alert for change in changes]) == [("silence", "firing")]
    assert world.engine.advance(NOON + 30 * 24 * HOUR) == []


def test_2000_devices_are_the_same_after_a_restart() -> None:
    piles = [
        device(DeviceId(f"town/north/p{n}"), Kind.SMOKE if n % 5 == 0 else Kind.CHARGER)
        for n in range(2000)
    ]
    world = World(registry(*piles))
    for n, each in enumerate(piles):
        at = NOON + n * SECOND / 100
        if each.kind is Kind.SMOKE:
            world.hear(each.id, at, Reading(smoke_alarm=n % 50 == 0, battery_pct=80))
        else:
            world.hear(each.id, at, *(power(100.0 * (n % 15), ch) for ch in (1, 2)))
        if n % 9 == 0:
            world.hear(each.id, at, Reading(online=False))
    now = NOON + 25 * SECOND
    subjects: list[Subject] = [pile.id for pile in piles]
    subjects.append(Group(GroupKind.SITE, "town/north"))
    stored = [
        msgspec.msgpack.decode(
            msgspec.msgpack.encode(
                Stored(world.engine.state_of(each), world.engine.alerts_of(each))
            ),
            type=Stored,
        )
        for each in subjects
    ]
    again = World(world.registry)
    again.engine.restore(
        (each.state for each in stored if each.state is not None),
        (alert for each in stored for alert in each.alerts),
        now=now,
        away=timedelta(0),
    )
    assert list(again.engine.devices()) == list(world.engine.devices())
    assert set(again.engine.open_alerts()) == set(world.engine.open_alerts())
    assert sorted_changes(again, now + HOUR) == sorted_changes(world, now + HOUR)


def sorted_changes(world: World, end: datetime) -> list[tuple[str, str, datetime]]:
    changes = [(each.episode, str(each.state), each.since) for each in world.until(end)]
    assert len(changes) > 1000
    return sorted(changes)
