"""What people hear over the life of an alert, whatever happens, in any order.

One socket with the levels of an overload, a fire beside it that speaks for it, silences that
come and go, and somebody who acknowledges or does not.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from api.announce import heard_as, key_of
from rules.alerts import Alert, Change, Group, GroupKind, State, Transition
from rules.engine import Engine
from rules.groups import GroupState
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading, Report
from rules.rule import GroupMoment, Moment
from rules.silences import Silence
from rules.subject import DeviceState, Values
from rules.verdict import (
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOLD = 30 * SECOND
PILE = DeviceId("town/north/pile-1")
VERDICTS: dict[str, Verdict] = {
    "clear": CLEAR,
    "between": BETWEEN,
    "unknown": UNKNOWN,
    **{level: Breach(Evidence(), severity=level) for level in Severity},
}


class Overload:
    """Says what it is told to say."""

    name = "overload"
    severity = Severity.CRITICAL
    kinds = frozenset(Kind)
    basis = "a test"
    verdict: Verdict = CLEAR

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return Timing(HOLD, MINUTE)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        return self.verdict


class Fire:
    """Burns or does not, at the site."""

    name = "fire"
    severity = Severity.EMERGENCY
    group = GroupKind.SITE
    basis = "a test"
    burns = False

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return Timing()

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:  # noqa: ARG002
        return Breach(Evidence()) if self.burns else CLEAR


class OnePile:
    """A place with one charger, and the built-in policy."""

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        return DeviceProfile(id=device, site="town/north", kind=Kind.CHARGER)

    def policy_of(self, device: DeviceId) -> Policy:  # noqa: ARG002
        return Policy()

    def group_policy_of(self, group: Group) -> Policy:  # noqa: ARG002
        return Policy()

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        return (Group(GroupKind.SITE, site),)


class World:
    def __init__(self) -> None:
        self.at = START
        self.overload, self.fire = Overload(), Fire()
        self.engine = Engine((self.overload,), (), (self.fire,), OnePile())
        self.changes: list[tuple[datetime, Change]] = []
        self.said: list[tuple[datetime, str]] = []
        self.seen: list[tuple[datetime, str]] = []
        self.burnt: list[tuple[datetime, bool]] = [(START, False)]
        self._silences = self._heard = 0

    def wait(self, seconds: int) -> None:
        until = self.at + seconds * SECOND
        while (due := self.engine.next_deadline()) and due <= until:
            self._note(due, self.engine.advance(due))
        self.at = until

    def do(self, action: str) -> None:
        match action:
            case "it burns" | "it is out":
                self.fire.burns = action == "it burns"
                self.burnt.append((self.at, self.fire.burns))
                self.engine.judge_all(self.at)  # nothing that the pile says changes its site
                self._note(self.at, self.engine.advance(self.at))
            case "silence":
                self._silences += 1
                self.engine.silence(
                    Silence(
                        id=str(self._silences),
                        owner="me",
                        reason="a test",
                        starts=self.at,
                        ends=self.at + 2 * MINUTE,
                        device=PILE,
                    ),
                    self.at,
                )
            case "seen":
                for alert in tuple(self.engine.open_alerts()):
                    self.engine.acknowledge(alert.episode, self.at)
                    self.seen.append((self.at, alert.episode))
            case _:
                self.overload.verdict = VERDICTS[action]
                self.said.append((self.at, action))
        self.hear()

    def hear(self) -> None:
        """Let the device speak, so that its rules are asked, and its site's: it draws more."""
        self._heard += 1
        report = Report(
            device=PILE,
            at=self.at,
            received_at=self.at,
            identity=str(len(self.changes)),
            readings=(Reading(channel=1, power_w=100.0 + self._heard),),
        )
        self._note(self.at, self.engine.observe(report, self.at))

    def _note(self, at: datetime, changes: list[Change]) -> None:
        self.changes += [(at, each) for each in changes if each.alert.key.rule == "overload"]

    def open(self) -> list[Alert]:
        return [
            alert for alert in self.engine.open_alerts() if alert.key.rule == self.overload.name
        ]

    def episodes(self) -> list[list[tuple[datetime, Change]]]:
        found: dict[str, list[tuple[datetime, Change]]] = {}
        for at, change in self.changes:
            found.setdefault(change.alert.episode, []).append((at, change))
        return list(found.values())


class Step(NamedTuple):
    wait_s: int
    action: str


ACTIONS = (*VERDICTS, "it burns", "it is out", "silence", "seen")
GAPS_S = (0, 5, 15, 30, 31, 100, 185)
"""Shorter and longer than the hold, the clear time, a silence, and a tier's time."""
steps = st.lists(
    st.builds(Step, st.sampled_from(GAPS_S), st.sampled_from(ACTIONS)), min_size=8, max_size=30
)


enough = settings(max_examples=100)


def lived(done: list[Step]) -> World:
    world = World()
    for step in done:
        world.wait(step.wait_s)
        world.do(step.action)
    return world


@given(steps)
@enough
def test_within_an_episode_the_level_only_rises(done: list[Step]) -> None:
    for episode in lived(done).episodes():
        ranks = [change.alert.severity.rank for _, change in episode]
        assert ranks == sorted(ranks)


