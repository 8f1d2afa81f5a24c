"""A post is asked, answers or does not, and what comes of it: whole checks in virtual time."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.channels import DeliveryFailed, Notice
from api.channels.wording import links_of
from api.post_checks import AlarmsWait, CheckUnderWay, NoSuchPost
from api.post_checks.figures import Figures, figures, share
from ingest.ledger.links import used_link
from ingest.ledger.post_checks import Outcome
from ingest.people import EVERYWHERE, Via
from ingest.post_checks import (
    ANSWER_WITHIN,
    ANSWERABLE_FOR,
    CheckState,
    PostCheck,
    alarms_wait,
    answered,
    missed,
)
from rules.alerts import Alert, State
from rules.duty_checks import APART, Plan
from rules.schedule import Schedule, Window
from rules.verdict import Severity
from tests.checking import SEED, Desks, asks, gate, manager, says
from tests.telling import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    InLoop,
    Provider,
    alarm,
    ledger_in_loop,
    now,
    play,
    until,
)

ASKED = "Duty check: is anybody at East gate?"
MISSED = "No answer from the post: East gate"
DAY = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[InLoop]:
    with ledger_in_loop(tmp_path / "ledger.sqlite") as opened:
        yield opened


def fails(*_: object) -> DeliveryFailed:
    return DeliveryFailed("HTTP 503", permanent=False)


def refuses(*_: object) -> DeliveryFailed:
    return DeliveryFailed("HTTP 404", permanent=True)


def breaks(*_: object) -> Exception:
    return ZeroDivisionError("a bug of ours")


# --- a check and its answer ------------------------------------------------------------------


def test_a_post_is_asked_by_its_first_way_and_its_answer_is_measured(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60), Provider(Via.NTFY, 60))
        desks.put(gate(Via.SMS, Via.NTFY))
        desks.employ(manager("wang", Via.SMS))
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            await until(42 * SECOND)
            assert list(checks.open) == [begun.id]
            done = await checks.answer(begun.id, says("li"))
            assert done
            assert (done.state, done.answered_by, done.answer_s) == ("answered", "li", 42.0)
            assert not checks.open
            await until(HOUR)
        assert desks.heard(Via.SMS) == [(timedelta(seconds=0.1), "gate", ASKED)]
        assert desks.heard(Via.NTFY) == []
        [check] = await desks.checks()
        [told] = check.told
        assert (told.channel, told.to, told.ok, told.detail) == (
            "sms:gate",
            "post:gate",
            True,
            "sms has it",
        )
        assert desks.counted('chargewatch_post_checks_total{outcome="answered"} 1.0')
        assert desks.counted('chargewatch_post_checks_total{outcome="missed"} 0.0')
        assert desks.counted(
            'chargewatch_post_check_answer_seconds_sum{outcome="answered"} 42.0'
        )
        assert desks.pages_told == 2

    play(played)


def test_the_question_says_what_it_is_and_has_the_link(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60))
        desks.put(gate(Via.SMS))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(SECOND)
        [(_, _, notice)] = desks.providers[Via.SMS].heard
        assert isinstance(notice, Notice)
        assert notice.answer_url == "http://cw.example/a/c/link-1-post:gate"
        assert notice.drill
        assert notice.severity is Severity.CRITICAL  # so that a telephone rings
        assert "within 3 minutes" in notice.text
        assert "no alarm" in notice.text
        assert notice.idempotency_key == "check-1:asked:sms:gate"
        assert links_of(notice)[0] == ("I am here", notice.answer_url)

    play(played)


def test_after_three_failures_the_next_way_is_taken_at_once(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60, fails), Provider(Via.NTFY, 60))
        desks.put(gate(Via.SMS, Via.NTFY))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(MINUTE)
        [check] = await desks.checks()
        assert [(each.channel, each.ok) for each in check.told] == [
            *[("sms:gate", False)] * 3,
            ("ntfy:gate", True),
        ]
        [(at, _, _)] = desks.heard(Via.NTFY)
        assert at < 10 * SECOND

    play(played)


@pytest.mark.parametrize(
    ("how", "detail"),
    [(refuses, "HTTP 404"), (breaks, "fault in the channel: ZeroDivisionError")],
)
def test_what_is_useless_for_good_is_not_tried_again(
    ledger: InLoop, how: object, detail: str
) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60, how), Provider(Via.NTFY, 60))  # type: ignore[arg-type]
        desks.put(gate(Via.VOICE, Via.SMS, Via.NTFY))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(SECOND)
        [check] = await desks.checks()
        assert [(each.channel, each.detail) for each in check.told] == [
            ("voice:gate", "voice: the settings have no gateway"),
            ("sms:gate", detail),
            ("ntfy:gate", "ntfy has it"),
        ]

    play(played)


def test_a_lane_that_is_full_of_alarms_takes_no_questions(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60))
        desks.put(gate(Via.SMS))
        desks.lane_is_free = False
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(SECOND)
            desks.lane_is_free = True
            await until(5 * SECOND)
        [check] = await desks.checks()
        assert [each.detail for each in check.told] == ["alarms go first", "sms has it"]

    play(played)


def test_of_a_post_without_ways_the_members_on_duty_are_asked_each_by_their_own(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60))
        desks.put(gate(members=("wang", "zhao", "night", "gone", "unknown")))
        at_night = Schedule("Asia/Shanghai", (Window(time(22), time(6)),))
        desks.employ(
            manager("wang", Via.SMS),
            manager("zhao", Via.SMS),
            manager("night", Via.SMS, duty=at_night),
            replace(manager("gone", Via.SMS), active=False),
        )
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(MINUTE)
        assert [to for _, to, _ in desks.heard(Via.SMS)] == ["wang", "zhao"]
        links = [notice.answer_url for _, _, notice in desks.providers[Via.SMS].heard]
        assert [link.rpartition("-")[2] for link in links] == ["person:wang", "person:zhao"]

    play(played)


# --- late and missed -------------------------------------------------------------------------


def test_nobody_answers_so_the_other_ways_are_taken_and_then_the_manager_is_told_once(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(
            ledger, Provider(Via.SMS, 60), Provider(Via.NTFY, 60), Provider(Via.VOICE, 60)
        )
        desks.put(gate(Via.SMS, Via.VOICE))
        desks.employ(
            manager("wang", Via.VOICE, Via.NTFY, Via.SMS),
            manager("zhao", Via.NTFY, areas=frozenset({EVERYWHERE})),
            manager("elsewhere", Via.NTFY, areas=frozenset({"west"})),
            replace(manager("gone", Via.NTFY), active=False),
            replace(manager("police", Via.NTFY), role="police"),
        )
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(2 * HOUR)
            assert not checks.open
        assert desks.heard(Via.SMS) == [(timedelta(seconds=0.1), "gate", ASKED)]
        assert desks.heard(Via.VOICE) == [
            (ANSWER_WITHIN + timedelta(seconds=0.1), "gate", ASKED)
        ]
        told = desks.heard(Via.NTFY)
        assert [(to, title) for _, to, title in told] == [("wang", MISSED), ("zhao", MISSED)]
        assert all(2 * ANSWER_WITHIN < at < 2 * ANSWER_WITHIN + SECOND for at, _, _ in told)
        [check] = await desks.checks()
        assert (check.state, check.answered_at) == (CheckState.MISSED, None)
        [(_, _, notice), _] = desks.providers[Via.NTFY].heard
        assert "The question arrived" in notice.text
        assert not notice.answer_url
        assert not notice.drill
        assert desks.counted('chargewatch_post_checks_total{outcome="missed"} 1.0')

    play(played)


def test_the_manager_is_told_if_no_way_to_the_post_works(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60, refuses), Provider(Via.NTFY, 60))
        desks.put(gate(Via.SMS))
        desks.employ(manager("wang", Via.NTFY))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(HOUR)
        [(_, _, notice)] = desks.providers[Via.NTFY].heard
        assert "did not get through" in notice.text

    play(played)


def test_managers_who_are_off_duty_are_left_alone_unless_nobody_is_on_duty(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.NTFY, 60))
        desks.put(gate())
        at_night = Schedule("Asia/Shanghai", (Window(time(22), time(6)),))
        desks.employ(manager("night", Via.NTFY, duty=at_night), manager("day", Via.NTFY))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(HOUR)
            assert [to for _, to, _ in desks.heard(Via.NTFY)] == ["day"]
            del desks.directory.people["day"]
            await checks.begin("gate", asks("chief"))
            await until(2 * HOUR)
            assert [to for _, to, _ in desks.heard(Via.NTFY)] == ["day", "night"]

    play(played)


def test_an_answer_after_it_was_due_is_late_and_no_manager_is_told(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.NTFY, 60))
        desks.put(gate())
        desks.employ(manager("wang", Via.NTFY))
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            await until(ANSWER_WITHIN + MINUTE)
            done = await checks.answer(begun.id, says("li"))
            assert done
            assert (done.state, done.answer_s) == (CheckState.LATE, 240.0)
            await until(HOUR)
        assert desks.heard(Via.NTFY) == []
        assert desks.counted('chargewatch_post_checks_total{outcome="late"} 1.0')

    play(played)


def test_what_was_missed_stays_missed_but_an_answer_is_written_down(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate())
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            await until(HOUR)
            done = await checks.answer(begun.id, says("li"))
            assert done
            assert (done.state, done.answered_by) == (CheckState.MISSED, "li")

    play(played)


def test_the_first_answer_stays_and_a_link_is_good_once(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate())
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            first = await checks.answer(begun.id, says("post:gate", via="link"), "c1:")
            for again in (says("li"), says("post:gate", via="link")):
                assert await checks.answer(begun.id, again, "c1:") == first
            assert await checks.answer(99, says("li")) is None
        used = await ledger.read(lambda c: used_link(c, "c1:"))
        assert used
        assert used.by == "post:gate"
        answers = [deed for deed in await desks.deeds() if deed.what == "check.answered"]
        assert [(deed.who, deed.via) for deed in answers] == [("post:gate", "link")]

    play(played)


def test_every_step_is_in_the_log_of_deeds(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate())
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(HOUR)
        assert [(d.who, d.what, d.about, d.area, d.detail) for d in await desks.deeds()] == [
            ("chief", "check.asked", "1", "east", "gate"),
            ("chargewatch", "check.missed", "1", "east", "gate"),
        ]

    play(played)


# --- alarms go first -------------------------------------------------------------------------


def test_no_post_is_asked_while_danger_in_its_area_waits_for_somebody(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate(per_week=150), gate(id="dock", area="west", per_week=150))
        desks.alarms.add("east")
        async with desks.asking() as checks:
            await until(5 * HOUR)
            found = await desks.checks()
            assert {check.post for check in found} == {"dock"}
            with pytest.raises(AlarmsWait):
                await checks.begin("gate", asks("chief"))
            desks.alarms.clear()
            await until(5 * HOUR + 16 * MINUTE)
            assert "gate" in {check.post for check in await desks.checks()}

    play(played)


def test_an_alarm_in_the_middle_of_a_check_stops_its_clock(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.NTFY, 60))
        desks.put(gate())
        desks.employ(manager("wang", Via.NTFY))
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            await until(MINUTE)
            desks.alarms.add("east")
            await until(HOUR)
            assert begun.id in checks.open
            desks.alarms.clear()
            await until(HOUR + 2 * MINUTE)
            done = await checks.answer(begun.id, says("li"))
            assert done
            assert done.state is CheckState.ANSWERED
        assert desks.heard(Via.NTFY) == []

    play(played)


def test_only_danger_that_people_know_of_and_nobody_saw_counts_as_waiting() -> None:
    critical = alarm(1)  # in east
    assert alarms_wait([critical], "east")
    assert alarms_wait([critical], EVERYWHERE)
    assert not alarms_wait([critical], "west")
    assert not alarms_wait([critical], "eas")
    assert not alarms_wait([alarm(1, Severity.WARNING)], "east")
    assert not alarms_wait([replace(critical, acknowledged_at=NOON)], "east")
    assert not alarms_wait([replace(critical, state=State.PENDING)], "east")
    assert not alarms_wait([replace(critical, told=None)], "east")
    everywhere: Alert = replace(critical, within=())
    assert alarms_wait([everywhere], "west")


# --- by plan ---------------------------------------------------------------------------------


def test_over_a_week_a_post_is_asked_when_it_was_planned_and_at_no_other_time(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        nights = Schedule("Asia/Shanghai", (Window(time(20), time(6)),))
        desks.put(
            gate(per_week=12, hours=nights),
            gate(id="off", per_week=12, active=False),
            gate(id="never"),
        )
        async with desks.asking():
            await until(7 * DAY)
        found = await desks.checks()
        plan = Plan(seed=SEED, post="gate", per_week=12, hours=nights)
        planned = plan.between(NOON, NOON + 7 * DAY)
        assert len(planned) > 5
        assert {check.post for check in found} == {"gate"}
        assert [check.asked_at for check in found] == planned
        assert {check.asked_by for check in found} == {""}

    play(played)


def test_processes_that_are_killed_and_started_again_ask_as_one_that_never_ended(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        for hours in (
            8,
            9,
            9.1,
            9.2,
            20,
            33.3,
            48,
        ):  # the first is older than what is made up for
            async with desks.asking():
                desks.put(gate(per_week=60))
                await until(hours * HOUR)
        planned = Plan(seed=SEED, post="gate", per_week=60).between(NOON, NOON + 48 * HOUR)
        assert [check.asked_at for check in await desks.checks()] == planned

    play(played)


def test_after_a_night_without_the_service_there_is_one_check_and_no_burst(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate(per_week=150))
        async with desks.asking():
            await until(HOUR)
        before = len(await desks.checks())
        await until(12 * HOUR)
        async with desks.asking():
            await until(12 * HOUR + 30 * MINUTE)
        assert len(await desks.checks()) == before + 1

    play(played)


def test_a_post_that_is_new_or_changed_is_not_asked_for_what_lies_behind_it(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        async with desks.asking():
            await until(10 * HOUR)
            desks.put(gate(per_week=150))
            known_at = now()
            await until(13 * HOUR)
        first = (await desks.checks())[0].asked_at
        assert first in Plan(seed=SEED, post="gate", per_week=150).between(
            known_at, NOON + 13 * HOUR
        )

    play(played)


def test_a_check_by_hand_keeps_the_next_one_away_for_an_hour(ledger: InLoop) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        plan = Plan(seed=SEED, post="gate", per_week=150)
        planned = plan.next_after(NOON)
        assert planned
        async with desks.asking() as checks:
            desks.put(gate(per_week=150))
            await until(planned - NOON - 5 * MINUTE)
            by_hand = await checks.begin("gate", asks("chief"))
            await checks.answer(by_hand.id, says("li"))
            await until(planned - NOON + 3 * HOUR)
        first, second = (await desks.checks())[:2]
        assert first.asked_by == "chief"
        assert second.asked_at - first.asked_at >= APART

    play(played)


def test_a_post_is_not_asked_twice_at_the_same_time_nor_one_that_is_not_in_service(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger)
        desks.put(gate(), gate(id="off", active=False))
        async with desks.asking() as checks:
            both = [checks.begin("gate", asks("chief")) for _ in range(2)]
            outcomes = await asyncio.gather(*both, return_exceptions=True)
            assert [type(each) for each in outcomes] == [PostCheck, CheckUnderWay]
            for post in ("off", "nothing"):
                with pytest.raises(NoSuchPost):
                    await checks.begin(post, asks("chief"))

    play(played)


# --- the end of a process --------------------------------------------------------------------


def test_a_check_outlives_the_process_that_asked_it_and_is_asked_no_second_time(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60), Provider(Via.NTFY, 60))
        desks.put(gate(Via.SMS))
        desks.employ(manager("wang", Via.NTFY))
        async with desks.asking() as checks:
            begun = await checks.begin("gate", asks("chief"))
            await until(MINUTE)
        await until(10 * MINUTE)  # long after it was due: but nobody could answer
        async with desks.asking() as checks:
            await until(12 * MINUTE)
            done = await checks.answer(begun.id, says("li"))
            assert done
            assert done.state is CheckState.ANSWERED
        assert len(desks.heard(Via.SMS)) == 1
        assert desks.heard(Via.NTFY) == []
        assert len(await desks.checks()) == 1

    play(played)


def test_a_check_whose_process_ended_before_anybody_was_told_is_asked_by_the_next(
    ledger: InLoop,
) -> None:
    async def played() -> None:
        desks = Desks(ledger, Provider(Via.SMS, 60))
        desks.put(gate(Via.SMS))
        await desks.process().begin("gate", asks("chief"))  # it never came to run
        assert desks.heard(Via.SMS) == []
        async with desks.asking() as checks:
            await until(SECOND)
            assert len(desks.heard(Via.SMS)) == 1
            assert list(checks.open) == [1]

    play(played)


def test_managers_are_told_once_also_if_the_process_ends_in_the_middle(ledger: InLoop) -> None:
    async def played() -> None:
        slow = Provider(Via.NTFY, 60, takes_s=8)
        desks = Desks(ledger, slow)
        desks.put(gate())
        desks.employ(manager("wang", Via.NTFY), manager("zhao", Via.NTFY))
        async with desks.asking() as checks:
            await checks.begin("gate", asks("chief"))
            await until(2 * ANSWER_WITHIN + 9 * SECOND)  # wang has it, zhao not yet
        assert [to for _, to, _ in desks.heard(Via.NTFY)] == ["wang"]
        for _ in range(2):
            async with desks.asking():
                await asyncio.sleep(60)
        assert [to for _, to, _ in desks.heard(Via.NTFY)] == ["wang", "zhao"]

    play(played)


# --- figures ---------------------------------------------------------------------------------


def asked(at: datetime = NOON) -> PostCheck:
    return PostCheck(post="gate", area="east", asked_at=at, due_at=at + ANSWER_WITHIN)


def test_an_answer_is_in_time_until_it_is_due_and_none_after_a_shift() -> None:
    check = asked()
    assert answered(check, "li", check.due_at).state is CheckState.ANSWERED
    assert answered(check, "li", check.due_at + SECOND).state is CheckState.LATE
    assert answered(check, "li", NOON + ANSWERABLE_FOR + SECOND) == check
    assert missed(answered(check, "li", NOON)).state is CheckState.ANSWERED


def test_figures_count_what_became_of_each_and_how_long_answers_took() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)

    def outcome(state: CheckState, took_s: float | None = None) -> Outcome:
        answered_at = None if took_s is None else at + timedelta(seconds=took_s)
        return Outcome(post="gate", state=state, asked_at=at, answered_at=answered_at)

    in_time = [outcome(CheckState.ANSWERED, took_s) for took_s in range(10, 19)]
    others = [
        outcome(CheckState.LATE, 200),
        outcome(CheckState.MISSED),
        outcome(CheckState.MISSED, 5_000),
        outcome(CheckState.ASKED),
    ]
    assert figures([*in_time, *others])["gate"] == Figures(
        asked=13, in_time=9, late=1, missed=2, waiting=1, median_s=14.0, p90_s=18.0
    )
    assert figures([outcome(CheckState.MISSED)])["gate"].median_s is None
    assert share([1.0], 0.9) == 1.0
    assert share([], 0.5) is None
