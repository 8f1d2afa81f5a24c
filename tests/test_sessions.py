"""Sessions, recognised reading by reading."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.policy import Policy
from rules.readings import DeviceId, Reading, Report
from rules.session import Ending, Phase, Session
from rules.sessions import follow, lose, step
from rules.subject import DeviceState
from simulator.batteries import BATTERIES, Battery
from simulator.charging import charge

POLICY = Policy()
MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

LEGAL: dict[Phase, set[Phase]] = {
    Phase.PLUGGED: {Phase.CHARGING, Phase.FINISHED},
    Phase.CHARGING: {Phase.TAPERING, Phase.FLOAT, Phase.FINISHED, Phase.PLUGGED},
    Phase.TAPERING: {Phase.CHARGING, Phase.FLOAT, Phase.FINISHED, Phase.PLUGGED},
    Phase.FLOAT: {Phase.CHARGING, Phase.TAPERING, Phase.FINISHED, Phase.PLUGGED},
    Phase.FINISHED: {Phase.CHARGING, Phase.TAPERING, Phase.FLOAT, Phase.PLUGGED},
}

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Session).decode


class Socket:
    """One socket of which readings come; `every` apart unless told."""

    def __init__(self, every: timedelta = 30 * SECOND) -> None:
        self.now, self.every = MONDAY, every
        self.session: Session | None = None
        self.ended: list[Session] = []

    def hear(self, *powers_w: float, **said: object) -> "Socket":
        """Take one reading for each power, with the same words; each after a pause."""
        for power_w in powers_w:
            self.say(None, power_w=power_w, **said)
        return self

    def say(self, after: timedelta | None = None, **said: object) -> "Socket":
        self.now += self.every if after is None else after
        reading = msgspec.convert({"channel": 1, **said}, Reading)
        self.session, ended = step(self.session, reading, self.now, POLICY)
        if ended is not None:
            self.ended.append(_unpack(_pack(ended)))
        return self

    @property
    def open(self) -> Session:
        assert self.session is not None
        assert self.session.is_open
        return self.session

    @property
    def is_idle(self) -> bool:
        return self.session is None or not self.session.is_open

    @property
    def last(self) -> Session:
        """The one session that ended."""
        (ended,) = self.ended
        return ended


def charging(every: timedelta = 30 * SECOND) -> Socket:
    """A bike that has charged at 195 W for an hour."""
    return Socket(every).hear(*[195.0] * (HOUR // every))


# --- none ------------------------------------------------------------------------------


def test_an_empty_socket_that_sees_its_neighbours_has_no_session() -> None:
    socket = Socket().hear(1.2, 3.5, 9.9, 14.9, 2.0)
    assert socket.session is None
    assert not socket.ended


def test_a_single_reading_of_power_is_no_session() -> None:
    socket = Socket().hear(0.4, 1800.0, 0.5, 0.4, 0.4)
    assert socket.session is None
    assert not socket.ended


def test_a_plug_that_never_draws_is_forgotten_when_it_is_pulled() -> None:
    socket = Socket().hear(0.0, port_state="plugged").hear(0.5, 0.5)
    assert socket.open.phase is Phase.PLUGGED
    socket.hear(0.5, 0.5, port_state="idle")
    assert socket.session is None
    assert not socket.ended


# --- its beginning ---------------------------------------------------------------------


def test_it_begins_with_the_first_power_not_with_the_plug() -> None:
    socket = Socket().hear(0.0, port_state="plugged").hear(*[0.4] * 100)
    first = socket.now + socket.every
    assert socket.hear(195.0, 195.0, 195.0).open.began_at == first
    assert socket.open.phase is Phase.CHARGING
    assert socket.open.drawn_kwh < 0.01


def test_an_inrush_is_neither_plateau_nor_step() -> None:
    socket = Socket(SECOND).hear(*[312.0] * 3).hear(*[195.0] * 7200)
    assert 190 < socket.open.charging_w < 200
    assert socket.open.stepped_at is None


def test_power_that_lasts_half_a_minute_is_charging() -> None:
    socket = Socket(SECOND).hear(*[195.0] * 30)
    assert socket.open.phase is Phase.PLUGGED
    assert socket.hear(195.0).open.phase is Phase.CHARGING


# --- while it lasts --------------------------------------------------------------------


def test_one_wrong_reading_moves_nothing() -> None:
    for wrong_w in (0.0, 40.0, 1800.0):
        for every in (SECOND, 30 * SECOND, 5 * MINUTE):
            whole, broken = charging(every), charging(every)
            whole.hear(195.0, 195.0)
            broken.hear(wrong_w, 195.0)
            for name in ("phase", "since", "level_w", "charging_w", "peak_w", "held_since"):
                assert getattr(broken.open, name) == getattr(whole.open, name), name
            assert broken.open.low_since is None
            assert broken.open.ending is None


def test_the_slow_rise_of_constant_current_is_followed_and_is_no_step() -> None:
    for every in (SECOND * 10, 5 * MINUTE):
        socket, n = Socket(every), 6 * HOUR // every
        socket.hear(*(172 + 23 * i / n for i in range(n)))
        assert 190 < socket.open.charging_w < 195.1
        assert socket.open.phase is Phase.CHARGING
        assert socket.open.stepped_at is None


def test_power_that_falls_below_four_fifths_tapers_and_below_a_fifth_floats() -> None:
    for every in (SECOND, 30 * SECOND, 5 * MINUTE):
        for level_w, phase in (
            (165, Phase.CHARGING),
            (150, Phase.TAPERING),
            (45, Phase.TAPERING),
            (30, Phase.FLOAT),
        ):
            socket = charging(every).hear(*[level_w] * 300)
            assert socket.open.phase is phase
            assert socket.open.charging_w == 195


def test_it_is_known_since_when_power_has_not_fallen() -> None:
    socket = charging()
    begun = socket.open.held_since
    assert begun == socket.open.began_at
    socket.hear(*[120.0] * 10)
    stalled = socket.open.held_since
    assert stalled > MONDAY + HOUR
    assert socket.hear(*[119.0] * 600).open.held_since == stalled


def test_a_second_bike_on_the_same_socket_is_a_step() -> None:
    for every in (SECOND, 30 * SECOND, 5 * MINUTE):
        socket = charging(every).hear(*[390.0] * (10 * MINUTE // every))
        assert socket.open.stepped_from_w == 195
        assert socket.open.level_w == 390
        assert socket.open.stepped_at is not None
        assert socket.open.stepped_at - MONDAY - HOUR <= max(2 * every, 60 * SECOND)


def test_a_second_bike_on_a_strong_charger_is_a_step_though_its_share_is_small() -> None:
    socket = Socket().hear(*[860.0] * 120).hear(*[960.0] * 10)
    assert socket.open.stepped_from_w == 860


def test_a_charger_that_starts_in_stages_makes_no_step() -> None:
    socket = Socket().hear(*[25.0] * 40).hear(*[195.0] * 100)
    assert socket.open.stepped_at is None
    assert socket.open.charging_w == 195


def test_a_charger_that_tops_up_makes_no_step() -> None:
    socket = charging().hear(*[60.0] * 100).hear(*[195.0] * 10)
    assert socket.open.stepped_at is None
    assert socket.open.phase is Phase.CHARGING


# --- its energy ------------------------------------------------------------------------


def test_energy_is_the_integral_of_power_where_there_is_no_counter() -> None:
    assert abs(charging().open.energy_kwh - 0.195 * 119 / 120) < 1e-6


def test_one_wrong_reading_adds_hardly_any_energy() -> None:
    right, wrong = charging(5 * MINUTE), charging(5 * MINUTE)
    right.hear(195.0, 195.0)
    wrong.hear(20_000.0, 195.0)
    assert wrong.open.energy_kwh - right.open.energy_kwh < 0.04


def test_of_a_long_gap_only_its_beginning_counts() -> None:
    socket = charging()
    before = socket.open.energy_kwh
    socket.say(50 * MINUTE, power_w=195)
    assert abs(socket.open.energy_kwh - before - 0.195 / 6) < 1e-6


def test_the_devices_own_counter_is_believed_and_bridges_gaps() -> None:
    socket = Socket()
    for n in range(120):
        socket.hear(195.0, energy_kwh=118.25 + n * 0.195 / 120)
    socket.say(50 * MINUTE, power_w=195, energy_kwh=118.25 + 0.195 * (119 / 120 + 5 / 6))
    assert abs(socket.open.energy_kwh - 0.195 * (119 / 120 + 5 / 6)) < 1e-6


def test_a_counter_that_begins_anew_loses_nothing() -> None:
    socket = Socket()
    for n in range(121):
        socket.hear(200.0, session_energy_kwh=(n % 60) / 600)
    assert abs(socket.open.energy_kwh - 119 / 600) < 0.01


def test_a_counter_in_the_wrong_unit_is_not_believed() -> None:
    for unit in (0.01, 10, 1000):
        socket = Socket()
        for n in range(121):
            socket.hear(200.0, energy_kwh=n * unit / 600)
        assert abs(socket.open.energy_kwh - 0.2) < 1e-6


# --- its end ---------------------------------------------------------------------------


def test_power_that_tapered_before_it_went_is_a_finished_charge() -> None:
    socket = charging().hear(*[150.0] * 10, *[80.0] * 10, *[40.0] * 10, *[18.0] * 10)
    fell = socket.now + socket.every
    assert socket.hear(9.0, 9.0).open.phase is Phase.FINISHED
    socket.hear(0.3)
    assert socket.last.ending is Ending.FINISHED
    assert socket.last.ended_at == fell
    assert socket.last.phase is Phase.FINISHED


def test_power_that_goes_from_the_plateau_to_nothing_is_an_abrupt_end() -> None:
    for every in (SECOND, 30 * SECOND, 5 * MINUTE):
        socket = charging(every)
        fell = socket.now + every
        socket.hear(*[0.3] * 11)
        assert socket.last.ending is Ending.ABRUPT
        assert socket.last.ended_at == fell
        assert socket.last.phase is Phase.CHARGING


def test_an_abrupt_end_is_seen_though_the_empty_socket_sees_its_neighbours() -> None:
    socket = charging().hear(*[6.0] * 10)
    assert socket.open.ending is Ending.ABRUPT
    assert socket.hear(6.0).last.ending is Ending.ABRUPT


def test_a_full_battery_that_trickles_ends_its_session_after_an_hour() -> None:
    socket = charging().hear(*[60.0] * 10, *[30.0] * 10)
    fell = socket.now + socket.every
    socket.hear(*[9.0] * 120)
    assert socket.open.phase is Phase.FINISHED
    socket.hear(9.0)
    assert socket.last.ended_at == fell


def test_a_plug_that_bounces_ends_nothing() -> None:
    socket = charging(SECOND).hear(*[0.0] * 9).hear(*[195.0] * 100)
    assert socket.open.began_at == MONDAY + SECOND
    socket.say(SECOND, port_state="unplugged").say(4 * SECOND, port_state="plugged")
    socket.hear(312.0, *[195.0] * 100)
    assert socket.open.began_at == MONDAY + SECOND
    assert socket.open.phase is Phase.CHARGING
    assert socket.open.stepped_at is None
    assert not socket.ended


def test_the_device_says_that_it_was_unplugged() -> None:
    socket = charging()
    socket.say(SECOND, port_state="unplugged").say(SECOND, power_w=1.4, port_state="idle")
    assert socket.hear(1.4, relay_on=False, port_state="idle").last.ending is Ending.UNPLUGGED
    assert socket.last.ended_at == MONDAY + HOUR + SECOND


def test_a_relay_that_is_off_is_a_cut_whether_it_says_so_before_or_after() -> None:
    socket = charging().say(SECOND, relay_on=False).hear(0.0, 0.0)
    assert socket.last.ending is Ending.CUT
    socket = charging().hear(0.0).say(SECOND, relay_on=False).hear(0.0)
    assert socket.last.ending is Ending.CUT
    assert charging().hear(0.0, 0.0, port_state="cut").last.ending is Ending.CUT


def test_a_relay_that_was_off_for_a_moment_cut_nothing() -> None:
    socket = charging().say(SECOND, relay_on=False).hear(195.0).hear(0.0, 0.0)
    assert socket.last.ending is Ending.ABRUPT


def test_a_stop_reason_is_kept_even_if_it_comes_late() -> None:
    socket = charging().hear(0.0, 0.0)
    assert socket.last.ending is Ending.ABRUPT
    socket.say(20 * MINUTE, stop_reason="overload")
    abrupt, stopped = socket.ended
    assert stopped.ending is Ending.STOPPED
    assert stopped.stop_reason == "overload"
    assert stopped.began_at == abrupt.began_at
    assert len(socket.say(30 * MINUTE, stop_reason="overload").ended) == 2


def test_a_plug_pulled_long_after_an_abrupt_end_explains_nothing() -> None:
    socket = charging().hear(0.0, 0.0).say(HOUR, power_w=0, port_state="unplugged")
    assert socket.last.ending is Ending.ABRUPT


def test_a_pulled_plug_after_a_finished_charge_changes_nothing() -> None:
    socket = charging().hear(*[30.0] * 10, *[9.0] * 10).hear(0.0, port_state="idle")
    assert socket.last.ending is Ending.FINISHED


def test_a_session_not_heard_of_for_an_hour_is_lost() -> None:
    socket = charging()
    heard = socket.now
    socket.say(61 * MINUTE, power_w=195)
    assert socket.last.ending is Ending.LOST
    assert socket.last.ended_at == heard
    assert socket.open.began_at == socket.now
    assert len(socket.hear(195.0, 195.0).ended) == 1


def test_the_sessions_of_a_device_are_lost_though_nothing_is_ever_heard_again() -> None:
    device, heard = DeviceState(DeviceId("a/b/pile-1"), "a/b"), MONDAY
    for _ in range(10):
        heard += 30 * SECOND
        readings = tuple(Reading(channel=n, power_w=195.0) for n in (1, 2))
        report = Report(
            device=device.id, at=heard, received_at=heard, identity="", readings=readings
        )
        device.take(report)
        assert not list(follow(device, report, POLICY))
    assert not list(lose(device, heard + 59 * MINUTE, POLICY))
    ended = list(lose(device, heard + HOUR, POLICY))
    assert [(each.channel, each.ending) for each in ended] == [
        (1, Ending.LOST),
        (2, Ending.LOST),
    ]
    assert {each.ended_at for each in ended} == {heard}
    assert not list(lose(device, heard + 9 * HOUR, POLICY))


def test_a_device_that_counts_the_time_says_whether_it_is_the_same_session() -> None:
    socket = charging().say(2 * HOUR, power_w=195, session_duration_s=3 * 3600)
    assert socket.open.began_at == MONDAY + 30 * SECOND
    socket.say(5 * MINUTE, power_w=195, session_duration_s=100)
    assert socket.last.ending is Ending.LOST
    assert socket.open.began_at == socket.now


def test_a_plug_that_goes_in_ends_what_was_charged_before() -> None:
    socket = charging().say(SECOND, port_state="plugged").hear(*[240.0] * 100)
    assert socket.last.ending is Ending.LOST
    assert socket.open.charging_w == 240


def test_an_end_that_came_within_a_gap_is_not_called_abrupt() -> None:
    socket = charging().say(30 * MINUTE, power_w=0).hear(0.0)
    assert socket.last.ending is Ending.LOST


# --- after it --------------------------------------------------------------------------


def test_its_cooling_is_followed_and_no_single_reading_is_the_coolest_or_warm() -> None:
    socket = charging()
    for felt_c in (48.0, 47.0, -12.0, 45.0, 44.0, 999.0, 46.0, 90.0, 49.0):
        socket.hear(0.0, device_temperature_c=felt_c)
    assert socket.session is not None
    assert socket.session.coolest_c == 45
    assert socket.session.warm_c == 49


def test_it_is_remembered_while_it_is_warm_without_a_reason() -> None:
    socket = charging().hear(0.0, 0.0, device_temperature_c=30)
    for _ in range(20):
        socket.say(HOUR, power_w=0, device_temperature_c=39)
    assert socket.session is not None
    socket.say(HOUR, power_w=0, device_temperature_c=30)
    assert socket.session is None


def test_it_is_remembered_for_three_hours_or_until_the_next() -> None:
    socket = charging().hear(0.0, 0.0).say(178 * MINUTE, power_w=0)
    assert socket.session is not None
    assert socket.hear(*[0.0] * 4).session is None
    socket = charging().hear(0.0, 0.0).hear(195.0)
    assert socket.open.began_at == socket.now


# --- always ----------------------------------------------------------------------------

WORDS = st.sampled_from(["plugged", "unplugged", "idle", "charging", "finished", "cut"])
READINGS = st.builds(
    Reading,
    power_w=st.none()
    | st.floats(-50, 2000)
    | st.sampled_from([0.0, 2.0, 9.0, 14.9, 15.0, 40.0, 195.0]),
    energy_kwh=st.none() | st.floats(-10, 1000),
    session_energy_kwh=st.none() | st.floats(0, 3),
    session_duration_s=st.none() | st.floats(0, 40_000),
    relay_on=st.none() | st.booleans(),
    port_state=st.none() | WORDS,
    stop_reason=st.none() | st.sampled_from(["", "full", "overload"]),
    device_temperature_c=st.none() | st.floats(-40, 120),
)
GAPS = st.sampled_from([0, 1, 5, 10, 30, 60, 180, 300, 900, 3000, 4000, 12_000])
HEARD = st.lists(
    st.tuples(GAPS, READINGS, st.integers(1, 12)).map(
        lambda part: [(part[0] * SECOND, part[1])] * part[2]  # what repeats, holds
    ),
    max_size=25,
).map(lambda parts: list(itertools.chain.from_iterable(parts)))


@settings(max_examples=100)
@given(HEARD)
def test_whatever_is_heard_a_session_stays_sound(
    heard: list[tuple[timedelta, Reading]],
) -> None:
    now, session, over_at = MONDAY, None, MONDAY
    for gap, reading in heard:
        now += gap
        before = None if session is None else (session, session.phase, session.is_open)
        session, ended = step(session, reading, now, POLICY)
        for each in (session, ended):
            if each is not None:
                assert_sound(each, now)
        if ended is not None:
            assert ended.ended_at is not None
            assert ended.has_charged
            assert before is not None
            assert before[0] is ended
            over_at = ended.ended_at
        if session is None or before is None:
            continue
        old, phase, was_open = before
        if session is old:
            assert session.phase is phase or session.phase in LEGAL[phase]
            assert was_open or not session.is_open
        else:
            assert session.began_at == now
            assert not old.is_open or not old.has_charged
            assert session.began_at >= over_at


def assert_sound(session: Session, now: datetime) -> None:
    assert session.drawn_kwh >= 0
    assert session.energy_kwh >= -0.05
    assert session.began_at <= session.since <= now
    assert session.began_at <= session.at <= now
    assert session.held_since <= now
    assert 0 <= session.level_w <= 2000
    assert 0 <= session.charging_w <= 2000
    assert session.held_w <= session.charging_w or not session.has_charged
    if session.ended_at is not None:
        assert session.began_at <= session.ended_at <= now
        assert session.ending is not None
        assert session.duration >= timedelta(0)


@settings(max_examples=60)
@given(HEARD)
def test_storing_it_between_any_two_readings_changes_nothing(
    heard: list[tuple[timedelta, Reading]],
) -> None:
    assert list(followed(heard, stored=True)) == list(followed(heard, stored=False))


def followed(
    heard: Iterable[tuple[timedelta, Reading]], *, stored: bool
) -> Iterator[tuple[bytes, bytes]]:
    now, session = MONDAY, None
    for gap, reading in heard:
        now += gap
        session, ended = step(session, reading, now, POLICY)
        yield _pack(session), _pack(ended)
        if stored and session is not None:
            session = _unpack(_pack(session))


# --- what the simulator knows ------------------------------------------------------------

USES = st.tuples(
    st.sampled_from(BATTERIES),
    st.floats(0.0, 0.95),
    st.integers(1, 12 * 60),
    st.sampled_from([5, 10, 30, 60, 180, 300]),
    st.integers(0, 10_000),
)


@settings(max_examples=60)
@given(USES)
def test_a_simulated_bike_is_one_session_with_its_energy_plateau_and_end(
    use: tuple[Battery, float, int, int, int],
) -> None:
    battery, state_of_charge, minutes, beat_s, seed = use
    curve, pulled_s, chance = charge(battery, state_of_charge), minutes * 60, Random(seed)
    true_w: list[tuple[int, float]] = []
    for second in range(-600, pulled_s + 2 * 3600, beat_s):
        in_use = 0 <= second < pulled_s
        power_w = curve.power_w(second * SECOND) if in_use else 2.0
        true_w.append((second, max(0.0, power_w * chance.gauss(1, 0.004))))
    heard, wrong = with_wrong_readings(true_w, chance)
    found = list(sessions_in(heard))

    charges = [(second, w) for second, w in true_w if 0 <= second < pulled_s and w >= 15]
    if not charges or charges[-1][0] - charges[0][0] < 60:
        assert len(found) <= 1  # too short to tell from noise
        return
    (session,) = found
    (last_s, _), least_kwh = charges[-1], beat_s / 3.6e6
    assert session.began_at == MONDAY + charges[0][0] * SECOND
    assert session.ended_at is not None
    told = set(heard)  # one wrong reading may hide the last right one, and noise the limit
    sure_s = max((s for s, w in charges if w >= 15.5 and (s, w) in told), default=0)
    assert sure_s * SECOND <= session.ended_at - MONDAY <= (last_s + beat_s) * SECOND

    plateau_w = max(w for second, w in charges if second >= 30)
    shown = sum(w >= plateau_w * 0.75 for _, w in charges) > 1  # one reading is no plateau
    least_w = plateau_w * 0.75 if shown else min(w for _, w in charges)
    assert least_w <= session.charging_w <= plateau_w * 1.02
    assert session.peak_w <= max(w for _, w in charges)
    true_kwh = curve.energy_wh((last_s + beat_s / 2) * SECOND) / 1000
    trickle_kwh = 0.015  # of an hour below 15 W
    slack_kwh = least_kwh * (1.6 * plateau_w + 1800 * wrong) + trickle_kwh
    assert abs(session.energy_kwh - true_kwh) <= 0.03 * true_kwh + slack_kwh

    settled_s = max(2 * beat_s, 60)  # LFP tapers within a minute: a level takes 30 s
    left, before = (curve.power_w((last_s - s) * SECOND) / plateau_w for s in (0, settled_s))
    if left < 0.2 and before < 0.25:
        assert session.ending is Ending.FINISHED
    if left > 0.45:
        assert session.ending is Ending.ABRUPT


def with_wrong_readings(
    true_w: list[tuple[int, float]], chance: Random
) -> tuple[list[tuple[int, float]], int]:
    """Return it with some readings of nothing or of a multiple, never two in a row."""
    heard, wrong, last = list(true_w), 0, -1
    for n, (second, power_w) in enumerate(true_w):
        if power_w > 15 and second > 1200 and n - last > 1 and chance.random() < 0.005:
            heard[n], wrong, last = (second, chance.choice([0.0, 1800.0])), wrong + 1, n
    return heard, wrong


def sessions_in(heard: Iterable[tuple[int, float]]) -> Iterator[Session]:
    session = None
    for second, power_w in heard:
        reading = Reading(channel=1, power_w=power_w)
        session, ended = step(session, reading, MONDAY + second * SECOND, POLICY)
        if ended is not None:
            yield ended
