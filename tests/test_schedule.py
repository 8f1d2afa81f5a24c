"""The schedule against an oracle that looks at the clock on the wall minute by minute.

The oracle knows the words of docs/sites.md and nothing of spans: a moment is closed if the
wall clock has shown the start of a window of some day, and not yet its end.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rules.schedule import (
    EVERY_DAY,
    FORESEEN,
    LOOK_DAYS,
    Calendar,
    DatedDay,
    Days,
    Schedule,
    Span,
    Window,
    merged,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ZONES = ("Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York")
CHANGES = (
    date(2026, 3, 29),  # Berlin, forward
    date(2026, 10, 25),  # Berlin, back
    date(2026, 3, 8),  # New York, forward
    date(2026, 11, 1),  # New York, back
    date(2026, 4, 5),  # Lord Howe, back by half an hour
    date(2026, 10, 4),  # Lord Howe, forward by half an hour
)
"""Days of which the wall clock has more or less than 24 hours, in one zone or another."""

clock_times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 45, 59]))
windows = st.builds(
    Window,
    clock_times,
    clock_times,
    st.one_of(
        st.just(EVERY_DAY),
        st.frozensets(st.integers(0, 6), min_size=1),
        st.sampled_from(Days),
    ),
)
dated_windows = st.lists(st.builds(Window, clock_times, clock_times), max_size=2).map(tuple)
schedules = st.builds(
    Schedule,
    st.sampled_from(ZONES),
    st.lists(windows, max_size=4).map(tuple),
)
near_a_change = st.builds(
    lambda day, minutes: datetime(day.year, day.month, day.day, tzinfo=UTC) + minutes * MINUTE,
    st.sampled_from(CHANGES),
    st.integers(-2 * 1440, 3 * 1440),
)
any_minute = st.integers(0, 8 * 365 * 1440).map(
    lambda minutes: datetime(2023, 1, 1, tzinfo=UTC) + minutes * MINUTE
)
minutes = st.one_of(any_minute, near_a_change)
NEAR = range(-3, LOOK_DAYS + 3)
"""The days around a moment that may be holidays, worked, or exceptions."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    """Draw a moment and a schedule whose special days are near it, where they matter."""
    schedule, now = draw(schedules), draw(minutes)
    near = st.sampled_from([now.date() + n * DAY for n in NEAR])
    exceptions = draw(st.dictionaries(near, dated_windows, max_size=4))
    holidays = draw(st.frozensets(near, max_size=5))
    return (
        replace(
            schedule,
            exceptions=tuple(DatedDay(day, closed) for day, closed in exceptions.items()),
            holidays=holidays,
            makeup_workdays=draw(st.frozensets(near, max_size=3)) - holidays,
        ),
        now,
    )


@cache
def instants(zone_name: str, day: date) -> dict[time, datetime]:
    """Say when the wall shows each minute of a day: the first time that it does.

    A minute that is skipped is counted on from the last one before the gap, as the clock
    would show it if nobody had put it forward.
    """
    zone = ZoneInfo(zone_name)
    shown: dict[time, datetime] = {}
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for minute in range(-36 * 60, 36 * 60):
        instant = noon + minute * MINUTE
        wall = instant.astimezone(zone)
        if wall.date() == day:
            shown.setdefault(wall.time(), instant)
    last = shown[time(0)]
    for minute in range(1440):
        clock = time(minute // 60, minute % 60)
        last = shown.setdefault(clock, last + MINUTE)
    return shown


def begins_on(schedule: Schedule, window: Window, day: date) -> bool:
    """Say whether one of the weekly windows begins on a day, if that is no exception."""
    worked = day in schedule.makeup_workdays or (
        day.weekday() not in {5, 6} and day not in schedule.holidays
    )
    match window.days:
        case Days.WORKDAYS:
            return worked
        case Days.RESTDAYS:
            return not worked
        case weekdays:
            return day.weekday() in weekdays


def of_day(schedule: Schedule, day: date) -> list[Window]:
    dated = {each.day: each.closed for each in schedule.exceptions}
    if day in dated:
        return list(dated[day])
    return [window for window in schedule.closed if begins_on(schedule, window, day)]


def is_closed(schedule: Schedule, now: datetime) -> bool:
    today = now.astimezone(schedule.zone).date()
    for day in (today - 2 * DAY, today - DAY, today, today + DAY):
        for window in of_day(schedule, day):
            last = day + DAY if window.end <= window.start else day
            begins = instants(schedule.zone_name, day)[window.start]
            ends = instants(schedule.zone_name, last)[window.end]
            if begins <= now < ends:
                return True
    return False


@settings(max_examples=400)
@given(cases())
def test_a_moment_is_closed_if_the_wall_clock_says_so(case: tuple[Schedule, datetime]) -> None:
    schedule, now = case
    span = schedule.span(now)
    assert span.closed is is_closed(schedule, now)
    assert span.since <= now < span.until


@settings(max_examples=100)
@given(cases())
def test_all_of_a_span_is_alike_and_its_ends_are_exact(case: tuple[Schedule, datetime]) -> None:
    schedule, now = case
    span = schedule.span(now)
    inside = {span.since, span.until - MINUTE, span.since + (span.until - span.since) / 2}
    near = {moment for moment in inside if abs(moment - now) < 2 * DAY}
    assert {is_closed(schedule, moment) for moment in near} <= {span.closed}
    if span.until - now < 2 * DAY:
        assert is_closed(schedule, span.until) is not span.closed
    if now - span.since < 2 * DAY:
        assert is_closed(schedule, span.since - MINUTE) is not span.closed


@settings(max_examples=200)
@given(cases())
def test_spans_follow_each_other_without_a_gap_and_take_turns(
    case: tuple[Schedule, datetime],
) -> None:
    schedule, now = case
    span = schedule.span(now)
    after = schedule.span(span.until)
    last_of_it = schedule.span(span.until - TICK)
    assert (last_of_it.closed, last_of_it.until >= span.until) == (span.closed, True)
    if span.until - now < LOOK_DAYS * DAY:
        assert after.closed is not span.closed
        assert after.since == span.until


@settings(max_examples=200)
@given(cases())
def test_a_span_that_does_not_turn_says_so_and_nothing_closes_soon_after_it(
    case: tuple[Schedule, datetime],
) -> None:
    schedule, now = case
    span = schedule.span(now)
    after = schedule.span(span.until)
    assert span.turns is (after.closed is not span.closed)
    if not span.turns:
        assert after.closed or after.until >= span.until + FORESEEN


@settings(max_examples=10)
@given(cases())
def test_the_spans_of_two_days_are_those_of_every_minute(
    case: tuple[Schedule, datetime],
) -> None:
    schedule, now = case
    wall = [is_closed(schedule, now + n * MINUTE) for n in range(2 * 1440)]
    spans = [schedule.span(now + n * MINUTE).closed for n in range(0, 2 * 1440, 7)]
    assert spans == wall[::7]
    turns = [n for n, (before, after) in enumerate(pairwise(wall), 1) if before is not after]
    found, at = list[int](), schedule.span(now)
    while at.until < now + 2 * DAY:
        found.append((at.until - now) // MINUTE)
        at = schedule.span(at.until)
    assert found == turns


@given(schedules, st.lists(minutes, min_size=1, max_size=20))
@settings(max_examples=50)
def test_the_calendar_remembers_no_span_that_is_over(
    schedule: Schedule, moments: list[datetime]
) -> None:
    calendar = Calendar()
    for moment in moments:
        span, fresh = calendar.span("north", schedule, moment), schedule.span(moment)
        assert span.closed is fresh.closed
        assert span.since <= moment < span.until


def test_the_calendar_keeps_sites_and_policies_apart() -> None:
    calendar, now = Calendar(), datetime(2026, 1, 5, 4, 0, tzinfo=UTC)  # noon in Shanghai
    always = Schedule("Asia/Shanghai", (Window(time(0), time(0)),))
    assert not calendar.span("north", Schedule.nightly(), now).closed
    assert calendar.span("yard", always, now).closed
    assert not calendar.span("north", Schedule.nightly(), now).closed
    assert calendar.span("north", always, now).closed


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-01-05T21:59:59.999999", False),
        ("2026-01-05T22:00:00", True),
        ("2026-01-06T00:00:00", True),
        ("2026-01-06T04:59:59.999999", True),
        ("2026-01-06T05:00:00", False),
    ],
)
def test_a_window_is_half_open_and_runs_past_midnight(now: str, closed: bool) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    moment = datetime.fromisoformat(now).replace(tzinfo=zone).astimezone(UTC)
    assert Schedule.nightly().span(moment).closed is closed


def test_a_station_without_windows_is_open_and_asks_again_within_eight_days() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    span = Schedule("Asia/Shanghai", ()).span(now)
    assert span == Span(closed=False, since=now - 8 * DAY, until=now + 8 * DAY, turns=False)


def test_a_station_that_is_always_closed_asks_again_within_eight_days() -> None:
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    span = Schedule("Europe/Berlin", (Window(time(6), time(6)),)).span(now)
    assert span.closed
    assert span.until == now + 8 * DAY


def test_windows_that_touch_or_overlap_are_one() -> None:
    evening = Window(time(20), time(23))
    night = Window(time(23), time(5))
    late = Window(time(22, 30), time(1))
    now = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
    span = Schedule("Asia/Shanghai", (night, evening, late)).span(now)
    assert span == Span(
        closed=True,
        since=datetime(2026, 1, 5, 12, 0, tzinfo=UTC),
        until=datetime(2026, 1, 5, 21, 0, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("night", "hours"), [(date(2026, 3, 28), 6), (date(2026, 10, 24), 8), (date(2026, 7, 1), 7)]
)
def test_a_night_in_berlin_is_as_long_as_the_clocks_make_it(night: date, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    begins, ends = Window(time(22), time(5)).on(night, zone)
    assert ends - begins == timedelta(hours=hours)
    assert begins.astimezone(zone).time() == time(22)
    assert ends.astimezone(zone).time() == time(5)


def test_a_window_that_the_clocks_skip_altogether_is_kept_by_the_old_clock() -> None:
    begins, ends = Window(time(2, 15), time(2, 45)).on(
        date(2026, 3, 29), ZoneInfo("Europe/Berlin")
    )
    assert begins == datetime(2026, 3, 29, 1, 15, tzinfo=UTC)
    assert ends - begins == timedelta(minutes=30)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8))
def test_merged_spans_are_in_order_apart_and_cover_the_same(
    pairs: list[tuple[int, int]],
) -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    spans = [(start + a * MINUTE, start + b * MINUTE) for a, b in pairs]
    union = list(merged(spans))
    flat = [moment for span in union for moment in span]
    assert flat == sorted(set(flat))
    for minute in range(41):
        moment = start + minute * MINUTE
        inside = any(begins <= moment < ends for begins, ends in spans)
        assert inside is any(begins <= moment < ends for begins, ends in union)
