"""What a lane sends, folds and holds back: properties over everything that may wait."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.channels.lanes import Lane
from api.delivery.planning import plan
from api.delivery.plans import (
    DOWN_AFTER,
    HEARD_WITHIN,
    MESSAGES_MAX,
    MINUTE,
    SINGLES_MAX,
    Heard,
    LaneNow,
    Parcel,
    Plan,
    Rank,
    rank_of,
    trail_of,
)
from ingest.ledger.digests import Digest
from ingest.ledger.outbox import FIRST, Due, Reason
from rules.alerts import Transition
from rules.verdict import Severity

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROBOT = Lane(name="dingtalk 5a5a5a", per_minute=20, folds=True)
GATEWAY = Lane(name="sms", per_minute=60, folds=True)
SIREN = Lane(name="mqtt")


def due(  # noqa: PLR0913  (a notification has this many parts)
    number: int,
    severity: Severity = Severity.CRITICAL,
    transition: Transition = Transition.FIRING,
    *,
    episode: str = "",
    who: str = "person:wang",
    at: datetime = NOON,
    attempts: int = 0,
    next_at: datetime | None = None,
) -> Due:
    urgency = {Severity.WARNING: 1}.get(severity, FIRST)
    return Due(
        id=number,
        idempotency_key=f"{number}:dingtalk:{who}",
        episode=episode or f"e{number}",
        transition=transition,
        channel=f"dingtalk:{who.partition(':')[2]}",
        recipient=who,
        urgency=2 if transition is Transition.RESOLVED else urgency,
        severity=severity,
        attempts=attempts,
        created_at=at,
        next_at=at if next_at is None else next_at,
    )


def planned(
    waiting: Sequence[Due],
    lane: Lane | LaneNow = ROBOT,
    heard: dict[str, Heard] | None = None,
    now: datetime = NOON,
) -> Plan:
    now_is = lane if isinstance(lane, LaneNow) else LaneNow(lane=lane)
    return plan(waiting, [], now_is, heard or {}, (), now)


def singles(made: Plan) -> list[int]:
    return [parcel.items[0].id for parcel in made.send if len(parcel.items) == 1]


def folded(made: Plan) -> list[list[int]]:
    return [[item.id for item in each.items] for each in made.send if len(each.items) > 1]


FIRE, WARNING = Severity.EMERGENCY, Severity.WARNING
OVER = Transition.RESOLVED


# --- examples ------------------------------------------------------------------------------


def test_while_the_budget_lasts_each_is_told_by_itself_danger_first() -> None:
    made = planned([due(1, WARNING), due(2), due(3, FIRE)])
    assert (singles(made), folded(made), made.held) == ([3, 2, 1], [], {})


def test_fires_beyond_the_budget_are_told_first_and_then_as_a_digest_of_fires() -> None:
    fires = [due(number, FIRE) for number in range(1, 101)]
    warnings = [due(number, WARNING) for number in range(101, 201)]
    made = planned([*warnings, *fires])
    most = SINGLES_MAX[Rank.EMERGENCY]
    assert singles(made) == list(range(1, most + 1))
    assert folded(made) == [list(range(most + 1, 101))]
    assert set(made.held) == set(range(101, 201))
    assert len(made.send) <= 20


def test_many_warnings_leave_a_quarter_of_the_budget_to_danger() -> None:
    people = [f"person:{n}" for n in range(100)]
    made = planned([due(n, WARNING, who=who) for n, who in enumerate(people)], GATEWAY)
    assert len(made.send) == 45
    assert set(made.held.values()) == {Reason.WAITS_FOR_BUDGET}
    sent = LaneNow(lane=GATEWAY, sent=(NOON,) * 45)
    assert singles(planned([due(200), due(201, WARNING)], sent)) == [200]


def test_everybodys_first_goes_before_anybodys_second() -> None:
    waiting = [due(n, who="person:wang") for n in range(50)]
    waiting += [due(50 + n, who=f"person:{n}") for n in range(15)]
    made = planned(waiting)
    assert {parcel.who for parcel in made.send} == {item.who for item in waiting}


def test_the_end_waits_for_the_beginning() -> None:
    begun, over = due(1, episode="e"), due(2, transition=OVER, episode="e")
    assert singles(planned([begun, over])) == [1]
    assert plan([over], [], LaneNow(lane=ROBOT), {}, {trail_of(begun)}, NOON).send == []
    assert singles(planned([over])) == [2]


def test_an_alarm_that_was_over_before_it_could_be_told_is_one_line_of_a_digest() -> None:
    begun = due(1, episode="e", attempts=4)
    made = planned([begun, due(2, transition=OVER, episode="e")])
    assert folded(made) == [[1, 2]]
    assert made.send[0].rank is Rank.REST


def test_after_an_outage_what_still_burns_is_told_by_itself_and_the_rest_together() -> None:
    hours_ago = NOON - timedelta(hours=3)
    old = [due(n, WARNING, at=hours_ago) for n in range(1, 40)]
    over = [
        due(100 + 2 * n + k, FIRE, transition, episode=f"over {n}", at=hours_ago)
        for n in range(10)
        for k, transition in enumerate((Transition.FIRING, OVER))
    ]
    burning = [due(n, FIRE, at=hours_ago) for n in (200, 201)]
    made = planned([*old, *over, *burning])
    assert singles(made) == [200, 201]
    assert len(folded(made)) == 1
    assert len(made.send[-1].items) == len(old) + len(over)


def test_a_lane_that_fails_is_tried_with_one_message_at_a_time_the_worst_first() -> None:
    waiting = [due(1, WARNING), due(2, FIRE), due(3)]
    down = LaneNow(lane=ROBOT, failures=DOWN_AFTER)
    made = planned(waiting, down)
    assert singles(made) == [2]
    assert made.held == dict.fromkeys((1, 3), Reason.WAITS_FOR_PROVIDER)
    asked = LaneNow(lane=ROBOT, failures=DOWN_AFTER, on_the_way=1)
    assert planned(waiting, asked).send == []
    soon = LaneNow(lane=ROBOT, failures=DOWN_AFTER, probe_at=NOON + SECOND)
    assert (planned(waiting, soon).send, planned(waiting, soon).wake_at) == ([], NOON + SECOND)


def test_a_pause_that_a_provider_asked_for_holds_everything() -> None:
    paused = LaneNow(lane=ROBOT, paused_until=NOON + MINUTE)
    made = planned([due(1, FIRE)], paused)
    assert (made.send, made.wake_at) == ([], NOON + MINUTE)
    assert made.held == {1: Reason.WAITS_FOR_PROVIDER}
    assert singles(planned([due(1, FIRE)], paused, now=NOON + MINUTE)) == [1]


def test_machines_are_told_everything_by_itself() -> None:
    waiting = [due(n, WARNING, at=NOON - timedelta(days=1)) for n in range(500)]
    made = planned(waiting, SIREN)
    assert (len(singles(made)), folded(made), made.held) == (500, [], {})


def test_who_has_had_enough_warnings_still_hears_of_danger_at_once() -> None:
    had = (NOON,) * SINGLES_MAX[Rank.REST]
    enough = {"person:wang": Heard(singles=had, rest_digest_at=NOON)}
    made = planned([due(1, WARNING), due(2)], heard=enough)
    assert singles(made) == [2]
    assert made.held == {1: Reason.ENOUGH_FOR_NOW}


def test_who_has_had_enough_smoke_still_hears_of_a_fire_at_once() -> None:
    had = (NOON,) * SINGLES_MAX[Rank.DANGER]
    enough = {"person:wang": Heard(singles=had, urgent_digest_at=NOON)}
    made = planned([due(1), due(2, FIRE)], heard=enough)
    assert singles(made) == [2]
    assert made.held == {1: Reason.ENOUGH_FOR_NOW}


def test_a_fire_late_in_a_long_flood_of_smoke_is_told_at_once_by_itself() -> None:
    smoke = [(second, due(second, at=NOON)) for second in range(540)]
    sent, left = played([*smoke, (500, due(600, FIRE, at=NOON))], ROBOT, minutes=30)
    assert left == []
    [fire] = [each for each in sent if 600 in {item.id for item in each.parcel.items}]
    assert not fire.parcel.is_digest
    assert fire.at - NOON <= 501 * SECOND


def test_a_digest_that_failed_is_tried_again_as_it_was() -> None:
    digest = Digest(
        id=7,
        idempotency_key="digest:1-9:dingtalk:wang",
        channel="dingtalk:wang",
        recipient="person:wang",
        urgency=FIRST,
        attempts=1,
        made_at=NOON,
        next_at=NOON + SECOND,
    )
    lane = LaneNow(lane=ROBOT)
    early = plan([], [digest], lane, {}, (), NOON)
    assert (early.send, early.wake_at) == ([], NOON + SECOND)
    [parcel] = plan([], [digest], lane, {}, (), NOON + SECOND).send
    assert parcel.digest == digest


# --- properties ----------------------------------------------------------------------------

WHO = st.sampled_from([f"person:{name}" for name in ("wang", "li", "zhao")])


@st.composite
def backlogs(draw: st.DrawFn) -> list[Due]:
    """Return what may wait: episodes of some people's, in each part of their lives."""
    found: list[Due] = []
    for number in range(draw(st.integers(0, 25))):
        who, severity = draw(WHO), draw(st.sampled_from(Severity))
        age = draw(st.sampled_from([0, 1, 60, 1200]))
        life = draw(
            st.sampled_from(
                [
                    (Transition.FIRING,),
                    (Transition.FIRING, Transition.RESOLVED),
                    (Transition.RAISED, Transition.ESCALATED),
                    (Transition.RESOLVED,),
                ]
            )
        )
        for step, transition in enumerate(life):
            later = draw(st.sampled_from([0, 0, 0, 5]))
            found.append(
                due(
                    10 * number + step,
                    severity,
                    transition,
                    episode=f"e{number}",
                    who=who,
                    at=NOON - age * SECOND,
                    attempts=draw(st.sampled_from([0, 0, 3])),
                    next_at=NOON + later * SECOND,
                )
            )
    return found