@given(steps)
@enough
def test_it_becomes_worse_only_after_the_worse_was_held(done: list[Step]) -> None:
    world = lived(done)
    for episode in world.episodes():
        for (_, before), (at, after) in pairwise(episode):
            if after.alert.severity is before.alert.severity:
                continue
            held = {word for said_at, word in world.said if at - HOLD < said_at < at}
            lower = {level for level in Severity if level.rank < after.alert.severity.rank}
            assert not held & {"clear", "between", *lower}


@given(steps)
@enough
def test_an_end_is_heard_of_exactly_if_the_alarm_was(done: list[Step]) -> None:
    for episode in lived(done).episodes():
        heard = [word for _, change in episode if (word := heard_as(change))]
        assert heard == [] or heard[0] is Transition.FIRING
        over = [c for _, c in episode if c.transition is Transition.RESOLVED]
        assert len(over) <= 1
        assert heard.count(Transition.RESOLVED) == bool(over and heard)
        assert Transition.RESOLVED not in heard[:-1]


@given(steps)
@enough
def test_nothing_is_heard_of_twice(done: list[Step]) -> None:
    for episode in lived(done).episodes():
        keys = [key_of(c.alert, word) for _, c in episode if (word := heard_as(c))]
        assert len(keys) == len(set(keys))


@given(steps)
@enough
def test_worse_is_heard_of_only_if_it_is_worse_than_what_was_heard(done: list[Step]) -> None:
    for episode in lived(done).episodes():
        known = -1
        for _, change in episode:
            heard = heard_as(change)
            if heard in {Transition.FIRING, Transition.RAISED}:
                assert change.alert.severity.rank > known
                known = change.alert.severity.rank


@given(steps)
@enough
def test_what_is_withheld_is_more_than_people_know_and_never_an_emergency(
    done: list[Step],
) -> None:
    world = World()
    for step in done:
        world.wait(step.wait_s)
        world.do(step.action)
        for alert in world.open():
            if alert.withheld:
                assert alert.severity is not Severity.EMERGENCY
                assert alert.told is None or alert.told.rank < alert.severity.rank
            elif alert.state is State.FIRING and alert.clear_since is None:
                assert alert.told is alert.severity


def test_a_world_with_a_breach_has_an_alarm() -> None:
    """Or else much of what is said here would hold of nothing."""
    world = lived([Step(0, "warning"), Step(60, "warning")])
    assert [alert.told for alert in world.open()] == [Severity.WARNING]


@given(steps)
@enough
def test_once_nothing_holds_it_back_all_that_fires_is_told(done: list[Step]) -> None:
    world = lived(done)
    world.do("it is out")
    world.do("critical")  # it may begin, or go on
    world.wait(1000)  # the last silence is over, the hold, and a fire that flapped
    [alert] = world.open()
    assert alert.told is alert.severity
    assert not alert.withheld


@given(steps)
@enough
def test_only_what_people_know_and_nobody_acknowledged_escalates_and_not_too_soon(
    done: list[Step],
) -> None:
    world = lived(done)
    after = Policy().escalation.after
    for episode in world.episodes():
        tier, since = 1, None
        for at, change in episode:
            alert = change.alert
            if change.transition is Transition.ESCALATED:
                tier += 1
                assert alert.tier == tier <= Policy().escalation.tiers
                assert alert.told is not None
                assert alert.told is not Severity.WARNING
                before = [burns for moment, burns in world.burnt if moment < at][-1]
                just_now = [burns for moment, burns in world.burnt if moment == at]
                assert not all((before, *just_now)) or alert.severity is Severity.EMERGENCY
                assert since is not None
                assert at - since >= after
                seen = [moment for moment, name in world.seen if name == alert.episode]
                raised_at = alert.raised_at or alert.since
                assert not [moment for moment in seen if raised_at < moment < at]
            if heard_as(change) is not None:
                since = at


@given(steps, st.booleans())
@enough
def test_danger_that_goes_on_is_heard_of_again_ever_more_seldom(
    done: list[Step], seen_to: bool
) -> None:
    world = lived(done)
    for action in ("it is out", "critical", *(["seen"] if seen_to else [])):
        world.do(action)
    world.wait(12 * 3600)
    [alert] = world.open()
    own = [(at, c) for at, c in world.changes if c.alert.episode == alert.episode]
    again = [at for at, change in own if change.transition is Transition.REMINDED]
    assert 4 <= len(again) <= 5  # at most after 30 min, 1, 2, 4 and 8 h
    assert again[0] - alert.since >= Policy().escalation.remind_after
    assert all(then - alert.since >= 2 * (at - alert.since) for at, then in pairwise(again))


@given(st.lists(st.integers(1, 600), min_size=4, max_size=30))
@enough
def test_an_alert_that_comes_and_goes_fires_at_most_so_often_in_an_hour(
    gaps_s: list[int],
) -> None:
    """Two ends within the hour, and then one every 15 min at most: never more than six."""
    world = World()
    for gap_s in gaps_s:
        world.do("warning")
        world.wait(40)
        world.do("clear")
        world.wait(gap_s)
    fired = [at for at, c in world.changes if c.transition is Transition.FIRING]
    hour = timedelta(hours=1)
    assert all(len([x for x in fired if at <= x < at + hour]) <= 6 for at in fired)
