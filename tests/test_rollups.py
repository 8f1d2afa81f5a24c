"""What readings come to: the arithmetic of windows and days, held against plain oracles."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.counters import RISE_MAX_KWH, Counted, counted
from ingest.moments import to_us
from ingest.registry import Name
from ingest.rollup_points import Day, Happened, quarter_lines
from ingest.rollups import Power, SitePlan, Slice, Unit, Watched, quarters
from ingest.windows import HOURS, QUARTER, bounds, floor, windows
from rules.schedule import Schedule, Window
from tests.test_influx_lines import points

T0 = datetime(2026, 1, 5, 4, tzinfo=UTC)
"""12:00 in Shanghai, and the beginning of a window."""
MINUTE = timedelta(minutes=1)
PILE, SENSOR = "town/north/pile-1", "town/north/smoke-1"
ONE, TWO, WHOLE = Unit(PILE, "1"), Unit(PILE, "2"), Unit(PILE, "")
OPEN = Schedule("Asia/Shanghai", ())


def plan(schedule: Schedule = OPEN, *, added_at: datetime | None = None) -> SitePlan:
    return SitePlan(
        id="town/north",
        area="town",
        name=Name("北", "North"),
        schedule=schedule,
        devices=(
            Watched(
                id=PILE,
                silent_after=timedelta(minutes=8),
                charging_min_w=15.0,
                added_at=added_at,
            ),
            Watched(id=SENSOR, silent_after=timedelta(hours=25), charging_min_w=15.0),
            Watched(
                id="town/north/stranger",
                silent_after=timedelta(minutes=8),
                charging_min_w=15.0,
                declared=False,
            ),
        ),
    )


def said(  # noqa: PLR0913  (what there is to say)
    windows_long: int = 1,
    *,
    powers: Mapping[Unit, Mapping[datetime, Power]] | None = None,
    counted_kwh: Mapping[Unit, Mapping[datetime, float]] | None = None,
    readings: Mapping[Unit, Mapping[datetime, int]] | None = None,
    heard: Mapping[str, frozenset[datetime]] | None = None,
    heard_before: Mapping[str, datetime] | None = None,
) -> Slice:
    return Slice(
        since=T0,
        until=T0 + windows_long * QUARTER,
        powers=powers or {},
        temperatures={},
        readings=readings or {},
        counted_kwh=counted_kwh or {},
        heard=heard or {},
        heard_before=heard_before or {},
    )


# --- Counters -----------------------------------------------------------------------------


def at(minutes: float, kwh: float) -> Counted:
    return Counted(to_us(T0 + minutes * MINUTE), kwh)


def test_a_counter_counts_from_the_reading_before() -> None:
    assert counted(at(-3, 5.0), [at(1, 5.25), at(16, 5.5)]) == {T0: 0.25, T0 + QUARTER: 0.25}


def test_a_counter_that_was_never_heard_before_counts_from_its_first_reading() -> None:
    assert counted(None, [at(1, 500.0), at(4, 500.5)]) == {T0: 0.5}


def test_a_counter_that_begins_anew_counts_from_0() -> None:
    assert counted(at(-3, 118.0), [at(1, 0.25), at(4, 0.5)]) == {T0: 0.5}


def test_what_was_misread_is_no_energy() -> None:
    misread_low = [at(1, 0.0), at(4, 118.25)]
    assert counted(at(-3, 118.0), misread_low) == {T0: 0.0}
    misread_high = [at(1, 9000.0), at(4, 118.25)]
    assert counted(at(-3, 118.0), misread_high) == {T0: 0.0}
    below_zero = [at(1, -1.0), at(4, 0.5)]
    assert counted(at(-3, 118.0), below_zero) == {T0: 1.5}


def test_days_of_silence_may_hold_more_than_a_quarter_of_an_hour() -> None:
    most_kwh = 8 * RISE_MAX_KWH
    assert counted(at(-119, 0.0), [at(1, most_kwh)]) == {T0: most_kwh}
    assert counted(at(-119, 0.0), [at(1, most_kwh + 0.1)]) == {T0: 0.0}


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, 0.5)), min_size=1, max_size=60),
    st.integers(0, 59),
)
def test_what_is_counted_is_what_flowed_wherever_the_windows_lie(
    steps: list[tuple[int, float]], restart: int
) -> None:
    """A meter that counts what flows, and is reset to 0 at one of its readings."""
    minutes, meter, flowed, readings = 0.0, 7.0, 0.0, [at(0, 7.0)]
    for number, (pause, kwh) in enumerate(steps):
        minutes += pause
        meter = kwh if number == restart else meter + kwh
        flowed += kwh
        readings.append(at(minutes, meter))
    found = counted(None, readings)
    assert sum(found.values()) == pytest.approx(flowed)
    assert set(found) == {floor(T0 + timedelta(minutes=0))} | {
        floor(T0 + (reading.at_us - readings[0].at_us) * timedelta(microseconds=1))
        for reading in readings
    }


# --- Windows ------------------------------------------------------------------------------


def test_without_a_counter_energy_is_mean_power() -> None:
    found = said(2, powers={ONE: {T0: Power(300.0, 200.0)}}, readings={ONE: {T0: 5}})
    first, second = quarters(plan(), found)
    assert first.energy_kwh == pytest.approx(0.05)
    assert (first.mean_w, first.peak_w, first.charging) == (200.0, 300.0, 1)
    assert (second.energy_kwh, second.mean_w, second.charging, second.units) == (0, 0, 0, ())


def test_with_a_counter_power_is_no_energy() -> None:
    found = said(
        2,
        powers={ONE: {T0: Power(300.0, 200.0), T0 + QUARTER: Power(300.0, 200.0)}},
        counted_kwh={ONE: {T0 + QUARTER: 0.1}},
        readings={ONE: {T0: 5, T0 + QUARTER: 5}},
    )
    assert [quarter.energy_kwh for quarter in quarters(plan(), found)] == [0.0, 0.1]


def test_the_common_meter_of_several_sockets_is_not_counted_twice() -> None:
    found = said(
        powers={ONE: {T0: Power(100.0, 100.0)}, WHOLE: {T0: Power(150.0, 150.0)}},
        readings={ONE: {T0: 1}, WHOLE: {T0: 1}},
    )
    [quarter] = quarters(plan(), found)
    assert [each.unit for each in quarter.units] == [ONE]
    assert quarter.mean_w == 100.0


def test_a_device_that_is_one_single_socket_has_a_quarter_without_a_number() -> None:
    found = said(powers={WHOLE: {T0: Power(150.0, 150.0)}}, readings={WHOLE: {T0: 1}})
    [quarter] = quarters(plan(), found)
    [socket, _] = points(b"\n".join(quarter_lines(plan(), quarter)))
    assert socket[1] == {"area": "town", "site": "town/north", "device": PILE}


def test_feeding_back_is_no_negative_energy() -> None:
    found = said(powers={ONE: {T0: Power(0.0, -20.0)}}, readings={ONE: {T0: 1}})
    [quarter] = quarters(plan(), found)
    assert quarter.energy_kwh == 0.0


@pytest.mark.parametrize(
    ("closes", "share"),
    [(time(12), 1.0), (time(12, 5), 2 / 3), (time(12, 15), 0.0), (time(11), 0.0)],
)
def test_energy_is_after_hours_for_as_long_as_it_is_closed(closes: time, share: float) -> None:
    closed = Schedule(
        "Asia/Shanghai", (Window(closes, time(12) if closes.hour < 12 else time(5)),)
    )
    found = said(counted_kwh={ONE: {T0: 0.3}}, readings={ONE: {T0: 1}})
    [quarter] = quarters(plan(closed), found)
    assert quarter.after_hours_kwh == pytest.approx(0.3 * share)


def test_a_device_is_heard_in_the_windows_in_which_it_speaks() -> None:
    found = said(3, heard={PILE: frozenset({T0 + QUARTER})})
    heard = [quarter.heard for quarter in quarters(plan(), found)]
    assert heard == [frozenset(), {PILE}, frozenset()]
    assert all(quarter.devices == {PILE, SENSOR} for quarter in quarters(plan(), found))


def test_who_need_not_speak_so_often_is_heard_for_as_long_as_he_may_be_silent() -> None:
    ago = timedelta(hours=24, minutes=40)
    found = said(3, heard_before={SENSOR: T0 - ago})
    heard = [quarter.heard for quarter in quarters(plan(), found)]
    assert heard == [{SENSOR}, frozenset(), frozenset()]


def test_a_device_is_not_missed_before_it_was_added() -> None:
    expected = [
        quarter.devices for quarter in quarters(plan(added_at=T0 + 20 * MINUTE), said(2))
    ]
    assert expected == [{SENSOR}, {PILE, SENSOR}]


# --- Days ---------------------------------------------------------------------------------

POWERS = st.dictionaries(
    st.sampled_from([ONE, TWO, Unit("town/north/pile-2", "1")]),
    st.dictionaries(
        st.integers(0, 95), st.tuples(st.floats(0, 2000), st.floats(0, 2000)), max_size=20
    ),
    max_size=3,
)


@settings(max_examples=30)
@given(POWERS)
def test_a_day_is_the_sum_of_its_windows(
    drawn: dict[Unit, dict[int, tuple[float, float]]],
) -> None:
    powers = {
        unit: {T0 + n * QUARTER: Power(max(two), min(two)) for n, two in by_window.items()}
        for unit, by_window in drawn.items()
    }
    found = said(
        96,
        powers=powers,
        readings={unit: dict.fromkeys(by_window, 1) for unit, by_window in powers.items()},
    )
    day, energy_kwh = Day(plan(), T0), 0.0
    for quarter in quarters(plan(), found):
        day.add(quarter)
        energy_kwh += sum(each.energy_kwh for each in quarter.units)
    lines = list(day.lines(Happened()))
    parsed = list(points(b"\n".join(lines)))
    [site] = [fields for name, _, fields, _ in parsed if name == "site_day"]
    sockets = [fields["energy_kwh"] for name, _, fields, _ in parsed if name == "socket_day"]
    oracle_kwh = sum(
        power.mean_w * HOURS / 1000
        for by_window in powers.values()
        for power in by_window.values()
    )
    assert site["energy_kwh"] == pytest.approx(oracle_kwh)
    assert energy_kwh == pytest.approx(oracle_kwh)
    assert sum(map(float, sockets)) == pytest.approx(oracle_kwh)
    demands_w = [
        sum(by_window[at].mean_w for by_window in powers.values() if at in by_window)
        for at in windows(T0, T0 + 96 * QUARTER)
    ]
    assert site["demand_w"] == pytest.approx(max(demands_w))


def test_a_day_says_what_began_on_it_and_who_was_heard() -> None:
    found = said(
        4,
        powers={ONE: {T0: Power(900.0, 400.0), T0 + QUARTER: Power(700.0, 600.0)}},
        readings={ONE: {T0: 1, T0 + QUARTER: 1}},
        heard={PILE: frozenset({T0, T0 + QUARTER})},
        heard_before={SENSOR: T0},
    )
    day = Day(plan(), T0)
    for quarter in quarters(plan(), found):
        day.add(quarter)
    happened = Happened(
        sessions={ONE: 3, TWO: 1},
        after_hours_sessions=2,
        alerts={"overload": 2, "site_overload": 1, "smoke": 4},
    )
    parsed = list(points(b"\n".join(day.lines(happened))))
    [one, two, site] = parsed
    assert one[2] == {
        "energy_kwh": 0.25,
        "peak_w": 900.0,
        "sessions": 3,
        "uptime_pct": 50.0,
    }
    assert two[2] == {"energy_kwh": 0.0, "sessions": 1, "uptime_pct": 50.0}
    assert site[1] == {"area": "town", "site": "town/north"}
    assert site[2] == {
        "name_zh": "北",
        "name_en": "North",
        "energy_kwh": 0.25,
        "after_hours_kwh": 0.0,
        "demand_w": 600.0,
        "sessions": 4,
        "after_hours_sessions": 2,
        "overload_alerts": 3,
        "alerts": 7,
        "uptime_pct": 75.0,
    }


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # its midnight is skipped
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Kathmandu", date(2026, 4, 5), 24),  # 5:45 off UTC
    ],
)
def test_a_day_is_as_long_as_the_site_s_clock_makes_it(
    zone: str, day: date, hours: float
) -> None:
    schedule = Schedule(zone, ())
    begins, ends = bounds(day, schedule)
    assert ends - begins == timedelta(hours=hours)
    assert floor(begins) == begins
    assert len(list(windows(begins, ends))) == hours * 4
    assert bounds(day + timedelta(days=1), schedule)[0] == ends
