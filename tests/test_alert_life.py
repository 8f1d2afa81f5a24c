"""The life of an alert: its table of transitions, and what holds for every life."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rules.alerts import (
    Alert,
    AlertKey,
    Change,
    Group,
    GroupKind,
    State,
    next_alert,
    opened,
    worse,
)
from rules.engine import Engine
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading, Report
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import (
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Between,
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Unknown,
    Verdict,
)

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PILE = DeviceId("town/north/pile-1")
KEY = AlertKey("overload", PILE, 1)
TIMING = Timing(hold=30 * SECOND, keep_firing=60 * SECOND)
BREACH = Breach(Evidence(1200.0, 1000.0, "W"))
NORTH = Group(GroupKind.SITE, "town/north")
PENDING = opened(KEY, Severity.CRITICAL, (NORTH,), BREACH.evidence, START)
FIRING = replace(PENDING, state=State.FIRING, since=START + 30 * SECOND)
CLEARING = replace(FIRING, clear_since=START + 40 * SECOND)


class Case(NamedTuple):
    alert: Alert
    verdict: Verdict
    at_s: int
    becomes: Alert | None


CASES = {
    "a pending one is no more once it is clear": Case(PENDING, CLEAR, 10, None),
    "a pending one is no more between the thresholds": Case(PENDING, BETWEEN, 10, None),
    "a pending one is no more, however long it was": Case(PENDING, CLEAR, 99, None),
    "a pending one waits for data": Case(PENDING, UNKNOWN, 10, PENDING),
    "a pending one waits for data past its hold": Case(PENDING, UNKNOWN, 99, PENDING),
    "a pending one does not fire just before its hold is over": Case(
        PENDING, BREACH, 29, PENDING
    ),
    "a pending one fires when its hold is over": Case(PENDING, BREACH, 30, FIRING),
    "a pending one fires late if it was not asked in time": Case(
        PENDING, BREACH, 95, replace(FIRING, since=START + 95 * SECOND)
    ),
    "a firing one fires on": Case(FIRING, BREACH, 50, FIRING),
    "a firing one fires on between the thresholds": Case(FIRING, BETWEEN, 50, FIRING),
    "a firing one fires on without data": Case(FIRING, UNKNOWN, 5000, FIRING),
    "a firing one notes since when it is clear": Case(FIRING, CLEAR, 40, CLEARING),
    "one that is clear is not over just before its time": Case(CLEARING, CLEAR, 99, CLEARING),
    "one that is clear is over after its time": Case(
        CLEARING,
        CLEAR,
        100,
        replace(CLEARING, state=State.RESOLVED, since=START + 100 * SECOND),
    ),
    "a breach begins the clear time anew": Case(CLEARING, BREACH, 100, FIRING),
    "a value between begins the clear time anew": Case(CLEARING, BETWEEN, 100, FIRING),
    "silence begins the clear time anew": Case(CLEARING, UNKNOWN, 100, FIRING),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_transition(case: Case) -> None:
    now = START + case.at_s * SECOND
    assert next_alert(case.alert, case.verdict, TIMING, now) == case.becomes


def test_the_table_has_every_state_and_verdict() -> None:
    tried = {(case.alert.state, type(case.verdict)) for case in CASES.values()}
    verdicts = (Clear, Between, Unknown, Breach)
    assert tried == {(s, v) for s in (State.PENDING, State.FIRING) for v in verdicts}


def test_an_alert_without_a_hold_fires_at_once_and_without_keep_firing_ends_at_once() -> None:
    fired = next_alert(PENDING, BREACH, Timing(), START)
    assert fired is not None
    assert fired.state is State.FIRING
    over = next_alert(fired, CLEAR, Timing(), START)
    assert over is not None
    assert over.state is State.RESOLVED


@pytest.mark.parametrize(
    ("alert", "verdict", "due_s"),
    [
        (PENDING, UNKNOWN, None),
        (PENDING, BREACH, 30),
        (FIRING, BREACH, None),
        (FIRING, UNKNOWN, None),
        (CLEARING, CLEAR, 100),
    ],
)
def test_an_alert_changes_by_itself_only_when_a_time_runs(
    alert: Alert, verdict: Verdict, due_s: int | None
) -> None:
    due = alert.due(verdict, TIMING)
    assert due == (None if due_s is None else START + due_s * SECOND)


def test_the_evidence_shows_the_peak() -> None:
    low, high, none = Evidence(1100.0), Evidence(1300.0), Evidence(detail="smoke")
    assert worse(high, low) == high
    assert worse(low, high) == high
    assert worse(high, none) == none
    assert worse(none, low) == low


def test_an_episode_is_named_by_its_subject_and_its_beginning() -> None:
    assert FIRING.episode == PENDING.episode == "overload@town/north/pile-1:1@1767600000000000"
    whole = replace(PENDING, key=AlertKey("smoke", KEY.device))
    assert whole.episode == "smoke@town/north/pile-1@1767600000000000"


RAISING = replace(
    FIRING,
    severity=Severity.WARNING,
    raise_to=Severity.CRITICAL,
    raise_since=START + 40 * SECOND,
)


@pytest.mark.parametrize(
    ("verdict", "raises_on"),
    [(UNKNOWN, True), (BREACH, True), (BETWEEN, False), (CLEAR, False)],
)
def test_a_higher_level_is_held_through_silence_and_through_nothing_else(
    verdict: Verdict, raises_on: bool
) -> None:
    breach = replace(BREACH, severity=Severity.CRITICAL)
    said = breach if verdict is BREACH else verdict
    after = next_alert(RAISING, said, TIMING, START + 50 * SECOND)
    assert after is not None
    later = next_alert(after, breach, TIMING, START + 70 * SECOND)
    assert later is not None
    assert (later.severity is Severity.CRITICAL) is raises_on


# --- what holds for every life --------------------------------------------------------


class Told:
    """A rule that says what it is told to say."""

    name = "told"
    severity = Severity.WARNING
    kinds = frozenset(Kind)
    basis = "a test"

    def __init__(self, timing: Timing) -> None:
        self.verdict: Verdict = CLEAR
        self._timing = timing

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return self._timing

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        return self.verdict


class OnePile:
    """A place with one charger, and the built-in policy."""

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        return DeviceProfile(id=device, site=NORTH.name, kind=Kind.CHARGER)

    def policy_of(self, device: DeviceId) -> Policy:  # noqa: ARG002
        return Policy()

    def group_policy_of(self, group: Group) -> Policy:  # noqa: ARG002
        return Policy()

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        return (Group(GroupKind.SITE, site),)


VERDICTS: dict[str, Verdict] = {
    "clear": CLEAR,
    "between": BETWEEN,
    "unknown": UNKNOWN,
    "breach": BREACH,
}
seconds = st.integers(0, 100)
lives = st.lists(st.tuples(seconds, st.sampled_from(sorted(VERDICTS))), max_size=40)
timings = st.builds(
    lambda hold, keep: Timing(hold * SECOND, keep * SECOND), st.integers(0, 90), seconds
)


class Life(NamedTuple):
    changes: list[Alert]
    said: list[tuple[datetime, str]]
    open_at_most: int


def lived(timing: Timing, steps: list[tuple[int, str]]) -> Life:
    rule, at = Told(timing), START
    engine = Engine((rule,), (), (), OnePile())
    changes: list[Change] = []
    said: list[tuple[datetime, str]] = []
    open_at_most = 0
    for gap_s, verdict in steps:
        at += gap_s * SECOND
        while (due := engine.next_deadline()) and due <= at:
            changes += engine.advance(due)
        rule.verdict = VERDICTS[verdict]
        said.append((at, verdict))
        report = Report(
            device=PILE,
            at=at,
            received_at=at,
            identity=str(len(said)),
            readings=(Reading(channel=1, power_w=100.0),),
        )
        changes += engine.observe(report, at)
        open_at_most = max(open_at_most, len(engine.alerts_of(PILE)))
    return Life([change.alert for change in changes], said, open_at_most)


@given(timings, lives)
def test_firing_and_resolved_take_turns_beginning_with_firing(
    timing: Timing, steps: list[tuple[int, str]]
) -> None:
    states = [change.state for change in lived(timing, steps).changes]
    assert states[:1] in ([], [State.FIRING])
    assert all(earlier is not later for earlier, later in pairwise(states))


@given(timings, lives)
def test_there_is_at_most_one_open_alert_and_its_name_is_its_own(
    timing: Timing, steps: list[tuple[int, str]]
) -> None:
    life = lived(timing, steps)
    assert life.open_at_most <= 1
    fired = [alert.episode for alert in life.changes if alert.state is State.FIRING]
    over = [alert.episode for alert in life.changes if alert.state is State.RESOLVED]
    assert len(set(fired)) == len(fired)
    assert over == fired[: len(over)]


def test_a_life_with_a_breach_is_one_with_an_alarm() -> None:
    """Or else what follows would hold of nothing."""
    states = [change.state for change in lived(Timing(), [(0, "breach"), (1, "clear")]).changes]
    assert states == [State.FIRING, State.RESOLVED]


@given(timings, st.lists(st.tuples(seconds, st.sampled_from(["clear", "unknown", "between"]))))
def test_nothing_fires_without_a_breach(timing: Timing, steps: list[tuple[int, str]]) -> None:
    assert lived(timing, steps).changes == []


@given(timings, lives)
def test_it_ends_only_after_it_was_clear_for_long_enough_and_not_by_silence(
    timing: Timing, steps: list[tuple[int, str]]
) -> None:
    life = lived(timing, steps)
    for over in (alert for alert in life.changes if alert.state is State.RESOLVED):
        assert over.clear_since is not None
        assert over.since - over.clear_since >= timing.keep_firing
        meanwhile = [word for at, word in life.said if over.clear_since < at < over.since]
        assert set(meanwhile) <= {"clear"}
        assert "clear" in [word for at, word in life.said if at == over.clear_since]


@given(timings, lives)
def test_it_fires_only_after_it_was_never_clear_for_the_hold(
    timing: Timing, steps: list[tuple[int, str]]
) -> None:
    life = lived(timing, steps)
    for fired in (alert for alert in life.changes if alert.state is State.FIRING):
        a_name_apart = SECOND / 1000  # beginnings at one moment differ by microseconds
        assert fired.since - fired.began_at > timing.hold - a_name_apart
        meanwhile = [word for at, word in life.said if fired.began_at < at < fired.since]
        assert set(meanwhile) <= {"breach", "unknown"}
