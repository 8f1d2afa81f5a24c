"""The life of a command: its table of transitions, and what holds for every life."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rules.cutting import (
    MENDABLE,
    Action,
    Command,
    CommandState,
    Failure,
    Seen,
    answered,
    cannot_be_sent,
    due,
    judged,
    ordered,
    superseded,
    was_sent,
)
from rules.limits.electricity import CutLimits
from rules.pacing import paced
from rules.readings import DeviceId

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PILE = DeviceId("town/north/pile-1")
DARK_BELOW_W = 30.0
LIMITS = CutLimits(
    attempts=3,
    retry_after=5 * SECOND,
    expires_after=60 * SECOND,
    verify_within=20 * SECOND,
    spacing=SECOND / 2,
)


def at(seconds: float) -> datetime:
    return START + seconds * SECOND


def order(action: Action = Action.CUT, channel: int = 1, now: datetime = START) -> Command:
    return ordered(
        PILE,
        channel,
        action,
        by="eve",
        reason="smoke",
        episode="",
        before="",
        limits=LIMITS,
        now=now,
    )


def judge(command: Command, seconds: float, seen: Seen | None = None) -> Command:
    return judged(command, seen or Seen(), LIMITS, DARK_BELOW_W, at(seconds))


def watts(power_w: float, seconds: float, cadence: timedelta = timedelta(0)) -> Seen:
    return Seen(power_w=power_w, power_at=at(seconds), cadence=cadence)


def relay(on: bool, seconds: float, power_w: float = 0.0) -> Seen:
    return Seen(power_w, at(seconds), on, at(seconds))


ORDERED = order()
SENT = was_sent(ORDERED, LIMITS, at(1))
THRICE = was_sent(was_sent(SENT, LIMITS, at(6)), LIMITS, at(11))
CONFIRMED = answered(SENT, ok=True, detail="", at=at(2))
RELEASE = was_sent(order(Action.RELEASE), LIMITS, at(1))


class Case(NamedTuple):
    command: Command
    seen: Seen
    at_s: float
    state: CommandState
    failure: Failure | None = None


O, S, C, V, F = CommandState  # noqa: E741  (in the order of a life)

CASES = {
    "a command that nobody could send is not sent for ever": Case(
        ORDERED, Seen(), 60, F, Failure.EXPIRED
    ),
    "it is not over a moment before": Case(ORDERED, Seen(), 59.9, O),
    "power that is gone before it was sent is nobody's doing": Case(
        ORDERED, watts(0, 5), 10, O
    ),
    "power that is gone without the device's word proves nothing": Case(
        SENT, watts(0, 3), 4, S
    ),
    "it is asked again before it is given up": Case(SENT, Seen(), 11, S),
    "without an answer to the last attempt it has failed": Case(
        THRICE, Seen(), 16, F, Failure.NO_REPLY
    ),
    "not before the last attempt had its time": Case(THRICE, Seen(), 15.9, S),
    "yes alone is no success": Case(CONFIRMED, Seen(), 21, C),
    "yes and an old reading are no success": Case(CONFIRMED, watts(0, 0.5), 21, C),
    "yes and no power are success": Case(CONFIRMED, watts(29.9, 3), 3, V),
    "what a meter sees of its neighbours is no power": Case(CONFIRMED, watts(29.9, 3), 3, V),
    "yes and power are a failure at the end of the time": Case(
        CONFIRMED, watts(30, 21), 22, F, Failure.STILL_FLOWS
    ),
    "not before the end of the time": Case(CONFIRMED, watts(300, 21), 21.9, C),
    "power just after the answer is waited for to fall": Case(CONFIRMED, watts(300, 3), 21, C),
    "power just after the answer counts if nothing more is heard": Case(
        CONFIRMED, watts(300, 3), 22, F, Failure.STILL_FLOWS
    ),
    "a device that reports seldom gets one and a half beats": Case(
        CONFIRMED, watts(300, 0, 60 * SECOND), 91.9, C
    ),
    "but no more than that": Case(
        CONFIRMED, watts(300, 0, 60 * SECOND), 92, F, Failure.NO_READING
    ),
    "a device that was away for a day is not waited for that long": Case(
        CONFIRMED, watts(300, 0, timedelta(days=1)), 902, F, Failure.NO_READING
    ),
    "no reading at all is a failure": Case(CONFIRMED, Seen(), 22, F, Failure.NO_READING),
    "the relay's own word counts for dialects without replies": Case(
        SENT, relay(False, 3), 3, V
    ),
    "the relay's word from before counts for nothing": Case(SENT, relay(False, 0.5), 3, S),
    "a relay that is on says nothing": Case(SENT, relay(True, 3), 3, S),
    "the relay says off and power flows": Case(SENT, relay(False, 3, 300), 4, C),
    "a late relay mends what was taken for lost": Case(
        judge(THRICE, 16), relay(False, 100), 100, V
    ),
    "a late reading mends what nobody could see": Case(
        judge(CONFIRMED, 22), watts(0, 100), 100, V
    ),
    "no power after power has flowed may be the bike that is gone": Case(
        judge(CONFIRMED, 22, watts(300, 21)), watts(0, 100), 100, F, Failure.STILL_FLOWS
    ),
    "what was refused is not mended": Case(
        answered(SENT, ok=False, detail="no", at=at(2)), relay(False, 3), 4, F, Failure.REFUSED
    ),
    "what was superseded is not mended": Case(
        superseded(SENT, at(2)), relay(False, 3), 4, F, Failure.SUPERSEDED
    ),
    "what cannot be said is not waited for": Case(
        cannot_be_sent(ORDERED, "no word", at(1)), Seen(), 2, F, Failure.CANNOT_BE_SENT
    ),
    "a release is done when the device says so": Case(
        answered(RELEASE, ok=True, detail="", at=at(2)), Seen(), 2, V
    ),
    "a release is done when the relay is on": Case(RELEASE, relay(True, 3, 300), 3, V),
    "a release is not done while the relay is off": Case(RELEASE, relay(False, 3), 3, S),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_command_becomes(case: Case) -> None:
    found = judge(case.command, case.at_s, case.seen)
    assert (found.state, found.failure) == (case.state, case.failure)


def test_a_late_yes_mends_what_was_taken_for_lost() -> None:
    lost = judge(THRICE, 16)
    assert judge(lost, 20, watts(0, 20)).state is F
    late = answered(lost, ok=True, detail="", at=at(21))
    assert judge(late, 22, watts(0, 22)).state is V


def test_a_late_no_changes_nothing() -> None:
    lost = judge(THRICE, 16)
    assert answered(lost, ok=False, detail="no", at=at(21)).failure is Failure.NO_REPLY
    assert answered(CONFIRMED, ok=False, detail="no", at=at(3)) == CONFIRMED


def test_it_is_repeated_with_the_same_id_as_often_as_allowed() -> None:
    assert [ORDERED.next_at, SENT.next_at, THRICE.next_at] == [at(0), at(6), None]
    assert [ORDERED.attempts, SENT.attempts, THRICE.attempts] == [0, 1, 3]
    assert THRICE.id == ORDERED.id
    assert CONFIRMED.next_at is None


def test_it_is_not_repeated_after_its_time() -> None:
    late = was_sent(ORDERED, LIMITS, at(56))
    assert late.next_at is None
    assert judge(late, 61).failure is Failure.NO_REPLY


def test_that_it_was_sent_is_noted_even_if_the_device_was_quicker() -> None:
    quick = judge(answered(ORDERED, ok=True, detail="", at=at(2)), 3, watts(0, 2.5))
    assert (quick.state, quick.attempts) == (V, 0)
    noted = was_sent(quick, LIMITS, at(1))
    assert (noted.state, noted.attempts, noted.first_sent_at) == (V, 1, at(1))
    assert noted.next_at is None
    assert was_sent(noted, LIMITS, at(4)) is noted


def test_the_same_order_has_the_same_id_and_another_has_another() -> None:
    assert order().id == order().id
    others = (order(Action.RELEASE), order(channel=2), order(now=at(1)))
    assert len({order().id, *(other.id for other in others)}) == 4


# --- what holds for every life ----------------------------------------------------------

Step = tuple[str, float, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "sent", "yes", "no", "power", "relay", "supersede"]),
        st.sampled_from([0.1, 1, 4.9, 5, 19, 20, 61]),
        st.sampled_from([0.0, 29.0, 30.0, 400.0]),
    ),
    max_size=25,
)


class Life:
    """A command, and all that was said of its socket."""

    def __init__(self, action: Action) -> None:
        self.now = START
        self.command, self.seen = order(action), Seen()
        self.said_yes = self.relay_agreed = False
        self.lives: list[Command] = [self.command]

    def step(self, step: Step) -> None:
        what, passed_s, value = step
        self.now += passed_s * SECOND
        command = self.command
        match what:
            case "sent" if command.next_at is not None and command.next_at <= self.now:
                self._become(was_sent(command, LIMITS, self.now))
            case "yes":
                self.said_yes = True
                self._become(answered(command, ok=True, detail="", at=self.now))
            case "no":
                self._become(answered(command, ok=False, detail="", at=self.now))
            case "power":
                self.seen = self.seen._replace(power_w=value, power_at=self.now)
            case "relay":
                on = value > 0
                self.relay_agreed |= on is (command.action is Action.RELEASE)
                self.seen = self.seen._replace(relay_on=on, relay_at=self.now)
            case "supersede":
                self._become(superseded(command, self.now))
            case _:
                pass
        self._become(judged(self.command, self.seen, LIMITS, DARK_BELOW_W, self.now))

    def _become(self, command: Command) -> None:
        self.command = command
        self.lives.append(command)


@given(st.sampled_from(Action), STEPS)
def test_no_cut_is_verified_without_the_devices_word_and_without_darkness(
    action: Action, steps: list[Step]
) -> None:
    life = Life(action)
    for step in steps:
        life.step(step)
        if life.command.state is V:
            assert life.said_yes or life.relay_agreed
            if action is Action.CUT and life.lives[-2].state is not V:
                assert life.seen.power_w is not None
                assert life.seen.power_w < DARK_BELOW_W
                assert life.seen.power_at is not None
                assert life.seen.power_at > START


@given(st.sampled_from(Action), STEPS)
def test_what_is_over_stays_over_but_for_what_can_be_mended(
    action: Action, steps: list[Step]
) -> None:
    life = Life(action)
    for step in steps:
        life.step(step)
    for before, after in pairwise(life.lives):
        assert after.id == before.id
        assert after.attempts >= before.attempts
        if before.state is V:
            assert after == before
        if before.state is F and before.failure not in MENDABLE:
            assert after == before
        if not after.is_open:
            assert after.next_at is None
            assert after.ended_at is not None
            assert (after.failure is None) is (after.state is V)


@given(st.sampled_from(Action), STEPS)
def test_attempts_are_limited_and_apart_and_within_the_time(
    action: Action, steps: list[Step]
) -> None:
    life = Life(action)
    for step in steps:
        life.step(step)
        command = life.command
        assert command.attempts <= LIMITS.attempts
        if command.next_at is not None and command.sent_at is not None:
            assert command.next_at >= command.sent_at + LIMITS.retry_after
            assert command.next_at < command.expires_at


@given(st.sampled_from(Action), STEPS)
def test_an_open_command_ends_by_itself_if_nothing_more_is_heard(
    action: Action, steps: list[Step]
) -> None:
    life = Life(action)
    for step in steps:
        life.step(step)
    command, now = life.command, life.now
    for _ in range(4):
        wake = due(command, life.seen, LIMITS, now)
        if not command.is_open:
            assert wake is None
            return
        assert wake is not None
        assert wake > now
        just_before = judged(command, life.seen, LIMITS, DARK_BELOW_W, wake - SECOND / 1000)
        assert just_before == command
        now = wake
        command = judged(command, life.seen, LIMITS, DARK_BELOW_W, now)
    pytest.fail(f"still {command.state}")


@given(st.sampled_from(Action), STEPS)
def test_asking_twice_changes_nothing(action: Action, steps: list[Step]) -> None:
    life = Life(action)
    for step in steps:
        life.step(step)
        again = judged(life.command, life.seen, LIMITS, DARK_BELOW_W, life.now)
        assert again == life.command


# --- pacing -----------------------------------------------------------------------------


def waiting(orders: list[tuple[int, int, Action, float]]) -> list[Command]:
    return [
        replace(
            order(action, channel, at(seconds)), device=DeviceId(f"town/north/pile-{device}")
        )
        for device, channel, action, seconds in orders
    ]


ORDERS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 10),
        st.sampled_from(Action),
        st.sampled_from([0.0, 0.1, 2.0]),
    ),
    max_size=20,
    unique_by=lambda order: order[:2],
)


def sent_in_order(orders: list[Command]) -> list[tuple[datetime, Command]]:
    """Send as the worker does: what may be sent now, then sleep until the next may."""
    left, last_sent, now = list(orders), dict[DeviceId, datetime](), START
    sent: list[tuple[datetime, Command]] = []
    spacing: Callable[[DeviceId], timedelta] = lambda _: LIMITS.spacing  # noqa: E731
    while left:
        now_due, wake = paced(left, last_sent, spacing, now)
        assert len({command.device for command in now_due}) == len(now_due)
        for command in now_due:
            last_sent[command.device] = now
            sent.append((now, command))
            left.remove(command)
        if not left:
            break
        assert wake is not None
        assert wake > now
        now = wake
    return sent


@given(ORDERS)
def test_a_device_gets_its_commands_one_by_one(
    orders: list[tuple[int, int, Action, float]],
) -> None:
    commands = waiting(orders)
    sent = sent_in_order(commands)
    assert {command.id for _, command in sent} == {command.id for command in commands}
    for device in {command.device for command in commands}:
        moments = [moment for moment, command in sent if command.device == device]
        assert all(later - before >= LIMITS.spacing for before, later in pairwise(moments))
    assert all(moment >= command.ordered_at for moment, command in sent)


@given(ORDERS)
def test_no_device_waits_for_another(orders: list[tuple[int, int, Action, float]]) -> None:
    commands = waiting(orders)
    for device in {command.device for command in commands}:
        alone = [command for command in commands if command.device == device]
        together = [each for each in sent_in_order(commands) if each[1].device == device]
        assert together == sent_in_order(alone)


def test_cuts_go_before_releases() -> None:
    release, cut = waiting([(1, 1, Action.RELEASE, 0.0), (1, 2, Action.CUT, 0.0)])
    assert [command for _, command in sent_in_order([release, cut])] == [cut, release]
