"""When posts are asked whether somebody is there: at no time that anybody can know."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.duty_checks import APART, MONDAY, PUT_OFF_MAX, WEEK, Plan, owed, week_of
from rules.schedule import DatedDay, Days, Schedule, Window

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
SEED = bytes(range(32))
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
NIGHTS = Schedule("Asia/Shanghai", (Window(time(20), time(6)),))
WORK = Schedule(
    "Europe/Berlin",
    (Window(time(8), time(12), Days.WORKDAYS), Window(time(13), time(17), Days.WORKDAYS)),
    exceptions=(DatedDay(date(2026, 11, 25), (Window(time(23), time(1)),)),),
    holidays=frozenset({date(2026, 11, 26)}),
)
HOURS = (None, NIGHTS, WORK)
STEP = 3 * MINUTE
"""How often the processes of these tests look whether it is time."""
unhurried = settings(max_examples=40)


def plan(
    per_week: float = 3.0,
    hours: Schedule | None = None,
    post: str = "gate",
    seed: bytes = SEED,
) -> Plan:
    return Plan(seed=seed, post=post, per_week=per_week, hours=hours)


plans = st.builds(
    plan,
    st.floats(0.1, 200),
    st.sampled_from(HOURS),
    st.text(min_size=1, max_size=8),
    st.binary(min_size=32, max_size=32),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(
    lambda at: at.replace(tzinfo=UTC)
)


# --- how often -------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", HOURS, ids=["always", "nights", "work"])
@pytest.mark.parametrize("per_week", [0.25, 1.0, 5.0])
def test_over_the_years_it_is_as_often_as_was_wished(
    per_week: float, hours: Schedule | None
) -> None:
    weeks = [len(plan(per_week, hours).in_week(week)) for week in range(2900, 4900)]
    tolerated = 4 * (per_week / len(weeks)) ** 0.5  # four standard deviations of the mean
    assert mean(weeks) == pytest.approx(per_week, abs=tolerated)


def test_having_been_asked_says_nothing_about_the_days_to_come() -> None:
    """A fixed number in each week would let a post that was asked sleep until Monday."""
    early, late = [], []
    for week in range(4000):
        begins = MONDAY + week * WEEK
        found = plan(2.0).in_week(week)
        early.append(any(at < begins + WEEK / 2 for at in found))
        late.append(any(at >= begins + WEEK / 2 for at in found))
    after_an_early_one = mean(b for a, b in zip(early, late, strict=True) if a)
    after_none = mean(b for a, b in zip(early, late, strict=True) if not a)
    assert after_an_early_one == pytest.approx(after_none, abs=0.05)


def test_every_hour_of_the_day_is_as_likely_as_any_other() -> None:
    by_hour = Counter(at.hour for week in range(2000) for at in plan(5.0).in_week(week))
    assert len(by_hour) == 24
    assert max(by_hour.values()) < 1.3 * min(by_hour.values())


@unhurried
@given(plans, st.integers(2900, 3100))
def test_if_there_is_no_room_for_as_many_there_are_as_many_as_fit(
    each: Plan, week: int
) -> None:
    assert len(each.in_week(week)) <= WEEK // APART


def test_a_post_that_may_never_be_asked_never_is() -> None:
    never = Schedule("Asia/Shanghai", ())
    assert plan(100, never).in_week(week_of(NOW)) == ()
    assert plan(100, never).next_after(NOW) is None
    assert plan(0.0).in_week(week_of(NOW)) == ()


# --- when ------------------------------------------------------------------------------------


@unhurried
@given(plans, moments)
@example(plan(200, WORK), datetime(2026, 11, 25, 22, tzinfo=UTC))  # from before midnight
@example(plan(200, WORK), datetime(2026, 10, 25, 1, tzinfo=UTC))  # an hour that comes twice
@example(plan(200, NIGHTS), MONDAY + 2950 * WEEK)
def test_no_moment_lies_outside_the_hours_and_no_two_are_too_close(
    each: Plan, at: datetime
) -> None:
    found = each.between(at, at + 3 * WEEK)
    assert found == sorted(found)
    assert all(b - a >= APART for a, b in pairwise(found))
    for moment in found:
        assert each.may_ask(moment)
        assert each.hours is None or each.hours.span(moment).closed


@unhurried
@given(plans, moments)
def test_the_next_moment_is_the_first_of_those_that_follow(each: Plan, at: datetime) -> None:
    following = each.between(at, at + 2 * WEEK)
    assert each.next_after(at) == (following[0] if following else None)


def test_posts_and_seeds_have_nothing_to_do_with_each_other() -> None:
    ours = set(plan(20).in_week(2950))
    assert ours
    assert not ours & set(plan(20, post="dock").in_week(2950))
    assert not ours & set(plan(20, seed=bytes(32)).in_week(2950))


def test_a_plan_is_the_same_in_every_version_of_the_service() -> None:
    """If this fails, posts are asked twice or not at all in the week of an upgrade."""
    assert [at.isoformat() for at in plan(3, NIGHTS).in_week(2968)] == [
        "2026-11-24T17:35:15+00:00",
        "2026-11-25T17:27:16+00:00",
        "2026-11-26T13:03:05+00:00",
        "2026-11-29T16:36:34+00:00",
    ]


# --- whether it is time ----------------------------------------------------------------------


def played(
    each: Plan, begins: datetime, ends: datetime, awake: list[tuple[datetime, datetime]]
) -> list[datetime]:
    """Return when the post is asked by processes that look again and again while awake.

    Each of them remembers nothing but when the post was asked last.
    """
    asked: list[datetime] = []
    at = begins
    while at < ends:
        if any(since <= at < until for since, until in awake):
            last = asked[-1] if asked else None
            if owed(each, last, begins, at):
                asked.append(at)
        at += STEP
    return asked


@unhurried
@given(st.binary(min_size=32, max_size=32), st.sampled_from(HOURS))
def test_it_is_asked_at_each_planned_moment_once(seed: bytes, hours: Schedule | None) -> None:
    each = plan(6, hours, seed=seed)
    asked = played(each, NOW, NOW + WEEK, [(NOW, NOW + WEEK)])
    planned = [at for at in each.between(NOW, NOW + WEEK - STEP) if each.may_ask(at + STEP)]
    for wanted in planned:
        assert sum(wanted <= at < wanted + 2 * STEP for at in asked) == 1
    assert all(b - a >= APART for a, b in pairwise(asked))


@unhurried
@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 24 * 20), max_size=6))
def test_a_restart_at_any_moment_neither_forgets_nor_repeats_a_check(
    seed: bytes, restarts: list[int]
) -> None:
    each, ends = plan(40, seed=seed), NOW + timedelta(days=1)
    cuts = sorted({NOW, ends, *(NOW + n * STEP for n in restarts)})
    assert played(each, NOW, ends, list(pairwise(cuts))) == played(
        each, NOW, ends, [(NOW, ends)]
    )


@unhurried
@given(st.binary(min_size=32, max_size=32), st.integers(0, 40), st.integers(1, 30))
def test_after_an_outage_there_is_one_check_at_most_and_no_burst(
    seed: bytes, from_h: int, lasts_h: int
) -> None:
    each, ends = plan(80, seed=seed), NOW + timedelta(days=3)
    down, up = NOW + from_h * HOUR, NOW + (from_h + lasts_h) * HOUR
    asked = played(each, NOW, ends, [(NOW, down), (up, ends)])
    assert not [at for at in asked if down <= at < up]
    assert all(b - a >= APART for a, b in pairwise(asked))
    made_up_for = [at for at in asked if up <= at < up + STEP]
    last = max((at for at in asked if at < down), default=NOW)
    forgotten = each.between(max(last, up - PUT_OFF_MAX), up)
    assert len(made_up_for) == bool(forgotten and up - last >= APART)


def test_what_waited_too_long_is_dropped() -> None:
    each = plan(1.0)
    [planned] = each.in_week(next(w for w in range(2950, 3000) if len(each.in_week(w)) == 1))
    long_ago = planned - WEEK
    assert owed(each, None, long_ago, planned) == planned
    assert owed(each, None, long_ago, planned + PUT_OFF_MAX - SECOND) == planned
    assert owed(each, None, long_ago, planned + PUT_OFF_MAX) is None


def test_a_plan_makes_up_for_nothing_that_was_before_it() -> None:
    each = plan(100)
    planned = each.next_after(NOW)
    assert planned
    assert owed(each, None, planned, planned + MINUTE) is None


def test_a_check_by_hand_counts() -> None:
    each = plan(100)
    planned = each.next_after(NOW)
    assert planned
    by_hand = planned - 10 * MINUTE
    assert owed(each, by_hand, NOW, planned + MINUTE) is None
    assert owed(each, by_hand, NOW, by_hand + APART)
    assert owed(each, planned + MINUTE, NOW, planned + 2 * MINUTE) is None


def test_nobody_is_asked_out_of_hours_even_if_it_was_put_off_until_then() -> None:
    each = plan(30, NIGHTS)
    evening = datetime(2026, 11, 23, 22, tzinfo=UTC)  # 06:00 in Shanghai: the night is over
    last = each.between(evening - 4 * HOUR, evening)[-1]
    assert owed(each, None, NOW, evening - SECOND) == last
    assert owed(each, None, NOW, evening) is None