@st.composite
def lanes(draw: st.DrawFn) -> LaneNow:
    per_minute = draw(st.integers(1, 30))
    ago = draw(st.lists(st.integers(0, 59), max_size=per_minute))
    return LaneNow(
        lane=Lane(name="robot", per_minute=per_minute, folds=True),
        sent=tuple(sorted(NOON - each * SECOND for each in ago)),
        failures=draw(st.sampled_from([0, 0, 0, 1, DOWN_AFTER])),
    )


@st.composite
def ears(draw: st.DrawFn) -> dict[str, Heard]:
    return draw(
        st.dictionaries(
            WHO,
            st.builds(
                Heard,
                singles=st.integers(0, MESSAGES_MAX).map(lambda n: (NOON,) * n),
                urgent_digest_at=st.sampled_from([None, NOON, NOON - MINUTE]),
                rest_digest_at=st.sampled_from([None, NOON, NOON - 2 * MINUTE]),
            ),
        )
    )


@given(backlogs(), lanes(), ears())
def test_no_plan_asks_more_of_a_lane_than_it_takes_or_leaves_danger_behind(
    waiting: list[Due], lane: LaneNow, heard: dict[str, Heard]
) -> None:
    made = planned(waiting, lane, heard)
    per_minute = lane.lane.per_minute or 0
    urgent = [parcel for parcel in made.send if parcel.rank is not Rank.REST]
    left = per_minute - len(lane.sent)
    if lane.is_down:
        assert len(made.send) <= 1
        return
    assert len(made.send) <= max(0, left)
    rest = len(made.send) - len(urgent)
    assert rest <= max(0, left - len(urgent) - max(1, per_minute // 4))
    over = {item.episode for item in waiting if item.transition == OVER}
    left_behind = any(
        made.held.get(item.id) is Reason.WAITS_FOR_BUDGET
        for item in waiting
        if rank_of(item) is not Rank.REST and item.episode not in over
    )
    assert not (left_behind and rest)


@given(backlogs(), lanes(), ears())
def test_a_plan_does_one_thing_with_each_and_comes_back_to_what_it_left(
    waiting: list[Due], lane: LaneNow, heard: dict[str, Heard]
) -> None:
    made = planned(waiting, lane, heard)
    sent = [item.id for parcel in made.send for item in parcel.items]
    assert len(sent) == len(set(sent))
    assert not set(sent) & set(made.held)
    if len(sent) < len(waiting):
        assert made.send or made.wake_at is not None
    assert made.wake_at is None or made.wake_at > NOON
    for parcel in made.send:
        assert len({(item.who, item.channel) for item in parcel.items}) == 1


@given(backlogs(), lanes())
def test_danger_is_never_told_after_what_is_none(waiting: list[Due], lane: LaneNow) -> None:
    ranks = [parcel.rank is Rank.REST for parcel in planned(waiting, lane).send]
    assert ranks == sorted(ranks)


@given(backlogs(), WHO)
def test_the_first_danger_of_a_burst_is_told_at_once_by_itself(
    waiting: list[Due], who: str
) -> None:
    first = due(9_999, FIRE, episode="the first", who=who)
    rest = [item for item in waiting if rank_of(item) is Rank.REST]
    assert 9_999 in singles(planned([*rest, first]))


class Sent(NamedTuple):
    at: datetime
    parcel: Parcel


def played(
    arrivals: Sequence[tuple[int, Due]], lane: Lane, minutes: int
) -> tuple[list[Sent], list[Due]]:
    """Return what a lane sends that always confirms at once, and what is left."""
    waiting: list[Due] = []
    sent: list[Sent] = []
    heard: dict[str, Heard] = {}
    coming = sorted(arrivals, key=lambda each: each[0])
    now, end = NOON, NOON + minutes * MINUTE
    while now < end:
        while coming and NOON + coming[0][0] * SECOND <= now:
            waiting.append(coming.pop(0)[1])
        recent = tuple(each.at for each in sent if each.at > now - MINUTE)
        made = plan(waiting, [], LaneNow(lane=lane, sent=recent), heard, (), now)
        for parcel in made.send:
            sent.append(Sent(now, parcel))
            waiting = [item for item in waiting if item not in parcel.items]
            known = heard.get(parcel.who, Heard())
            urgent, rest = known.urgent_digest_at, known.rest_digest_at
            if parcel.is_digest and parcel.rank is Rank.REST:
                rest = now
            elif parcel.is_digest:
                urgent = now
            alone = () if parcel.is_digest else (now,)
            heard[parcel.who] = Heard(
                singles=(*known.singles, *alone), urgent_digest_at=urgent, rest_digest_at=rest
            )
        if not made.send:
            steps = [made.wake_at or end]
            steps += [NOON + coming[0][0] * SECOND] if coming else []
            now = max(now + timedelta(milliseconds=1), min(steps))
    return sent, waiting


FLOOD = st.lists(
    st.tuples(st.integers(0, 600), st.sampled_from(Severity), WHO), min_size=1, max_size=150
)


@settings(max_examples=40)
@given(FLOOD, st.integers(2, 40))
def test_in_any_flood_everything_is_told_and_nobody_is_told_too_often(
    flood: list[tuple[int, Severity, str]], per_minute: int
) -> None:
    lane = Lane(name="robot", per_minute=per_minute, folds=True)
    arrivals = [
        (at, due(n, severity, who=who, at=NOON + at * SECOND))
        for n, (at, severity, who) in enumerate(flood)
    ]
    sent, left = played(arrivals, lane, minutes=40)
    assert left == []
    told = Counter(item.id for each in sent for item in each.parcel.items)
    assert told == Counter(range(len(flood)))
    for start in sent:
        within = [each for each in sent if start.at <= each.at < start.at + MINUTE]
        assert len(within) <= per_minute
        heard = Counter(
            each.parcel.who for each in sent if start.at <= each.at < start.at + HEARD_WITHIN
        )
        assert max(heard.values()) <= MESSAGES_MAX
    came = {item.id: NOON + at * SECOND for at, item in arrivals}
    late = [
        each.at - came[item.id]
        for each in sent
        for item in each.parcel.items
        if rank_of(item) is not Rank.REST
    ]
    assert max(late, default=timedelta(0)) <= 2 * MINUTE


@pytest.mark.parametrize("spread_s", [0, 600])
def test_a_thousand_fires_reach_one_robot_within_a_minute_of_each(spread_s: int) -> None:
    arrivals = [(spread_s * n // 1000, due(n, FIRE, at=NOON)) for n in range(1000)]
    sent, left = played(arrivals, ROBOT, minutes=30)
    assert left == []
    came = {item.id: NOON + at * SECOND for at, item in arrivals}
    late = max(each.at - came[item.id] for each in sent for item in each.parcel.items)
    assert late <= MINUTE
    at = [each.at for each in sent]
    assert all(sum(0 <= (b - a) / HEARD_WITHIN < 1 for b in at) <= MESSAGES_MAX for a in at)
    most = SINGLES_MAX[Rank.EMERGENCY]
    assert [each.parcel.is_digest for each in sent][:most] == [False] * most
